"""Whatever the coordinator's OpenAPI document allows, and much that it does not, is answered: never by a 5xx."""

from __future__ import annotations

import json
from typing import Any

import pytest
import schemathesis
from schemathesis import Case
from schemathesis.generation import GenerationMode

from shared.runtime.http.scopes import Role
from tests.integration.transfer_coordinator.api_world import BODY, World
from tests.support.openapi import try_out
from tests.support.openapi_examples import bodies_without_good_example


def test_a_document_for_every_route(world: World) -> None:
    document = world.client.get("/openapi.json").json()
    paths = {path for path in document["paths"] if path.startswith("/v1/")}
    assert paths == {"/v1/transfers", "/v1/transfers/{transfer_id}", "/v1/transfers/{transfer_id}/cancel"}
    for path in paths:
        for method, operation in document["paths"][path].items():
            where = f"{method} {path}"
            assert operation["summary"], where
            assert operation["security"] == [{"key": []}], where
            good = [status for status in operation["responses"] if status.startswith("2")]
            assert good, where
            for status in good:
                assert operation["responses"][status]["content"]["application/json"]["schema"]["properties"], where
            assert "application/problem+json" in json.dumps(operation["responses"]), where


def test_every_body_has_an_example_that_its_schema_allows(world: World) -> None:
    document = world.client.get("/openapi.json").json()
    assert bodies_without_good_example(document) == []
    assert "Idempotency-Key" in document["info"]["description"]


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_no_request_is_answered_by_a_fault(world: World, mode: GenerationMode) -> None:
    world.create(transfer_id="0")
    world.call("POST", "/v1/transfers", BODY | {"source": "B"})

    def send(method: str, path: str, headers: dict[str, str], body: bytes) -> Any:
        return world.client.request(method, path, content=body, headers=headers | authorization)

    authorization = {"Authorization": f"Bearer {world.key(Role.MANAGER)}"}
    schema = schemathesis.openapi.from_dict(world.client.get("/openapi.json").json())
    tried = 0
    for found in schema.get_all_operations():
        operation = found.ok()  # type: ignore[union-attr]
        if operation.path.startswith("/v1/"):
            tried += 1
            try_out(operation.as_strategy(generation_mode=mode).map(without_waiting), send, examples=25)
    assert tried == 4


def without_waiting(case: Case) -> Case:
    """What waits as long as it is told to would take the test's time."""
    if case.query:
        case.query.pop("wait", None)
    return case


@pytest.mark.parametrize("wait", ["nan", "inf", "-1", "soon", "1e400"])
def test_a_wait_that_is_none(world: World, wait: str) -> None:
    world.create(transfer_id="t1")
    for method, path in (("POST", "/v1/transfers"), ("GET", "/v1/transfers/t1"), ("POST", "/v1/transfers/t1/cancel")):
        answer = world.call(method, f"{path}?wait={wait}", BODY if method == "POST" else None)
        assert answer.status_code in {202, 200, 409, 422}, (path, answer.text)
        assert wait not in {"nan", "-1", "soon"} or answer.status_code in {422, 409}, (path, answer.text)
