"""Whatever the coordinator's OpenAPI document allows, and much that it does not, is answered: never by a 5xx."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from requests import Request
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.core.transport import Response
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

from shared.runtime.auth import Role
from tests.integration.coordinator.api_world import BODY, World


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


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_no_request_is_answered_by_a_fault(world: World, mode: GenerationMode) -> None:
    world.create(transfer_id="0")
    world.call("POST", "/v1/transfers", BODY | {"source": "B"})
    schema = schemathesis.openapi.from_dict(world.client.get("/openapi.json").json())
    tried = 0
    for found in schema.get_all_operations():
        operation = found.ok()
        if operation.path.startswith("/v1/"):
            tried += 1
            try_out(world, operation.as_strategy(generation_mode=mode))
    assert tried == 4


def try_out(world: World, cases: st.SearchStrategy[Case]) -> None:
    @settings(max_examples=25, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(case=cases)
    def check(case: Case) -> None:
        case.validate_response(
            ask(world, case), checks=[not_a_server_error, content_type_conformance, response_schema_conformance]
        )

    check()


def ask(world: World, case: Case) -> Response:
    """What a case asks for, through the application in this process."""
    if case.query:
        case.query.pop("wait", None)  # what waits as long as it is told to would take the test's time
    told: dict[str, Any] = case.as_transport_kwargs(base_url="http://transfers")
    names = ("method", "url", "headers", "params", "json", "data", "cookies")
    prepared = Request(**{name: told[name] for name in names if name in told}).prepare()
    parts = urlsplit(str(prepared.url))
    path = f"{parts.path}?{parts.query}" if parts.query else parts.path
    body = prepared.body or b""
    headers = {name: value for name, value in prepared.headers.items() if name.lower() != "content-length"}
    answer = world.client.request(
        str(prepared.method),
        path,
        content=body.encode() if isinstance(body, str) else body,
        headers=headers | {"Authorization": f"Bearer {world.key(Role.MANAGER)}"},
    )
    return Response(
        status_code=answer.status_code,
        headers={name: [value] for name, value in answer.headers.items()},
        content=answer.content,
        request=prepared,
        elapsed=0.0,
        verify=False,
    )


@pytest.mark.parametrize("wait", ["nan", "inf", "-1", "soon", "1e400"])
def test_a_wait_that_is_none(world: World, wait: str) -> None:
    world.create(transfer_id="t1")
    for method, path in (("POST", "/v1/transfers"), ("GET", "/v1/transfers/t1"), ("POST", "/v1/transfers/t1/cancel")):
        answer = world.call(method, f"{path}?wait={wait}", BODY if method == "POST" else None)
        assert answer.status_code in {202, 200, 409, 422}, (path, answer.text)
        assert wait not in {"nan", "-1", "soon"} or answer.status_code in {422, 409}, (path, answer.text)
