"""Whatever the OpenAPI document allows, and much that it does not, is answered as it says: never by a 5xx."""

from __future__ import annotations

import json
from typing import Any

import pytest
import schemathesis
from hypothesis import strategies as st
from schemathesis import Case
from schemathesis.generation import GenerationMode
from sqlalchemy import Engine

from shared import wire
from tests.integration.head_office.conftest import Api
from tests.support.branch_log import BranchLog
from tests.support.events import NOON
from tests.support.openapi import try_out
from tests.support.openapi_examples import bodies_without_good_example

schemathesis.openapi.media_type(wire.CONTENT_TYPE, st.binary(max_size=200))

STREAM = "/v1/messages/stream"
FOR_BRANCHES = ("/v1/sync/hello", "/v1/sync/events", "/v1/sync/instructions")


def test_a_document_for_every_route(api: Api) -> None:
    document = api.client.get("/openapi.json").json()
    assert document["components"]["schemas"]["Problem"]["properties"]["nearest"]["items"] == {"type": "string"}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            where = f"{method} {path}"
            assert operation["summary"], where
            if not path.startswith("/v1/"):
                continue
            good = [status for status in operation["responses"] if status.startswith("2")]
            assert good, where
            for status in good:
                if path == STREAM:
                    assert list(operation["responses"][status]["content"]) == ["text/event-stream"]
                elif operation["responses"][status].get("content"):
                    schema = operation["responses"][status]["content"]["application/json"]["schema"]
                    assert schema.get("properties") or schema.get("anyOf"), where
            assert "application/problem+json" in json.dumps(operation["responses"]), where
            if method in {"put", "post"} and not path.endswith(("/accept", "/revoke", "/retry")):
                assert operation["requestBody"]["content"], where


def test_every_body_has_an_example_that_its_schema_allows(api: Api) -> None:
    document = api.client.get("/openapi.json").json()
    assert bodies_without_good_example(document) == []
    assert "Idempotency-Key" in document["info"]["description"]


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_no_request_is_answered_by_a_fault(api: Api, office: Engine, mode: GenerationMode) -> None:
    log = BranchLog("BEY-01")
    log.record("TRANSFER_OUT", transfer_id="t", transfer_line=1)
    log.record("STOCKTAKE", counted=5, expected=1)
    log.record("STOCK_RESERVED", reservation_id="r", expires_at=NOON)
    log.ship_now(office)
    schema = schemathesis.openapi.from_dict(api.client.app.openapi())  # type: ignore[attr-defined]
    tried = 0
    for found in schema.get_all_operations():
        operation = found.ok()  # type: ignore[union-attr]
        if not operation.path.startswith("/v1/") or operation.path.endswith(("/revoke", STREAM)):
            continue  # a stream has no end
        who = "branch" if operation.path in FOR_BRANCHES else "admin"
        if operation.path == "/v1/sync/catalogue":
            who = "coordinator"
        tried += 1
        authorization = {"Authorization": f"Bearer {api.keys[who]}"}

        def send(
            method: str, path: str, headers: dict[str, str], body: bytes, own: dict[str, str] = authorization
        ) -> Any:
            return api.client.request(method, path, content=body, headers=headers | own)

        try_out(operation.as_strategy(generation_mode=mode).map(with_little_waiting), send, examples=12)
    assert tried > 25


def with_little_waiting(case: Case) -> Case:
    if isinstance(case.query.get("wait"), int | float):
        case.query["wait"] = 0.01
    return case
