"""The purchasing report over HTTP: its members, its formats, what it refuses, and that a past one never changes."""

from __future__ import annotations

from datetime import UTC, datetime
from io import BytesIO
from typing import Any
from zipfile import ZipFile

import pytest
from sqlalchemy import Engine

from head_office.catalogue import items
from head_office.catalogue.location_levels import LevelChange, put_levels
from head_office.database.schema import now
from head_office.reports.purchasing.purchasing_records import COLUMNS
from shared.catalogue_messages import CatalogueItem
from shared.event_record import moment_text
from shared.levels.reorder_levels import ReorderLevel
from shared.runtime.clock import DAY
from tests.integration.head_office.conftest import Api
from tests.support.consolidation import Branch
from tests.support.events import an_event

PATH = "/v1/reports/purchasing"


@pytest.fixture
def stocked(office: Engine) -> Branch:
    """Three locations with a level of tomatoes; the first has a log."""
    with office.begin() as connection:
        items.put(connection, [CatalogueItem(item_id="tomato", name="Tomatoes", unit="kg")])
        level = ReorderLevel(reorder_point=20_000, order_up_to=50_000, pack_size=6_000, lead_days=1, supplier_id="farm")
        put_levels(connection, [LevelChange("BEY-01", "tomato", level), LevelChange("BEY-02", "tomato", level)])
        at = now(connection)
    kg = {"item_id": "tomato", "unit": "kg"}
    branch = Branch("BEY-01").record(
        [
            an_event("PURCHASE_RECEIVED", seed=1, **kg, quantity=30_500, occurred_at=at - 9 * DAY),
            an_event("ORDER_DEDUCTION", seed=2, **kg, quantity=13_000, occurred_at=at - 3 * DAY),
        ]
    )
    branch.ship(office)
    return branch


def get(api: Api, query: str = "", who: str = "purchasing", status: int = 200) -> Any:
    answer = api.call(who, "GET", PATH + query)
    assert answer.status_code == status, answer.text
    return answer.json()


def test_the_answer_is_that_of_the_interface(api: Api, stocked: Branch) -> None:
    found = get(api)
    assert list(found) == ["as_of", "known_at", "date", "window_days", "cut", "locations", "items"]
    assert (found["date"], found["window_days"], found["as_of"]) == (None, 28, found["known_at"])
    assert found["cut"] == {"BEY-01": 2, "BEY-02": 0, "WH-1": 0}
    assert [(each["location_id"], each["state"]) for each in found["locations"]] == [
        ("BEY-02", "BLIND"), ("WH-1", "BLIND"), ("BEY-01", "FRESH"),
    ]  # fmt: skip
    assert list(found["locations"][0]) == ["location_id", "name", "as_of", "known_at", "state", "freshness"]
    row = found["items"][0]
    assert tuple(row) == COLUMNS
    assert row == {
        "location_id": "BEY-01", "item_id": "tomato", "name": "Tomatoes", "unit": "kg", "supplier_id": "farm",
        "supplier_name": None, "on_hand": 17.5, "reserved": 0, "available": 17.5, "in_transit": 0, "on_order": 0,
        "next_due": None, "projected": 17.5, "reorder_point": 20, "order_up_to": 50, "order_quantity": None,
        "pack_size": 6, "to_order": 36, "packs": 6, "daily_usage": 1.444, "days_left": 12.1, "lead_days": 1,
        "suggested_reorder_point": 5, "flags": [], "location_state": "FRESH",
    }  # fmt: skip
    assert found["items"][1]["location_id"] == "BEY-02"
    assert found["items"][1]["daily_usage"] is found["items"][1]["days_left"] is None


def test_a_past_report_is_the_same_to_the_byte_in_every_format(api: Api, office: Engine, stocked: Branch) -> None:
    found = get(api)
    query = f"?as_of={found['as_of']}&known_at={found['known_at']}&all=true"
    formats = ("json", "csv", "xlsx", "pdf")
    before = {form: api.call("viewer", "GET", f"{PATH}{query}&format={form}").content for form in formats}
    stocked.record([an_event("ORDER_DEDUCTION", seed=9, item_id="tomato", unit="kg", quantity=17_000)]).ship(office, 3)
    with office.begin() as connection:
        put_levels(connection, [LevelChange("BEY-01", "tomato", None)])
        items.put(connection, [CatalogueItem(item_id="tomato", name="Pomodori", unit="kg")])
    for form in formats:
        assert api.call("viewer", "GET", f"{PATH}{query}&format={form}").content == before[form], form
    fresh = get(api, query)["locations"][-1]["freshness"]
    assert fresh["contacted_at"] is fresh["behind"] is fresh["verdict"] is None
    assert [each["location_id"] for each in get(api)["items"]] == ["BEY-02"]


def test_the_files(api: Api, stocked: Branch) -> None:
    csv = api.call("manager", "GET", PATH + "?format=csv")
    assert csv.headers["content-type"].startswith("text/csv")
    assert csv.content.startswith(b"\xef\xbb\xbf" + ",".join(COLUMNS).encode() + b"\r\n")
    assert b"attachment" in csv.headers["content-disposition"].encode()
    assert ZipFile(BytesIO(api.call("manager", "GET", PATH + "?format=xlsx").content)).testzip() is None
    assert api.call("manager", "GET", PATH + "?format=pdf").content.startswith(b"%PDF")


def test_a_key_of_one_location_sees_that_one(api: Api, stocked: Branch) -> None:
    found = get(api, who="manager of BEY-01")
    assert list(found["cut"]) == ["BEY-01"]
    assert {each["location_id"] for each in found["items"]} == {"BEY-01"}
    assert get(api, "?location_id=BEY-02", "manager of BEY-01", 403)["code"] == "wrong-location"


def test_a_date_is_the_end_of_that_business_day(api: Api, stocked: Branch) -> None:
    today = datetime.now(UTC).date()
    found = get(api, f"?as_of={today.isoformat()}&all=true")
    assert found["as_of"] is None
    assert {each["as_of"] for each in found["locations"]} != {found["known_at"]}


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("?window_days=0", "window_days"),
        ("?window_days=367", "window_days"),
        ("?window_days=x", "window_days"),
        ("?as_of=yesterday", "as_of"),
        ("?known_at=2026-01-31", "known_at"),
        ("?known_at=1999-01-31T00:00:00Z", "known_at"),
        ("?all=perhaps", "all"),
        ("?format=docx", "format"),
    ],
)
def test_what_is_no_parameter(api: Api, query: str, field: str) -> None:
    refused = get(api, query, status=422)
    assert refused["code"] == "invalid-request"
    assert refused["errors"][0]["field"].removeprefix("query.") == field


def test_before_anything_was_known(api: Api, stocked: Branch) -> None:
    found = get(api, f"?known_at={moment_text(1_000_000_000_000_000)}")
    assert (found["locations"], found["items"], found["cut"]) == ([], [], {})
    assert get(api, "?location_id=NOWHERE", status=422)["code"] == "unknown-location"
