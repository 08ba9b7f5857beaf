"""The purchasing report: what to order for each location, as JSON or as a file."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Final

from fastapi import FastAPI, Query
from starlette.responses import Response, StreamingResponse

from head_office.api.dependencies import AsOfQuery, LocationQuery, Office, moment, out_of_range
from head_office.api.stock_routes import KnownAt, locations_of
from head_office.problems import PROBLEMS, REPORT_NOT_MADE, REPORT_TOO_LARGE, UNKNOWN_LOCATION
from head_office.reports.mornings.morning_list import checked_date
from head_office.reports.mornings.morning_report import morning_report
from head_office.reports.purchasing.files.rendered_report import MEDIA_TYPES, FileFormat, render
from head_office.reports.purchasing.purchasing_json import PurchasingReportOut, purchasing_parts
from head_office.reports.purchasing.purchasing_records import (
    DEFAULT_WINDOW_DAYS,
    MAX_WINDOW_DAYS,
    PurchasingReport,
)
from head_office.reports.purchasing.purchasing_report import purchasing_report
from head_office.reports.report_moments import as_of_at, asked
from shared.runtime.clock import LATEST
from shared.runtime.http.application import documented_answer
from shared.runtime.http.auth import Principal
from shared.runtime.http.scopes import Scope
from shared.runtime.problems import INVALID_REQUEST, WRONG_LOCATION

FEW_ROWS: Final = 1_000
"""So many rows are sent in one piece, more while they are written."""

THE_PRESENT: Final = LATEST - 1
"""A moment in the future is settled as now."""


class AnswerFormat(StrEnum):
    """How the report is answered: JSON, or one of the files."""

    JSON = "json"
    CSV = FileFormat.CSV.value
    XLSX = FileFormat.XLSX.value
    PDF = FileFormat.PDF.value


WindowDays = Annotated[
    int | None,
    Query(
        ge=1,
        le=MAX_WINDOW_DAYS,
        description="The business dates before that of `as_of` whose usage is looked at; otherwise 28, or those by "
        "which the report of the date was made",
    ),
]
MorningDate = Annotated[
    str | None,
    Query(
        max_length=64,
        description="As it was made on the morning of this date, by the cut kept then; with `known_at` by what was "
        "known at that moment, and what that changes",
    ),
]
AllRows = Annotated[bool, Query(alias="all", description="Also what does not have to be ordered, with `to_order` 0")]
Format = Annotated[AnswerFormat, Query(alias="format", description="JSON, or a file to download")]


def add_purchasing_routes(app: FastAPI, office: Office) -> None:
    """Add the purchasing report."""

    @app.get(
        "/v1/reports/purchasing",
        tags=["reports"],
        summary="What is to be ordered for each location, from whom, and how much",
        description="An item is listed where what is available, on its way by transfers and on order with suppliers is "
        "not above its reorder point. Given `as_of` and `known_at`, the answer is the same to the byte for ever: what "
        "is known of now alone (`contacted_at`, `behind`, `verdict`) is null then. Not paged.",
        responses={
            200: _documented(),
            **PROBLEMS.responses(UNKNOWN_LOCATION, WRONG_LOCATION, INVALID_REQUEST, REPORT_NOT_MADE, REPORT_TOO_LARGE),
        },
    )
    def read_purchasing_report(
        *,
        location_id: LocationQuery = None,
        as_of: AsOfQuery = None,
        known_at: KnownAt = None,
        date: MorningDate = None,
        window_days: WindowDays = None,
        all_rows: AllRows = False,
        form: Format = AnswerFormat.JSON,
        principal: Principal = office.caller(Scope.REPORTS),  # noqa: B008 - evaluated once, on purpose
    ) -> Response:
        at, known, morning = asked("as_of", as_of), moment("known_at", known_at), checked_date("date", date)
        if morning is not None and at is not None:
            raise out_of_range("as_of", "a report of a date is as of its morning")
        with office.reporting(THE_PRESENT if known is None and morning is None else known) as (connection, settled):
            places = locations_of(connection, principal, location_id)
            if morning is not None:
                of_morning = morning_report(
                    connection,
                    date=morning,
                    location_ids=places,
                    known_at=settled,
                    window_days=window_days,
                    all_rows=all_rows,
                )
                return answered(of_morning, form)
            if settled is None:
                raise AssertionError("a report known at a moment has a settled one")
            report = purchasing_report(
                connection,
                location_ids=places,
                # Of every location: goods are on their way from others.
                as_of=as_of_at(connection, at, None, settled),
                known_at=settled,
                given=known is not None,
                window_days=DEFAULT_WINDOW_DAYS if window_days is None else window_days,
                all_rows=all_rows,
            )
        return answered(report, form)


def answered(report: PurchasingReport, form: AnswerFormat) -> Response:
    """Answer a report, which needs no database any more. Raises Problem 422 `report-too-large`."""
    if form is AnswerFormat.JSON:
        return _sent(purchasing_parts(report), "application/json", {}, whole=len(report.rows) <= FEW_ROWS)
    file = render(report, FileFormat(form.value))
    headers = {"Content-Disposition": f'attachment; filename="{file.name}"'}
    return _sent(file.content, file.media_type, headers, whole=len(report.rows) <= FEW_ROWS)


def _sent(parts: Iterable[bytes], media_type: str, headers: dict[str, str], *, whole: bool) -> Response:
    if whole:
        return Response(b"".join(parts), headers=headers, media_type=media_type)
    return StreamingResponse(parts, headers=headers, media_type=media_type)


def _documented() -> dict[str, object]:
    answer = documented_answer(PurchasingReportOut, "The report: locations that cannot be trusted first, then the rest")
    files = {media_type: {"schema": {"type": "string"}} for media_type in MEDIA_TYPES.values()}
    return {**answer, "content": {**answer["content"], **files}}
