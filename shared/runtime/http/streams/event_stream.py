"""Server-sent events: an answer that goes on until its client leaves, does not read, or the service stops.

A stream holds what it is sending and no more: the next part is made once the client has taken the last one.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, Final

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from shared.runtime.problems import OVERLOADED, TOO_MANY_STREAMS, Problem, problem_response

MEDIA_TYPE: Final = "text/event-stream"
STALLED_SECONDS: Final = 60.0
"""How long a client may take nothing while something waits to be sent to it."""
MOST_STREAMS: Final = 64
MOST_OF_A_KEY: Final = 16
"""How many streams one key may have open, so that no single caller takes the places of all others."""
RETRY_AFTER: Final = {"Retry-After": "15"}
"""When a stream that a client left behind has been noticed, as a rule: the time between two signs of life."""

Emit = Callable[[bytes], Awaitable[None]]
"""Sends bytes and returns once the client, or the network before it, has room for more."""
Produce = Callable[[Emit], Awaitable[None]]


class StreamSlots:
    """How many streams a service serves at the same time, in all and to each key. For one event loop."""

    def __init__(self, most: int = MOST_STREAMS, most_of_a_key: int = MOST_OF_A_KEY) -> None:
        self._most = most
        self._most_of_a_key = most_of_a_key
        self._by_key: Counter[str] = Counter()
        self.open = 0

    def take(self, key_id: str) -> Problem | None:
        """Take a place for a stream of a key: None, or the Problem where there is no room for one more.

        429 `too-many-streams` where the key has as many as it may, 503 `overloaded` where all places are taken.
        """
        if self._by_key[key_id] >= self._most_of_a_key:
            detail = f"the key {key_id} has {self._by_key[key_id]} streams open, as many as a key may"
            return TOO_MANY_STREAMS(detail, headers=RETRY_AFTER)
        if self.open >= self._most:
            return OVERLOADED(f"{self.open} streams are open already", headers=RETRY_AFTER)
        self.open += 1
        self._by_key[key_id] += 1
        return None

    def give_back(self, key_id: str) -> None:
        self.open -= 1
        self._by_key[key_id] -= 1
        if not self._by_key[key_id]:
            del self._by_key[key_id]


class ServerSentEvents(Response):
    """The `response_class` of a route whose answer is an EventStream: what OpenAPI is told of it."""

    media_type = MEDIA_TYPE


class EventStream(ServerSentEvents):
    """The stream that `produce` writes to the caller with a key, until it returns or the client leaves.

    Where `slots` has no place for it, the Problem that says so. A client that takes nothing for `stalled_seconds` is
    cut off.
    """

    def __init__(
        self, produce: Produce, slots: StreamSlots, key_id: str, *, stalled_seconds: float = STALLED_SECONDS
    ) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._produce = produce
        self._slots = slots
        self._key_id = key_id
        self._stalled_seconds = stalled_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if (refusal := self._slots.take(self._key_id)) is not None:
            await problem_response(refusal, scope["method"])(scope, receive, send)
            return
        scope["larder.waits"] = True
        try:
            await self._stream(receive, send)
        finally:
            self._slots.give_back(self._key_id)

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
