"""When to ask, when to ask again, when to give the lease back: the moves of one transfer."""

from __future__ import annotations

import msgspec

from shared.events import EventType
from shared.messages import Fact, InstructionLine, InstructionStep
from transfer_coordinator.saga.planner import Move, Policy, TransferRecord, merged, plan
from transfer_coordinator.saga.saga import State, Transfer

SECOND = 1_000_000
NOW = 1_740_000_000 * SECOND
POLICY = Policy(ask_again=5, ask_again_longest=60)
TRANSFER = Transfer(
    transfer_id="t1",
    source="A",
    destination="B",
    lines=(InstructionLine(line=1, item_id="milk", quantity=1_000, unit="l"),),
)
NEW = TransferRecord(transfer=TRANSFER, state=State.REQUESTED, created_at=NOW, token=1)


def fact(site: str, kind: EventType, sequence: int = 1) -> Fact:
    return Fact(
        location_id=site, sequence=sequence, type=kind, item_id="milk", quantity=1_000, occurred_at=NOW, received_at=NOW
    )


def moved(record: TransferRecord, now: int = NOW, told: int | None = None) -> Move:
    move = plan(record, told, now, POLICY)
    assert move is not None
    return move


def test_a_new_one_is_asked_at_once_and_journalled_first() -> None:
    move = moved(NEW)
    assert (move.record.state, move.record.attempts, move.record.asked_at) == (State.OUT_PENDING, 1, NOW)
    assert [(each.state, each.asked) for each in move.entries] == [(State.OUT_PENDING, InstructionStep.OUT)]
    assert move.instruction is not None
    assert (move.instruction.token, move.request_facts, move.release) == (1, False, False)
    assert move.record.due_at == NOW + 5 * SECOND


def test_nothing_to_do_until_it_is_due() -> None:
    waiting = moved(NEW).record
    assert plan(waiting, None, NOW + 5 * SECOND - 1, POLICY) is None


def test_asked_again_after_ever_longer_times_and_given_back() -> None:
    record, now, pauses = moved(NEW).record, NOW, []
    for _ in range(6):
        assert record.due_at is not None
        pauses.append((record.due_at - now) // SECOND)
        now = record.due_at
        move = moved(record, now)
        record = move.record
        assert move.instruction is not None
        assert (move.request_facts, move.release, move.entries) == (True, True, ())
    assert pauses == [5, 10, 20, 40, 60, 60]
    assert record.attempts == 7


def test_a_new_step_begins_its_own_count() -> None:
    asked_often = msgspec.structs.replace(moved(NEW).record, attempts=4, facts=(fact("A", EventType.TRANSFER_OUT),))
    move = moved(asked_often, NOW + 1)
    assert (move.record.last_step, move.record.attempts, move.release) == (InstructionStep.IN, 1, False)
    assert move.record.token == 1


def test_a_change_of_mind_takes_a_new_token_once() -> None:
    cancelled = msgspec.structs.replace(TRANSFER, cancel_requested_at=NOW, asked=frozenset({InstructionStep.OUT}))
    record = msgspec.structs.replace(moved(NEW).record, transfer=cancelled)
    first = moved(record)
    assert first.instruction is not None
    assert (first.token, first.record.token, first.instruction.token) == (1, 2, 2)
    again = moved(first.record, NOW + 60 * SECOND)
    assert again.record.token == 2


def test_it_is_looked_at_when_the_deadline_comes() -> None:
    soon = msgspec.structs.replace(NEW, transfer=msgspec.structs.replace(TRANSFER, deadline=NOW + 3 * SECOND))
    waiting = moved(soon).record
    assert waiting.due_at == NOW + 3 * SECOND
    called_back = moved(waiting, NOW + 3 * SECOND)
    assert called_back.record.last_step is InstructionStep.REFUSE_OUT
    assert called_back.record.due_at == NOW + 8 * SECOND


def test_an_end_is_told_once_and_gives_the_lease_back() -> None:
    facts = (fact("A", EventType.TRANSFER_OUT), fact("B", EventType.TRANSFER_IN))
    move = moved(msgspec.structs.replace(moved(NEW).record, facts=facts), NOW + 7)
    assert (move.record.state, move.record.ended_at, move.record.due_at) == (State.COMPLETED, NOW + 7, None)
    assert (move.instruction, move.request_facts) == (None, False)
    assert move.entries[0].note == "received"


def test_cancelled_before_anything_was_asked_it_looks_and_keeps_the_lease_meanwhile() -> None:
    cancelled = msgspec.structs.replace(NEW, transfer=msgspec.structs.replace(TRANSFER, cancel_requested_at=NOW))
    move = moved(cancelled)
    assert (move.record.state, move.request_facts, move.release, move.instruction) == (
        State.REQUESTED,
        True,
        False,
        None,
    )
    assert plan(move.record, None, NOW + 1, POLICY) is None
    again = moved(move.record, NOW + 5 * SECOND)
    assert (again.request_facts, again.release) == (True, False)
    end = moved(move.record, NOW + 1, told=0)
    assert (end.record.state, end.record.end_reason) == (State.REJECTED, "never-asked")


def test_facts_only_add_up() -> None:
    out, back = fact("A", EventType.TRANSFER_OUT, 4), fact("A", EventType.TRANSFER_REVERSED, 9)
    known = merged(NEW, [back])
    assert merged(known, [back]) is known
    assert merged(known, []) is known
    assert merged(known, [out]).facts == (out, back)
