"""Head office shows the reservations of every location by their logs, each with how fresh that is."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Engine

from head_office.catalogue import item_proposals, items
from shared.catalogue_messages import CatalogueItem
from shared.events import Reference
from shared.runtime.clock import MINUTE, SystemClock
from tests.integration.head_office.conftest import Api
from tests.support.branch_log import BranchLog

HOUR = 60 * MINUTE


def order(order_id: str, revision: int = 1) -> Reference:
    return Reference(id=order_id, kind="order", revision=revision)


class Shop(BranchLog):
    """A branch's log of reservations."""

    def reserve(self, reservation_id: str, order_id: str, *, hours: int = 1, **fields: Any) -> None:
        now = SystemClock().now()
        made = {"quantity": 3_000, "expires_at": now + hours * HOUR, "occurred_at": now - 2 * HOUR, **fields}
        self.record("STOCK_RESERVED", reservation_id=reservation_id, reference=order(order_id), **made)

    def settle(self, kind: str, reservation_id: str, order_id: str, quantity: int, **fields: Any) -> None:
        self.record(kind, reservation_id=reservation_id, reference=order(order_id), quantity=quantity, **fields)


@pytest.fixture
def shops(office: Engine) -> dict[str, Shop]:
    """Three reservations at BEY-01, of which one expired without its event, and one at BEY-02."""
    with office.begin() as connection:
        items.put(connection, [CatalogueItem(item_id=name, name=name, unit="l") for name in ("milk", "bread")])
    here, there = Shop("BEY-01"), Shop("BEY-02")
    here.reserve("r-1", "4711", source="web")
    here.reserve("r-1", "4711", source="web", item_id="bread")
    here.settle("RESERVATION_CONFIRMED", "r-1", "4711", 1_000, source="web")
    here.reserve("r-2", "4712", hours=-1)
    here.reserve("r-4", "4714")
    here.settle("RESERVATION_RELEASED", "r-4", "4714", 3_000)
    there.reserve("r-3", "4711", source="web", item_id="own-bread")
    for each in (here, there):
        each.ship_now(office)
    with office.begin() as connection:
        item_proposals.map_to(connection, "BEY-02", "own-bread", "bread")
    return {"here": here, "there": there}


def ids(api: Api, query: str = "", who: str = "viewer") -> list[str]:
    answer = api.call(who, "GET", f"/v1/reservations{query}")
    assert answer.status_code == 200, answer.text
    return [each["reservation_id"] for each in answer.json()["items"]]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["r-1", "r-2", "r-3", "r-4"]),
        ("?order_id=4711", ["r-1", "r-3"]),
        ("?order_id=4711&location_id=BEY-02", ["r-3"]),
        ("?source=web", ["r-1", "r-3"]),
        ("?source=test", ["r-2", "r-4"]),
        ("?state=ACTIVE", ["r-1", "r-3"]),
        ("?state=EXPIRED", ["r-2"]),
        ("?state=RELEASED", ["r-4"]),
        ("?state=CONFIRMED", []),
        ("?item_id=bread", ["r-1", "r-3"]),
        ("?item_id=own-bread", ["r-1", "r-3"]),
        ("?item_id=own-bread&location_id=BEY-02", ["r-3"]),
        ("?item_id=own-bread&location_id=BEY-01", []),
        ("?item_id=nothing", []),
        ("?location_id=WH-1", []),
    ],
)
def test_the_list_and_its_filters(api: Api, shops: dict[str, Shop], query: str, expected: list[str]) -> None:
    del shops
    assert ids(api, query) == expected


def test_a_record_is_that_of_the_branch_with_its_place_and_freshness(api: Api, shops: dict[str, Shop]) -> None:
    record = api.call("viewer", "GET", "/v1/reservations/r-1").json()
    assert record["location_id"] == "BEY-01"
    assert record["freshness"]["sequence"] == len(shops["here"].sealed)
    assert (record["order_id"], record["source"], record["revision"], record["state"]) == ("4711", "web", 1, "ACTIVE")
    assert record["lines"] == [
        {"item_id": "bread", "unit": "l", "quantity": 3, "confirmed": 0, "released": 0, "open": 3},
        {"item_id": "milk", "unit": "l", "quantity": 3, "confirmed": 1, "released": 0, "open": 2},
    ]
    expired = api.call("viewer", "GET", "/v1/reservations/r-2").json()
    assert (expired["state"], expired["lines"][0]["released"], expired["lines"][0]["open"]) == ("EXPIRED", 3, 0)


def test_pages(api: Api, shops: dict[str, Shop], office: Engine) -> None:
    """A log that was copied has the same ids: each place has its own."""
    copied = Shop("WH-1")
    copied.reserve("r-2", "4712")
    copied.ship_now(office)
    seen, after = [], ""
    while after is not None:
        page = api.call("viewer", "GET", f"/v1/reservations?limit=2{after and f'&after={after}'}").json()
        seen += [(each["reservation_id"], each["location_id"]) for each in page["items"]]
        after = page["next"]
    assert seen == [("r-1", "BEY-01"), ("r-2", "BEY-01"), ("r-2", "WH-1"), ("r-3", "BEY-02"), ("r-4", "BEY-01")]
    assert api.call("viewer", "GET", "/v1/reservations/r-2?location_id=WH-1").json()["state"] == "ACTIVE"
    assert api.call("viewer", "GET", "/v1/reservations?after=x").json()["code"] == "bad-cursor"


def test_a_key_of_one_location_sees_that_one(api: Api, shops: dict[str, Shop]) -> None:
    del shops
    assert ids(api, who="viewer of BEY-01") == ["r-1", "r-2", "r-4"]
    assert api.call("viewer of BEY-01", "GET", "/v1/reservations/r-3").json()["code"] == "unknown-reservation"
    refused = api.call("viewer of BEY-01", "GET", "/v1/reservations/r-3?location_id=BEY-02")
    assert refused.json()["code"] == "wrong-location"


def test_what_is_not_there(api: Api) -> None:
    missing = api.call("viewer", "GET", "/v1/reservations/r-9")
    assert (missing.status_code, missing.json()["code"]) == (404, "unknown-reservation")
    assert missing.json()["reservation_id"] == "r-9"
    assert api.call("viewer", "GET", "/v1/reservations?location_id=NO").json()["code"] == "unknown-location"
    assert api.call("viewer", "GET", "/v1/reservations?state=LOST").status_code == 422
