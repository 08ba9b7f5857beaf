"""What waits for the writer is bounded, whoever it took in is answered, and no count looks back on its thread."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest

from branch_node.commands import counts
from branch_node.commands.correction_inputs import CorrectionContent
from branch_node.commands.corrections import VoidEvent
from branch_node.commands.event_commands import RecordEvent
from branch_node.commands.event_inputs import EventInput, entry_of
from branch_node.commands.order_inputs import OrderInput, order_of
from branch_node.commands.orders import RecordOrder
from branch_node.database import lookups
from branch_node.model import Command, Decision, View
from branch_node.writer import command_queue
from shared.events import MAX_LINES
from shared.runtime.problems import Problem, Recorded
from tests.support.branch import Branch, read
from tests.support.branch_api import Caller
from tests.support.events import MINUTE


class Held(Command):
    """Holds the writer until it is opened; then it ends the writer, if it is to."""

    def __init__(self, *, end: bool = False) -> None:
        self.reached = threading.Event()
        self.open = threading.Event()
        self.end = end

    def decide(self, view: View) -> Decision:
        self.reached.set()
        assert self.open.wait(20)
        if self.end:
            raise SystemExit("the writer's end")
        return Decision(answer="passed")


class Sized(Command):
    """Takes so many events and bytes of the queue, and records nothing."""

    def __init__(self, *, events: int = 1, content: int = 1) -> None:
        self.size = events
        self.content_bytes = content

    def decide(self, view: View) -> Decision:
        return Decision(answer="done")


@pytest.mark.parametrize(
    ("bound", "one"), [("QUEUE_EVENTS", Sized(events=30)), ("QUEUE_BYTES", Sized(content=30))], ids=["events", "bytes"]
)
def test_the_queue_is_bounded_by_events_and_bytes(
    any_branch: Branch, monkeypatch: pytest.MonkeyPatch, bound: str, one: Sized
) -> None:
    monkeypatch.setattr(command_queue, bound, 100)
    writer = any_branch.writer
    writer.start()
    try:
        gate = Held()
        held = writer.submit(gate)
        assert gate.reached.wait(20)
        waiting: list[Future[Any]] = []

        def fill() -> None:
            for _ in range(command_queue.QUEUE_ENTRIES):
                waiting.append(writer.submit(one))

        with pytest.raises(Problem) as caught:
            fill()
        assert (caught.value.code, caught.value.recorded) == ("busy", Recorded.NO)
        assert caught.value.headers["Retry-After"] == "1"
        assert len(waiting) <= 3
        gate.open.set()
        assert [each.result(20) for each in (held, *waiting)] == ["passed", *["done"] * len(waiting)]
        # There is room again, and one that is larger than the whole queue waits alone.
        assert writer.submit(Sized(events=1_000, content=1_000)).result(20) == "done"
    finally:
        writer.stop()


def an_order(number: int) -> RecordOrder:
    """An order of thirty lines."""
    lines = [{"item_id": "milk", "quantity": 1}] * 30
    return RecordOrder(order_of(read(OrderInput, {"order_id": f"o-{number}", "lines": lines})), key=None, actor="till")


def an_event(number: int) -> RecordEvent:
    """An event with a note of nearly a thousand bytes."""
    sent = {"type": "PURCHASE_RECEIVED", "item_id": "milk", "quantity": 1, "note": "x" * 950}
    return RecordEvent(entry_of(read(EventInput, sent)), key=f"k-{number}", actor="till")


@pytest.mark.parametrize(
    ("bound", "room", "made"),
    [("QUEUE_EVENTS", 100, an_order), ("QUEUE_BYTES", 4_000, an_event)],
    ids=["events", "bytes"],
)
def test_a_command_counts_with_its_events_and_with_its_bytes(
    monkeypatch: pytest.MonkeyPatch, bound: str, room: int, made: Callable[[int], Command]
) -> None:
    monkeypatch.setattr(command_queue, bound, room)
    waiting = command_queue.CommandQueue()

    def put(number: int) -> None:
        waiting.put(command_queue.QueueEntry([made(number)], Future(), loop=None, many=False))

    def fill(first: int) -> None:
        for number in range(first, first + 3):
            put(number)
        with pytest.raises(Problem, match="busy"):
            put(first + 3)

    fill(0)
    # Those that are done leave their room to others.
    done = waiting.take(1)
    assert len(done) == 3
    for entry in done:
        entry.outcomes = ["done"]
    waiting.complete(done)
    fill(10)


@pytest.mark.parametrize("ends", ["stopped", "failed"])
def test_a_future_given_between_the_check_and_the_writers_end_is_answered(any_branch: Branch, ends: str) -> None:
    """The race is forced: the writer ends after a request was checked and before it is put into the queue."""
    writer = any_branch.writer
    writer.start()
    gate = Held(end=ends == "failed")
    writer.submit(gate)
    assert gate.reached.wait(20)
    real = writer._check_accepting

    def check_then_end() -> None:
        real()
        gate.open.set()
        if ends == "stopped":
            writer.stop()
        assert writer._thread is not None
        writer._thread.join(20)
        assert not writer._thread.is_alive()

    writer._check_accepting = check_then_end  # type: ignore[method-assign]
    with pytest.raises(Problem) as caught:
        writer.submit(any_branch.event_command("PURCHASE_RECEIVED", "milk", 1)).result(5)
    assert (caught.value.code, caught.value.recorded) == ("not-writing", Recorded.NO)
    assert any_branch.events() == []


def test_who_waits_when_the_writer_fails_is_answered(any_branch: Branch) -> None:
    writer = any_branch.writer
    writer.start()
    gate = Held(end=True)
    writer.submit(gate)
    assert gate.reached.wait(20)
    waiting = [writer.submit(any_branch.event_command("PURCHASE_RECEIVED", "milk", 1)) for _ in range(3)]
    gate.open.set()
    for each in waiting:
        with pytest.raises(Problem) as caught:
            each.result(20)
        assert (caught.value.code, caught.value.recorded) == ("not-writing", Recorded.NO)
    assert any_branch.events() == []


def test_a_count_looks_back_off_the_writers_thread_and_reads_few_lines(
    caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    for part in range(3):
        batch = [
            {"key": f"k{part}-{each}", "type": "PURCHASE_RECEIVED", "item_id": "milk", "quantity": 1}
            for each in range(1_000)
        ]
        assert caller.post("/v1/events/batch", {"events": batch}).status_code == 200
    caller.node.clock._base.advance(MINUTE)  # type: ignore[attr-defined]
    threads: set[str] = set()
    read: list[bytes] = []
    real_look, real_understand = counts.newest_of_item, lookups.understand  # type: ignore[attr-defined]

    def look(*arguments: Any) -> Any:
        threads.add(threading.current_thread().name)
        # The writer goes on meanwhile.
        command = caller.node.writer.submit(Sized())
        assert command.result(20) == "done"
        return real_look(*arguments)

    def understand(line: bytes) -> Any:
        read.append(line)
        return real_understand(line)

    monkeypatch.setattr(counts, "newest_of_item", look)
    monkeypatch.setattr(lookups, "understand", understand)
    line = {"item_id": "milk", "counted": 5, "seen_at": "2026-01-01T11:00:00Z"}
    answer = caller.post("/v1/counts", {"count_id": "c", "lines": [line]}, key="c")
    assert answer.status_code == 201, answer.text
    (item,) = answer.json()["items"]
    assert item["moved_quantity"] == 3_000
    assert [each["sequence"] for each in item["moved"]] == list(range(2_901, 3_001))
    assert len(threads) == 1
    assert "larder-writer" not in threads
    assert len(read) < 150
    assert caller.post("/v1/counts", {"count_id": "c", "lines": [line]}, key="c").json() == answer.json()


def test_voids_of_whole_commands_share_a_transaction_only_up_to_its_bound() -> None:
    waiting = command_queue.CommandQueue()
    for each in range(6):
        content = CorrectionContent(event_id=f"event-{each}", reason="mistake", whole=True)
        void = VoidEvent(content, key=f"void-{each}", actor="manager-1")
        waiting.put(command_queue.QueueEntry([void], Future(), loop=None, many=False))
    assert len(waiting.take(1)) * MAX_LINES <= command_queue.GROUP_EVENTS


def test_an_arrival_wakes_the_writer_at_whatever_moment_it_comes() -> None:
    """A wake-up that is lost costs its `take` twenty seconds."""
    waiting = command_queue.CommandQueue()
    callers, each = 4, 1_500
    taken: list[int] = []

    def call() -> None:
        for _ in range(each):
            done: Future[Any] = Future()
            waiting.put(command_queue.QueueEntry([Sized()], done, loop=None, many=False))
            done.result(30)

    threads = [threading.Thread(target=call, daemon=True) for _ in range(callers)]
    for thread in threads:
        thread.start()
    longest = 0.0
    while sum(taken) < callers * each:
        begin = time.monotonic()
        group = waiting.take(block_for=20.0)
        longest = max(longest, time.monotonic() - begin)
        for entry in group:
            entry.outcomes = ["done"]
        waiting.complete(group)
        taken.append(len(group))
    for thread in threads:
        thread.join(30)
    assert len(waiting) == 0
    assert longest < 15


def test_arrivals_of_one_loop_and_of_threads_are_taken_in_their_order() -> None:
    waiting = command_queue.CommandQueue()
    entries = [command_queue.QueueEntry([Sized()], Future(), loop=None, many=False) for _ in range(5)]

    async def arrive() -> None:
        loop = asyncio.get_running_loop()
        for entry in entries[:3]:
            waiting.put_from(loop, entry)
        await asyncio.sleep(0)

    asyncio.run(arrive())
    for entry in entries[3:]:
        waiting.put(entry)
    assert waiting.take(block_for=0) == entries
    assert waiting.take(block_for=0) == []
