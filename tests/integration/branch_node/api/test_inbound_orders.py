"""Events of orders over HTTP, signed by another system: both modes, who may send, what is refused before it is read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook

from shared.runtime.clock import SECOND
from shared.runtime.http.rate_limits import RateLimiter
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


def test_the_library_of_the_standard_signs_what_is_taken(teller: Teller) -> None:
    event = {"specversion": "1.0", "id": "1", "source": "/o", "type": "order.placed",
             "data": {"order_id": "1", "lines": [LINE]}}  # fmt: skip
    body = json.dumps(event)
    at = datetime.fromtimestamp(teller.caller.node.clock.now() // SECOND, UTC)
    headers = {
        "webhook-id": "m",
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(teller.secret).sign("m", at, body),
    }
    answer = teller.send(body.encode(), {"content-type": STRUCTURED, **headers})
    assert (answer.status_code, answer.json()["outcome"]) == (200, "reserved")


@pytest.mark.parametrize(
    "wrong",
    [
        {"webhook-signature": "v1,AAAA"},
        {"webhook-signature": "v1a,x v2,y"},
        {"webhook-signature": ""},
        {"webhook-id": "other"},
        {"webhook-timestamp": "soon"},
        {"webhook-timestamp": "1e9"},
    ],
)
def test_a_wrong_signature_is_refused_before_anything_is_read(teller: Teller, wrong: dict[str, str]) -> None:
    answer = teller.send(b"this is no JSON", {"content-type": "text/plain", **wrong})
    assert (answer.status_code, answer.json()["code"], answer.json()["recorded"]) == (401, "invalid-signature", "no")


def test_who_may_send(teller: Teller) -> None:
    body = b"this is no JSON"
    headers = teller.signed(body) | {"content-type": STRUCTURED}
    codes = []
    for path in (teller.path, f"{teller.path}x", "/v1/inbound/orders/%00", "/v1/inbound/orders/ "):
        answer = teller.caller.send("POST", path, raw=body, headers=headers, role=None)
        codes.append((answer.status_code, answer.json()["code"]))
    assert codes[:2] == [(400, "malformed-json"), (401, "invalid-signature")]
    for name in ("webhook-id", "webhook-timestamp", "webhook-signature"):
        left = {each: value for each, value in headers.items() if each != name}
        assert teller.caller.send("POST", teller.path, raw=body, headers=left, role=None).status_code == 401
        twice = [*headers.items(), (name, headers[name])]
        assert teller.caller.send("POST", teller.path, raw=body, headers=twice, role=None).status_code == 401
    # An API key is none here, and a signature is none elsewhere.
    assert teller.caller.send("POST", teller.path, raw=body, role="manager").status_code == 401
    assert teller.caller.send("GET", "/v1/stock", raw=b"", headers=headers, role=None).status_code == 401


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


def test_many_wrong_signatures_of_one_address_are_slowed_down_and_a_right_one_passes(teller: Teller) -> None:
    codes = [teller.send(b"{}", {}, secret=secret_of(bytes(24))).status_code for _ in range(40)]
    assert set(codes) == {401, 429}
    assert codes[:30] == [401] * 30
    last = teller.send(b"{}", {}, secret=secret_of(bytes(24)))
    assert (last.json()["code"], int(last.headers["retry-after"]) > 0) == ("too-many-attempts", True)
    assert teller.tell("x", {}).status_code == 200


def test_secrets_are_rotated_with_an_overlap_and_end(teller: Teller) -> None:
    caller, old = teller.caller, teller.secret
    body = json.dumps({"specversion": "1.0", "id": "1", "source": "/o", "type": "x"}).encode()

    def status(secret: str) -> int:
        return teller.send(body, {"content-type": STRUCTURED}, secret=secret).status_code

    own = OWN_SECRET
    made = caller.post("/v1/inbound/sources/webshop/rotate", {"overlap_seconds": 60, "secret": own})
    assert (made.status_code, made.json()["secret"]) == (200, own)
    assert (status(old), status(own)) == (200, 200)
    caller.node.clock._base.advance(61 * SECOND)  # type: ignore[attr-defined]
    assert (status(old), status(own)) == (401, 200)
    for _ in range(4):
        last = caller.post("/v1/inbound/sources/webshop/rotate", {}).json()["secret"]
    refused = caller.post("/v1/inbound/sources/webshop/rotate", {})
    assert (refused.status_code, refused.json()["code"]) == (409, "too-many-secrets")
    (listed,) = caller.get("/v1/inbound/sources").json()["items"]
    assert [each["expires_at"] is None for each in listed["secrets"]] == [True, False, False, False, False]
    assert last not in json.dumps(listed)
    newest = caller.post("/v1/inbound/sources/webshop/rotate", {"overlap_seconds": 0}).json()["secret"]
    assert (status(own), status(last), status(newest)) == (401, 401, 200)
    assert caller.send("DELETE", "/v1/inbound/sources/webshop", raw=b"").json() == {"source": "webshop"}
    assert status(newest) == 401
    for method, path in (("DELETE", "webshop"), ("POST", "webshop/rotate")):
        gone = caller.send(method, f"/v1/inbound/sources/{path}", {})
        assert (gone.status_code, gone.json()["code"]) == (404, "unknown-source")


def test_sources_are_bounded_and_there_once(caller: Caller) -> None:
    for body in (
        {"source": "a:b"},
        {"source": "a", "secret": "whsec_AAAA"},
        {"source": "a", "secret": "secret"},
        {"source": "a", "hold_days": 0},
        {"source": "a", "hold_days": 367},
        {"source": "a", "more": 1},
        {},
    ):
        assert caller.post("/v1/inbound/sources", body).status_code == 422, body
    for number in range(100):
        assert caller.post("/v1/inbound/sources", {"source": f"s{number:03}"}).status_code == 201
    for source, code in (("s000", "source-exists"), ("s100", "too-many-sources")):
        refused = caller.post("/v1/inbound/sources", {"source": source})
        assert (refused.status_code, refused.json()["code"]) == (409, code)
    first = caller.get("/v1/inbound/sources", limit=60).json()
    rest = caller.get("/v1/inbound/sources", limit=60, after=first["next"]).json()
    assert [each["source"] for each in first["items"] + rest["items"]] == [f"s{number:03}" for number in range(100)]
    assert rest["next"] is None


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


def test_limits_and_types_of_bodies(teller: Teller) -> None:
    good = b'{"specversion":"1.0","id":"1","source":"/o","type":"x","data":"%s"}'
    for body, content_type, status in (
        (good % (b"x" * 250_000), STRUCTURED, 200),
        (good % (b"x" * 300_000), STRUCTURED, 413),
        (good % b"x", "application/json", 415),
        (good % b"x", "application/cloudevents-batch+json", 415),
        (good % b"x", "", 415),
        (b'{"specversion":"1.0","specversion":"1.0"}', STRUCTURED, 400),
        (b"[" * 100, STRUCTURED, 400),
        (b'{"a":NaN}', STRUCTURED, 400),
        (b"\xff", STRUCTURED, 400),
        (b"", STRUCTURED, 400),
    ):
        answer = teller.send(body, {"content-type": content_type})
        assert answer.status_code == status, (body[:50], answer.text)
    assert teller.send(good % b"x", {"content-type": STRUCTURED, "content-encoding": "gzip"}).status_code == 415
    headers = {"ce-specversion": "1.0", "ce-source": "/o", "ce-type": "x", "content-type": "application/json"}
    assert teller.send(b"{}", headers | {"ce-id": "%ff"}).status_code == 400
    assert teller.send(b"{}", headers | {"ce-id": "x" * 2_001}).status_code == 422
    assert teller.send(b"{}", headers).json()["errors"][0]["field"] == "ce"


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


def test_a_source_may_send_as_much_as_a_key_may(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    teller, other = Teller(caller), Teller(caller, "market")
    monkeypatch.setattr(caller.node.authenticator, "_limiter", RateLimiter(0.1, 2))
    told = [teller.tell("cancelled", {"order_id": str(number)}, id=str(number)) for number in range(3)]
    assert [each.status_code for each in told] == [200, 200, 429]
    assert (told[2].json()["code"], told[2].json()["recorded"]) == ("too-many-requests", "no")
    assert 1 <= int(told[2].headers["Retry-After"]) <= 10
    assert other.tell("cancelled", {"order_id": "1"}).status_code == 200
    unsigned = teller.send(b"{}", {"webhook-signature": "v1,AAAA", "content-type": STRUCTURED})
    assert unsigned.json()["code"] == "invalid-signature"  # not counted: nobody else can use up its rate
