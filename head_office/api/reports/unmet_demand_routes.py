"""The report of unmet demand."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import FastAPI, Query
from starlette.responses import Response

from head_office.api.dependencies import NO_NUL, From, ItemFilter, LocationQuery, Office, To
from head_office.api.reports.table_answers import (
    TABLE_MEMBERS,
    AskedTable,
    Format,
    TableFormat,
    answer_table,
    table_schema,
)
from head_office.api.stock_routes import KnownAt
from head_office.problems import BAD_CURSOR, PROBLEMS, REPORT_TOO_LARGE, UNKNOWN_LOCATION
from head_office.reports.report_records import listed_schema
from head_office.reports.unmet.unmet_demand_sums import UnmetDemandBy
from head_office.reports.unmet.unmet_demand_table import (
    ItemUnmetDemandRecord,
    UnmetDemandRecord,
    unmet_demand_table,
)
from shared.runtime.http.application import After, Limit
from shared.runtime.http.auth import Principal
from shared.runtime.http.json_schemas import answer_schema_of
from shared.runtime.http.scopes import Scope
from shared.runtime.problems import INVALID_REQUEST, WRONG_LOCATION

_ROWS: Final[dict[str, Any]] = {
    "anyOf": [answer_schema_of(each) for each in (UnmetDemandRecord, ItemUnmetDemandRecord)]
}


def add_unmet_demand_route(app: FastAPI, office: Office) -> None:
    """Add the report of unmet demand."""

    @app.get(
        "/v1/reports/unmet-demand",
        tags=["reports"],
        summary="What orders asked for and was not there, with what was available at that moment; or the sums of it",
        description="Lines of orders that a branch refused because too little was available. `available` is the "
        "branch's figure just before, by what head office knows of its log.",
        responses={
            200: table_schema(
                listed_schema("In the order they occurred, or by location and item", _ROWS, **TABLE_MEMBERS)
            ),
            **PROBLEMS.responses(BAD_CURSOR, UNKNOWN_LOCATION, WRONG_LOCATION, INVALID_REQUEST, REPORT_TOO_LARGE),
        },
    )
    def read_unmet_demand(
        *,
        location_id: LocationQuery = None,
        item_id: ItemFilter = None,
        source: Annotated[
            str | None, Query(min_length=1, max_length=64, pattern=NO_NUL, description="Of orders of this source only")
        ] = None,
        begin: From = None,
        end: To = None,
        by: Annotated[
            UnmetDemandBy, Query(description="A row for each refused line, or the sums of each item at each location")
        ] = UnmetDemandBy.EVENT,
        known_at: KnownAt = None,
        after: After = None,
        limit: Limit = 100,
        form: Format = TableFormat.JSON,
        principal: Principal = office.caller(Scope.REPORTS),  # noqa: B008 - evaluated once, on purpose
    ) -> Response:
        asked = AskedTable(location_id, item_id, begin, end, known_at, after, limit, form)
        return answer_table(office, principal, "unmet-demand", unmet_demand_table(by, source), asked)
