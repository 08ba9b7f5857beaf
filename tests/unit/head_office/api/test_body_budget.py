"""Bodies are let in as long as there is room for them, in the order they came."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.requests import Request

from head_office.api import body_budget
from head_office.api.body_budget import Bodies
from shared.runtime.problems import Problem


def a_request(body: bytes, *, announced: bool = True, wait: Awaitable[Any] | None = None) -> Request:
    headers = [(b"content-length", str(len(body)).encode())] if announced else []

    async def receive() -> dict[str, Any]:
        if wait is not None:
            await wait
        return {"type": "http.request", "body": body, "more_body": False}

    return Request({"type": "http", "method": "POST", "path": "/", "headers": headers}, receive)


async def hold(room: Bodies, request: Request, until: asyncio.Event, entered: Callable[[bytes], None]) -> None:
    async with room.read(request) as body:
        entered(body)
        await until.wait()


def test_one_that_does_not_fit_waits_and_holds_up_those_behind_it() -> None:
    async def run() -> None:
        room, inside = Bodies(100, 100), []  # type: ignore[var-annotated]
        first, others = asyncio.Event(), asyncio.Event()
        tasks = [asyncio.create_task(hold(room, a_request(b"a" * 60), first, inside.append))]
        await asyncio.sleep(0)
        tasks += [asyncio.create_task(hold(room, a_request(b"b" * 60), others, inside.append))]
        tasks += [asyncio.create_task(hold(room, a_request(b"c" * 10), others, inside.append))]
        for _ in range(5):
            await asyncio.sleep(0)
        assert [body[:1] for body in inside] == [b"a"]
        first.set()
        for _ in range(10):
            await asyncio.sleep(0)
        assert [body[:1] for body in inside] == [b"a", b"b", b"c"]
        others.set()
        await asyncio.gather(*tasks)
        assert room._free == 100

    asyncio.run(run())


def test_one_that_announces_nothing_counts_as_the_largest() -> None:
    async def run() -> None:
        room = Bodies(100, 80)
        async with room.read(a_request(b"x", announced=False)):
            assert room._free == 20
        assert room._free == 100

    asyncio.run(run())


def test_no_room_in_time_and_a_body_that_never_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_budget, "ROOM_SECONDS", 0.01)
    monkeypatch.setattr(body_budget, "READ_SECONDS", 0.01)

    async def run() -> None:
        room, end = Bodies(100, 100), asyncio.Event()
        holder = asyncio.create_task(hold(room, a_request(b"a" * 60), end, lambda _: None))
        await asyncio.sleep(0)
        with pytest.raises(Problem) as refused:
            async with room.read(a_request(b"b" * 60)):
                raise AssertionError
        assert (refused.value.code, refused.value.headers["Retry-After"]) == ("overloaded", "2")
        end.set()
        await holder
        with pytest.raises(Problem) as refused:
            async with room.read(a_request(b"c", wait=asyncio.Event().wait())):
                raise AssertionError
        assert refused.value.code == "body-too-slow"
        assert room._free == 100
        assert not room._waiting

    asyncio.run(run())


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 50), st.sampled_from(["leave", "cancel"])), max_size=12),
    st.randoms(use_true_random=False),
)
def test_whatever_leaves_or_is_cancelled_all_room_comes_back(visits: list[tuple[int, str]], chance: Any) -> None:
    async def run() -> None:
        room, inside = Bodies(60, 50), set[int]()
        ends = [asyncio.Event() for _ in visits]

        async def visit(number: int) -> None:
            async with room.read(a_request(b"x" * visits[number][0])):
                inside.add(number)
                assert sum(visits[each][0] for each in inside) <= 60
                try:
                    await ends[number].wait()
                finally:
                    inside.discard(number)

        tasks = [asyncio.create_task(visit(number)) for number in range(len(visits))]
        order = list(range(len(visits)))
        chance.shuffle(order)
        for number in order:
            for _ in range(chance.randrange(4)):
                await asyncio.sleep(0)
            if visits[number][1] == "leave":
                ends[number].set()
            else:
                tasks[number].cancel()
        done = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(each is None or isinstance(each, asyncio.CancelledError) for each in done), done
        assert room._free == 60
        assert not room._waiting

    asyncio.run(run())
