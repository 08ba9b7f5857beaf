"""Stock as shops' software knows it: adjust, availability, ETag and If-Match, over the routes of a node."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from branch_node.commands.adjustments.adjust_inputs import OTHER, REASONS
from branch_node.model import Item
from shared.events import EventType
from shared.runtime.http.scopes import SCOPES_OF, Role, Scope
from tests.support.branch import PutItems
from tests.support.branch_api import Caller

DELIVERY = {"type": "PURCHASE_RECEIVED", "item_id": "milk", "quantity": 10}
ADJUST, AVAILABILITY = "/api/inventory/adjust", "/api/inventory/availability"


def etag(caller: Caller, item_id: str = "milk") -> str:
    return str(caller.get(f"/v1/stock/{item_id}").headers["etag"])


def adjust(caller: Caller, change: Any, reason: str, *, sku: str = "milk", **more: Any) -> httpx.Response:
    body = {"sku": sku, "change": change, "reason": reason} | more.pop("body", {})
    return caller.post(ADJUST, body, **more)


def events(caller: Caller) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = caller.get("/v1/events").json()["items"]
    return found


def put(caller: Caller, *items: Item) -> None:
    caller.node.writer.submit(PutItems(items)).result(10)


def test_each_reason(any_caller: Caller) -> None:
    changes = {"RESTOCK": 10, "RETURN": 0.5, "SALE": -2, "DAMAGE": -1, "CORRECTION": -0.25, "lost in the move": -1}
    total = 0.0
    for reason, change in changes.items():
        answer = adjust(any_caller, change, reason)
        total += change
        assert answer.status_code == 200, answer.text
        event = events(any_caller)[-1]
        assert answer.json() == {
            "sku": "milk", "on_hand": total, "reserved": 0, "available_to_sell": total, "event_id": event["event_id"],
        }  # fmt: skip
        expected = REASONS.get(reason, OTHER)
        assert (event["type"], event.get("reason")) == (expected.type, expected.code)
        assert event["quantity"] == (change if expected.type is EventType.ADJUSTMENT else abs(change))
        assert event.get("note") == (None if reason in REASONS else reason)
        assert answer.headers["etag"] == etag(any_caller)
        now = any_caller.get(AVAILABILITY, sku="milk")
        assert (now.json(), now.headers["etag"]) == ({"available_to_sell": total}, answer.headers["etag"])
        assert now.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("role", Role)
def test_each_reason_for_each_role(caller: Caller, role: Role) -> None:
    caller.post("/v1/events", DELIVERY)
    for reason, change, scope in (
        ("RESTOCK", 1, Scope.RESTOCK), ("RETURN", 1, Scope.RESTOCK), ("SALE", -1, Scope.SELL),
        ("DAMAGE", -1, Scope.SELL), ("CORRECTION", 1, Scope.CORRECT), ("CORRECTION", -1, Scope.CORRECT),
        ("anything", -1, Scope.CORRECT),
    ):  # fmt: skip
        before = caller.node.writer.head
        answer = adjust(caller, change, reason, role=role.value)
        if scope in SCOPES_OF[role]:
            assert answer.status_code == 200
        else:
            told = answer.json()
            assert (answer.status_code, told["code"], told["recorded"]) == (403, "forbidden", "no")
            assert scope in told["scopes"]
            assert caller.node.writer.head == before


def test_a_sku_is_a_code_else_a_barcode(caller: Caller) -> None:
    put(
        caller,
        Item(item_id="tea", name="Tea", unit="kg", barcode="4001"),
        Item(item_id="4001", name="A code like a barcode", unit="kg", barcode="4002"),
        Item(item_id="tee", name="Tee", unit="kg", barcode="4003", stands_for="tea"),
        Item(item_id="a", name="a", unit="kg", barcode="4004"),
        Item(item_id="b", name="b", unit="kg", barcode="4004"),
    )
    assert adjust(caller, 1, "RESTOCK", sku="4001").status_code == 200
    assert events(caller)[-1]["item_id"] == "4001"
    assert adjust(caller, 2, "RESTOCK", sku="4003").json()["sku"] == "4003"
    assert events(caller)[-1]["item_id"] == "tea"
    answer = adjust(caller, 3, "RESTOCK", sku="tee")
    assert (events(caller)[-1]["item_id"], answer.json()["on_hand"]) == ("tee", 5)
    assert answer.headers["etag"] == etag(caller, "tea") == etag(caller, "tee")
    assert caller.get(AVAILABILITY, sku="4002").json() == {"available_to_sell": 1}
    assert caller.get(AVAILABILITY, sku="4003").json() == {"available_to_sell": 5}
    for answer in (adjust(caller, 1, "RESTOCK", sku="4004"), caller.get(AVAILABILITY, sku="4004")):
        assert (answer.status_code, answer.json()["code"]) == (409, "ambiguous-barcode")
        assert answer.json()["items"] == ["a", "b"]
    for answer in (adjust(caller, 1, "RESTOCK", sku="mlk"), caller.get(AVAILABILITY, sku="mlk")):
        assert (answer.status_code, answer.json()["code"]) == (422, "unknown-item")
        assert "milk" in answer.json()["nearest"]
    for params in ({}, {"sku": ""}, {"sku": "a\u202eb"}, {"sku": "x" * 201}, {"sku": "milk", "at": "1"}):
        assert caller.get(AVAILABILITY, **params).status_code == 422


def test_only_on_the_stock_that_was_read(any_caller: Caller) -> None:
    any_caller.post("/v1/events", DELIVERY)
    first = etag(any_caller)
    sale = {"type": "ORDER_DEDUCTION", "item_id": "milk", "quantity": 1}
    assert any_caller.post("/v1/events", sale, headers={"If-Match": first}).status_code == 201
    second = etag(any_caller)
    head = any_caller.node.writer.head
    for path, body in (("/v1/events", sale), (ADJUST, {"sku": "milk", "change": -1, "reason": "SALE"})):
        answer = any_caller.post(path, body, headers={"If-Match": first})
        told = answer.json()
        assert (answer.status_code, told["code"], told["recorded"]) == (412, "stock-changed", "no")
        assert told["stock"] | {"as_of": ""} == any_caller.get("/v1/stock/milk").json() | {"as_of": ""}
        assert answer.headers["etag"] == second
    assert any_caller.node.writer.head == head
    listed = {"If-Match": f'"x", {first}, {second}'}
    assert any_caller.post("/v1/events", sale, headers=listed).status_code == 201
    headers = [("If-Match", '"x"'), ("If-Match", etag(any_caller))]
    assert adjust(any_caller, -1, "SALE", headers=headers).status_code == 200
    assert any_caller.post("/v1/events", sale, headers={"If-Match": "*"}).status_code == 201
    assert any_caller.post("/v1/events", sale, headers={"If-Match": f"W/{etag(any_caller)}"}).status_code == 412
    for path, body in (("/v1/events", sale), (ADJUST, {"sku": "milk", "change": -1, "reason": "SALE"})):
        answer = any_caller.post(path, body, headers={"If-Match": first.strip('"')})
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid-request")
        assert answer.json()["errors"][0]["field"] == "If-Match"
    unknown = any_caller.post("/v1/events", sale | {"item_id": "nix"}, headers={"If-Match": "*"})
    assert unknown.json()["code"] == "unknown-item"


@pytest.mark.parametrize("path", ["/v1/events", ADJUST])
def test_a_repetition_is_answered_as_at_first_whatever_if_match_says(any_caller: Caller, path: str) -> None:
    bodies = {"/v1/events": DELIVERY, ADJUST: {"sku": "milk", "change": 10, "reason": "RESTOCK"}}
    read = etag(any_caller)
    first = any_caller.post(path, bodies[path], key="k", headers={"If-Match": read})
    assert first.is_success
    any_caller.post("/v1/events", DELIVERY | {"quantity": 3})
    for headers in ({"If-Match": read}, {"If-Match": '"x"'}, {}):
        again = any_caller.post(path, bodies[path], key="k", headers=headers)
        assert (again.status_code, again.content) == (first.status_code, first.content)
        assert again.headers.get("etag") == first.headers.get("etag")
    # A refusal that recorded nothing leaves its key free.
    assert any_caller.post(path, bodies[path], key="l", headers={"If-Match": read}).status_code == 412
    now = {"If-Match": etag(any_caller)}
    assert any_caller.post(path, bodies[path], key="l", headers=now).is_success
    other = bodies[path] | ({"quantity": 5} if path == "/v1/events" else {"change": 5})
    assert any_caller.post(path, other, key="l", headers={"If-Match": '"x"'}).json()["code"] == "key-reused"


def test_a_repeated_adjustment_of_an_item_with_several_codes(any_caller: Caller) -> None:
    put(
        any_caller,
        Item(item_id="oil", name="Oil", unit="l"),
        Item(item_id="oel", name="Öl", unit="l", stands_for="oil"),
    )
    any_caller.post("/v1/events", DELIVERY | {"item_id": "oel"})
    first = adjust(any_caller, 2, "RESTOCK", sku="oil", key="k")
    assert first.json()["on_hand"] == 12
    for item_id in ("oil", "oel"):
        any_caller.post("/v1/events", DELIVERY | {"item_id": item_id})
    again = adjust(any_caller, 2, "RESTOCK", sku="oil", key="k")
    assert (again.content, again.headers["etag"]) == (first.content, first.headers["etag"])


def test_a_figure_of_the_past_has_no_tag(caller: Caller) -> None:
    caller.post("/v1/events", DELIVERY)
    assert "etag" not in caller.get("/v1/stock/milk", as_of="2026-01-01").headers
    assert "etag" not in caller.get("/v1/stock/milk", **{"from": "2026-01-01"}).headers


def test_a_strict_item_is_not_sold_below_zero(caller: Caller) -> None:
    adjust(caller, 1, "RESTOCK", sku="gin")
    answer = adjust(caller, -2, "SALE", sku="gin", headers={"If-Match": etag(caller, "gin")})
    assert (answer.status_code, answer.json()["code"]) == (409, "strict-item-below-zero")
    assert adjust(caller, -2, "SALE").json()["on_hand"] == -2, "what happened is recorded"


def test_callers_at_once_each_on_the_stock_that_they_read(any_caller: Caller) -> None:
    """In groups of one commit, too, exactly one of those that read the same stock is let through."""
    any_caller.post("/v1/events", DELIVERY)
    body = {"sku": "milk", "change": -1, "reason": "SALE"}
    for round_ in range(1, 4):
        headers = {"If-Match": etag(any_caller)}
        answers = any_caller.gather([("POST", ADJUST, body, {"headers": headers})] * 64)
        assert sorted(answer.status_code for answer in answers) == [200] + [412] * 63
        (won,) = (answer for answer in answers if answer.status_code == 200)
        assert {answer.headers["etag"] for answer in answers} == {won.headers["etag"]}
        assert any_caller.get(AVAILABILITY, sku="milk").json() == {"available_to_sell": 10 - round_}
