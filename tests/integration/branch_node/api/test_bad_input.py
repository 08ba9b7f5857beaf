"""Bad input: each a documented problem with its code, never a 5xx, and nothing recorded."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from shared.runtime.problems import PROBLEM_MEDIA_TYPE
from tests.support.branch_api import Caller

EVENT = b'{"type":"PURCHASE_RECEIVED","item_id":"milk","quantity":%s}'
ORDER = b'{"order_id":"1","lines":[{"item_id":"milk","quantity":%s}]}'
COUNT = b'{"count_id":"1","lines":[{"item_id":"milk","counted":%s}]}'


def refused(caller: Caller, answer: Any, status: int, code: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == PROBLEM_MEDIA_TYPE
    problem: dict[str, Any] = answer.json()
    assert problem["code"] == code, problem
    assert problem["status"] == status
    assert problem["hint"]
    assert caller.node.writer.head.sequence == 0
    assert problem["code"] in caller.app.state.catalogue
    return problem


@pytest.mark.parametrize("form", [("/v1/events", EVENT), ("/v1/orders", ORDER), ("/v1/counts", COUNT)])
@pytest.mark.parametrize(
    ("number", "status", "code"),
    [
        (b"NaN", 400, "malformed-json"),
        (b"Infinity", 400, "malformed-json"),
        (b"-Infinity", 400, "malformed-json"),
        (b"1e400", 422, "invalid-quantity"),
        (b"1e3", 422, "invalid-quantity"),
        (b"true", 422, "invalid-quantity"),
        (b"null", 422, "invalid-quantity"),
        (b'"NaN"', 422, "invalid-quantity"),
        (b'"abc"', 422, "invalid-quantity"),
        (b'""', 422, "invalid-quantity"),
        (b'" 1"', 422, "invalid-quantity"),
        (b'"1_0"', 422, "invalid-quantity"),
        ('"١٢"'.encode(), 422, "invalid-quantity"),
        (b"1.2345", 422, "invalid-quantity"),
        (b"1.0000", 422, "invalid-quantity"),
        (b"9" * 26, 422, "invalid-quantity"),
        (b"1000000000.001", 422, "invalid-quantity"),
        (b"-1", 422, "invalid-quantity"),
        (b"[1]", 422, "invalid-quantity"),
        (b'{"a":1}', 422, "invalid-quantity"),
        (b"01", 400, "malformed-json"),
        (b"1,\"x\":1", 422, "invalid-request"),
        (b"", 400, "malformed-json"),
    ],
)  # fmt: skip
def test_numbers(caller: Caller, form: tuple[str, bytes], number: bytes, status: int, code: str) -> None:
    path, body = form
    answer = caller.send("POST", path, raw=body % number)
    if number == b"1e400" or number == b"1e3":
        # An exponent is refused wherever it is seen first.
        assert answer.json()["code"] in {code, "malformed-json"}
        code, status = answer.json()["code"], answer.status_code
    refused(caller, answer, status, code)


@pytest.mark.parametrize("kind", ["PURCHASE_RECEIVED", "ORDER_DEDUCTION", "WASTE_RECORDED", "ADJUSTMENT"])
def test_zero_moves_nothing(caller: Caller, kind: str) -> None:
    body = {"type": kind, "item_id": "milk", "quantity": 0, "reason": "x"}
    refused(caller, caller.post("/v1/events", body), 422, "invalid-quantity")


def with_field(field: bytes) -> bytes:
    return b'{"type":"PURCHASE_RECEIVED","item_id":"milk","quantity":1,%s}' % field


@pytest.mark.parametrize(
    ("raw", "status", "code"),
    [
        (with_field(b'"quantity":2'), 400, "malformed-json"),
        (b'{"type":"PURCHASE_RECEIVED","item_id":"milk","qty":1}', 422, "invalid-request"),
        (b'{"type":"PURCHASE_RECEIVED","item_id":"mi\\ud800lk","quantity":1}', 400, "malformed-json"),
        (with_field(b'"note":"\\udc00"'), 400, "malformed-json"),
        (b'{"type":"PURCHASE_RECEIVED","item_id":"mi\\u0000lk","quantity":1}', 400, "malformed-json"),
        (with_field(b'"note":"a\\u0000"'), 400, "malformed-json"),
        (b'{"type":"PURCHASE_RECEIVED","item_id":"mi\\u200blk","quantity":1}', 422, "invalid-request"),
        (b'{"type":"PURCHASE_RECEIVED","item_id":"cre\\u0301me","quantity":1}', 422, "invalid-request"),
        (b'{"type":"PURCHASE_RECEIVED","item_id":" milk","quantity":1}', 422, "invalid-request"),
        (b'{"type":"PURCHASE_RECEIVED","item_id":"","quantity":1}', 422, "invalid-request"),
        (b'{"type":"PURCHASE_RECEIVED","item_id":"%s","quantity":1}' % (b"a" * 65), 422, "invalid-request"),
        (b'{"type":"PURCHASE_RECEIVED","item_id":1,"quantity":1}', 422, "invalid-request"),
        (b'{"type":"PURCHASE_RECEIVED","item_id":"milk"}', 422, "invalid-quantity"),
        (b'{"type":"NO_SUCH_TYPE","item_id":"milk","quantity":1}', 422, "invalid-request"),
        (b'{"type":"TRANSFER_OUT","item_id":"milk","quantity":1}', 422, "type-not-by-hand"),
        (b'{"type":"EVENT_VOIDED","item_id":"milk","quantity":1}', 422, "type-not-by-hand"),
        (b'{"type":"STOCKTAKE","item_id":"milk","quantity":1}', 422, "invalid-event"),
        (b'{"type":"PURCHASE_RECEIVED","item_id":"milk","counted":1}', 422, "invalid-event"),
        (b'{"type":"WASTE_RECORDED","item_id":"milk","quantity":1}', 422, "invalid-event"),
        (b'{"type":"PURCHASE_RECEIVED","item_id":"ice","quantity":1}', 422, "unknown-item"),
        (with_field(b'"unit":"kg"'), 422, "unit-differs"),
        (with_field(b'"occurred_at":"2027-01-01T00:00:00Z"'), 422, "future-date"),
        (with_field(b'"occurred_at":"2026-01-01T10:00:00"'), 422, "invalid-time"),
        (with_field(b'"occurred_at":"yesterday"'), 422, "invalid-time"),
        (with_field(b'"occurred_at":"1999-12-31T23:59:59Z"'), 422, "invalid-time"),
        (with_field(b'"occurred_at":1767268800'), 422, "invalid-request"),
        (with_field(b'"expires_on":"31.01.2026"'), 422, "invalid-request"),
        (with_field(b'"expires_on":"2026-1-3"'), 422, "invalid-request"),
        (with_field(b'"expires_on":"2026-01- 5"'), 422, "invalid-request"),
        (with_field(b'"expires_on":"20260131"'), 422, "invalid-request"),
        (with_field(b'"expires_on":"0001-01-01"'), 422, "invalid-request"),
        (with_field('"expires_on":"٢٠٢٦-01-01"'.encode()), 422, "invalid-request"),
        (with_field(b'"cost":{"amount":"1e3","currency":"USD"}'), 422, "invalid-request"),
        (with_field(b'"cost":{"amount":1,"currency":"usd"}'), 422, "invalid-request"),
        (with_field(b'"source":"a:b"'), 422, "invalid-request"),
        (with_field(b'"transfer_id":"t"'), 422, "invalid-event"),
        (with_field(b'"reference":{"kind":"order","id":"1","revision":1}'), 422, "invalid-request"),
        (b'{"type":"PURCHASE_RECEIVED","item_id":"milk","quantity":1} x', 400, "malformed-json"),
        (b"\xef\xbb\xbf{}", 400, "malformed-json"),
        (b'{"type":"PURCHASE_RECEIVED","item_id":"\xff","quantity":1}', 400, "malformed-json"),
        (b"[" * 100_000, 400, "malformed-json"),
        (b'{"a":' * 5_000, 400, "malformed-json"),
        (EVENT % (b"[" * 200 + b"1" + b"]" * 200), 422, "invalid-quantity"),
        (b"", 400, "malformed-json"),
        (b"null", 422, "invalid-request"),
        (b"[]", 422, "invalid-request"),
    ],
)  # fmt: skip
def test_single_events(caller: Caller, raw: bytes, status: int, code: str) -> None:
    refused(caller, caller.send("POST", "/v1/events", raw=raw), status, code)


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("/v1/events/batch", {"events": []}, 422, "invalid-request"),
        ("/v1/orders", {"order_id": "1", "lines": []}, 422, "invalid-request"),
        ("/v1/orders", {"order_id": "1", "lines": [{"item_id": "milk", "quantity": 1}] * 501}, 422, "invalid-request"),
        ("/v1/orders", {"order_id": "1", "revision": 0, "lines": [{"item_id": "milk"}]}, 422, "invalid-request"),
        ("/v1/orders", {"order_id": "", "lines": [{"item_id": "milk", "quantity": 1}]}, 422, "invalid-request"),
        ("/v1/orders", {"order_id": "1", "lines": [{"item_id": "milk", "quantity": 0}]}, 422, "invalid-quantity"),
        ("/v1/orders", {"order_id": "1", "lines": [{"item_id": "ice", "quantity": 1}]}, 422, "unknown-item"),
        ("/v1/orders/nobody/cancel", None, 404, "unknown-order"),
        ("/v1/counts", {"count_id": "1", "lines": []}, 422, "invalid-request"),
        ("/v1/counts", {"count_id": "1", "lines": [{"item_id": "milk", "counted": 1}] * 2}, 422, "invalid-request"),
        ("/v1/counts", {"count_id": "1", "lines": [{"item_id": "ice", "counted": 1}]}, 422, "unknown-item"),
        ("/v1/events/nothing/void", {"reason": "x"}, 404, "unknown-event"),
        ("/v1/events/nothing/void", {}, 422, "invalid-request"),
        ("/v1/events/nothing/review", {}, 404, "unknown-event"),
    ],
)  # fmt: skip
def test_documents(caller: Caller, path: str, body: Any, status: int, code: str) -> None:
    refused(caller, caller.post(path, body), status, code)


@pytest.mark.parametrize(
    ("item_id", "body", "status", "code"),
    [
        ("mi%E2%80%8Blk", {"name": "Milk", "unit": "l"}, 422, "invalid-request"),
        ("cre%CC%81me", {"name": "Cream", "unit": "l"}, 422, "invalid-request"),
        ("%20x", {"name": "x", "unit": "l"}, 422, "invalid-request"),
        ("x" * 65, {"name": "x", "unit": "l"}, 422, "invalid-request"),
        ("x", {"name": " ", "unit": "l"}, 422, "invalid-request"),
        ("x", {"name": "x", "unit": "l "}, 422, "invalid-request"),
        ("x", {"name": "x"}, 422, "invalid-request"),
        ("x", {"name": "x", "unit": "l", "strict": "yes"}, 422, "invalid-request"),
        ("milk", {"name": "x", "unit": "l"}, 409, "item-of-the-group"),
    ],
)
def test_items(caller: Caller, item_id: str, body: Any, status: int, code: str) -> None:
    refused(caller, caller.send("PUT", f"/v1/items/{item_id}", body), status, code)


GOOD = {"type": "PURCHASE_RECEIVED", "item_id": "milk", "quantity": 1}


@pytest.mark.parametrize(
    ("role", "status", "code"),
    [
        (None, 401, "unauthenticated"),
        ("lk_000000000000_" + "x" * 43, 401, "unauthenticated"),
        ("nonsense", 401, "unauthenticated"),
        ("other", 403, "wrong-location"),
        ("viewer", 403, "forbidden"),
        ("branch", 403, "forbidden"),
        ("coordinator", 403, "forbidden"),
    ],
)
def test_keys(caller: Caller, role: str | None, status: int, code: str) -> None:
    refused(caller, caller.post("/v1/events", GOOD, role=role), status, code)
    if role != "viewer":
        refused(caller, caller.send("GET", "/v1/stock", raw=b"", role=role), status, code)


def test_who_may_do_what(caller: Caller) -> None:
    adjust = GOOD | {"type": "ADJUSTMENT", "reason": "broken"}
    refused(caller, caller.post("/v1/events", adjust, role="staff"), 403, "forbidden")
    refused(caller, caller.post("/v1/events/x/void", {"reason": "x"}, role="staff"), 403, "forbidden")
    refused(caller, caller.send("PUT", "/v1/items/x", {"name": "x", "unit": "l"}, role="staff"), 403, "forbidden")
    batch = caller.post("/v1/events/batch", {"events": [adjust]}, role="staff").json()
    assert batch["items"][0]["problem"]["code"] == "forbidden"
    assert caller.node.writer.head.sequence == 0
    for role in ("staff", "manager", "admin", "group"):
        assert caller.post("/v1/events", GOOD, role=role).status_code == 201
    assert caller.post("/v1/events", GOOD, role="manager").json()["actor"] != ""


@pytest.mark.parametrize("key", ["", "x" * 201, "transfer:1:out", "larder:order:api:1:1", "a\tb", " a"])
def test_idempotency_keys_that_cannot_be(caller: Caller, key: str) -> None:
    if key.strip() == key and key.isprintable():
        refused(caller, caller.post("/v1/events", GOOD, key=key), 422, "invalid-idempotency-key")
    body = {"events": [GOOD | {"key": key}]}
    answer = caller.post("/v1/events/batch", body)
    if answer.status_code == 200:
        assert answer.json()["items"][0]["problem"]["code"] == "invalid-idempotency-key"
    else:
        refused(caller, answer, 422, "invalid-request")
    assert caller.node.writer.head.sequence == 0


def test_the_same_key_with_other_content(caller: Caller) -> None:
    first = caller.post("/v1/events", GOOD, key="k")
    assert caller.post("/v1/events", GOOD, key="k").content == first.content
    assert caller.post("/v1/events", GOOD | {"quantity": "1.0"}, key="k").content == first.content
    for path, body in [
        ("/v1/events", GOOD | {"quantity": 2}),
        ("/v1/orders", {"order_id": "1", "lines": [{"item_id": "milk", "quantity": 1}]}),
        ("/v1/counts", {"count_id": "1", "lines": [{"item_id": "milk", "counted": 1}]}),
    ]:
        answer = caller.post(path, body, key="k")
        assert (answer.status_code, answer.json()["code"]) == (409, "key-reused")
    assert caller.node.writer.head.sequence == 1


def test_bodies_that_are_too_much(caller: Caller) -> None:
    large = b'{"type":"PURCHASE_RECEIVED","note":"' + b"x" * 1_100_000 + b'"}'
    refused(caller, caller.send("POST", "/v1/events", raw=large), 413, "body-too-large")
    bomb = gzip.compress(b" " * 50_000_000)
    refused(caller, caller.send("POST", "/v1/events", raw=bomb), 400, "malformed-json")
    packed = {"content-encoding": "gzip"}
    refused(caller, caller.send("POST", "/v1/events", raw=bomb, headers=packed), 415, "unsupported-media-type")
    many = {"events": [GOOD] * 1_001}
    refused(caller, caller.post("/v1/events/batch", many), 422, "invalid-request")


@pytest.mark.parametrize(
    ("path", "params", "status", "code"),
    [
        ("/v1/stock/nothing", {}, 404, "item-not-found"),
        ("/v1/stock/nothing/explain", {}, 404, "item-not-found"),
        ("/v1/stock/milk", {"as_of": "2026-01-01T10:00:00"}, 422, "invalid-time"),
        ("/v1/stock/milk", {"as_of": "now"}, 422, "invalid-time"),
        ("/v1/stock", {"as_of": "2026-01-01T10:00:00Z"}, 422, "invalid-request"),
        ("/v1/events", {"after": "x"}, 400, "bad-cursor"),
        ("/v1/events", {"after": "9" * 40}, 400, "bad-cursor"),
        ("/v1/events", {"after": "-1"}, 400, "bad-cursor"),
        ("/v1/events", {"after": "3"}, 400, "bad-cursor"),
        ("/v1/items", {"after": "zzz"}, 400, "bad-cursor"),
        ("/v1/stock", {"after": "x"}, 400, "bad-cursor"),
        ("/v1/stock/low", {"after": "x"}, 400, "bad-cursor"),
        ("/v1/events", {"limit": "0"}, 422, "invalid-request"),
        ("/v1/events", {"limit": "1001"}, 422, "invalid-request"),
        ("/v1/events", {"limit": "1e400"}, 422, "invalid-request"),
        ("/v1/events", {"type": "NOTHING"}, 422, "invalid-request"),
        ("/v1/transfers", {"after": "x"}, 400, "bad-cursor"),
        ("/v1/nothing", {}, 404, "not-found"),
    ],
)
def test_questions(any_caller: Caller, path: str, params: dict[str, str], status: int, code: str) -> None:
    refused(any_caller, any_caller.get(path, **params), status, code)


def test_texts_that_a_database_may_stumble_over(any_caller: Caller) -> None:
    for path in (
        "/v1/stock/%00",
        "/v1/stock/%FF",
        "/v1/events?item_id=%00",
        "/v1/items?after=%00",
        "/v1/stock?after=%00",
    ):
        answer = any_caller.send("GET", path, raw=b"")
        assert answer.status_code < 500, (path, answer.text)
    assert any_caller.post("/v1/events/%00/void", {"reason": "x"}).status_code in {400, 404}
    assert any_caller.send("PUT", "/v1/items/%00", {"name": "x", "unit": "l"}).status_code in {400, 422}


def test_two_idempotency_keys_in_one_request(caller: Caller) -> None:
    headers = [("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
    for path, body in (
        ("/v1/events", GOOD),
        ("/v1/counts", {"count_id": "c", "lines": [{"item_id": "milk", "counted": 1}]}),
    ):
        refused(caller, caller.send("POST", path, body, headers=headers), 422, "invalid-idempotency-key")


def test_codes_with_a_slash(caller: Caller) -> None:
    half = "/v1/items/1%2F2%20pint"
    assert caller.send("PUT", half, {"name": "Half a pint", "unit": "pcs"}).status_code == 200
    order = {"order_id": "2026/17", "lines": [{"item_id": "1/2 pint", "quantity": 2}]}
    assert caller.post("/v1/orders", order).status_code == 201
    assert caller.get("/v1/stock/1%2F2%20pint").json()["on_hand"] == -2
    assert caller.get("/v1/stock/1%2f2%20pint/explain").json()["stock"]["on_hand"] == -2
    assert caller.post("/v1/orders/2026%2F17/cancel", {}).status_code in {200, 201}
    assert caller.get("/v1/stock/1%2F2%20pint").json()["on_hand"] == 0


def test_nearest_codes(caller: Caller) -> None:
    for wrong, right in {"mlk": "milk", "MILK": "milk", "bean": "beans", "coffee beans": "beans"}.items():
        problem = refused(caller, caller.post("/v1/events", GOOD | {"item_id": wrong}), 422, "unknown-item")
        assert problem["nearest"][0] == right


def test_what_is_bad_in_a_batch_harms_nothing_else(any_caller: Caller) -> None:
    events = [
        GOOD | {"key": "a"},
        GOOD | {"quantity": "x"},
        GOOD | {"item_id": "ice"},
        GOOD | {"type": "TRANSFER_OUT"},
        GOOD | {"key": "a", "quantity": 7},
        GOOD | {"key": "b", "quantity": "0.5"},
    ]
    answer = any_caller.post("/v1/events/batch", {"events": events})
    assert answer.status_code == 200
    items = answer.json()["items"]
    assert [each["status"] for each in items] == [201, 422, 422, 422, 409, 201]
    codes = [each["problem"]["code"] for each in items if "problem" in each]
    assert codes == ["invalid-quantity", "unknown-item", "type-not-by-hand", "key-reused"]
    assert any_caller.get("/v1/stock/milk").json()["on_hand"] == 1.5
    again = any_caller.post("/v1/events/batch", {"events": [events[0], events[5]]}).json()
    assert [each["event"] for each in again["items"]] == [items[0]["event"], items[5]["event"]]
    assert any_caller.post("/v1/events", GOOD, key="a").json() == items[0]["event"]


def test_problems_are_documented(caller: Caller) -> None:
    document = caller.get("/openapi.json").json()
    for path, methods in document["paths"].items():
        if path.startswith("/v1/"):
            for operation in methods.values():
                assert "401" in operation["responses"], path
                assert operation["security"] == ([] if path.startswith("/v1/inbound/orders/") else [{"key": []}])
    body = document["paths"]["/v1/events"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body["properties"]["quantity"]["type"] == ["number", "string"]
    assert json.dumps(document)
