"""Whatever the OpenAPI document allows, and much that it does not, is answered as it says: never by a 5xx."""

from __future__ import annotations

import json
from typing import Any

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
from sqlalchemy import Engine

from shared import wire
from tests.integration.office.conftest import Api
from tests.support.branch_log import BranchLog

schemathesis.openapi.media_type(wire.CONTENT_TYPE, st.binary(max_size=200))

FOR_BRANCHES = ("/v1/sync/hello", "/v1/sync/events", "/v1/sync/instructions")


def test_a_document_for_every_route(api: Api) -> None:
    document = api.client.get("/openapi.json").json()
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            where = f"{method} {path}"
            assert operation["summary"], where
            if not path.startswith("/v1/"):
                continue
            good = [status for status in operation["responses"] if status.startswith("2")]
            assert good, where
            for status in good:
                if operation["responses"][status].get("content"):
                    schema = operation["responses"][status]["content"]["application/json"]["schema"]
                    assert schema.get("properties") or schema.get("anyOf"), where
            assert "application/problem+json" in json.dumps(operation["responses"]), where
            if method in {"put", "post"} and not path.endswith(("/accept", "/revoke", "/retry")):
                assert operation["requestBody"]["content"], where


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_no_request_is_answered_by_a_fault(api: Api, office: Engine, mode: GenerationMode) -> None:
    log = BranchLog("BEY-01")
    log.record("TRANSFER_OUT", transfer_id="t", transfer_line=1)
    log.record("STOCKTAKE", counted=5, expected=1)
    log.ship_now(office)
    schema = schemathesis.openapi.from_dict(api.client.app.openapi())  # type: ignore[attr-defined]
    tried = 0
    for found in schema.get_all_operations():
        operation = found.ok()
        if not operation.path.startswith("/v1/") or operation.path.endswith("/revoke"):
            continue
        who = "branch" if operation.path in FOR_BRANCHES else "admin"
        if operation.path == "/v1/sync/catalogue":
            who = "coordinator"
        tried += 1
        try_out(api, who, operation.as_strategy(generation_mode=mode))
    assert tried > 25


def try_out(api: Api, who: str, cases: st.SearchStrategy[Case]) -> None:
    @settings(max_examples=12, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(case=cases)
    def check(case: Case) -> None:
        case.validate_response(
            send(api, who, case), checks=[not_a_server_error, content_type_conformance, response_schema_conformance]
        )

    check()


def send(api: Api, who: str, case: Case) -> Response:
    """What a case asks for, through the client of this process; nothing is waited for long."""
    if isinstance(case.query.get("wait"), int | float):
        case.query["wait"] = 0.01
    case.headers["Authorization"] = f"Bearer {api.keys[who]}"
    given: dict[str, Any] = case.as_transport_kwargs(base_url="http://testserver")
    names = ("method", "url", "headers", "params", "json", "data", "cookies")
    prepared = Request(**{name: given[name] for name in names if name in given}).prepare()
    answer = api.client.request(prepared.method, prepared.url, headers=dict(prepared.headers), content=prepared.body)
    return Response(
        status_code=answer.status_code,
        headers={name: [value] for name, value in answer.headers.items()},
        content=answer.content,
        request=prepared,
        elapsed=0.0,
        verify=False,
    )
