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
    Inbox,
    Letters,
    Outbox,
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
    inbox = Inbox()
    for number in range(MOST_COMMANDS):
        inbox.submit(Cancel(transfer_id=str(number), by="k"))
    with pytest.raises(Problem) as refused:
        inbox.submit(Cancel(transfer_id="more", by="k"))
    assert (refused.value.code, refused.value.headers) == ("overloaded", {"Retry-After": "1"})
    assert len(inbox.take().cancels) == MOST_COMMANDS
    inbox.submit(Cancel(transfer_id="more", by="k"))


def test_a_closed_inbox_takes_nothing_and_holds_nobody() -> None:
    inbox = Inbox()
    inbox.close()
    with pytest.raises(Problem):
        inbox.submit(Cancel(transfer_id="t", by="k"))
    for _ in range(MOST_PAGES + 1):
        inbox.hear(FactPage([], "next"))
    assert inbox.wait(60) is False


def test_pages_wait_until_there_is_room() -> None:
    inbox = Inbox()
    for _ in range(MOST_PAGES):
        inbox.hear(FactPage([], None))
    thread = threading.Thread(target=inbox.hear, args=(FactPage([], "last"),))
    thread.start()
    assert len(inbox.take().pages) == MOST_PAGES
    thread.join(10)
    assert [each.cursor for each in inbox.take().pages] == ["last"]


def test_what_could_not_be_done_comes_first_again() -> None:
    inbox = Inbox()
    inbox.hear(FactPage([], "2"))
    inbox.give_back(creates=[], pages=[FactPage([], "0"), FactPage([], "1")], answers=[])
    assert [each.cursor for each in inbox.take().pages] == ["0", "1", "2"]


def test_a_wake_up_is_told_apart_from_work() -> None:
    inbox = Inbox()
    inbox.wake()
    assert inbox.wait(0) is True
    assert inbox.wait(0) is False
    inbox.submit(Cancel(transfer_id="t", by="k"))
    assert inbox.wait(60) is False


def test_the_newest_instruction_of_a_transfer_is_sent() -> None:
    outbox = Outbox()
    outbox.put([instruction("t1"), instruction("t2")], ["t1"])
    outbox.put([instruction("t1", InstructionStep.REFUSE_OUT)], ["t1"])
    letters = outbox.take()
    assert [(each.transfer_id, each.step.value) for each in letters.instructions] == [
        ("t2", "out"),
        ("t1", "refuse-out"),
    ]
    assert letters.looks == ["t1"]
    assert not outbox.take()


def test_what_comes_back_gives_way_to_what_is_newer() -> None:
    outbox = Outbox()
    outbox.put([instruction("t1", InstructionStep.REFUSE_OUT)], [])
    outbox.give_back(Letters([instruction("t1"), instruction("t2")], ["t3"]))
    assert {(each.transfer_id, each.step.value) for each in outbox.take().instructions} == {
        ("t1", "refuse-out"), ("t2", "out"),
    }  # fmt: skip


def test_one_request_is_bounded_in_lines() -> None:
    outbox = Outbox()
    outbox.put([instruction(f"t{number}", lines=200) for number in range(100)], [])
    first = outbox.take().instructions
    assert sum(len(each.lines) for each in first) == MOST_LINES
    assert len(outbox.take().instructions) == MOST_LINES // 200
    assert len(outbox.take().instructions) == 100 - 2 * (MOST_LINES // 200)


def test_a_full_outbox_lets_newer_instructions_take_their_place_and_no_others() -> None:
    outbox = Outbox()
    outbox.put([instruction(f"t{number}") for number in range(MOST_UNSENT + 5)], ["a"] * 3)
    outbox.put([instruction("t0", InstructionStep.REFUSE_OUT), instruction("more")], [])
    waiting: dict[str, str] = {}
    while letters := outbox.take():
        waiting |= {each.transfer_id: each.step.value for each in letters.instructions}
    assert len(waiting) == MOST_UNSENT
    assert waiting["t0"] == "refuse-out"
    assert "more" not in waiting


def test_a_thread_that_waits_to_send_is_woken() -> None:
    outbox = Outbox()
    woken = threading.Event()

    def wait() -> None:
        outbox.wait(60)
        woken.set()

    thread = threading.Thread(target=wait)
    thread.start()
    outbox.put([instruction("t1")], [])
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
