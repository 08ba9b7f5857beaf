"""Periods [from, to) at a branch: its stock, its explanations and its list of events agree at every boundary."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from shared.runtime.clock import format_rfc3339, parse_rfc3339
from tests.support.branch_api import Caller
from tests.support.events import MINUTE

EFFECTS = {"PURCHASE_RECEIVED": 1, "ORDER_DEDUCTION": -1}


@pytest.fixture
def bounds(caller: Caller) -> list[str]:
    """Boundaries at the very moments of events: deliveries, sales, a count with a variance, a minute apart."""
    start = caller.node.clock.now() - 30 * MINUTE
    at = [format_rfc3339(start + minute * MINUTE) for minute in range(8)]
    for kind, figure, minute in (
        ("PURCHASE_RECEIVED", {"quantity": 10}, 0),
        ("ORDER_DEDUCTION", {"quantity": 1}, 1),
        ("STOCKTAKE", {"counted": 8}, 2),
        ("ORDER_DEDUCTION", {"quantity": 2}, 3),
        ("PURCHASE_RECEIVED", {"quantity": 5}, 3),
        ("ORDER_DEDUCTION", {"quantity": 0.5}, 5),
    ):
        body = {"type": kind, "item_id": "milk", "occurred_at": at[minute], **figure}
        assert caller.post("/v1/events", body).status_code == 201
    return at


def read(caller: Caller, path: str) -> Any:
    answer = caller.get(path)
    assert answer.status_code == 200, answer.text
    return answer.json(parse_float=Decimal)


def test_every_period_closes_with_what_the_next_one_opens_with(caller: Caller, bounds: list[str]) -> None:
    closing: Any = 0
    for begin, end in pairwise(bounds):
        query = f"from={begin}&to={end}"
        period = read(caller, f"/v1/stock/milk?{query}")["period"]
        found = read(caller, f"/v1/stock/milk/explain?{query}")
        listed = read(caller, f"/v1/events?{query}&item_id=milk")["items"]
        moved = sum(EFFECTS.get(each["type"], 0) * each.get("quantity", 0) for each in listed)
        moved += sum(step["variance"] for step in found["steps"] if "variance" in step)
        assert period["opening"] == closing == found["opening"]
        assert period["opening"] + period["change"] == period["closing"] == found["stock"]["on_hand"]
        assert period["change"] == moved
        assert [step["event"]["event_id"] for step in found["steps"]] == [each["event_id"] for each in listed]
        closing = period["closing"]
    assert closing == read(caller, "/v1/stock/milk")["on_hand"] == Decimal("10.5")


def test_a_date_is_the_business_day_here(caller: Caller, bounds: list[str]) -> None:
    today = read(caller, "/v1/events?item_id=milk")["items"][0]["business_date"]
    assert read(caller, f"/v1/stock/milk?as_of={today}")["on_hand"] == Decimal("10.5")
    assert read(caller, f"/v1/stock/milk?from={today}")["period"] == {
        "opening": 0,
        "change": Decimal("10.5"),
        "closing": Decimal("10.5"),
    }
    assert read(caller, f"/v1/events?item_id=milk&to={today}")["items"] == []


def test_a_business_day_ends_where_the_next_one_begins(caller: Caller) -> None:
    # A day begins at 04:00 in Beirut, which is 02:00 UTC in winter.
    begin, end = (parse_rfc3339(f"{day}T02:00:00Z")[0] for day in ("2025-12-31", "2026-01-01"))
    for quantity, at in ((1, begin - 1), (10, begin), (100, end - 1), (1_000, end)):
        body = {"type": "PURCHASE_RECEIVED", "item_id": "milk", "quantity": quantity, "occurred_at": format_rfc3339(at)}
        assert caller.post("/v1/events", body).status_code == 201
    assert read(caller, "/v1/stock/milk?as_of=2025-12-31")["on_hand"] == 111
    query = "from=2025-12-31&to=2026-01-01"
    assert read(caller, f"/v1/stock/milk?{query}")["period"] == {"opening": 1, "change": 110, "closing": 111}
    found = read(caller, f"/v1/stock/milk/explain?{query}")
    assert (found["opening"], [step["on_hand"] for step in found["steps"]]) == (1, [11, 111])
    listed = read(caller, f"/v1/events?{query}&item_id=milk")["items"]
    assert [(each["quantity"], each["business_date"]) for each in listed] == [(10, "2025-12-31"), (100, "2025-12-31")]


@pytest.mark.parametrize("query", ["as_of=2026-01-01&from=2026-01-01", "from=2026-01-02&to=2026-01-01", "to=never"])
def test_what_is_no_period_is_refused(caller: Caller, query: str) -> None:
    assert caller.get(f"/v1/stock/milk?{query}").status_code == 422
