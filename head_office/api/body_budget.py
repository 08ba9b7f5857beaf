"""Reading large bodies within a bound of memory for all of them together."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

from starlette.requests import Request

from head_office.problems import BODY_TOO_SLOW
from shared.runtime.problems import OVERLOADED, Recorded

READ_SECONDS: Final = 60.0
ROOM_SECONDS: Final = 10.0


class Bodies:
    """A memory budget for request bodies: at most `total` bytes at a time, first come first served. For one event loop.

    A body counts with its Content-Length, one without it with `largest`.
    """

    def __init__(self, total: int, largest: int) -> None:
        self._free = total
        self._largest = largest
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def read(self, request: Request) -> AsyncIterator[bytes]:
        """The whole body, inside the `with`.

        Raises Problem: 503 `overloaded` when no memory comes free, 408 `body-too-slow`. The middleware of every service
        refuses bodies beyond `largest`.
        """
        announced = request.headers.get("content-length")
        size = min(int(announced), self._largest) if announced is not None else self._largest
        await self._enter(size)
        try:
            try:
                async with asyncio.timeout(READ_SECONDS):
                    body = await request.body()
            except TimeoutError as error:
                raise BODY_TOO_SLOW(
                    f"the body was not there after {READ_SECONDS:g} seconds", headers={"Connection": "close"}
                ) from error
            yield body
        finally:
            self._leave(size)

    async def _enter(self, size: int) -> None:
        if not self._waiting and size <= self._free:
            self._free -= size
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((size, turn))
        try:
            async with asyncio.timeout(ROOM_SECONDS):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                self._leave(size)
            else:
                with suppress(ValueError):  # removed already by a `_leave` since the cancellation
                    self._waiting.remove((size, turn))
                self._let_in()
            if isinstance(error, TimeoutError):
                raise OVERLOADED(
                    "too many batches are being read", recorded=Recorded.NO, headers={"Retry-After": "2"}
                ) from error
            raise

    def _leave(self, size: int) -> None:
        self._free += size
        self._let_in()

    def _let_in(self) -> None:
        while self._waiting and self._waiting[0][0] <= self._free:
            size, turn = self._waiting.popleft()
            if not turn.done():
                self._free -= size
                turn.set_result(None)
