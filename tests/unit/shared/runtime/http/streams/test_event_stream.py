"""Streams: their number is bounded, they hold what they send and no more, and end when somebody wants them to."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from starlette.requests import ClientDisconnect

from shared.runtime.http.streams.event_stream import Emit, EventStream, StreamSlots
from shared.runtime.http.streams.watches import Watches

KEY = "0123456789ab"


class Client:
    """The server's side of one connection: takes what it is sent while `reads` is set, and leaves when told."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.reads = asyncio.Event()
        self.reads.set()
        self.leaves = asyncio.Event()

    async def send(self, message: Any) -> None:
        await self.reads.wait()
        self.sent.append(message)

    async def receive(self) -> Any:
        await self.leaves.wait()
        return {"type": "http.disconnect"}

    async def ask(self, stream: EventStream) -> None:
        await stream({"type": "http", "method": "GET"}, self.receive, self.send)

    @property
    def bodies(self) -> list[bytes]:
        return [each["body"] for each in self.sent if each["type"] == "http.response.body"]


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(20):
            await test()

    asyncio.run(bounded())


async def three(emit: Emit) -> None:
    for part in (b"a", b"b", b"c"):
        await emit(part)


def test_a_stream_ends_where_nothing_more_comes() -> None:
    async def test() -> None:
        slots, client = StreamSlots(1), Client()
        await client.ask(EventStream(three, slots, KEY))
        start = client.sent[0]
        headers = dict(start["headers"])
        assert headers[b"content-type"].startswith(b"text/event-stream")
        assert b"content-length" not in headers
        assert client.bodies == [b"a", b"b", b"c", b""]
        assert [each["more_body"] for each in client.sent[1:]] == [True, True, True, False]
        assert slots.open == 0

    run(test)


def test_the_number_of_streams_is_bounded() -> None:
    async def test() -> None:
        slots, endless, late = StreamSlots(1), Client(), Client()

        async def waits(_emit: Emit) -> None:
            await asyncio.Event().wait()

        first = asyncio.ensure_future(endless.ask(EventStream(waits, slots, KEY)))
        while slots.open == 0:
            await asyncio.sleep(0)
        await late.ask(EventStream(three, slots, KEY))
        assert late.sent[0]["status"] == 503
        assert b'"overloaded"' in late.bodies[0]
        endless.leaves.set()
        await first
        assert slots.open == 0
        again = Client()
        await again.ask(EventStream(three, slots, KEY))
        assert again.sent[0]["status"] == 200

    run(test)


def test_a_key_takes_its_share_of_the_places_alone() -> None:
    async def test() -> None:
        slots, clients = StreamSlots(5, 2), [Client() for _ in range(6)]

        async def waits(_emit: Emit) -> None:
            await asyncio.Event().wait()

        keys = ("a", "a", "b", "b", "c")
        asked = [
            asyncio.ensure_future(client.ask(EventStream(waits, slots, key)))
            for client, key in zip(clients, keys, strict=False)
        ]
        while slots.open < len(keys):
            await asyncio.sleep(0)
        for key, status, code in (("a", 429, b'"too-many-streams"'), ("c", 503, b'"overloaded"')):
            late = Client()
            await late.ask(EventStream(three, slots, key))
            assert late.sent[0]["status"] == status
            assert code in late.bodies[0]
            assert dict(late.sent[0]["headers"])[b"retry-after"] == b"15"
        clients[0].leaves.set()
        await asked[0]
        again = Client()
        await again.ask(EventStream(three, slots, "a"))
        assert again.sent[0]["status"] == 200
        for client in clients:
            client.leaves.set()
        await asyncio.gather(*asked)
        assert slots.open == 0
        assert not slots._by_key, "keys that are gone are not remembered"

    run(test)


def test_nothing_more_is_made_while_the_client_does_not_read() -> None:
    async def test() -> None:
        made: list[int] = []
        client = Client()

        async def produce(emit: Emit) -> None:
            for number in range(100):
                made.append(number)
                if number == 2:
                    client.reads.clear()
                await emit(b"x")

        asked = asyncio.ensure_future(client.ask(EventStream(produce, StreamSlots(), KEY)))
        while client.reads.is_set():
            await asyncio.sleep(0)
        for _ in range(20):
            await asyncio.sleep(0)
        assert made == [0, 1, 2]
        client.reads.set()
        await asked
        assert len(made) == 100

    run(test)


def test_a_client_that_never_reads_is_cut_off() -> None:
    async def test() -> None:
        slots, client = StreamSlots(1), Client()

        async def produce(emit: Emit) -> None:
            client.reads.clear()
            await emit(b"x")

        with pytest.raises(ClientDisconnect):
            await client.ask(EventStream(produce, slots, KEY, stalled_seconds=0.01))
        assert slots.open == 0
        assert client.bodies == []

    run(test)


def test_a_fault_is_passed_on_and_the_slot_is_free_again() -> None:
    async def test() -> None:
        slots = StreamSlots(1)

        async def breaks(_emit: Emit) -> None:
            raise LookupError("a defect")

        with pytest.raises(LookupError):
            await Client().ask(EventStream(breaks, slots, KEY))
        assert slots.open == 0

    run(test)


def test_watches_miss_nothing_between_reading_and_waiting() -> None:
    async def test() -> None:
        watches, stopping = Watches(), asyncio.Event()
        watches.wake()  # nobody waits
        with watches.watch() as watch:
            await asyncio.to_thread(watches.wake)
            assert await watch.wait(10, stopping)
            assert not await watch.wait(0, stopping)
            stopping.set()
            watches.wake()
            assert not await watch.wait(10, stopping)
        watches.wake()

    run(test)
