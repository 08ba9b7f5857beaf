"""The variance report."""

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
from head_office.reports.report_records import VARIANCE_SCHEMA, listed_schema
from head_office.reports.variance.variance_sums import VarianceBy
from head_office.reports.variance.variance_table import ItemVarianceRecord, LocationVarianceRecord, variance_table
from shared.runtime.http.application import After, Limit
from shared.runtime.http.auth import Principal
from shared.runtime.http.json_schemas import answer_schema_of
from shared.runtime.http.scopes import Scope
from shared.runtime.problems import INVALID_REQUEST, WRONG_LOCATION

_ROWS: Final[dict[str, Any]] = {
    "anyOf": [VARIANCE_SCHEMA, answer_schema_of(ItemVarianceRecord), answer_schema_of(LocationVarianceRecord)]
}


def add_variance_route(app: FastAPI, office: Office) -> None:
    """Add the variance report."""

    @app.get(
        "/v1/reports/variance",
        tags=["reports"],
        summary="What each count found, against what the book says by now and what it said then; or the sums of them",
        responses={
            200: table_schema(listed_schema("Counts in the order they occurred, or sums", _ROWS, **TABLE_MEMBERS)),
            **PROBLEMS.responses(BAD_CURSOR, UNKNOWN_LOCATION, WRONG_LOCATION, INVALID_REQUEST, REPORT_TOO_LARGE),
        },
    )
    def read_variances(
        *,
        location_id: LocationQuery = None,
        item_id: ItemFilter = None,
        begin: From = None,
        end: To = None,
        by: Annotated[
            VarianceBy, Query(description="A row for each count, or the sums of each item or location in each unit")
        ] = VarianceBy.COUNT,
        known_at: KnownAt = None,
        after: After = None,
        limit: Limit = 100,
        form: Format = TableFormat.JSON,
        principal: Principal = office.caller(Scope.REPORTS),  # noqa: B008 - evaluated once, on purpose
    ) -> Response:
        asked = AskedTable(location_id, item_id, begin, end, known_at, after, limit, form)
        return answer_table(office, principal, "variance", variance_table(by), asked)
