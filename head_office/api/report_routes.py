"""The report of what is in transit, and what lies in quarantine."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from fastapi import FastAPI, Query
from starlette.responses import Response

from head_office.api.dependencies import (
    BY_EVENT,
    AsOfQuery,
    ItemFilter,
    ListAnswer,
    LocationPath,
    LocationQuery,
    Office,
    listed,
    moment,
)
from head_office.api.stock_routes import KnownAt, locations_of, report_header
from head_office.catalogue import locations
from head_office.log import quarantine
from head_office.problems import BAD_CURSOR, LOCATION_NOT_FOUND, PROBLEMS, UNKNOWN_LOCATION
from head_office.reports.in_transit import in_transit
from head_office.reports.report_moments import as_of_at, asked
from head_office.reports.report_records import (
    InTransitPage,
    QuarantinedOut,
    on_its_way_out,
    quarantined_out,
)
from shared.runtime.http.application import After, Limit, documented_answer, json_response
from shared.runtime.http.auth import Principal
from shared.runtime.http.scopes import Scope
from shared.runtime.problems import INVALID_REQUEST, WRONG_LOCATION

MAX_IN_TRANSIT: Final = 10_000

_COMMON: Final = (UNKNOWN_LOCATION, WRONG_LOCATION, INVALID_REQUEST)


class QuarantinePage(ListAnswer, frozen=True):
    items: list[QuarantinedOut]


class RetryOut(msgspec.Struct, frozen=True):
    """How many events a retry folded, and how many remain in quarantine."""

    released: int
    remaining: int


def add_report_routes(app: FastAPI, office: Office) -> None:
    """Add the report and the quarantine."""
    reader = office.caller(Scope.REPORTS)

    @app.get(
        "/v1/reports/in-transit",
        tags=["reports"],
        summary="What is in transit: sent, reversed, received, lost",
        responses={
            200: documented_answer(InTransitPage, "The oldest first"),
            **PROBLEMS.responses(*_COMMON),
        },
    )
    def read_in_transit(
        *,
        location_id: LocationQuery = None,
        item_id: ItemFilter = None,
        as_of: AsOfQuery = None,
        known_at: KnownAt = None,
        principal: Principal = reader,
    ) -> Response:
        at = asked("as_of", as_of)
        with office.reporting(moment("known_at", known_at)) as (connection, settled):
            report = in_transit(
                connection,
                as_of=as_of_at(connection, at, None, settled),
                known_at=settled,
                location_ids=locations_of(connection, principal, location_id),
                item_id=item_id,
                limit=MAX_IN_TRANSIT + 1,
            )
        rows = [on_its_way_out(row) for row in report.rows[:MAX_IN_TRANSIT]]
        return json_response(
            InTransitPage(items=rows, complete=len(rows) == len(report.rows), **report_header(report.cut, at))
        )

    _add_quarantine_routes(app, office)


def _add_quarantine_routes(app: FastAPI, office: Office) -> None:
    @app.get(
        "/v1/quarantine",
        tags=["quarantine"],
        summary="Events that verify and could not be folded",
        responses={
            200: documented_answer(QuarantinePage, "By location and sequence"),
            **PROBLEMS.responses(BAD_CURSOR, UNKNOWN_LOCATION, WRONG_LOCATION, INVALID_REQUEST),
        },
    )
    def list_quarantine(
        *,
        location_id: LocationQuery = None,
        released: Annotated[bool, Query(description="The released events instead")] = False,
        after: After = None,
        limit: Limit = 100,
        principal: Principal = office.caller(Scope.REPORTS),  # noqa: B008 - evaluated once
    ) -> Response:
        place = BY_EVENT.read(after)
        with office.reading() as connection:
            wanted = locations_of(connection, principal, location_id)
            found = quarantine.listed(
                connection,
                location_id=None if wanted is None else wanted[0],
                released=released,
                after=place,
                limit=limit + 1,
            )
        page = listed(
            found,
            limit,
            lambda each: BY_EVENT.write((each.location_id, each.sequence)),
            quarantined_out,
        )
        return json_response(page)

    @app.post(
        "/v1/quarantine/{location_id:code}/retry",
        tags=["quarantine"],
        summary="Fold what can be folded by now, as after an upgrade",
        responses={
            200: documented_answer(RetryOut, "How many events were folded, and how many remain"),
            **PROBLEMS.responses(LOCATION_NOT_FOUND),
        },
    )
    def retry_quarantine(
        location_id: LocationPath,
        principal: Principal = office.caller(Scope.ADMINISTER),  # noqa: B008 - evaluated once, on purpose
    ) -> Response:
        del principal
        with office.writing() as connection:
            locations.read(connection, location_id)
            return json_response(RetryOut(*quarantine.retry(connection, location_id)))
