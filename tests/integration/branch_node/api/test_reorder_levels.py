"""Reorder levels of a branch over HTTP: its own where head office has none, stock that is low, who may set them."""

from __future__ import annotations

from typing import Any

import pytest

from branch_node.sync.catalogue_update import ApplyCatalogue
from shared.catalogue_messages import CatalogueAlias, CatalogueEntry, level_change
from shared.levels.reorder_levels import ReorderLevel
from tests.support.branch import PLACE
from tests.support.branch_api import Caller

UP_TO = {"reorder_point": 2, "order_up_to": "10.5"}
BY = {"reorder_point": "2.5", "order_quantity": 4, "pack_size": 6, "supplier_id": "farm-1", "lead_days": 2}
OF_GROUP = ReorderLevel(reorder_point=5_000, order_up_to=9_000)


def apply(caller: Caller, **told: Any) -> None:
    entry = CatalogueEntry(version=1, hash="0" * 64, **told)
    caller.node.writer.submit(ApplyCatalogue([entry], version=1, digest="0" * 64)).result(10)


def of_group(caller: Caller, level: ReorderLevel | None, item_id: str = "milk") -> None:
    apply(caller, reorder_level=level_change(PLACE, item_id, level))


def code(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def test_an_own_level_is_set_shown_changed_and_removed(any_caller: Caller) -> None:
    caller = any_caller
    assert code(caller.get("/v1/reorder-levels/milk")) == (404, "level-not-found")
    made = caller.send("PUT", "/v1/reorder-levels/milk", UP_TO)
    shown = {"item_id": "milk", "reorder_point": 2, "order_up_to": 10.5, "set_here": True}
    assert (made.status_code, made.json()) == (200, shown)
    assert caller.get("/v1/reorder-levels/milk").json() == shown
    caller.send("PUT", "/v1/reorder-levels/beans", UP_TO)
    made = caller.send("PUT", "/v1/reorder-levels/beans", BY)
    shown = {"item_id": "beans", **BY, "reorder_point": 2.5, "set_here": True}
    assert (made.status_code, made.json()) == (200, shown)
    assert [each["item_id"] for each in caller.get("/v1/reorder-levels").json()["items"]] == ["beans", "milk"]
    page = caller.get("/v1/reorder-levels", limit=1).json()
    assert [each["item_id"] for each in page["items"]] == ["beans"]
    page = caller.get("/v1/reorder-levels", limit=1, after=page["next"]).json()
    assert ([each["item_id"] for each in page["items"]], page["next"]) == (["milk"], None)
    for _ in range(2):  # sent again after its answer was lost
        removed = caller.send("DELETE", "/v1/reorder-levels/milk", raw=b"")
        assert (removed.status_code, removed.content) == (204, b"")
    assert code(caller.get("/v1/reorder-levels/milk")) == (404, "level-not-found")


def test_a_level_of_head_office_goes_before_and_the_own_one_acts_again_once_it_is_removed(any_caller: Caller) -> None:
    caller = any_caller
    caller.send("PUT", "/v1/reorder-levels/milk", UP_TO)
    of_group(caller, OF_GROUP)
    shown = {"item_id": "milk", "reorder_point": 5, "order_up_to": 9, "set_here": False}
    assert caller.get("/v1/reorder-levels/milk").json() == shown
    assert caller.get("/v1/reorder-levels").json()["items"] == [shown]
    for method, body in (("PUT", BY), ("DELETE", None)):
        refused = caller.send(method, "/v1/reorder-levels/milk", body)
        assert code(refused) == (409, "level-of-the-group")
        assert refused.json()["item_id"] == "milk"
    caller.post("/v1/events", {"type": "PURCHASE_RECEIVED", "item_id": "milk", "quantity": 4})
    (low,) = caller.get("/v1/stock/low").json()["items"]
    assert (low["reorder_point"], low["order_up_to"], low["reorder_quantity"]) == (5, 9, 5)
    of_group(caller, None)
    assert caller.get("/v1/reorder-levels/milk").json()["set_here"] is True
    assert caller.get("/v1/stock/low").json()["items"] == []


def test_the_stock_says_what_to_order_where_it_is_low(any_caller: Caller) -> None:
    caller = any_caller
    caller.send("PUT", "/v1/reorder-levels/beans", BY)
    (low,) = caller.get("/v1/stock/low").json()["items"]
    # By 4, once above 2.5, in packs of 6.
    assert (low["item_id"], low["available"], low["reorder_quantity"]) == ("beans", 0, 6)
    caller.post("/v1/events", {"type": "ORDER_DEDUCTION", "item_id": "beans", "quantity": 2})
    (low,) = caller.get("/v1/stock/low").json()["items"]
    assert (low["available"], low["reorder_quantity"]) == (-2, 12)
    caller.post("/v1/events", {"type": "PURCHASE_RECEIVED", "item_id": "beans", "quantity": 4.501})
    stock = caller.get("/v1/stock/beans").json()
    assert (stock["reorder_point"], stock["order_quantity"]) == (2.5, 4)
    assert "reorder_quantity" not in stock
    sold = caller.post("/v1/events", {"type": "ORDER_DEDUCTION", "item_id": "beans", "quantity": 0.001}).json()
    assert sold["low"] == {"reorder_point": 2.5, "reorder_quantity": 6}
    assert caller.get("/v1/events", newest="true", limit=1).json()["items"][0]["low"] == sold["low"]
    (item,) = [each for each in caller.get("/v1/items").json()["items"] if each["item_id"] == "beans"]
    assert (item["reorder_point"], item["order_quantity"]) == (2.5, 4)


def test_a_code_that_stands_for_an_item_has_the_level_of_the_item(any_caller: Caller) -> None:
    caller = any_caller
    caller.send("PUT", "/v1/reorder-levels/cup", UP_TO)
    apply(caller, alias=CatalogueAlias(location_id=PLACE, alias="cup", item_id="milk"))
    assert [each["item_id"] for each in caller.get("/v1/reorder-levels").json()["items"]] == ["milk"]
    assert caller.send("PUT", "/v1/reorder-levels/cup", BY).json()["item_id"] == "milk"
    assert caller.get("/v1/reorder-levels/cup").json() == caller.get("/v1/reorder-levels/milk").json()
    assert caller.get("/v1/reorder-levels/milk").json()["order_quantity"] == 4


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, {"body"}),
        ({"reorder_point": 1}, {"order_up_to"}),
        ({"reorder_point": 1, "order_up_to": 1}, {"order_up_to"}),
        ({"reorder_point": 1, "order_up_to": 2, "order_quantity": 1}, {"order_up_to"}),
        (
            {"reorder_point": -1, "order_quantity": 0, "lead_days": 400},
            {"reorder_point", "order_quantity", "lead_days"},
        ),
        ({"reorder_point": 1, "order_up_to": 2, "pack": 1}, {"body"}),
    ],
)
def test_every_fault_of_a_level_is_named(caller: Caller, body: dict[str, Any], fields: set[str]) -> None:
    refused = caller.send("PUT", "/v1/reorder-levels/milk", body)
    assert code(refused) == (422, "invalid-request")
    assert {each["field"] for each in refused.json()["errors"]} == fields
    assert code(caller.get("/v1/reorder-levels/milk")) == (404, "level-not-found")


def test_an_item_that_nobody_defined_has_none_and_the_nearest_are_named(caller: Caller) -> None:
    for method, body in (("PUT", BY), ("DELETE", None)):
        refused = caller.send(method, "/v1/reorder-levels/mlik", body)
        assert code(refused) == (422, "unknown-item")
        assert refused.json()["nearest"][0] == "milk"


@pytest.mark.parametrize(("role", "reads", "sets"), [("manager", 200, 200), ("staff", 403, 403), ("viewer", 200, 403)])
def test_who_may_set_a_level(caller: Caller, role: str, reads: int, sets: int) -> None:
    caller.send("PUT", "/v1/reorder-levels/beans", BY)
    assert caller.send("GET", "/v1/reorder-levels", raw=b"", role=role).status_code == reads
    assert caller.send("GET", "/v1/reorder-levels/beans", raw=b"", role=role).status_code == reads
    assert caller.send("PUT", "/v1/reorder-levels/milk", UP_TO, role=role).status_code == sets
    assert caller.send("DELETE", "/v1/reorder-levels/milk", raw=b"", role=role).status_code == (
        204 if sets == 200 else sets
    )
    assert caller.send("GET", "/v1/reorder-levels", raw=b"", role=None).status_code == 401
