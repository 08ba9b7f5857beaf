"""The usage report."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import FastAPI, Query
from starlette.responses import Response

from head_office.api.dependencies import From, ItemFilter, LocationQuery, Office, To
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
from head_office.reports.usage.caused_usage import MOST_DAYS, UsageBy
from head_office.reports.usage.usage_table import ItemUsageRecord, OrderUsageRecord, ProductUsageRecord, usage_table
from shared.runtime.http.application import After, Limit
from shared.runtime.http.auth import Principal
from shared.runtime.http.json_schemas import answer_schema_of
from shared.runtime.http.scopes import Scope
from shared.runtime.problems import INVALID_REQUEST, WRONG_LOCATION

_ROWS: Final[dict[str, Any]] = {
    "anyOf": [answer_schema_of(each) for each in (ItemUsageRecord, ProductUsageRecord, OrderUsageRecord)]
}


def add_usage_route(app: FastAPI, office: Office) -> None:
    """Add the usage report."""

    @app.get(
        "/v1/reports/usage",
        tags=["reports"],
        summary="What was used of each item; for each dish; for each order",
        description="`total` = `sold` + `internal_use` + `production` + `waste` + `transferred_out` - `returned`, of "
        "events that stand: what was voided, and a transfer that was reversed, counts in none. The rows of a dish "
        "or an order add up to those of the item: what is recorded with neither has a row with null.",
        responses={
            200: table_schema(listed_schema("By location, then cause, item and unit", _ROWS, **TABLE_MEMBERS)),
            **PROBLEMS.responses(BAD_CURSOR, UNKNOWN_LOCATION, WRONG_LOCATION, INVALID_REQUEST, REPORT_TOO_LARGE),
        },
    )
    def read_usage(
        *,
        location_id: LocationQuery = None,
        item_id: ItemFilter = None,
        begin: From = None,
        end: To = None,
        by: Annotated[
            UsageBy,
            Query(description=f"`product` and `order` take a period of at most {MOST_DAYS} days, from and to"),
        ] = UsageBy.ITEM,
        known_at: KnownAt = None,
        after: After = None,
        limit: Limit = 100,
        form: Format = TableFormat.JSON,
        principal: Principal = office.caller(Scope.REPORTS),  # noqa: B008 - evaluated once, on purpose
    ) -> Response:
        asked = AskedTable(location_id, item_id, begin, end, known_at, after, limit, form)
        return answer_table(office, principal, "usage", usage_table(by), asked)
