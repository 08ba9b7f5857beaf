"""Requests whose body is not there yet, called at an application in this process: how much of it a route asks for."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from fastapi import FastAPI

SIZE = 20_000
"""Large enough to be counted, small enough for every route."""


class UnreadAnswer(NamedTuple):
    """The status of the answer, and how many parts of the body were asked for before it."""

    status: int
    parts: int


def routes_with_a_body(app: FastAPI) -> Iterator[tuple[str, str]]:
    """(method, path) of every documented route that takes a body; parameters of the path are made up."""
    for path, methods in app.openapi()["paths"].items():
        for method, operation in methods.items():
            if "requestBody" in operation:
                yield method.upper(), re.sub(r"\{[^}]*\}", "out", path)


def answer_unread(app: FastAPI, method: str, path: str, headers: dict[str, str], size: int = SIZE) -> UnreadAnswer:
    """The answer to a request that announces a body of `size` bytes, which comes in parts as it is asked for."""

    async def call() -> UnreadAnswer:
        parts = 0
        status = 0

        async def receive() -> dict[str, Any]:
            nonlocal parts
            parts += 1
            return {"type": "http.request", "body": b"{" * (size // 4), "more_body": parts < 4}

        async def send(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]

        sent = {"host": "service", "content-length": str(size), "content-type": "application/json"} | headers
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "path": path,
            "raw_path": path.encode(), "query_string": b"", "root_path": "", "scheme": "http",
            "headers": [(name.encode(), value.encode()) for name, value in sent.items()],
            "client": ("127.0.0.1", 1), "server": ("service", 80), "app": app, "state": {},
        }  # fmt: skip
        await app(scope, receive, send)
        return UnreadAnswer(status, parts)

    return asyncio.run(call())


def read_without_a_key(app: FastAPI) -> list[tuple[str, str, UnreadAnswer]]:
    """The routes that ask for a body, or answer otherwise than 401, though the request has no key or a wrong one."""
    wrong = {"authorization": "Bearer lk_0123456789ab_" + "x" * 43}
    return [
        (method, path, answer)
        for method, path in routes_with_a_body(app)
        for headers in ({}, wrong)
        if (answer := answer_unread(app, method, path, headers)) != UnreadAnswer(401, 0)
    ]
