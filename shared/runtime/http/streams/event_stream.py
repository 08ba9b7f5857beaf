"""Server-sent events: an answer that goes on until its client leaves, does not read, or the service stops.

A stream holds what it is sending and no more: the next part is made once the client has taken the last one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from shared.runtime.problems import OVERLOADED, problem_response

MEDIA_TYPE: Final = "text/event-stream"
STALLED_SECONDS: Final = 60.0
"""How long a client may take nothing while something waits to be sent to it."""
MOST_STREAMS: Final = 64

Emit = Callable[[bytes], Awaitable[None]]
"""Sends bytes and returns once the client, or the network before it, has room for more."""
Produce = Callable[[Emit], Awaitable[None]]


class StreamSlots:
    """How many streams a service serves at the same time. For one event loop."""

    def __init__(self, most: int = MOST_STREAMS) -> None:
        self._most = most
        self.open = 0

    def take(self) -> bool:
        """Whether there is room for one more; it is taken then."""
        if self.open >= self._most:
            return False
        self.open += 1
        return True

    def give_back(self) -> None:
        self.open -= 1


class ServerSentEvents(Response):
    """The `response_class` of a route whose answer is an EventStream: what OpenAPI is told of it."""

    media_type = MEDIA_TYPE


class EventStream(ServerSentEvents):
    """The stream that `produce` writes, until it returns or the client leaves; 503 `overloaded` where no slot is free.

    A client that takes nothing for `stalled_seconds` is cut off.
    """

    def __init__(self, produce: Produce, slots: StreamSlots, *, stalled_seconds: float = STALLED_SECONDS) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._produce = produce
        self._slots = slots
        self._stalled_seconds = stalled_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self._slots.take():
            refusal = OVERLOADED(f"{self._slots.open} streams are open already", headers={"Retry-After": "15"})
            await problem_response(refusal, scope["method"])(scope, receive, send)
            return
        scope["larder.waits"] = True
        try:
            await self._stream(receive, send)
        finally:
            self._slots.give_back()

    async def _stream(self, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})

        async def emit(chunk: bytes) -> None:
            async with asyncio.timeout(self._stalled_seconds):
                await send({"type": "http.response.body", "body": chunk, "more_body": True})

        produced: asyncio.Task[Any] = asyncio.ensure_future(self._produce(emit))
        left: asyncio.Task[Any] = asyncio.ensure_future(_disconnected(receive))
        try:
            await asyncio.wait((produced, left), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (produced, left):
                task.cancel()
            await asyncio.gather(produced, left, return_exceptions=True)
        if produced.cancelled():
            return  # the client has left
        error = produced.exception()
        if isinstance(error, TimeoutError):
            raise ClientDisconnect from error
        if error is not None:
            raise error
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
