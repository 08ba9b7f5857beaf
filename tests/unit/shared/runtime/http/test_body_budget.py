"""The bytes of all bodies that a process holds are bounded; past the bound a request is answered 503."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.requests import Request

from shared.runtime.http.application import build_app
from shared.runtime.http.middleware import BODY_BYTES, SMALL_BODY
from shared.runtime.problems import ProblemCatalogue
from shared.runtime.telemetry import Telemetry

SIZE = 4 * 1024 * 1024
PART = 64 * 1024


class HeldBodies:
    """An application whose route holds the bodies that it has read until `let_go`; and requests to it."""

    def __init__(self) -> None:
        self.let_go = asyncio.Event()
        self.held = self.most_held = 0
        self.app: FastAPI = build_app(
            title="t",
            version="1",
            catalogue=ProblemCatalogue(),
            telemetry=Telemetry("t"),
            max_body=SIZE,
            own_budget={"/own"},
        )
        for path in ("/hold", "/own"):
            self.app.post(path)(self.hold)

    async def hold(self, request: Request) -> int:
        size = len(await request.body())
        await self.let_go.wait()
        return size

    async def post(self, size: int, path: str = "/hold", *, announced: bool = True) -> tuple[int, dict[str, str], Any]:
        """(status, headers, JSON) of a request whose body comes in parts."""
        left = size
        answer: dict[str, Any] = {"body": b""}

        async def receive() -> dict[str, Any]:
            nonlocal left
            await asyncio.sleep(0)
            part = min(left, PART)
            left -= part
            self.held += part
            self.most_held = max(self.most_held, self.held)
            return {"type": "http.request", "body": b"x" * part, "more_body": left > 0}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                answer["status"] = message["status"]
                answer["headers"] = {name.decode(): value.decode() for name, value in message["headers"]}
            else:
                answer["body"] += message["body"]

        length = (b"content-length", str(size).encode()) if announced else (b"transfer-encoding", b"chunked")
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "path": path,
            "raw_path": path.encode(), "query_string": b"", "root_path": "", "scheme": "http", "headers": [length],
            "client": ("127.0.0.1", 1), "server": ("service", 80), "state": {},
        }  # fmt: skip
        await self.app(scope, receive, send)
        self.held -= size - left
        return answer["status"], answer["headers"], json.loads(answer["body"])


@pytest.mark.parametrize("announced", [True, False])
def test_bodies_past_the_bound_are_refused_and_may_come_again(announced: bool) -> None:
    async def play() -> None:
        bodies = HeldBodies()
        many = [asyncio.create_task(bodies.post(SIZE, announced=announced)) for _ in range(60)]
        done, waiting = await asyncio.wait(many, timeout=5)
        # A refused body is still thrown away as it comes, part by part; nothing holds those parts.
        assert 1 <= len(waiting) <= BODY_BYTES // SIZE
        assert len(done) == 60 - len(waiting)
        for each in done:
            status, headers, problem = each.result()
            assert (status, problem["code"], problem["recorded"]) == (503, "overloaded", "no")
            assert int(headers["retry-after"]) > 0
        # Small ones pass whatever the large ones hold.
        small = asyncio.create_task(bodies.post(SMALL_BODY))
        bodies.let_go.set()
        assert (await small)[::2] == (200, SMALL_BODY)
        assert {(await each)[0] for each in waiting} == {200}
        # Everything is free again.
        again = [asyncio.create_task(bodies.post(SIZE)) for _ in range(BODY_BYTES // SIZE)]
        assert [(await each)[0] for each in again] == [200] * len(again)

    asyncio.run(play())


def test_a_route_with_a_bound_of_its_own_is_left_to_it() -> None:
    async def play() -> None:
        bodies = HeldBodies()
        bodies.let_go.set()
        many = await asyncio.gather(*(bodies.post(SIZE, "/own") for _ in range(BODY_BYTES // SIZE + 4)))
        assert {status for status, *_ in many} == {200}

    asyncio.run(play())
