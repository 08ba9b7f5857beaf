"""The middleware that serves the hot routes without FastAPI's router and injection, which cost more than one event.

The routes are in the application too, for the documentation and for requests that the middleware passes on; both paths
call the same handler. It is the innermost middleware: body limits, headers, metrics and the error handler are outside.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Final, NamedTuple

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from branch_node.problems import INVALID_KEY
from shared.runtime.http.application import PACKED
from shared.runtime.http.middleware import send_json
from shared.runtime.problems import Problem, problem_response

TWO_KEYS: Final = partial(INVALID_KEY, "the header stands twice in the request")
_PLAIN_CODE: Final = re.compile(r"[A-Za-z0-9-]+", re.ASCII)


class RawRequest(NamedTuple):
    """The parts of a request that a recording route needs.

    `read` gives its body and `fault` says what is wrong with its other headers; both are for callers whose API key was
    checked. `code` is that in its path, where the route's has one.
    """

    authorization: Sequence[str]  # every Authorization header of the request
    idempotency_key: str | None
    address: str
    read: Callable[[], Awaitable[bytes]]
    fault: Problem | None
    if_match: Sequence[str] = ()  # every If-Match header of the request
    code: str = ""


class RawResponse(NamedTuple):
    """A JSON response."""

    status: int
    body: bytes


Handler = Callable[[RawRequest], Awaitable[RawResponse]]


class HotRoute(NamedTuple):
    """A POST route with its path, by which the metrics name it; it may have one `{name}` in it, for a plain code."""

    path: str
    handler: Handler


def raw_request_of(request: Request, code: str = "") -> RawRequest:
    """The RawRequest of a request that FastAPI routed; `code` is that in its path."""
    return _raw_request(request.scope, request.body, code)


def key_header(request: Request) -> str | None:
    """The Idempotency-Key as sent, None where there is none. Raises 422 `invalid-idempotency-key` for two."""
    sent = request.headers.getlist("idempotency-key")
    if len(sent) > 1:
        raise TWO_KEYS()
    return sent[0] if sent else None


def response_of(raw: RawResponse) -> Response:
    return Response(raw.body, raw.status, media_type="application/json")


class HotRouteMiddleware:
    """Serves POST to a hot route; passes on every other request."""

    def __init__(self, app: ASGIApp, routes: Mapping[str, HotRoute]) -> None:
        self.app = app
        self._routes = routes
        named = [(re.split(r"\{\w+\}", path), route) for path, route in routes.items() if "{" in path]
        self._named = [(before, after, route) for (before, after), route in named]

    def _route(self, path: str) -> tuple[HotRoute | None, str]:
        """The hot route of a path, and the code in it; a code of other characters goes the way of the other routes."""
        route = self._routes.get(path)
        if route is None:
            for before, after, named in self._named:
                if path.startswith(before) and path.endswith(after):
                    code = path[len(before) : len(path) - len(after)]
                    return (named, code) if _PLAIN_CODE.fullmatch(code) else (None, "")
        return route, ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        route, code = None, ""
        # A query goes the way of the other routes, which refuse what they do not know of it.
        if scope["type"] == "http" and scope["method"] == "POST" and not scope["query_string"]:
            route, code = self._route(scope["path"])
        if route is None:
            await self.app(scope, receive, send)
            return
        scope["route"] = route
        try:
            raw = await route.handler(_raw_request(scope, partial(_body, receive), code))
        except Problem as problem:
            await problem_response(problem, scope["method"])(scope, receive, send)
            return
        await send_json(scope, send, raw.status, raw.body)


def _raw_request(scope: Scope, read: Callable[[], Awaitable[bytes]], code: str) -> RawRequest:
    authorization: list[str] = []
    key = None
    if_match: list[str] = []
    packed = two_keys = False
    for name, value in scope["headers"]:
        if name == b"authorization":
            authorization.append(value.decode("latin-1"))
        elif name == b"idempotency-key":
            two_keys = two_keys or key is not None
            key = value.decode("latin-1")
        elif name == b"content-encoding" and value != b"identity":
            packed = True
        elif name == b"if-match":
            if_match.append(value.decode("latin-1"))
    fault = PACKED() if packed else TWO_KEYS() if two_keys else None
    client = scope.get("client")
    return RawRequest(authorization, key, client[0] if client else "", read, fault, if_match, code)


async def _body(receive: Receive) -> bytes:
    message = await receive()
    body: bytes = message.get("body", b"")
    if message.get("more_body"):
        parts = [body]
        while message.get("more_body"):
            message = await receive()
            parts.append(message.get("body", b""))
        body = b"".join(parts)
    if message["type"] == "http.disconnect":
        raise ClientDisconnect
    return body
