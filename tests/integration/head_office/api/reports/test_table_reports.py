"""Reports that are tables, over HTTP: pages, the file that has the same rows, and what is refused."""

from __future__ import annotations

import csv
import io
import json
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Engine

from head_office.api.reports import table_answers
from head_office.reports.tables import table_report
from shared.runtime.text.csv_writer import APOSTROPHE, CSV_MEDIA_TYPE
from tests.integration.head_office.api.test_periods import pages
from tests.integration.head_office.api.test_stock_routes import get
from tests.integration.head_office.conftest import Api
from tests.support.branch_log import BranchLog
from tests.support.used_day import a_used_day

PERIOD = "from=2026-01-01&to=2026-01-02"
TABLES = [
    "variance?by=count", "variance?by=item", "variance?by=location", "usage?by=item", "usage?by=product",
    "usage?by=order", "unmet-demand?by=event", "unmet-demand?by=item",
]  # fmt: skip


def file_of(api: Api, path: str) -> tuple[str, list[dict[str, str]]]:
    """The text of a file without its mark, and its rows with the apostrophes taken off."""
    answer = api.call("viewer", "GET", path)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == CSV_MEDIA_TYPE
    assert int(answer.headers["content-length"]) == len(answer.content)
    text = answer.content.decode("utf-8")
    assert text.startswith("\ufeff")
    rows = csv.DictReader(io.StringIO(text[1:], newline=""))
    return text[1:], [{name: cell.removeprefix(APOSTROPHE) for name, cell in row.items()} for row in rows]


def as_cell(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else f"{value:f}" if isinstance(value, Decimal) else str(value)


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("in_memory", [10, 10**6])
def test_the_file_has_the_rows_of_the_pages(
    api: Api, office: Engine, table: str, in_memory: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_answers, "IN_MEMORY", in_memory)
    a_used_day(office)
    path = f"/v1/reports/{table}&{PERIOD}"
    whole = json.loads(api.call("viewer", "GET", path).content, parse_float=Decimal)["items"]
    assert whole
    assert pages(api, f"{path}&limit=1") == whole
    text, rows = file_of(api, f"{path}&format=csv")
    assert text.count("\r\n") == text.count("\n") == len(whole) + 1
    for row in whole:
        if "event" in row:
            row["event_id"] = row.pop("event")["event_id"]
    assert {*rows[0]} == {*whole[0]}
    assert rows == [{name: as_cell(row[name]) for name in rows[0]} for row in whole]


def test_no_cell_of_a_file_is_a_formula(api: Api, office: Engine) -> None:
    a_used_day(office)
    text, rows = file_of(api, f"/v1/reports/usage?by=product&{PERIOD}&format=csv")
    assert "=cappuccino" in {row["product"] for row in rows}
    assert ",'=cappuccino," in text


def test_a_file_of_nothing_has_its_header(api: Api) -> None:
    for table in TABLES:
        text, rows = file_of(api, f"/v1/reports/{table}&{PERIOD}&format=csv")
        assert (rows, text.count("\r\n")) == ([], 1)
        assert text.startswith(("location_id,", "item_id,", "occurred_at,"))


def test_usage_of_the_day(api: Api, office: Engine) -> None:
    a_used_day(office)
    answer = get(api, f"/v1/reports/usage?{PERIOD}&location_id=BEY-01")
    (row,) = answer["items"]
    assert row == {
        "location_id": "BEY-01", "item_id": "milk", "unit": "l", "sold": Decimal("1.5"),
        "internal_use": Decimal("0.125"), "production": 0, "waste": Decimal("0.5"), "transferred_out": 0,
        "returned": Decimal("0.25"), "total": Decimal("1.875"),
    }  # fmt: skip
    assert (answer["from"], answer["to"], answer["cut"], answer["next"]) == (
        "2026-01-01",
        "2026-01-02",
        {"BEY-01": 11},
        None,
    )
    assert [row["total"] for row in get(api, "/v1/reports/usage")["items"]] == [Decimal("1.875"), 2, 3]


@pytest.mark.parametrize(
    ("query", "status", "code", "field"),
    [
        ("usage?by=dish", 422, "invalid-request", "query.by"),
        ("usage?format=pdf", 422, "invalid-request", "query.format"),
        ("usage?by=order", 422, "invalid-request", "from"),
        ("usage?by=order&from=2026-01-01", 422, "invalid-request", "to"),
        ("usage?by=product&from=2026-01-01&to=2027-01-04", 422, "invalid-request", "to"),
        ("usage?from=2026-01-02&to=2026-01-01", 422, "invalid-request", "to"),
        ("usage?limit=0", 422, "invalid-request", "query.limit"),
        ("usage?item=milk", 422, "invalid-request", "query.item"),
        ("usage?known_at=2026-01-01", 422, "invalid-request", "known_at"),
        ("unmet-demand?source=", 422, "invalid-request", "query.source"),
        ("variance?by=event", 422, "invalid-request", "query.by"),
        *(
            (f"{table}&{PERIOD}{more}", status, code, field)
            for table in TABLES
            for more, status, code, field in (
                ("&after=nonsense", 400, "bad-cursor", None),
                ("&after=x&format=csv", 422, "invalid-request", "after"),
                ("&location_id=NOWHERE", 422, "unknown-location", None),
            )
        ),
    ],
)
def test_what_is_refused(api: Api, query: str, status: int, code: str, field: str | None) -> None:
    answer = api.call("viewer", "GET", f"/v1/reports/{query}")
    told = answer.json()
    assert (answer.status_code, told["code"]) == (status, code), told
    assert told["hint"]
    if field is not None:
        assert [each["field"] for each in told["errors"]] == [field]


def test_a_year_and_a_leap_day_may_be_read(api: Api) -> None:
    assert get(api, "/v1/reports/usage?by=order&from=2028-01-01&to=2029-01-01")["items"] == []


def test_a_file_of_too_many_rows_is_a_problem_and_no_part_of_a_file(
    api: Api, office: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_used_day(office)
    monkeypatch.setattr(table_report, "MAX_ROWS", 2)
    answer = api.call("viewer", "GET", "/v1/reports/usage?format=csv")
    assert (answer.status_code, answer.json()["code"]) == (422, "report-too-large")


def test_a_cursor_of_one_table_is_none_of_another(api: Api, office: Engine) -> None:
    a_used_day(office)
    for table in TABLES:
        following = get(api, f"/v1/reports/{table}&{PERIOD}&limit=1")["next"]
        for other in TABLES:
            answer = api.call("viewer", "GET", f"/v1/reports/{other}&{PERIOD}&after={following or 'x'}")
            assert answer.status_code in {200, 400}, answer.text


def test_a_report_of_the_past_is_the_same_after_late_events(api: Api, office: Engine) -> None:
    a_used_day(office)
    known_at = get(api, "/v1/reports/usage?known_at=2099-01-01T00:00:00Z")["known_at"]
    before = {}
    for table in TABLES:
        path = f"/v1/reports/{table}&{PERIOD}&known_at={known_at}"
        before[path] = (get(api, path), file_of(api, f"{path}&format=csv"))
    late = BranchLog("WH-1")
    late.record("WASTE_RECORDED", quantity=1_000, reason="late")
    late.ship_now(office)
    assert {path: (get(api, path), file_of(api, f"{path}&format=csv")) for path in before} == before
    assert len(get(api, f"/v1/reports/usage?{PERIOD}")["items"]) == 4
