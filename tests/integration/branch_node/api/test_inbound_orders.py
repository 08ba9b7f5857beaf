"""Events of orders at a branch over HTTP, signed by another system: both modes, what is read and what is refused.

Who may send, and how, is the same at head office: tests/integration/shared/orders/test_sources_contract.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.runtime.clock import SECOND
from shared.runtime.webhooks.webhook_signatures import secret_of, signed_headers
from tests.support.branch_api import Caller

STRUCTURED = "application/cloudevents+json"
LINE = {"item_id": "milk", "quantity": 2}
OWN_SECRET = secret_of(bytes(range(32)))


class Teller:
    """Another system with its secret, as the branch gave it."""

    def __init__(self, caller: Caller, name: str = "webshop") -> None:
        self.caller = caller
        made = caller.post("/v1/inbound/sources", {"source": name})
        assert made.status_code == 201, made.text
        self.secret: str = made.json()["secret"]
        self.path: str = made.json()["path"]
        assert caller.post("/v1/events", {"type": "PURCHASE_RECEIVED", "item_id": "milk", "quantity": 20}).is_success

    def signed(self, body: bytes, *, secret: str | None = None, ago: int = 0) -> dict[str, str]:
        """The headers of the signature, made `ago` seconds before the node's time."""
        at = self.caller.node.clock.now() - ago * SECOND
        return signed_headers([secret or self.secret], "msg-1", at, body)

    def send(self, body: bytes, headers: Mapping[str, str], **more: Any) -> httpx.Response:
        sent = self.signed(body, **more) | dict(headers)
        return self.caller.send("POST", self.path, raw=body, headers=sent, role=None)

    def tell(self, told: str, data: Any, *, id: str = "1", **more: Any) -> httpx.Response:
        """Send an event whole."""
        event = {"specversion": "1.0", "id": id, "source": "/orders", "type": f"com.shop.order.{told}", "data": data}
        return self.send(json.dumps(event | more).encode(), {"content-type": STRUCTURED})


@pytest.fixture
def teller(caller: Caller) -> Iterator[Teller]:
    return Teller(caller)  # type: ignore[return-value]


def test_an_order_from_end_to_end_on_both_databases(any_caller: Caller) -> None:
    teller = Teller(any_caller)
    placed = teller.tell("placed", {"order_id": "1", "lines": [LINE], "customer": {"name": "x"}}).json()
    assert placed == {
        "id": "1",
        "type": "com.shop.order.placed",
        "order_id": "1",
        "outcome": "reserved",
        "reservation_id": placed["reservation_id"],
    }
    reservation = any_caller.get(f"/v1/reservations/{placed['reservation_id']}").json()
    assert (reservation["source"], reservation["order_id"], reservation["state"]) == ("webshop", "1", "ACTIVE")
    short = teller.tell("placed", {"order_id": "2", "lines": [{"item_id": "milk", "quantity": "18.5"}]}, id="2").json()
    assert short["short"] == [{"item_id": "milk", "unit": "l", "asked": 18.5, "available": 18}]
    for told, order_id, data, outcome in (
        ("shipped", "1", {"lines": [{"item_id": "milk", "quantity": 1}]}, "shipped"),
        ("cancelled", "1", {}, "released"),
        ("returned", "1", {"lines": [{"item_id": "milk", "quantity": 1}]}, "returned"),
        ("cancelled", "3", {}, "noted"),
        ("packed", "1", {"anything": 1}, "ignored"),
    ):
        answer = teller.tell(told, {"order_id": order_id, **data}, id=f"{told}-{order_id}")
        assert (answer.status_code, answer.json()["outcome"]) == (200, outcome)
    stock = any_caller.get("/v1/stock/milk").json()
    assert (stock["on_hand"], stock["reserved"]) == (20, 0)
    refused = any_caller.post("/v1/reservations", {"order_id": "3", "source": "webshop", "lines": [LINE]})
    assert (refused.status_code, refused.json()["code"]) == (409, "order-cancelled")


def test_binary_mode_says_the_same(teller: Teller) -> None:
    whole = teller.tell("placed", {"order_id": "é-1", "lines": [LINE]}, id="ü").json()
    body = json.dumps({"order_id": "é-1", "lines": [LINE]}).encode()
    headers = {
        "content-type": "application/json; charset=utf-8",
        "ce-specversion": "1.0",
        "ce-id": "%C3%BC",
        "ce-source": "/orders",
        "ce-type": "com.shop.order.placed",
        "ce-time": "2026-01-01T12:00:00Z",
    }
    assert teller.send(body, headers).json() == whole
    assert teller.send(b"", headers | {"ce-type": "x"}).json()["outcome"] == "ignored"
    assert teller.send(b"", headers).json()["errors"] == [{"field": "data", "message": "the event has no data in JSON"}]


def test_an_old_signature_is_refused_unless_the_clock_is_unconfirmed(teller: Teller) -> None:
    body = json.dumps({"specversion": "1.0", "id": "1", "source": "/o", "type": "x"}).encode()
    headers = {"content-type": STRUCTURED}
    for ago, status in ((299, 200), (-299, 200), (302, 401), (-302, 401)):
        answer = teller.send(body, headers, ago=ago)
        assert answer.status_code == status, ago
        if status == 401:
            assert answer.json()["code"] == "signature-expired"
    wrong = teller.send(body, headers, ago=400, secret=secret_of(bytes(24)))
    assert wrong.json()["code"] == "invalid-signature"
    clock = teller.caller.node.clock._base
    clock.wall += 3_600 * SECOND  # type: ignore[attr-defined] # a jump that nothing explains
    assert not teller.caller.node.clock.confirmed
    assert teller.send(body, headers, ago=4_000).status_code == 200


@pytest.mark.parametrize(
    ("event", "status", "fields"),
    [
        ({"id": ""}, 422, {"id"}),
        ({"id": "a\u200b", "source": 5}, 422, {"id", "source"}),
        ({"specversion": "0.3"}, 422, {"specversion"}),
        ({"time": "yesterday"}, 422, {"time"}),
        ({"datacontenttype": "text/xml"}, 415, None),
        ({"data": [1]}, 422, {"data"}),
        ({"data": {"order_id": 5, "lines": []}}, 422, {"data.order_id", "data.lines"}),
        ({"data": {"order_id": "1", "lines": [{"quantity": 0}, {"item_id": "milk", "quantity": True}]}}, 422,
         {"data.lines[0]", "data.lines[0].quantity", "data.lines[1].quantity"}),
        ({"data": {"order_id": "1", "lines": [LINE] * 251}}, 422, {"data.lines"}),
        ({"data": {"order_id": "1", "lines": [LINE], "revision": 0}}, 422, {"data.revision"}),
        ({"data": {"order_id": "1", "lines": [LINE], "expires_at": "soon"}}, 422, {"data.expires_at"}),
        ({"data": {"order_id": "1", "lines": [{"item_id": "milk", "quantity": 1e9}] * 2}}, 422, None),
        ({"type": "order.shipped", "data": {"order_id": "1", "lines": None}}, 422, {"data.lines"}),
        ({"type": "order.shipped", "data": {"order_id": "1", "lines": [LINE], "final": 1}}, 422, {"data.final"}),
    ],
)  # fmt: skip
def test_what_is_used_is_read_strictly(teller: Teller, event: dict[str, Any], status: int, fields: set[str]) -> None:
    good = {"specversion": "1.0", "id": "1", "source": "/o", "type": "order.placed", "data": {}}
    answer = teller.send(json.dumps(good | event).encode(), {"content-type": STRUCTURED})
    assert answer.status_code == status, answer.text
    if fields is not None:
        assert {each["field"] for each in answer.json()["errors"]} == fields


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
members = st.fixed_dictionaries(
    {},
    optional={
        "order_id": st.sampled_from(["1", ""]) | values,
        "revision": st.integers(0, 2) | values,
        "lines": st.lists(st.fixed_dictionaries({}, optional={"item_id": st.just("milk") | values,
                                                              "quantity": st.just(1) | values}), max_size=2) | values,
        "expires_at": values,
        "final": values,
        "reason": values,
    },
)  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    kind=st.sampled_from(["placed", "shipped", "cancelled", "returned"]),
    data=members | values,
    more=st.dictionaries(st.sampled_from(["id", "time", "source", "datacontenttype", "x"]), values, max_size=2),
)
def test_whatever_is_signed_is_answered_and_never_by_a_fault(
    caller: Caller, kind: str, data: Any, more: dict[str, Any]
) -> None:
    if not caller.get("/v1/inbound/sources").json()["items"]:
        caller.post("/v1/inbound/sources", {"source": "shop", "secret": OWN_SECRET})
        caller.post("/v1/events", {"type": "PURCHASE_RECEIVED", "item_id": "milk", "quantity": 20})
    event = {"specversion": "1.0", "id": "1", "source": "/o", "type": f"order.{kind}", "data": data} | more
    body = json.dumps(event).encode()
    headers = signed_headers([OWN_SECRET], "m", caller.node.clock.now(), body) | {"content-type": STRUCTURED}
    answer = caller.send("POST", "/v1/inbound/orders/shop", raw=body, headers=headers, role=None)
    assert answer.status_code in {200, 400, 409, 415, 422}, answer.text
