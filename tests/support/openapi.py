"""Trying out what an OpenAPI document allows, and much that it does not, on an application in this process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from requests import Request
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.core.transport import Response
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

Send = Callable[[str, str, dict[str, str], bytes], Any]
"""Sends (method, path with query, headers, body); the answer has status_code, headers and content."""


def try_out(cases: st.SearchStrategy[Case], send: Send, *, examples: int) -> None:
    """Each case is answered as the document says, and never by a 5xx."""

    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(case=cases)
    def check(case: Case) -> None:
        case.validate_response(
            _answer(case, send), checks=[not_a_server_error, content_type_conformance, response_schema_conformance]
        )

    check()


def _answer(case: Case, send: Send) -> Response:
    told: dict[str, Any] = case.as_transport_kwargs(base_url="http://service")
    names = ("method", "url", "headers", "params", "json", "data", "cookies")
    prepared = Request(**{name: told[name] for name in names if name in told}).prepare()
    parts = urlsplit(str(prepared.url))
    path = f"{parts.path}?{parts.query}" if parts.query else parts.path
    body = prepared.body or b""
    headers = {name: value for name, value in prepared.headers.items() if name.lower() != "content-length"}
    answer = send(str(prepared.method), path, headers, body.encode() if isinstance(body, str) else body)  # type: ignore[arg-type]
    return Response(
        status_code=answer.status_code,
        headers={name: [value] for name, value in answer.headers.items()},
        content=answer.content,
        request=prepared,
        elapsed=0.0,
        verify=False,
    )
