"""The messages of a log as server-sent events: those that are there, then each one as it comes.

The event loop waits and sends; the log is read in a thread, of which all streams together have few.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, suppress
from functools import partial
from typing import Final, TypeVar

from anyio import CapacityLimiter, to_thread

from shared.outbox.message_cursor import MessageCursor
from shared.outbox.message_source import OutboxMessage
from shared.outbox.outbox_reader import OutboxReader
from shared.runtime.http.streams.event_stream import Emit, EventStream, StreamSlots
from shared.runtime.http.streams.watches import Watch
from shared.runtime.problems import DATABASE_UNAVAILABLE, Problem

RETRY_SECONDS: Final = 3.0
BEAT_SECONDS: Final = 15.0
PAGE: Final = 256
READERS: Final = 2
LINGER_SECONDS: Final = 0.1
"""How long a stream waits after the newest message before it looks for more, so that busy times give larger pages."""

T = TypeVar("T")

OpenWatch = Callable[[str], AbstractContextManager[Watch]]
"""Opens a watch that is woken by every commit to the log of a location."""
Recheck = Callable[[], Awaitable[object]]
"""Raises Problem where the caller's key may no longer read the messages."""


class MessageStreams:
    """The streams of a service: a bounded number, and a bounded number of threads for them."""

    def __init__(self, reader: OutboxReader, open_watch: OpenWatch, slots: StreamSlots | None = None) -> None:
        self._reader = reader
        self._open_watch = open_watch
        self._slots = slots or StreamSlots()
        self._readers = CapacityLimiter(READERS)

    def answer(
        self, location_id: str, after: MessageCursor, types: frozenset[str] | None, *, key_id: str,
        recheck: Recheck, stopping: asyncio.Event, beat_seconds: float = BEAT_SECONDS,
        retry_seconds: float = RETRY_SECONDS,
    ) -> EventStream:  # fmt: skip
        """The stream of the messages after a cursor, to the caller with a key.

        It ends when `stopping` is set or `recheck` refuses.
        """

        async def produce(emit: Emit) -> None:
            # The client comes again in three seconds, with its last cursor, and is told then what is wrong.
            with suppress(Problem):
                await self._follow(emit, location_id, after, types, recheck, stopping, beat_seconds, retry_seconds)

        return EventStream(produce, self._slots, key_id)

    async def _follow(  # noqa: PLR0917 - those of `answer`
        self, emit: Emit, location_id: str, after: MessageCursor, types: frozenset[str] | None, recheck: Recheck,
        stopping: asyncio.Event, beat_seconds: float, retry_seconds: float,
    ) -> None:  # fmt: skip
        clock = asyncio.get_running_loop().time
        await emit(f"retry: {RETRY_SECONDS * 1_000:.0f}\nid: {after}\n\n".encode("ascii"))
        beat_at = clock() + beat_seconds
        with self._open_watch(location_id) as watch:
            while not stopping.is_set():
                if clock() >= beat_at:
                    with suppress(_Unavailable):
                        await _unless_unavailable(recheck())
                    await emit(f"id: {after}\n\n".encode("ascii"))
                    beat_at = clock() + beat_seconds
                read = partial(self._reader.read, location_id, after, types, PAGE, shorter=True)
                try:
                    page = await _unless_unavailable(to_thread.run_sync(read, limiter=self._readers))
                except _Unavailable:
                    await _pause(retry_seconds, stopping)
                    continue
                if page.messages:
                    await emit(b"".join(_block(each) for each in page.messages))
                after = page.next
                if page.is_last:
                    if page.messages:
                        await _pause(LINGER_SECONDS, stopping)
                    await watch.wait(beat_at - clock(), stopping)


class _Unavailable(Exception):
    """The database is away, or busy: for a while, as a rule."""


async def _unless_unavailable(awaited: Awaitable[T]) -> T:
    """The result. Raises _Unavailable for a Problem 503, which passes: many clients give up where they are told so."""
    try:
        return await awaited
    except Problem as problem:
        if problem.status == DATABASE_UNAVAILABLE.status:
            raise _Unavailable from problem
        raise


async def _pause(seconds: float, stopping: asyncio.Event) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(stopping.wait(), seconds)


def _block(message: OutboxMessage) -> bytes:
    return b"id: %s\ndata: %s\n\n" % (str(message.cursor).encode("ascii"), message.body)
