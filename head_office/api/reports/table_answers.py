"""The answer of a report that is a table: a page as JSON, or all of it as a CSV file.

A file is written before its answer begins: a refusal is still a problem then, what is sent is whole, and a slow reader
holds no snapshot of the database.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from enum import StrEnum
from typing import IO, Annotated, Any, Final, NamedTuple

from fastapi import Query
from starlette.responses import Response, StreamingResponse

from head_office.api.dependencies import Office, moment, out_of_range
from head_office.api.stock_routes import cut_header, locations_of
from head_office.reports.report_moments import asked_text, period
from head_office.reports.tables.table_report import TableReport, table_scope
from shared.runtime.http.application import json_response
from shared.runtime.http.auth import Principal
from shared.runtime.text.csv_writer import CSV_MEDIA_TYPE, csv_rows

IN_MEMORY: Final = 1024 * 1024
"""Bytes of a file that are held in memory; a larger one is on disk while it is sent."""
_READ_BYTES: Final = 64 * 1024


class TableFormat(StrEnum):
    """How a table is answered."""

    JSON = "json"
    CSV = "csv"


Format = Annotated[
    TableFormat,
    Query(alias="format", description="json: a page; csv: every row, as a file, with the members of a row as columns"),
]

TABLE_MEMBERS: Final[dict[str, Any]] = {
    **{name: {"type": ["string", "null"]} for name in ("from", "to", "known_at")},
    "known_at_holds_since": {"type": "object", "additionalProperties": {"type": "string"}},
    "cut": {"type": "object", "additionalProperties": {"type": "integer"}},
}
"""The schemas of the members that every table's answer has beside its rows."""


class AskedTable(NamedTuple):
    """What was asked for, as it stood in the query."""

    location_id: str | None
    item_id: str | None
    begin: str | None
    end: str | None
    known_at: str | None
    after: str | None
    limit: int
    form: TableFormat


def table_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """A member of FastAPI's `responses`: the JSON answer of a schema, or the file."""
    schema["content"]["text/csv"] = {"schema": {"type": "string"}}
    return schema


def answer_table(office: Office, principal: Principal, name: str, table: TableReport, asked: AskedTable) -> Response:
    """Read the table and answer it. Raises the problems of reports."""
    over, known_at = period(asked.begin, asked.end), moment("known_at", asked.known_at)
    if asked.form is TableFormat.CSV and asked.after:
        raise out_of_range("after", "a file has every row: leave it out")
    with office.reporting(known_at) as (connection, settled):
        places = locations_of(connection, principal, asked.location_id)
        scope = table_scope(connection, settled, location_ids=places, item_id=asked.item_id, over=over)
        if asked.form is TableFormat.CSV:
            return _file_answer(name, csv_rows(table.columns, table.cells(scope)))
        page = table.page(scope, asked.after, asked.limit)
    about = {"from": asked_text(over.begin), "to": asked_text(over.end), **cut_header(page.cut)}
    return json_response({"items": page.items, "next": page.next, **about})


def _file_answer(name: str, parts: Iterator[bytes]) -> Response:
    file = tempfile.SpooledTemporaryFile(IN_MEMORY, prefix="larder-report-")  # noqa: SIM115 - closed once it is sent
    try:
        for part in parts:
            file.write(part)
        size = file.tell()
        file.seek(0)
    except BaseException:
        file.close()
        raise
    headers = {"Content-Disposition": f'attachment; filename="{name}.csv"', "Content-Length": str(size)}
    return StreamingResponse(_read(file), media_type=CSV_MEDIA_TYPE, headers=headers)


def _read(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while part := file.read(_READ_BYTES):
            yield part
