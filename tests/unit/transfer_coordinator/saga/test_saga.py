"""The saga by example: every arrow of DESIGN section 5, and every odd thing that the logs may say."""

from __future__ import annotations

from itertools import permutations

import msgspec
import pytest

from shared.events import EventType
from shared.messages import Fact, InstructionLine, InstructionStep, TransferFacts
from transfer_coordinator.saga.saga import (
    ENDED,
    NextStep,
    State,
    Transfer,
    TransferConflict,
    contradiction,
    instruction,
    next_step,
)

OUT, IN, LOST, REVERSED, REFUSED = (
    EventType.TRANSFER_OUT,
    EventType.TRANSFER_IN,
    EventType.TRANSFER_LOST,
    EventType.TRANSFER_REVERSED,
    EventType.TRANSFER_REFUSED,
)
NOW = 1_740_000_000_000_000
MILK = InstructionLine(line=1, item_id="milk", quantity=10_000, unit="l")
RICE = InstructionLine(line=2, item_id="rice", quantity=2_500, unit="kg")
ONE = Transfer(transfer_id="t1", source="A", destination="B", lines=(MILK,))
TWO = Transfer(transfer_id="t1", source="A", destination="B", lines=(MILK, RICE))


def heard(*found: tuple[str, EventType, str | None, int | None], token: int = 1) -> TransferFacts:
    facts = [
        Fact(
            location_id=site,
            sequence=number,
            type=kind,
            item_id=item_id,
            quantity=quantity,
            reason="no-room" if kind is REFUSED else None,
            occurred_at=NOW,
            received_at=NOW,
        )
        for number, (site, kind, item_id, quantity) in enumerate(found, start=1)
    ]
    return TransferFacts(transfer_id="t1", highest_token=token, facts=facts)


def asked(
    transfer: Transfer, *steps: InstructionStep, cancelled: bool = False, deadline: int | None = None
) -> Transfer:
    return msgspec.structs.replace(
        transfer, asked=frozenset(steps), cancel_requested_at=NOW - 1 if cancelled else None, deadline=deadline
    )


def shown(decision: NextStep) -> tuple[State, InstructionStep | None, str | None]:
    return (
        decision.state,
        decision.request.step if decision.request else None,
        decision.request.location_id if decision.request else None,
    )


SENT = ("A", OUT, "milk", 10_000)
RICE_SENT = ("A", OUT, "rice", 2_500)
ARRIVED = ("B", IN, "milk", 10_000)
NO_AT_A = ("A", REFUSED, None, None)
NO_AT_B = ("B", REFUSED, None, None)
BACK = ("A", REVERSED, "milk", 10_000)
S = InstructionStep


def test_the_straight_way() -> None:
    assert shown(next_step(ONE, None, NOW)) == (State.OUT_PENDING, S.OUT, "A")
    under_way = asked(ONE, S.OUT)
    assert shown(next_step(under_way, heard(), NOW)) == (State.OUT_PENDING, S.OUT, "A")
    assert shown(next_step(under_way, heard(SENT), NOW)) == (State.IN_PENDING, S.IN, "B")
    done = next_step(under_way, heard(SENT, ARRIVED), NOW)
    assert (done.state, done.request, done.end, done.conflict) == (State.COMPLETED, None, "received", None)


def test_refused_at_the_source() -> None:
    end = next_step(asked(ONE, S.OUT), heard(NO_AT_A), NOW)
    assert (end.state, end.end, end.request) == (State.REJECTED, "no-room", None)


def test_refused_at_the_destination_comes_back() -> None:
    under_way = asked(ONE, S.OUT, S.IN)
    assert shown(next_step(under_way, heard(SENT, NO_AT_B), NOW)) == (State.REVERSE_PENDING, S.REVERSE, "A")
    end = next_step(under_way, heard(SENT, NO_AT_B, BACK), NOW)
    assert (end.state, end.end, end.request) == (State.REVERSED, "no-room", None)


@pytest.mark.parametrize("wish", [{"cancelled": True}, {"deadline": NOW}, {"deadline": NOW - 1}])
def test_cancel_and_deadline_ask_for_refusals(wish: dict[str, object]) -> None:
    waiting = asked(ONE, S.OUT, **wish)  # type: ignore[arg-type]
    refuse = next_step(waiting, heard(), NOW)
    assert shown(refuse) == (State.OUT_CANCEL_PENDING, S.REFUSE_OUT, "A")
    assert refuse.request is not None
    assert refuse.request.reason == ("cancelled" if "cancelled" in wish else "deadline")
    assert next_step(waiting, heard(NO_AT_A), NOW).state is State.REJECTED
    # it left after all
    assert shown(next_step(waiting, heard(SENT), NOW)) == (State.CANCEL_PENDING, S.REFUSE_IN, "B")
    assert shown(next_step(waiting, heard(SENT, NO_AT_B), NOW)) == (State.REVERSE_PENDING, S.REVERSE, "A")
    # and arrived after all: the cancel came too late
    assert next_step(waiting, heard(SENT, ARRIVED), NOW).state is State.COMPLETED


def test_before_its_deadline_nothing_is_called_back() -> None:
    assert next_step(asked(ONE, S.OUT, deadline=NOW + 1), heard(SENT), NOW).state is State.IN_PENDING


def test_once_called_back_a_clock_that_goes_back_changes_nothing() -> None:
    called_back = asked(ONE, S.OUT, S.REFUSE_OUT, deadline=NOW + 1)
    assert shown(next_step(called_back, heard(), NOW)) == (State.OUT_CANCEL_PENDING, S.REFUSE_OUT, "A")
    assert shown(next_step(called_back, heard(SENT), NOW)) == (State.CANCEL_PENDING, S.REFUSE_IN, "B")


def test_cancel_before_anything_was_asked_needs_one_look() -> None:
    cancelled = asked(ONE, cancelled=True)
    look = next_step(cancelled, None, NOW)
    assert (look.state, look.request, look.request_facts) == (State.REQUESTED, None, True)
    end = next_step(cancelled, heard(token=0), NOW)
    assert (end.state, end.end) == (State.REJECTED, "never-asked")
    # a restored coordinator has forgotten that it asked, head office has not
    assert shown(next_step(cancelled, heard(token=3), NOW)) == (State.OUT_CANCEL_PENDING, S.REFUSE_OUT, "A")


def test_a_partial_receipt_goes_on_and_a_cancel_comes_too_late() -> None:
    part = heard(SENT, RICE_SENT, ("B", IN, "milk", 10_000))
    for transfer in (asked(TWO, S.OUT, S.IN), asked(TWO, S.OUT, S.IN, S.REFUSE_IN, cancelled=True)):
        assert shown(next_step(transfer, part, NOW)) == (State.IN_PENDING, S.IN, "B")
    several = heard(SENT, RICE_SENT, ("B", IN, "milk", 4_000), ("B", IN, "milk", 6_000), ("B", LOST, "rice", 500))
    assert next_step(asked(TWO, S.OUT), several, NOW).state is State.IN_PENDING
    whole = heard(
        SENT, RICE_SENT, ("B", IN, "milk", 4_000), ("B", IN, "milk", 6_000), ("B", LOST, "rice", 500),
        ("B", IN, "rice", 2_000),
    )  # fmt: skip
    assert next_step(asked(TWO, S.OUT), whole, NOW).end == "received"


def test_all_lost() -> None:
    end = next_step(asked(ONE, S.OUT, S.IN), heard(SENT, ("B", LOST, "milk", 10_000)), NOW)
    assert (end.state, end.end) == (State.COMPLETED, "lost")


def test_an_out_cut_by_a_batch_is_waited_for() -> None:
    for transfer, state in (
        (asked(TWO, S.OUT), State.OUT_PENDING),
        (asked(TWO, S.OUT, cancelled=True), State.OUT_CANCEL_PENDING),
    ):
        assert shown(next_step(transfer, heard(SENT), NOW)) == (state, None, None)
    assert next_step(asked(TWO, S.OUT), heard(SENT, RICE_SENT), NOW).state is State.IN_PENDING


def test_received_and_the_sender_not_heard_yet() -> None:
    # head office was restored and has the destination's log again, but not yet the source's
    for transfer in (asked(ONE, S.OUT, S.IN), asked(ONE, S.OUT, S.IN, cancelled=True)):
        waiting = next_step(transfer, heard(ARRIVED), NOW)
        assert (waiting.state, waiting.request, waiting.conflict) == (State.IN_PENDING, None, None)


def test_refused_at_the_destination_and_the_source_silent() -> None:
    waiting = next_step(asked(ONE, S.OUT), heard(NO_AT_B), NOW)
    assert shown(waiting) == (State.OUT_CANCEL_PENDING, S.REFUSE_OUT, "A")
    assert next_step(asked(ONE, S.OUT), heard(NO_AT_B, NO_AT_A), NOW).state is State.REJECTED


def test_reversed_needs_the_destinations_refusal() -> None:
    # without it the destination could still receive what is back already
    assert shown(next_step(asked(ONE, S.OUT), heard(SENT, BACK), NOW)) == (State.CANCEL_PENDING, S.REFUSE_IN, "B")


def test_a_reversal_cut_by_a_batch_has_not_ended() -> None:
    part = heard(SENT, RICE_SENT, NO_AT_B, BACK)
    assert shown(next_step(asked(TWO, S.OUT), part, NOW)) == (State.REVERSE_PENDING, S.REVERSE, "A")


@pytest.mark.parametrize(
    ("facts", "conflict", "step"),
    [
        (heard(SENT, NO_AT_A), TransferConflict.LEFT_AND_REFUSED, S.IN),
        (heard(("A", OUT, "milk", 9_000)), TransferConflict.SENT_OTHERWISE, S.IN),
        (heard(SENT, ("A", OUT, "salt", 1_000)), TransferConflict.SENT_OTHERWISE, None),
        (heard(SENT, ("B", IN, "milk", 11_000)), TransferConflict.RECEIVED_MORE, None),
        (heard(SENT, ("B", IN, "milk", 4_000), NO_AT_B), TransferConflict.RECEIVED_AND_REFUSED, None),
        (heard(SENT, ARRIVED, BACK), TransferConflict.RECEIVED_AND_REVERSED, None),
        (heard(NO_AT_A, ARRIVED), TransferConflict.RECEIVED_NOT_SENT, None),
        (heard(("C", OUT, "milk", 10_000)), TransferConflict.ELSEWHERE, None),
        (heard(("A", IN, "milk", 10_000)), TransferConflict.ELSEWHERE, None),
        (heard(("C", REFUSED, None, None)), TransferConflict.ELSEWHERE, None),
    ],
)
def test_what_cannot_be_is_told_and_never_ended_on(
    facts: TransferFacts, conflict: TransferConflict, step: InstructionStep | None
) -> None:
    decision = next_step(asked(ONE, S.OUT), facts, NOW)
    assert decision.conflict is conflict
    assert decision.state not in ENDED
    assert (decision.request.step if decision.request else None) is step


def test_what_left_is_what_shall_arrive() -> None:
    decision = next_step(asked(ONE, S.OUT), heard(("A", OUT, "milk", 9_000)), NOW)
    assert decision.request is not None
    assert decision.request.lines == (InstructionLine(line=1, item_id="milk", quantity=9_000, unit="l"),)
    end = next_step(asked(ONE, S.OUT), heard(("A", OUT, "milk", 9_000), ("B", IN, "milk", 9_000)), NOW)
    assert end.state is State.COMPLETED


def test_the_order_of_facts_says_nothing() -> None:
    found = [SENT, RICE_SENT, NO_AT_B, BACK, ("A", REVERSED, "rice", 2_500)]
    decisions = {msgspec.json.encode(next_step(asked(TWO, S.OUT), heard(*order), NOW)) for order in permutations(found)}
    assert len(decisions) == 1


def test_an_adjustment_that_names_the_transfer_changes_nothing() -> None:
    more = ("B", EventType.ADJUSTMENT, "milk", 500)
    assert next_step(asked(ONE, S.OUT), heard(SENT, ARRIVED, more), NOW).state is State.COMPLETED


@pytest.mark.parametrize(
    ("end", "facts", "expected"),
    [
        (State.COMPLETED, heard(SENT, ARRIVED), None),
        (State.COMPLETED, heard(), None),  # head office was restored: silence says nothing
        (State.COMPLETED, heard(ARRIVED), None),
        (State.COMPLETED, heard(SENT, ("B", IN, "milk", 20_000)), TransferConflict.RECEIVED_MORE),
        (State.COMPLETED, heard(SENT, ARRIVED, BACK), TransferConflict.RECEIVED_AND_REVERSED),
        (State.REVERSED, heard(SENT, NO_AT_B, BACK), None),
        (State.REVERSED, heard(SENT, BACK, ARRIVED), TransferConflict.RECEIVED_AND_REVERSED),
        (State.REJECTED, heard(NO_AT_A), None),
        (State.REJECTED, heard(SENT), TransferConflict.LEFT_AFTER_REJECTION),
        (State.REJECTED, heard(("C", OUT, "milk", 1)), TransferConflict.ELSEWHERE),
    ],
)
def test_what_the_logs_say_against_an_end(end: State, facts: TransferFacts, expected: TransferConflict | None) -> None:
    assert contradiction(ONE, end, facts) is expected


def test_the_instruction_carries_all_that_a_site_needs() -> None:
    decision = next_step(asked(ONE, S.OUT, cancelled=True), heard(SENT), NOW)
    assert decision.request is not None
    message = instruction(ONE, decision.request, 7)
    assert msgspec.to_builtins(message) == {
        "transfer_id": "t1",
        "step": "refuse-in",
        "token": 7,
        "location_id": "B",
        "source": "A",
        "destination": "B",
        "lines": ({"line": 1, "item_id": "milk", "quantity": 10_000, "unit": "l"},),
        "reason": "cancelled",
    }
