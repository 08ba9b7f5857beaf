"""The ASGI middleware of every service: body limit, headers, request ids, statistics, unhandled exceptions.

One middleware rather than five, as each costs a hot route a few microseconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import secrets
import time
from collections.abc import Mapping
from typing import Final

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.runtime.http.path_codes import protect_slashes
from shared.runtime.problems import BAD_REQUEST, BODY_TOO_LARGE, INTERNAL_ERROR, Problem, problem_response
from shared.runtime.telemetry import RequestStatistics, get_logger

log = get_logger("larder.http")

SLOW_SECONDS: Final = 1.0
# How much of a rejected body is read and discarded. Closing with bytes unread resets the connection: most clients send
# everything before they read, and would never see the answer.
DISCARD_BYTES: Final = 8 * 1024 * 1024
DISCARD_SECONDS: Final = 5.0
HEADERS: Final = (
    (
        b"content-security-policy",
        b"default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'",
    ),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
)
NO_STORE: Final = (b"cache-control", b"no-store")


class ServiceMiddleware:
    """Wraps an ASGI application. ``body_limits`` gives single paths another limit than ``max_body`` (both in bytes).

    A body beyond its limit is answered 413 ``body-too-large``: before it is read where Content-Length exceeds the
    limit, while it is read otherwise. The rest of the body is discarded, up to ``DISCARD_BYTES`` and
    ``DISCARD_SECONDS``, and the connection closed. An unhandled exception is logged and becomes 500 ``internal-error``
    with the request's id as ``incident``. Requests over a second are logged too; long polls set
    ``scope["larder.waits"] = True``.
    """

    def __init__(
        self, app: ASGIApp, *, max_body: int, body_limits: Mapping[str, int], statistics: RequestStatistics
    ) -> None:
        self.app = app
        self._max_body = max_body
        self._body_limits = dict(body_limits)
        self._statistics = statistics
        # Unique among processes and restarts; the count gives the order of the requests.
        self._prefix = secrets.token_hex(4) + "-"
        self._count = itertools.count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        request_id = f"{self._prefix}{next(self._count):x}"
        scope["larder.request_id"] = request_id
        status = 0
        unfinished = False

        async def send_with_headers(message: Message) -> None:
            nonlocal status, unfinished
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = message["headers"] = list(message.get("headers", ()))
                if not any(name == b"cache-control" for name, _ in headers):
                    headers.append(NO_STORE)
                headers.extend(HEADERS)
                headers.append((b"x-request-id", request_id.encode("ascii")))
            elif status == 413 and "larder.unread" in scope and not message.get("more_body", False):
                # The server closes with the last part of an answer.
                unfinished = True
                message = {**message, "more_body": True}
            await send(message)

        try:
            rejection, read = self._limit(scope, receive)
            if rejection is None:
                await self.app(scope, read, send_with_headers)
            else:
                await problem_response(rejection, scope["method"])(scope, receive, send_with_headers)
        except Problem as problem:
            if status:
                raise
            await problem_response(problem, scope["method"])(scope, receive, send_with_headers)
        except ClientDisconnect:
            log.debug("the caller went away", request_id=request_id, path=scope["path"])
        except Exception as error:
            log.exception(
                "request failed",
                incident=request_id,
                method=scope["method"],
                path=scope["path"],
                error=type(error).__name__,
            )
            if status:
                # The answer has begun: only closing the connection shows the client that it is incomplete.
                raise
            unexpected = INTERNAL_ERROR("this was not foreseen", incident=request_id)
            await problem_response(unexpected, scope["method"])(scope, receive, send_with_headers)
        finally:
            self._record(scope, status, time.perf_counter() - started, request_id)
        if unfinished:
            await _discard(receive)
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _limit(self, scope: Scope, receive: Receive) -> tuple[Problem | None, Receive]:
        if not protect_slashes(scope):
            return BAD_REQUEST("the address holds the character U+E000"), receive
        if "\0" in scope["path"] or b"%00" in scope["query_string"]:
            # No database stores it in a text column.
            return BAD_REQUEST("the address holds the character U+0000"), receive
        limit = self._body_limits.get(scope["path"], self._max_body)
        streamed = False
        for name, value in scope["headers"]:
            if name == b"content-length":
                if not value.isdigit():
                    return BAD_REQUEST("the Content-Length header is not a number"), receive
                # Compared by length first, as int() rejects very long numbers.
                if len(value) > 18 or int(value) > limit:
                    scope["larder.unread"] = True
                    return _too_large(limit), receive
            elif name == b"transfer-encoding":
                streamed = True
        return None, _counting(scope, receive, limit) if streamed else receive

    def _record(self, scope: Scope, status: int, seconds: float, request_id: str) -> None:
        found = scope.get("route")
        route: str = getattr(found, "path_format", "") or getattr(found, "path", "(none)")
        self._statistics.observe(scope["method"], route, status, seconds)
        if status >= 500 or (seconds >= SLOW_SECONDS and not scope.get("larder.waits")):
            log.warning(
                "request",
                request_id=request_id,
                method=scope["method"],
                path=scope["path"],
                status=status,
                seconds=round(seconds, 3),
            )


def _too_large(limit: int) -> Problem:
    # The client may still send more than is discarded, so the connection cannot be reused.
    return BODY_TOO_LARGE(f"at most {limit} bytes are read here", max_bytes=limit, headers={"Connection": "close"})


def _counting(scope: Scope, receive: Receive, limit: int) -> Receive:
    read = 0

    async def counted() -> Message:
        nonlocal read
        message = await receive()
        if message["type"] == "http.request":
            read += len(message.get("body", b""))
            if read > limit:
                if message.get("more_body", False):
                    scope["larder.unread"] = True
                raise _too_large(limit)
        return message

    return counted


async def _discard(receive: Receive) -> None:
    left = DISCARD_BYTES
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(DISCARD_SECONDS):
            while left > 0:
                message = await receive()
                if not message.get("more_body", False):
                    return
                left -= len(message["body"])
