"""A branch's log followed by its cursor: `next` is given at the end, too, and goes on there."""

from __future__ import annotations

import pytest

from tests.support.branch_api import Caller

SALE = {"type": "ORDER_DEDUCTION", "item_id": "milk", "quantity": 1}


@pytest.mark.parametrize("limit", [1, 2, 100])
def test_who_follows_the_log_gets_every_event_once(any_caller: Caller, limit: int) -> None:
    found: list[int] = []
    after = ""
    for _ in range(4):
        while True:
            page = any_caller.get("/v1/events", after=after, limit=limit, item_id="milk").json()
            found += [each["sequence"] for each in page["items"]]
            after = page["next"]
            assert after is not None
            if len(page["items"]) < limit:
                break
        for _ in range(3):
            assert any_caller.post("/v1/events", SALE).status_code == 201
    recorded = any_caller.get("/v1/events", limit=1_000, item_id="milk").json()["items"]
    assert len(found) >= 9
    assert found == [each["sequence"] for each in recorded][: len(found)]


def test_the_transfers_of_a_site_are_followed_on(any_caller: Caller) -> None:
    page = any_caller.get("/v1/transfers").json()
    assert page["items"] == []
    again = any_caller.get("/v1/transfers", after=page["next"])
    assert (again.status_code, again.json()) == (200, page)
