"""The client: an answer, a refusal, or nothing known."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from shared.runtime.client import RemoteProblem, ServiceClient, Unreachable
from shared.runtime.problems import DATABASE_BUSY, NOT_FOUND, Problem

Handler = Callable[[httpx.Request], httpx.Response]


def client(handler: Handler, **options: Any) -> ServiceClient:
    return ServiceClient(
        "http://service/", transport=httpx.MockTransport(handler), sleep=lambda _seconds: None, **options
    )


def refusing(problem: Problem, **headers: str) -> Handler:
    return lambda _request: httpx.Response(problem.status, json=problem.body(recording=True), headers=headers)


def test_an_answer_and_what_was_sent() -> None:
    seen: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(201, json={"sequence": 1})

    with client(handler, key="lk_a_b") as service:
        assert service.post("/v1/events", {"type": "x"}, idempotency_key="k1") == {"sequence": 1}
        assert service.get("/v1/stock", item_id="A", as_of=None) == {"sequence": 1}
        assert service.request("POST", "/raw", content=b"\x00", headers={"Content-Encoding": "zstd"}).status == 201
        assert service.put("/v1/items/A", {}) == {"sequence": 1}
    assert [str(request.url) for request in seen[:2]] == [
        "http://service/v1/events",
        "http://service/v1/stock?item_id=A",
    ]
    assert seen[0].headers["authorization"] == "Bearer lk_a_b"
    assert seen[0].headers["idempotency-key"] == "k1"
    assert json.loads(seen[0].content) == {"type": "x"}
    assert (seen[2].content, seen[2].headers["content-encoding"]) == (b"\x00", "zstd")


def test_no_content() -> None:
    assert client(lambda _request: httpx.Response(204)).get("/x") is None


def test_a_refusal_keeps_what_it_said() -> None:
    with pytest.raises(RemoteProblem) as caught:
        client(refusing(NOT_FOUND("no such item", nearest=["A"]))).get("/x")
    found = caught.value
    assert (found.status, found.code, found.detail) == (404, "not-found", "no such item")
    assert found.extras == {"nearest": ["A"]}
    assert (found.title, found.hint) == (NOT_FOUND.title, NOT_FOUND.hint)
    assert not found.temporary


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(502, text="<html>Bad gateway</html>"),
        httpx.Response(500, json=[]),
        httpx.Response(404, json={"detail": "Not Found"}),
        httpx.Response(200, text="<html>Log in to the hotel</html>"),
        httpx.Response(302, headers={"location": "http://elsewhere/"}),
        httpx.Response(200, stream=httpx.ByteStream(b"x"), headers={"content-encoding": "gzip"}),
    ],
    ids=["gateway", "list", "no code", "captive portal", "redirect", "packed"],
)
def test_what_is_not_from_a_service_of_ours_tells_nothing(answer: httpx.Response) -> None:
    with pytest.raises(Unreachable):
        client(lambda _request: answer).get("/x")


@pytest.mark.parametrize("error", [httpx.ConnectError, httpx.ReadTimeout, httpx.RemoteProtocolError, httpx.ReadError])
def test_no_answer(error: type[httpx.TransportError]) -> None:
    def handler(_request: httpx.Request) -> httpx.Response:
        raise error("cut")

    with pytest.raises(Unreachable, match="http://service"):
        client(handler).get("/x")


def test_an_answer_without_end_is_cut() -> None:
    read = 0

    class Endless(httpx.SyncByteStream):
        def __iter__(self) -> Any:
            nonlocal read
            while True:
                read += 1_000
                yield b"x" * 1_000

    with pytest.raises(Unreachable, match="more than 5000 bytes"):
        client(lambda _request: httpx.Response(200, stream=Endless()), max_answer=5_000).get("/x")
    assert read <= 10_000


def test_nothing_is_tried_again_unless_told() -> None:
    calls = 0

    def handler(_request: httpx.Request) -> httpx.Response:
        nonlocal calls
        calls += 1
        if calls % 3:
            return refusing(DATABASE_BUSY())(_request) if calls % 2 else httpx.Response(502, text="x")
        return httpx.Response(200, json=calls)

    service = client(handler)
    with pytest.raises(RemoteProblem):
        service.get("/x")
    assert calls == 1
    calls = 0
    assert service.get("/x", tries=3) == 3
    calls = 0
    with pytest.raises(Unreachable):
        service.get("/x", tries=2)
    assert calls == 2


def test_a_lasting_refusal_is_not_tried_again() -> None:
    calls: list[int] = []

    def handler(request: httpx.Request) -> httpx.Response:
        calls.append(1)
        return refusing(NOT_FOUND())(request)

    with pytest.raises(RemoteProblem):
        client(handler).get("/x", tries=5)
    assert len(calls) == 1


def test_waiting_lengthens_the_reading_time_only() -> None:
    seen: list[dict[str, float]] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request.extensions["timeout"])
        return httpx.Response(200, json=1)

    client(handler, timeout=3.0).get("/x", wait=30.0)
    assert (seen[0]["read"], seen[0]["write"], seen[0]["connect"]) == (33.0, 3.0, 5.0)
