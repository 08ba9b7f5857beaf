"""`/v1/messages` of a branch: what a day of commands publishes, pages, refusals, and the documents about them."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema_rs import Draft202012Validator

from shared.runtime.http.scopes import SCOPES_OF, Role, Scope
from tests.support.branch_api import Caller

DELIVERY = {"type": "PURCHASE_RECEIVED", "item_id": "milk", "quantity": 5}


def a_day(caller: Caller) -> None:
    assert caller.post("/v1/events", DELIVERY).status_code == 201
    assert (
        caller.post("/v1/orders", {"order_id": "1", "lines": [{"item_id": "milk", "quantity": 1.5}]}).status_code == 201
    )
    assert caller.post("/v1/counts", {"count_id": "1", "lines": [{"item_id": "milk", "counted": 4}]}).status_code == 201
    changed = {"order_id": "1", "revision": 2, "lines": [{"item_id": "milk", "quantity": 1}]}
    assert caller.post("/v1/orders", changed).status_code == 201
    assert caller.post("/v1/events", DELIVERY | {"item_id": "cup", "quantity": 12}).status_code == 201
    assert caller.post("/v1/orders/1/cancel", {}).status_code == 200


def listed(caller: Caller, **params: Any) -> dict[str, Any]:
    answer = caller.get("/v1/messages", **params)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_day(any_caller: Caller) -> None:
    a_day(any_caller)
    page = listed(any_caller)
    told = [
        (each["type"].partition(".")[2], line["event_type"], line["quantity"], line["on_hand"])
        for each in page["items"]
        for line in each["data"]["lines"]
    ]
    # The first statement of the order lies before the count, which saw it: to void it changes nothing now.
    assert told == [
        ("StockAdded", "PURCHASE_RECEIVED", 5, 5),
        ("StockRemoved", "ORDER_DEDUCTION", 1.5, 3.5),
        ("StockAdded", "STOCKTAKE", 0.5, 4),
        ("StockRemoved", "ORDER_DEDUCTION", 1, 3),
        ("StockAdded", "PURCHASE_RECEIVED", 12, 12),
        ("StockAdded", "EVENT_VOIDED", 1, 4),
    ]
    assert page["items"][1]["data"]["reference"]["id"] == "1"
    found: list[Any] = []
    after = "start"
    while chunk := listed(any_caller, after=after, limit=1):
        if chunk["next"] == after:
            break
        found += chunk["items"]
        after = chunk["next"]
    assert found == page["items"]
    assert any_caller.post("/v1/events", DELIVERY).status_code == 201
    assert len(listed(any_caller)["items"]) == len(page["items"]) + 1
    page = listed(any_caller)
    assert listed(any_caller, after="end") == {"items": [], "next": page["next"]}
    assert [each["id"] for each in listed(any_caller, after=found[0]["cursor"])["items"]] == [
        each["id"] for each in page["items"][1:]
    ]


def test_a_choice_of_types(caller: Caller) -> None:
    a_day(caller)
    one = listed(caller, types="larder.StockRemoved")
    assert [each["type"] for each in one["items"]] == ["larder.StockRemoved"] * 2
    both = listed(caller, types="larder.StockRemoved,larder.LogContinued,larder.StockAdded")
    assert len(both["items"]) == 6
    for unknown in ("StockRemoved", "larder.StockRemoved,", "larder.Everything", ""):
        refusal = caller.get("/v1/messages", types=unknown)
        assert (refusal.status_code, refusal.json()["code"]) == (422, "invalid-request")
        assert "larder.StockAdded" in refusal.json()["errors"][0]["allowed"]


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/stream"])
def test_cursors_that_are_none_or_ahead(caller: Caller, path: str) -> None:
    a_day(caller)
    for after in ("", "1", "00000001-0000000000000001", "../etc", "START"):
        refusal = caller.get(path, after=after)
        assert (refusal.status_code, refusal.json()["code"]) == (400, "bad-cursor"), after
    for after in ("00000001-0000000000000099-000", "00000002-0000000000000001-000"):
        refusal = caller.get(path, after=after)
        assert (refusal.status_code, refusal.json()["code"]) == (409, "cursor-ahead")
        assert "restored" in refusal.json()["hint"]


def test_the_last_event_id_goes_before_after(caller: Caller) -> None:
    a_day(caller)
    refusal = caller.get("/v1/messages/stream", after="end", headers={"Last-Event-ID": "nonsense"})
    assert (refusal.status_code, refusal.json()["code"]) == (400, "bad-cursor")


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/schemas", "/v1/messages/stream?after=nonsense"])
def test_who_may_read(caller: Caller, path: str) -> None:
    for role in [*Role, "group"]:
        allowed = role == "group" or Scope.MESSAGES in SCOPES_OF[Role(role)]
        status = caller.get(path, role=str(role)).status_code
        assert (status in {200, 400}) == allowed, role
        assert allowed or status == 403
    assert caller.get(path, role="other").json()["code"] == "wrong-location"
    assert caller.get(path, role=None).status_code == 401


def test_what_is_sent_is_what_the_schemas_say(caller: Caller) -> None:
    a_day(caller)
    schemas = caller.get("/v1/messages/schemas").json()
    document = caller.get("/asyncapi.json", role=None).json()
    for message in listed(caller)["items"]:
        schema = schemas[message["type"]]
        Draft202012Validator(schema, validate_formats=True).validate(message)
        name = message["type"].partition(".")[2]
        assert {"$schema": schema["$schema"], **document["components"]["schemas"][name]} == schema
