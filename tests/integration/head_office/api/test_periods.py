"""Periods [from, to) at head office: stock, events, variances and explanations agree at every boundary."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from head_office.database.schema import now
from shared.events import Event
from shared.runtime.clock import format_rfc3339
from tests.integration.head_office.api.test_stock_routes import get
from tests.integration.head_office.conftest import Api
from tests.support.branch_log import BranchLog
from tests.support.consolidation import Branch
from tests.support.events import MINUTE, NOON
from tests.support.groups import PLACES, groups

SIGNED = {"ADJUSTMENT"}
LESS = {
    "PURCHASE_RETURNED", "ORDER_DEDUCTION", "INTERNAL_USE", "WASTE_RECORDED", "PRODUCTION_USED", "TRANSFER_OUT",
    "RESERVATION_CONFIRMED",
}  # fmt: skip
MORE = {"PURCHASE_RECEIVED", "CUSTOMER_RETURN", "PRODUCTION_MADE", "TRANSFER_IN"}


REPORTS = (
    "variance?by=item", "usage?by=item", "usage?by=product", "usage?by=order", "unmet-demand?by=event",
    "unmet-demand?by=item",
)  # fmt: skip


def on_hand_of(event: dict[str, Any]) -> Any:
    """What an event of the list did to on hand, by its type alone; counts are the variance report's."""
    quantity = event.get("quantity", 0)
    if event["type"] in LESS:
        return -quantity
    return quantity if event["type"] in MORE | SIGNED else 0


def pages(api: Api, path: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    after = ""
    while True:
        page = get(api, path + after)
        found += page["items"]
        if page["next"] is None or not page["items"]:
            return found
        after = f"&after={page['next']}"


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(groups(max_size=10), st.lists(st.integers(-1, 10), min_size=3, max_size=4, unique=True).map(sorted))
def test_every_period_closes_with_what_the_next_one_opens_with(
    api: Api, office: Engine, logs: dict[str, list[Event]], minutes: list[int]
) -> None:
    with office.begin() as connection:
        connection.exec_driver_sql("SET session_replication_role = replica")
        for table in (
            "event",
            "voided",
            "stock",
            "transfer_line",
            "item_unit",
            "log_segment",
            "ingest_batch",
            "quarantine",
        ):
            connection.exec_driver_sql(f"TRUNCATE {table}")
        connection.exec_driver_sql(
            "UPDATE head SET epoch = 0, sequence = 0, hash = decode(repeat('00', 32), 'hex'), received_at = NULL"
        )
        connection.exec_driver_sql("SET session_replication_role = origin")
    for place in PLACES:
        if logs[place]:
            Branch(place).record(logs[place]).ship(office)
    bounds = [format_rfc3339(NOON + minute * MINUTE) for minute in minutes]
    closing: dict[tuple[str, str], Any] = {}
    for number, (begin, end) in enumerate(pairwise(bounds)):
        query = f"from={begin}&to={end}"
        moved: dict[tuple[str, str], Any] = {}
        for event in pages(api, f"/v1/events?{query}&limit=7"):
            if "voided_by" not in event and event.get("item_id"):
                pair = (event["location_id"], event["item_id"])
                moved[pair] = moved.get(pair, 0) + on_hand_of(event)
        for count in pages(api, f"/v1/reports/variance?{query}&limit=7"):
            pair = (count["location_id"], count["item_id"])
            moved[pair] = moved.get(pair, 0) + count["variance"]
        opened = dict(closing)
        for row in pages(api, f"/v1/stock?{query}&limit=2"):
            pair, period = (row["location_id"], row["item_id"]), row["period"]
            assert period["opening"] + period["change"] == period["closing"] == row["on_hand"]
            assert period["change"] == moved.pop(pair, 0)
            if number:
                assert period["opening"] == opened.pop(pair, 0)
            closing[pair] = period["closing"]
            found = get(api, f"/v1/stock/{row['item_id']}/explain?location_id={row['location_id']}&{query}")
            assert (found["opening"]["on_hand"], found["on_hand"]) == (period["opening"], period["closing"])
            if found["steps"]:
                assert found["steps"][-1]["after"]["on_hand"] == period["closing"]
            else:
                assert period["change"] == 0
        assert not any(moved.values())
        assert not any(opened.values()) or not number


def test_what_happens_where_two_periods_meet_is_of_the_second(api: Api, office: Engine) -> None:
    log = BranchLog("BEY-01")
    log.record("PURCHASE_RECEIVED", quantity=5_000, occurred_at=NOON)
    log.record("STOCKTAKE", counted=4_000, expected=5_000, occurred_at=NOON + MINUTE)
    log.ship_now(office)
    bounds = [format_rfc3339(NOON + minute * MINUTE) for minute in range(3)]
    periods = []
    for begin, end in pairwise(bounds):
        query = f"from={begin}&to={end}"
        (row,) = get(api, f"/v1/stock/milk?{query}")["items"]
        why = get(api, f"/v1/stock/milk/explain?location_id=BEY-01&{query}")
        assert (why["opening"]["on_hand"], why["on_hand"]) == (row["period"]["opening"], row["period"]["closing"])
        periods.append(
            {
                "figures": (row["period"]["opening"], row["period"]["closing"]),
                "events": [each["sequence"] for each in get(api, f"/v1/events?{query}")["items"]],
                "explained": [step["event"]["sequence"] for step in why["steps"]],
                "variances": [each["variance"] for each in get(api, f"/v1/reports/variance?{query}")["items"]],
            }
        )
    assert periods == [
        {"figures": (0, 5), "events": [1], "explained": [1], "variances": []},
        {"figures": (5, 4), "events": [2], "explained": [2], "variances": [-1]},
    ]


def test_a_date_is_the_business_day_of_each_location(api: Api, office: Engine) -> None:
    # A day begins at 04:00 in Beirut, which is 02:00 UTC in winter.
    start = NOON - 10 * 60 * MINUTE  # 2026-01-01T02:00:00Z
    log = BranchLog("BEY-01")
    for number, at in enumerate((start - 1, start, start + 24 * 60 * MINUTE - 1, start + 24 * 60 * MINUTE)):
        log.record("PURCHASE_RECEIVED", quantity=1_000 * 10**number, occurred_at=at)
    log.ship_now(office)
    assert get(api, "/v1/stock/milk?as_of=2025-12-31")["items"][0]["on_hand"] == 1
    whole = get(api, "/v1/stock/milk?as_of=2026-01-01")
    assert (whole["items"][0]["on_hand"], whole["as_of"]) == (111, "2026-01-01")
    assert whole["items"][0]["as_of"] == "2026-01-02T01:59:59.999999Z"
    over = get(api, "/v1/stock?from=2026-01-01&to=2026-01-02")
    assert over["items"][0]["period"] == {"opening": 1, "change": 110, "closing": 111}
    assert (over["from"], over["to"]) == ("2026-01-01", "2026-01-02")
    assert [each["quantity"] for each in get(api, "/v1/events?from=2026-01-01&to=2026-01-02")["items"]] == [10, 100]
    why = get(api, "/v1/stock/milk/explain?location_id=BEY-01&from=2026-01-01&to=2026-01-02")
    assert (why["opening"]["on_hand"], [step["after"]["on_hand"] for step in why["steps"]]) == (1, [11, 111])
    assert why["on_hand"] == Decimal(111)


def test_a_figure_is_as_of_a_moment_or_of_a_period(api: Api) -> None:
    for query in (
        "as_of=2026-01-01&from=2026-01-01",
        "from=2026-01-02&to=2026-01-01",
        "from=never",
        "as_of=2026-02-30",
    ):
        answer = api.call("viewer", "GET", f"/v1/stock?{query}")
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid-request"), query
    assert api.call("viewer", "GET", "/v1/events?before=2026-01-01T00:00:00Z").status_code == 422


def test_a_date_in_a_group_without_locations(api: Api, office: Engine) -> None:
    with office.begin() as connection:
        connection.exec_driver_sql("DELETE FROM head")
        connection.exec_driver_sql("DELETE FROM location")
    for path in (
        "/v1/stock?as_of=2026-01-01",
        "/v1/stock?from=2026-01-01",
        "/v1/reports/variance?from=2026-01-01&to=2026-01-02",
        *(f"/v1/reports/{report}&from=2026-01-01&to=2026-01-02" for report in REPORTS),
        "/v1/reports/in-transit?as_of=2026-01-01",
        "/v1/events?item_id=milk&from=2026-01-01",
    ):
        assert get(api, path)["items"] == [], path


def test_a_date_known_at_a_moment_is_the_business_day_of_then(api: Api, office: Engine) -> None:
    log = BranchLog("BEY-01")
    log.record("PURCHASE_RECEIVED", quantity=1_000, occurred_at=NOON)
    log.record("PURCHASE_RECEIVED", quantity=2_000, occurred_at=NOON + 16 * 60 * MINUTE)  # 06:00 of the next day there
    log.ship_now(office)
    with office.begin() as connection:
        known_at = format_rfc3339(now(connection))
    query = f"as_of=2026-01-01&known_at={known_at}"
    assert get(api, f"/v1/stock/milk?{query}")["items"][0]["on_hand"] == 1
    later = {"name": "Hamra", "timezone": "Asia/Beirut", "day_start": 480}
    assert api.call("admin", "PUT", "/v1/locations/BEY-01", later).status_code == 200
    assert get(api, "/v1/stock/milk?as_of=2026-01-01")["items"][0]["on_hand"] == 3
    assert get(api, f"/v1/stock/milk?{query}")["items"][0]["on_hand"] == 1


@pytest.mark.parametrize(
    "query", ["from=2026-02-01T00:00:00Z&to=2026-01-01", "from=2026-02-01&to=2026-01-01T00:00:00Z"]
)
def test_a_period_that_ends_before_it_begins_is_refused_whatever_its_ends_are(api: Api, query: str) -> None:
    paths = ("/v1/stock?", "/v1/stock/milk/explain?location_id=BEY-01&", "/v1/events?", "/v1/reports/variance?")
    for path in (*paths, *(f"/v1/reports/{report}&" for report in REPORTS)):
        answer = api.call("viewer", "GET", path + query)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid-request"), path
