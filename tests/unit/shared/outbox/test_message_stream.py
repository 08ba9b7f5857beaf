"""The stream of a log: what is there, then each message as it comes; it resumes, beats, and ends."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

from shared.outbox.message_cursor import BEFORE_ALL, MessageCursor
from shared.outbox.message_stream import PAGE, MessageStreams
from shared.outbox.outbox_reader import OutboxReader
from shared.runtime.http.streams.event_stream import EventStream
from shared.runtime.http.streams.watches import Watches
from shared.runtime.problems import DATABASE_UNAVAILABLE, UNAUTHENTICATED
from tests.support.events import NOON, an_event, seal_all
from tests.support.published import PLACE, MemoryLog, read_all


class GrowingLog:
    """A log of sales, and the stream of it; `lines` are the lines that its client has been sent."""

    def __init__(self) -> None:
        self._sealed = seal_all([an_event(seed=seed, occurred_at=NOON + seed) for seed in range(1, 2 * PAGE + 21)])
        self.log = MemoryLog([])
        self.commits = Watches()
        self.stopping = asyncio.Event()
        self.sent = bytearray()
        self.more = asyncio.Event()
        self.valid = True
        self.away = False
        self.tried = 0

    def grow(self, count: int) -> None:
        self.log._sealed = self._sealed[: self.log.head.sequence + count]
        self.commits.wake()

    @property
    def reader(self) -> OutboxReader:
        @contextmanager
        def opened(_location: str) -> Iterator[MemoryLog]:
            if self.away:
                self.tried += 1
                raise DATABASE_UNAVAILABLE("the line is cut")
            yield self.log

        return OutboxReader(opened)

    def open(
        self, after: MessageCursor, types: frozenset[str] | None = None, beat: float = 100.0
    ) -> asyncio.Task[None]:
        streams = MessageStreams(self.reader, lambda _location: self.commits.watch())
        answer = streams.answer(
            PLACE,
            after,
            types,
            key_id="k",
            recheck=self._recheck,
            stopping=self.stopping,
            beat_seconds=beat,
            retry_seconds=0.01,
        )
        return asyncio.ensure_future(self._ask(answer))

    async def _recheck(self) -> None:
        if self.away:
            raise DATABASE_UNAVAILABLE("the line is cut")
        if not self.valid:
            raise UNAUTHENTICATED("revoked")

    async def _ask(self, answer: EventStream) -> None:
        async def send(message: Any) -> None:
            self.sent += message.get("body", b"")
            self.more.set()

        async def receive() -> Any:
            await asyncio.Event().wait()

        await answer({"type": "http", "method": "GET"}, receive, send)

    async def until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self.more.clear()
            await self.more.wait()

    @property
    def blocks(self) -> list[str]:
        return self.sent.decode().split("\n\n")[:-1]

    @property
    def ids(self) -> list[str]:
        return [block.partition("\n")[0].removeprefix("id: ") for block in self.blocks if "\ndata: " in block]


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(20):
            await test()

    asyncio.run(bounded())


def test_what_is_there_then_what_comes_byte_for_byte() -> None:
    async def test() -> None:
        log = GrowingLog()
        log.grow(2 * PAGE + 3)
        task = log.open(BEFORE_ALL)
        await log.until(lambda: len(log.ids) == 2 * PAGE + 3)
        for _ in range(3):
            log.grow(1)
            size = log.log.head.sequence
            await log.until(lambda size=size: len(log.ids) == size)  # type: ignore[misc]
        log.stopping.set()
        await task
        assert log.blocks[0] == "retry: 3000\nid: 00000000-0000000000000000-000"
        every = read_all(log.reader)
        assert log.blocks[1:] == [f"id: {each.cursor}\ndata: {each.body.decode()}" for each in every]

    run(test)


def test_a_stream_resumes_behind_any_message() -> None:
    async def test() -> None:
        log = GrowingLog()
        log.grow(10)
        task = log.open(MessageCursor(1, 7, 0))
        await log.until(lambda: len(log.ids) == 3)
        log.stopping.set()
        await task
        assert [each.partition("-")[2] for each in log.ids] == [f"{sequence:016d}-000" for sequence in (8, 9, 10)]

    run(test)


def test_a_beat_tells_how_far_the_log_was_read_also_where_nothing_is_wanted() -> None:
    async def test() -> None:
        log = GrowingLog()
        log.grow(10)
        task = log.open(BEFORE_ALL, frozenset({"larder.LogContinued"}), beat=0.05)
        await log.until(lambda: "id: 00000001-0000000000000010-999" in log.blocks)
        log.stopping.set()
        await task
        assert log.ids == []

    run(test)


def test_a_stream_ends_at_the_next_beat_after_its_key_was_revoked() -> None:
    async def test() -> None:
        log = GrowingLog()
        task = log.open(BEFORE_ALL, beat=0.05)
        await log.until(lambda: len(log.blocks) >= 2)
        log.valid = False
        await task

    run(test)


def test_a_stream_whose_log_was_restored_ends() -> None:
    async def test() -> None:
        log = GrowingLog()
        log.grow(10)
        task = log.open(BEFORE_ALL)
        await log.until(lambda: len(log.ids) == 10)
        log.grow(-5)
        await task  # its client comes again, and is answered 409

    run(test)


def test_a_stream_outlives_a_database_that_is_away() -> None:
    async def test() -> None:
        log = GrowingLog()
        log.grow(2)
        task = log.open(BEFORE_ALL, beat=0.05)
        await log.until(lambda: len(log.ids) == 2)
        log.away = True
        log.grow(1)
        beats = len(log.blocks)
        await log.until(lambda: log.tried >= 3 and len(log.blocks) > beats + 1)  # it says that it lives
        log.away = False
        await log.until(lambda: len(log.ids) == 3)
        log.stopping.set()
        await task

    run(test)
