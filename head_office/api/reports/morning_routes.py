"""The route of the mornings at which the purchasing report was made."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import FastAPI, Query
from starlette.responses import Response

from head_office.api.dependencies import ListAnswer, LocationQuery, Office, listed, out_of_range
from head_office.api.stock_routes import locations_of
from head_office.problems import BAD_CURSOR, PROBLEMS, UNKNOWN_LOCATION
from head_office.reports.mornings.morning_list import MorningKey, MorningOut, checked_date, list_mornings
from shared.runtime.http.application import After, Limit, documented_answer, json_response
from shared.runtime.http.auth import Principal
from shared.runtime.http.cursor import Cursor
from shared.runtime.http.scopes import Scope
from shared.runtime.problems import INVALID_REQUEST, WRONG_LOCATION

_CURSOR: Final[Cursor[MorningKey]] = Cursor(MorningKey)

FromDate = Annotated[
    str | None, Query(alias="from", max_length=64, description="From this date on, on the location's calendar")
]
ToDate = Annotated[str | None, Query(alias="to", max_length=64, description="Before this date")]


class MorningPage(ListAnswer, frozen=True):
    items: list[MorningOut]


def add_morning_routes(app: FastAPI, office: Office) -> None:
    """Add the list of mornings."""
    reader = office.caller(Scope.REPORTS)

    @app.get(
        "/v1/reports/purchasing/mornings",
        tags=["reports"],
        summary="The mornings at which the purchasing report was made, and what became of the mails about them",
        description="The report of each is GET /v1/reports/purchasing?date=DATE. It is made at each location's "
        "`report_time`, once, and up to seven mornings that were missed are caught up: as of their own moments.",
        responses={
            200: documented_answer(MorningPage, "The newest first, those of one date by location"),
            **PROBLEMS.responses(BAD_CURSOR, UNKNOWN_LOCATION, WRONG_LOCATION, INVALID_REQUEST),
        },
    )
    def read_mornings(
        *,
        location_id: LocationQuery = None,
        begin: FromDate = None,
        end: ToDate = None,
        after: After = None,
        limit: Limit = 100,
        principal: Principal = reader,
    ) -> Response:
        first, last = checked_date("from", begin), checked_date("to", end)
        if first is not None and last is not None and last < first:
            raise out_of_range("to", "the period ends before it begins")
        with office.reading() as connection:
            found = list_mornings(
                connection,
                location_ids=locations_of(connection, principal, location_id),
                begin=first,
                end=last,
                after=_CURSOR.read(after),
                limit=limit + 1,
            )
        return json_response(listed(found, limit, lambda each: _CURSOR.write(MorningKey(each.date, each.location_id))))
