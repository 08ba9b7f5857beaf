"""The ASGI middleware of every service: body limit, headers, request ids, statistics, unhandled exceptions.

One middleware rather than five, as each costs a hot route a few microseconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import secrets
import time
from collections.abc import Callable, Collection, Mapping
from typing import Final, NoReturn

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.runtime.http.path_codes import protect_slashes
from shared.runtime.problems import (
    BAD_REQUEST,
    BODY_TOO_LARGE,
    INTERNAL_ERROR,
    OVERLOADED,
    Problem,
    Recorded,
    problem_response,
)
from shared.runtime.telemetry import RequestStatistics, get_logger

log = get_logger("larder.http")

SLOW_SECONDS: Final = 1.0
SMALL_BODY: Final = 16 * 1024
BODY_BYTES: Final = 16 * 1024 * 1024
"""Bytes of all larger bodies that a process holds at a time."""
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
WHOLE_ANSWER: Final = "larder.answer_whole"
"""In a scope: the server's `AnswerWhole` of this request, where it has one."""
AnswerWhole = Callable[[int, bytes, bytes], bool]
"""Sends an answer in one piece, given status, header lines and body; False, and nothing is sent, where it cannot."""
_STATUS: Final = "larder.status"
_JSON_HEAD: Final = b"content-type: application/json\r\n" + b"".join(
    b"%b: %b\r\n" % each for each in (NO_STORE, *HEADERS)
)


async def send_json(scope: Scope, send: Send, status: int, body: bytes) -> None:
    """Answer a request with JSON: below a `ServiceMiddleware`, which adds its headers.

    Where the server can, head and body go out in one piece: a second write costs as much as the decoding of the body.
    """
    answer: AnswerWhole | None = scope.get(WHOLE_ANSWER)
    if answer is not None and "larder.unread" not in scope:
        request_id = scope["larder.request_id"].encode("ascii")
        head = b"content-length: %d\r\n%bx-request-id: %b\r\n" % (len(body), _JSON_HEAD, request_id)
        if answer(status, head, body):
            scope[_STATUS] = status
            return
    headers = [(b"content-length", b"%d" % len(body)), (b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class BodyBudget:
    """Bytes of request bodies that a process may hold at the same time. For one event loop."""

    def __init__(self, total: int = BODY_BYTES) -> None:
        self._free = total

    def take(self, size: int) -> bool:
        """Whether so many bytes are free; they are taken then."""
        if size > self._free:
            return False
        self._free -= size
        return True

    def give_back(self, size: int) -> None:
        self._free += size


class ServiceMiddleware:
    """Wraps an ASGI application. ``body_limits`` gives single paths another limit than ``max_body`` (both in bytes).

    The bytes of all bodies that are being read or worked on are bounded by ``budget``: a request whose body exceeds it
    is answered 503 ``overloaded``. Bodies of at most ``SMALL_BODY`` bytes are not counted, as the number of connections
    bounds them, nor those of the paths ``own_budget``, whose routes bound them themselves.

    A body beyond its limit is answered 413 ``body-too-large``: before it is read where Content-Length exceeds the
    limit, while it is read otherwise. The rest of the body is discarded, up to ``DISCARD_BYTES`` and
    ``DISCARD_SECONDS``, and the connection closed. An unhandled exception is logged and becomes 500 ``internal-error``
    with the request's id as ``incident``. Requests over a second are logged too; long polls set
    ``scope["larder.waits"] = True``.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        max_body: int,
        body_limits: Mapping[str, int],
        statistics: RequestStatistics,
        budget: BodyBudget,
        own_budget: Collection[str] = (),
    ) -> None:
        self.app = app
        self._budget = budget
        self._own_budget = frozenset(own_budget)
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
                own = {name for name, _ in headers}
                # A page may have a policy of its own: a browser applies every one that it is sent.
                headers.extend(each for each in (NO_STORE, *HEADERS) if each[0] not in own)
                headers.append((b"x-request-id", request_id.encode("ascii")))
            elif "larder.unread" in scope and not message.get("more_body", False):
                # The server closes with the last part of an answer.
                unfinished = True
                message = {**message, "more_body": True}
            await send(message)

        bounded: _BoundedBody | None = None
        try:
            rejection, bounded = self._limit(scope, receive)
            if rejection is None:
                await self.app(scope, receive if bounded is None else bounded, send_with_headers)
            else:
                await problem_response(rejection, scope["method"])(scope, receive, send_with_headers)
        except Problem as problem:
            if status or _STATUS in scope:
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
            if status or _STATUS in scope:
                # The answer has begun: only closing the connection shows the client that it is incomplete.
                raise
            unexpected = INTERNAL_ERROR("this was not foreseen", incident=request_id)
            await problem_response(unexpected, scope["method"])(scope, receive, send_with_headers)
        finally:
            if bounded is not None:
                bounded.release()
            self._record(scope, status or scope.get(_STATUS, 0), time.perf_counter() - started, request_id)
        if unfinished:
            await _discard(receive)
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _limit(self, scope: Scope, receive: Receive) -> tuple[Problem | None, _BoundedBody | None]:
        """Why the request is refused at once, else how its body is read; None for the server's own `receive`."""
        if not protect_slashes(scope):
            return BAD_REQUEST("the address holds the character U+E000"), None
        if "\0" in scope["path"] or b"%00" in scope["query_string"]:
            # No database stores it in a text column.
            return BAD_REQUEST("the address holds the character U+0000"), None
        limit = self._body_limits.get(scope["path"], self._max_body)
        bounded = False
        for name, value in scope["headers"]:
            if name == b"content-length":
                if not value.isdigit():
                    return BAD_REQUEST("the Content-Length header is not a number"), None
                # Compared by length first, as int() rejects very long numbers.
                if len(value) > 18 or (size := int(value)) > limit:
                    scope["larder.unread"] = True
                    return _too_large(limit), None
                bounded = bounded or size > SMALL_BODY
            elif name == b"transfer-encoding":
                bounded = True
        if not bounded:
            return None, None
        return None, _BoundedBody(scope, receive, limit, None if scope["path"] in self._own_budget else self._budget)

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


class _BoundedBody:
    """`receive` of a request whose body is counted: against its own limit, and against the budget of all."""

    __slots__ = ("_budget", "_limit", "_read", "_receive", "_scope")

    def __init__(self, scope: Scope, receive: Receive, limit: int, budget: BodyBudget | None) -> None:
        self._scope = scope
        self._receive = receive
        self._limit = limit
        self._budget = budget
        self._read = 0

    async def __call__(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            size = len(message.get("body", b""))
            if self._read + size > self._limit:
                self._refuse(message, _too_large(self._limit))
            if self._budget is not None and not self._budget.take(size):
                self._refuse(message, _too_many())
            self._read += size
        return message

    def _refuse(self, message: Message, problem: Problem) -> NoReturn:
        if message.get("more_body", False):
            self._scope["larder.unread"] = True
        raise problem

    def release(self) -> None:
        """Once the request is answered: nothing holds its body any more."""
        if self._budget is not None:
            self._budget.give_back(self._read)


def _too_many() -> Problem:
    # The connection is closed, as the client may still send more than is discarded.
    return OVERLOADED(
        "the bodies of other requests take all the memory that is set aside for them",
        recorded=Recorded.NO,
        headers={"Retry-After": "2", "Connection": "close"},
    )


async def _discard(receive: Receive) -> None:
    left = DISCARD_BYTES
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(DISCARD_SECONDS):
            while left > 0:
                message = await receive()
                if not message.get("more_body", False):
                    return
                left -= len(message["body"])
