"""Whatever the branch's OpenAPI document allows, and much that it does not, is answered as it says: never by a 5xx."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from schemathesis.generation import GenerationMode

from branch_node.api.hot_route_middleware import HotRouteMiddleware
from tests.support.branch_api import Caller, a_caller
from tests.support.openapi import try_out
from tests.support.openapi_examples import bodies_without_good_example, example_of

STREAM = "/v1/messages/stream"
EVENT = {"type": "PURCHASE_RECEIVED", "item_id": "milk", "quantity": 5}


SIGNED = {"/v1/inbound/orders/{source}"}
"""The routes whose callers are known by the signature of what they send."""


def test_a_document_for_every_route(caller: Caller) -> None:
    document = caller.get("/openapi.json").json()
    paths = [path for path in document["paths"] if path.startswith("/v1/")]
    assert {"/v1/events", "/v1/events/batch", "/v1/orders", "/v1/counts", "/v1/stock/{item_id}/explain"} <= set(paths)
    for path in paths:
        for method, operation in document["paths"][path].items():
            where = f"{method} {path}"
            assert operation["summary"], where
            assert operation["security"] == ([] if path in SIGNED else [{"key": []}]), where
            good = [status for status in operation["responses"] if status.startswith("2")]
            assert good, where
            for status in good:
                if path == STREAM:
                    assert list(operation["responses"][status]["content"]) == ["text/event-stream"]
                    continue
                if status == "204":
                    continue
                schema = operation["responses"][status]["content"]["application/json"]["schema"]
                assert schema.get("properties"), where
            assert "application/problem+json" in json.dumps(operation["responses"]), where
            if method in {"put", "post"} and not path.endswith("/revoke"):
                assert operation["requestBody"]["content"]["application/json"]["schema"]["properties"], where


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_no_request_is_answered_by_a_fault(any_caller: Caller, mode: GenerationMode) -> None:
    any_caller.post("/v1/events", EVENT)
    any_caller.post("/v1/counts", {"count_id": "1", "lines": [{"item_id": "milk", "counted": 4}]})
    any_caller.post("/v1/orders", {"order_id": "1", "lines": [{"item_id": "milk", "quantity": 1}]})
    any_caller.send("PUT", "/v1/items/0", {"name": "0", "unit": "0"})
    schema = schemathesis.openapi.from_dict(any_caller.app.openapi())
    tried = 0
    for found in schema.get_all_operations():
        operation = found.ok()  # type: ignore[union-attr]
        if operation.path.startswith("/v1/") and operation.path != STREAM:  # which has no end
            tried += 1
            try_out(
                operation.as_strategy(generation_mode=mode),
                lambda method, path, headers, body: any_caller.send(method, path, raw=body, headers=headers),
                examples=12,
            )
    assert tried > 14


def test_the_fast_lane_and_the_router_answer_alike(tmp_path: Path) -> None:
    requests: list[tuple[str, Any, dict[str, Any]]] = [
        ("/v1/events", EVENT, {"key": "a"}),
        ("/v1/events", EVENT, {"key": "a"}),
        ("/v1/events", EVENT | {"quantity": 6}, {"key": "a"}),
        ("/v1/events", EVENT | {"item_id": "mlk"}, {"key": "b"}),
        ("/v1/events", EVENT, {"role": "viewer"}),
        ("/v1/events", EVENT, {"role": None}),
        ("/v1/events", EVENT, {"headers": {"content-encoding": "gzip"}}),
        ("/v1/events", {}, {}),
        ("/v1/orders", {"order_id": "1", "lines": [{"item_id": "milk", "quantity": 1}]}, {}),
        ("/v1/orders", {"order_id": "1", "lines": []}, {}),
        ("/v1/events/batch", {"events": [EVENT | {"key": "k"}, EVENT | {"key": "l", "item_id": "x"}]}, {}),
    ]
    told = []
    for name, lane in (("fast", True), ("router", False)):
        with a_caller(tmp_path / name) as caller:
            if not lane:
                caller.app.user_middleware = [
                    each for each in caller.app.user_middleware if each.cls is not HotRouteMiddleware
                ]
            told.append([_shape(caller.post(path, body, **more)) for path, body, more in requests])
    assert told[0] == told[1]
    assert {status for status, *_ in told[0]} == {200, 201, 401, 403, 409, 415, 422}


def _shape(answer: Any) -> tuple[int, str, str, Any]:
    """An answer without what is new each time: ids, hashes and the caller's key, which a detail may name."""
    body = answer.json()
    return answer.status_code, answer.headers["content-type"], answer.headers["cache-control"], _without(body)


NEW = {"event_id", "hash", "actor", "detail", "key_id"}


def _without(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without(each) for name, each in value.items() if name not in NEW}
    return [_without(each) for each in value] if isinstance(value, list) else value


def test_the_statistics_name_the_hot_routes(caller: Caller) -> None:
    caller.post("/v1/events", EVENT)
    caller.get("/v1/stock")
    counts = caller.node.telemetry.requests.counts()
    assert counts["POST", "/v1/events", 201] == 1
    assert counts["GET", "/v1/stock", 200] == 1


def test_every_body_has_an_example_that_the_branch_takes(caller: Caller) -> None:
    document = caller.get("/openapi.json").json()
    assert bodies_without_good_example(document) == []

    def example(method: str, path: str) -> Any:
        return example_of(document, method, path)

    for item in ("tomato", "bread"):
        assert caller.send("PUT", f"/v1/items/{item}", example("put", "/v1/items/{item_id}")).status_code == 200
    delivery = caller.post("/v1/events", example("post", "/v1/events"))
    assert delivery.status_code == 201
    batch = caller.post("/v1/events/batch", example("post", "/v1/events/batch")).json()
    assert [each["status"] for each in batch["items"]] == [201, 201]
    order = example("post", "/v1/orders")
    assert caller.post("/v1/orders", order).status_code == 201
    cancel = example("post", "/v1/orders/{order_id}/cancel")
    assert caller.post(f"/v1/orders/{order['order_id']}/cancel", cancel).status_code == 200
    assert caller.post("/v1/counts", example("post", "/v1/counts")).status_code == 201
    event = f"/v1/events/{delivery.json()['event_id']}"
    assert caller.post(f"{event}/review", example("post", "/v1/events/{event_id}/review")).status_code == 201
    assert caller.post(f"{event}/void", example("post", "/v1/events/{event_id}/void")).status_code == 201
    assert caller.post("/v1/imports", example("post", "/v1/imports")).status_code == 200


def test_every_route_that_records_says_what_happens_without_a_key(caller: Caller) -> None:
    document = caller.get("/openapi.json").json()
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            for header in operation.get("parameters", ()):
                if header["name"] == "Idempotency-Key":
                    assert "Without it" in header["description"], (method, path)
    assert "Without the header" in document["info"]["description"]
    for step in ("A key for the till", "The first event", "An order", "A cancel", "Again, after a lost answer"):
        assert step in document["info"]["description"]
