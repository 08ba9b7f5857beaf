"""Where the threads meet: what is bounded, what gives way, what is kept when it cannot be done."""

from __future__ import annotations

import threading

import pytest

from shared.messages import Instruction, InstructionLine, InstructionStep
from shared.runtime.problems import Problem
from shared.runtime.retry import Backoff, RetryTimer
from tests.support.waiting import wait_until
from transfer_coordinator.worker.mailboxes import (
    MOST_COMMANDS,
    MOST_LINES,
    MOST_PAGES,
    MOST_UNSENT,
    Cancel,
    FactPage,
    RoundQueue,
    SendBatch,
    SendQueue,
)


def instruction(name: str, step: InstructionStep = InstructionStep.OUT, lines: int = 1) -> Instruction:
    return Instruction(
        transfer_id=name,
        step=step,
        token=1,
        location_id="A",
        source="A",
        destination="B",
        lines=tuple(InstructionLine(number, f"i{number}", 1, "kg") for number in range(1, lines + 1)),
    )


def test_too_many_commands_are_refused() -> None:
    round_queue = RoundQueue()
    for number in range(MOST_COMMANDS):
        round_queue.submit(Cancel(transfer_id=str(number), by="k"))
    with pytest.raises(Problem) as refused:
        round_queue.submit(Cancel(transfer_id="more", by="k"))
    assert (refused.value.code, refused.value.headers) == ("overloaded", {"Retry-After": "1"})
    assert len(round_queue.take().cancels) == MOST_COMMANDS
    round_queue.submit(Cancel(transfer_id="more", by="k"))


def test_a_closed_inbox_takes_nothing_and_holds_nobody() -> None:
    round_queue = RoundQueue()
    round_queue.close()
    with pytest.raises(Problem):
        round_queue.submit(Cancel(transfer_id="t", by="k"))
    for _ in range(MOST_PAGES + 1):
        round_queue.put_facts(FactPage([], "next"))
    assert round_queue.wait(60) is False


def test_pages_wait_until_there_is_room() -> None:
    round_queue = RoundQueue()
    for _ in range(MOST_PAGES):
        round_queue.put_facts(FactPage([], None))
    thread = threading.Thread(target=round_queue.put_facts, args=(FactPage([], "last"),))
    thread.start()
    assert len(round_queue.take().pages) == MOST_PAGES
    thread.join(10)
    assert [each.cursor for each in round_queue.take().pages] == ["last"]


def test_what_could_not_be_done_comes_first_again() -> None:
    round_queue = RoundQueue()
    round_queue.put_facts(FactPage([], "2"))
    round_queue.put_back(creates=[], pages=[FactPage([], "0"), FactPage([], "1")], answers=[])
    assert [each.cursor for each in round_queue.take().pages] == ["0", "1", "2"]


def test_a_wake_up_is_told_apart_from_work() -> None:
    round_queue = RoundQueue()
    round_queue.wake()
    assert round_queue.wait(0) is True
    assert round_queue.wait(0) is False
    round_queue.submit(Cancel(transfer_id="t", by="k"))
    assert round_queue.wait(60) is False


def test_the_newest_instruction_of_a_transfer_is_sent() -> None:
    send_queue = SendQueue()
    send_queue.put([instruction("t1"), instruction("t2")], ["t1"])
    send_queue.put([instruction("t1", InstructionStep.REFUSE_OUT)], ["t1"])
    batch = send_queue.take()
    assert [(each.transfer_id, each.step.value) for each in batch.instructions] == [
        ("t2", "out"),
        ("t1", "refuse-out"),
    ]
    assert batch.fact_requests == ["t1"]
    assert not send_queue.take()


def test_what_comes_back_gives_way_to_what_is_newer() -> None:
    send_queue = SendQueue()
    send_queue.put([instruction("t1", InstructionStep.REFUSE_OUT)], [])
    send_queue.put_back(SendBatch([instruction("t1"), instruction("t2")], ["t3"]))
    assert {(each.transfer_id, each.step.value) for each in send_queue.take().instructions} == {
        ("t1", "refuse-out"), ("t2", "out"),
    }  # fmt: skip


def test_one_request_is_bounded_in_lines() -> None:
    send_queue = SendQueue()
    send_queue.put([instruction(f"t{number}", lines=200) for number in range(100)], [])
    first = send_queue.take().instructions
    assert sum(len(each.lines) for each in first) == MOST_LINES
    assert len(send_queue.take().instructions) == MOST_LINES // 200
    assert len(send_queue.take().instructions) == 100 - 2 * (MOST_LINES // 200)


def test_a_full_outbox_lets_newer_instructions_take_their_place_and_no_others() -> None:
    send_queue = SendQueue()
    send_queue.put([instruction(f"t{number}") for number in range(MOST_UNSENT + 5)], ["a"] * 3)
    send_queue.put([instruction("t0", InstructionStep.REFUSE_OUT), instruction("more")], [])
    waiting: dict[str, str] = {}
    while batch := send_queue.take():
        waiting |= {each.transfer_id: each.step.value for each in batch.instructions}
    assert len(waiting) == MOST_UNSENT
    assert waiting["t0"] == "refuse-out"
    assert "more" not in waiting


def test_a_thread_that_waits_to_send_is_woken() -> None:
    send_queue = SendQueue()
    woken = threading.Event()

    def wait() -> None:
        send_queue.wait(60)
        woken.set()

    thread = threading.Thread(target=wait)
    thread.start()
    send_queue.put([instruction("t1")], [])
    wait_until(woken.is_set, what="the thread to wake")
    thread.join(10)


def test_back_off_doubles_up_to_a_bound_and_ends_with_success() -> None:
    moment = 100.0
    backoff = RetryTimer(Backoff(first=0.2, longest=3.0), lambda: moment)
    assert (backoff.failing, backoff.remaining()) == (False, 0.0)
    waits = []
    for _ in range(7):
        backoff.failed()
        waits.append(round(backoff.remaining(), 3))
    assert waits[0] == 0.2
    assert waits == sorted(waits)
    assert waits[-1] == 3.0
    moment += 3.5
    assert (backoff.failing, backoff.remaining()) == (True, 0.0)
    backoff.succeeded()
    assert backoff.failing is False
