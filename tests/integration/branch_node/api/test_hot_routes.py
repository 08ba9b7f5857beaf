"""The fast path of the hot routes and the application behind it answer any request alike."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from branch_node.api.hot_route_middleware import HotRouteMiddleware
from tests.support.branch_api import Caller

KEY = "{key}"  # stands for the manager's key
BODIES = {
    "/v1/events": [b'{"type":"PURCHASE_RECEIVED","item_id":"milk","quantity":1}', b'{"type":"WASTE_RECORDED"}'],
    "/v1/orders": [b'{"order_id":"1","lines":[{"item_id":"milk","quantity":1}]}', b'{"order_id":"2","lines":[]}'],
    "/v1/events/batch": [
        b'{"events":[{"key":"b-1","type":"PURCHASE_RECEIVED","item_id":"milk","quantity":1}]}',
        b'{"events":[]}',
    ],
    "/v1/reservations": [b'{"order_id":"1","lines":[{"item_id":"milk","quantity":1}]}', b'{"order_id":"2","lines":[]}'],
    "/v1/reservations/unknown-1/confirm": [b'{"rest":"keep"}', b'{"rest":"lose"}'],
}
HEADERS = st.lists(
    st.sampled_from(
        [
            ("authorization", f"Bearer {KEY}"),
            ("authorization", f"bearer  {KEY}"),
            ("authorization", "Bearer lk_wrong"),
            ("authorization", "Bearer"),
            ("authorization", "Basic x"),
            ("authorization", ""),
            ("idempotency-key", "k-1"),
            ("idempotency-key", "k-2"),
            ("idempotency-key", ""),
            ("idempotency-key", "transfer:1"),
            ("content-encoding", "identity"),
            ("content-encoding", "gzip"),
            ("content-type", "application/json"),
            ("content-type", "text/plain"),
        ]
    ),
    max_size=4,
)
QUERIES = st.sampled_from(["", "?", "?dry_run=true", "?limit=1", "?a=%00", "?%ff", "?x"])
METHODS = st.sampled_from(["POST", "POST", "POST", "GET", "PUT", "DELETE", "HEAD", "OPTIONS"])


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, str, list[tuple[str, str]], bytes]:
    path = draw(st.sampled_from(sorted(BODIES)))
    body = draw(st.sampled_from([*BODIES[path], b"", b"{", b"[]", b"\xff"]))
    return draw(METHODS), path + draw(QUERIES), draw(HEADERS), body


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(requests())
def test_both_ways_answer_alike(caller: Caller, request: tuple[str, str, list[tuple[str, str]], bytes]) -> None:
    fast = answered(caller, request)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(HotRouteMiddleware, "__call__", pass_on)
        assert answered(caller, request) == fast


async def pass_on(middleware: HotRouteMiddleware, scope: Any, receive: Any, send: Any) -> None:
    await middleware.app(scope, receive, send)


def answered(caller: Caller, request: tuple[str, str, list[tuple[str, str]], bytes]) -> Any:
    method, address, headers, body = request
    own = [(name, value.replace(KEY, caller.keys.text["manager"])) for name, value in headers]
    before = caller.node.writer.head.sequence
    answer = caller.send(method, address, raw=body, role=None, headers=own)
    recorded = caller.node.writer.head.sequence - before
    problem = problem_of(answer)
    in_the_log = answer.status_code < 300 or (problem is not None and problem.get("recorded") == "yes")
    return answer.status_code, problem, recorded > 0 or in_the_log


def problem_of(answer: httpx.Response) -> Any:
    """What is wrong; a success differs in ids and times."""
    if answer.status_code < 300 or not answer.content:
        return None
    return {name: value for name, value in json.loads(answer.content).items() if name != "incident"}


@pytest.mark.parametrize("path", sorted(BODIES))
def test_an_unknown_parameter_records_nothing(caller: Caller, path: str) -> None:
    answer = caller.send("POST", f"{path}?dry_run=true", raw=BODIES[path][0])
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-request")
    assert answer.json()["recorded"] == "no"
    assert caller.node.writer.head.sequence == 0


@pytest.mark.parametrize("path", [*sorted(BODIES), "/v1/counts"])
def test_two_keys_in_one_request_are_refused(caller: Caller, path: str) -> None:
    good = f"Bearer {caller.keys.text['manager']}"
    for pair in ((good, "Bearer lk_wrong"), ("Bearer lk_wrong", good), (good, good)):
        headers = [("Authorization", each) for each in pair]
        answer = caller.send("POST", path, raw=BODIES.get(path, [b"{}"])[0], role=None, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")


@pytest.mark.parametrize("authorization", [[], ["Bearer lk_wrong"], ["Basic x"]])
@pytest.mark.parametrize("other", [[("content-encoding", "gzip")], [("idempotency-key", "k-1")] * 2])
@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("path", sorted(BODIES))
def test_the_key_is_checked_before_the_other_headers(
    caller: Caller, path: str, fast: bool, other: list[tuple[str, str]], authorization: list[str]
) -> None:
    headers = [*other, *(("authorization", each) for each in authorization)]
    with pytest.MonkeyPatch.context() as patch:
        if not fast:
            patch.setattr(HotRouteMiddleware, "__call__", pass_on)
        answer = caller.send("POST", path, raw=BODIES[path][0], role=None, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
        good = [*other, ("authorization", f"Bearer {caller.keys.text['manager']}")]
        assert caller.send("POST", path, raw=BODIES[path][0], role=None, headers=good).status_code in (415, 422)
