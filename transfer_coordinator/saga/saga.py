"""The states of a transfer, and `next_step`, which follows from the facts and the caller's requests. Pure.

Nothing is concluded from silence. The state follows from the logs (OUT, IN, LOST, REFUSED, REVERSED as head office has
them), so any coordinator with the same facts decides the same, and one that was killed, restored or is new continues
where the last one stopped. Facts are only ever added, so a decision from older facts is merely early: repeating a
request does no harm, and an end follows from facts that exist, never from missing ones. The one exception is a transfer
of which no step was ever requested; see `_before_out`. Quantities are thousandths, times microseconds.
Source: DESIGN section 5, mode `immediate`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

from shared.messages import Instruction, InstructionLine, InstructionStep, TransferFacts
from shared.transfers import TransferTotals, site_of, totals


class State(StrEnum):
    """The state of a transfer."""

    REQUESTED = "REQUESTED"
    OUT_PENDING = "OUT_PENDING"
    OUT_CANCEL_PENDING = "OUT_CANCEL_PENDING"
    IN_PENDING = "IN_PENDING"
    CANCEL_PENDING = "CANCEL_PENDING"
    REVERSE_PENDING = "REVERSE_PENDING"
    COMPLETED = "COMPLETED"
    REVERSED = "REVERSED"
    REJECTED = "REJECTED"


ENDED: Final = frozenset({State.COMPLETED, State.REVERSED, State.REJECTED})


class Mode(StrEnum):
    """How goods are sent and received. `immediate`: the sites' nodes record by themselves."""

    IMMEDIATE = "immediate"


class TransferConflict(StrEnum):
    """A contradiction in the logs. A person has to resolve it; the transfer continues only where that is safe."""

    SENT_OTHERWISE = "sent-otherwise"
    LEFT_AND_REFUSED = "left-and-refused"
    RECEIVED_AND_REFUSED = "received-and-refused"
    RECEIVED_AND_REVERSED = "received-and-reversed"
    RECEIVED_MORE = "received-more-than-sent"
    RECEIVED_NOT_SENT = "received-and-refused-at-the-source"
    ELSEWHERE = "recorded-elsewhere"
    LEFT_AFTER_REJECTION = "left-after-rejection"


CANCELLED: Final = "cancelled"
DEADLINE: Final = "deadline"
NEVER_ASKED: Final = "never-asked"
REFUSED_AT_DESTINATION: Final = "refused-at-destination"

CANCEL_STEPS: Final = frozenset({InstructionStep.REFUSE_OUT, InstructionStep.REFUSE_IN})


class Transfer(msgspec.Struct, frozen=True, kw_only=True):
    """A transfer as requested, a cancel request since, and all steps ever requested of a site (journalled first)."""

    transfer_id: str
    source: str
    destination: str
    lines: tuple[InstructionLine, ...]
    mode: Mode = Mode.IMMEDIATE
    deadline: int | None = None
    cancel_requested_at: int | None = None
    asked: frozenset[InstructionStep] = frozenset()


class StepRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A step to request of one site."""

    step: InstructionStep
    location_id: str
    lines: tuple[InstructionLine, ...]
    reason: str | None = None


class NextStep(msgspec.Struct, frozen=True, kw_only=True):
    """The state of a transfer and what to do now.

    `request`: sent, and repeated until answered; None: only wait. `request_facts`: read the facts at head office before
    deciding further. `end`: the reason code of an ended transfer. `conflict`: the logs contradict themselves.
    """

    state: State
    request: StepRequest | None = None
    request_facts: bool = False
    end: str | None = None
    conflict: TransferConflict | None = None


def next_step(transfer: Transfer, facts: TransferFacts | None, now: int) -> NextStep:
    """The state at `now` and the step to request. `facts` is None before head office reported any on this transfer."""
    sums = totals(facts.facts if facts is not None else (), transfer.source, transfer.destination)
    if sums.elsewhere:
        # The id was used for other goods, too, so the answer to a request could not be attributed.
        return NextStep(state=_state_of(transfer, sums), conflict=TransferConflict.ELSEWHERE)
    if sums.settled:
        return _after_receipt(transfer, sums)
    if sums.sent:
        return _after_out(transfer, sums, now)
    return _before_out(transfer, sums, facts, now)


def _after_receipt(transfer: Transfer, sums: TransferTotals) -> NextStep:
    if sums.reversed:
        return NextStep(state=State.IN_PENDING, conflict=TransferConflict.RECEIVED_AND_REVERSED)
    if not _all_lines_sent(transfer, sums):
        # In transit is below zero: received, and the source's OUT is in its log but not at head office yet.
        refused = transfer.source in sums.refused and not sums.sent
        return NextStep(state=State.IN_PENDING, conflict=TransferConflict.RECEIVED_NOT_SENT if refused else None)
    if sums.over:
        end = "received" if sums.received else "lost"
        return NextStep(state=State.COMPLETED, end=end, conflict=_left_and_refused(transfer, sums))
    if sums.more_than_sent:
        return NextStep(state=State.IN_PENDING, conflict=TransferConflict.RECEIVED_MORE)
    if transfer.destination in sums.refused:
        # It can neither be reversed, as some of it was received, nor be received any more.
        return NextStep(state=State.IN_PENDING, conflict=TransferConflict.RECEIVED_AND_REFUSED)
    return _receive(transfer, sums)


def _after_out(transfer: Transfer, sums: TransferTotals, now: int) -> NextStep:
    cancel_reason = _cancel_reason(transfer, now)
    if not _all_lines_sent(transfer, sums):
        # An OUT is one transaction at the source, but a batch may be cut inside it: the rest will be shipped.
        return NextStep(state=State.OUT_CANCEL_PENDING if cancel_reason else State.OUT_PENDING)
    if transfer.destination in sums.refused:
        if sums.over:
            return NextStep(
                state=State.REVERSED, end=sums.refused[transfer.destination], conflict=_left_and_refused(transfer, sums)
            )
        return _request(
            transfer,
            State.REVERSE_PENDING,
            InstructionStep.REVERSE,
            _sent_lines(transfer, sums),
            reason=REFUSED_AT_DESTINATION,
            conflict=_left_and_refused(transfer, sums) or _sent_otherwise(transfer, sums),
        )
    if cancel_reason or sums.reversed:
        # Also where the OUT is reversed already: only a refusal at the destination rules out a receipt.
        return _request(
            transfer,
            State.CANCEL_PENDING,
            InstructionStep.REFUSE_IN,
            transfer.lines,
            reason=cancel_reason or CANCELLED,
            conflict=_left_and_refused(transfer, sums) or _sent_otherwise(transfer, sums),
        )
    return _receive(transfer, sums)


def _before_out(transfer: Transfer, sums: TransferTotals, facts: TransferFacts | None, now: int) -> NextStep:
    if transfer.source in sums.refused:
        return NextStep(state=State.REJECTED, end=sums.refused[transfer.source])
    cancel_reason = _cancel_reason(transfer, now)
    if cancel_reason and not transfer.asked and transfer.destination not in sums.refused:
        # No step was ever requested: the journal has none (it is written first), and head office has seen no token,
        # which also covers requests that a restored journal has lost.
        if facts is None:
            return NextStep(state=State.REQUESTED, request_facts=True)
        if facts.highest_token == 0:
            return NextStep(state=State.REJECTED, end=NEVER_ASKED)
    if cancel_reason or transfer.destination in sums.refused:
        reason = cancel_reason or REFUSED_AT_DESTINATION
        return _request(transfer, State.OUT_CANCEL_PENDING, InstructionStep.REFUSE_OUT, transfer.lines, reason=reason)
    return _request(transfer, State.OUT_PENDING, InstructionStep.OUT, transfer.lines)


def _receive(transfer: Transfer, sums: TransferTotals) -> NextStep:
    lines = _sent_lines(transfer, sums)
    conflict = _left_and_refused(transfer, sums) or _sent_otherwise(transfer, sums)
    if len(lines) != len(sums.sent):
        # An item that was not requested was sent: its unit is not known here, so its receipt cannot be requested.
        return NextStep(state=State.IN_PENDING, conflict=conflict)
    return _request(transfer, State.IN_PENDING, InstructionStep.IN, lines, conflict=conflict)


def _request(
    transfer: Transfer,
    state: State,
    step: InstructionStep,
    lines: tuple[InstructionLine, ...],
    *,
    reason: str | None = None,
    conflict: TransferConflict | None = None,
) -> NextStep:
    site = site_of(step, transfer.source, transfer.destination)
    return NextStep(
        state=state, request=StepRequest(step=step, location_id=site, lines=lines, reason=reason), conflict=conflict
    )


def _cancel_reason(transfer: Transfer, now: int) -> str | None:
    """Why the transfer is to be cancelled, or None. A refusal once requested of a site is never withdrawn."""
    if transfer.cancel_requested_at is not None:
        return CANCELLED
    passed = transfer.deadline is not None and now >= transfer.deadline
    return DEADLINE if passed or not CANCEL_STEPS.isdisjoint(transfer.asked) else None


def _all_lines_sent(transfer: Transfer, sums: TransferTotals) -> bool:
    """Whether every requested line was sent, as far as known: the source's log has all lines of an OUT or none."""
    return all(line.item_id in sums.sent for line in transfer.lines)


def _sent_lines(transfer: Transfer, sums: TransferTotals) -> tuple[InstructionLine, ...]:
    """The lines as sent: the log's quantities under the requested line numbers and units."""
    return tuple(
        line if line.quantity == sums.sent[line.item_id] else msgspec.structs.replace(line, quantity=quantity)
        for line in transfer.lines
        if (quantity := sums.sent.get(line.item_id, 0))
    )


def _sent_otherwise(transfer: Transfer, sums: TransferTotals) -> TransferConflict | None:
    requested = {line.item_id: line.quantity for line in transfer.lines}
    return TransferConflict.SENT_OTHERWISE if requested != sums.sent else None


def _left_and_refused(transfer: Transfer, sums: TransferTotals) -> TransferConflict | None:
    # The goods were sent, whatever else was recorded: the transfer continues, marked for a person.
    return TransferConflict.LEFT_AND_REFUSED if transfer.source in sums.refused and sums.sent else None


def _state_of(transfer: Transfer, sums: TransferTotals) -> State:
    if sums.settled or sums.sent:
        return State.IN_PENDING
    return State.OUT_PENDING if transfer.asked else State.REQUESTED


def contradiction(transfer: Transfer, end: State, facts: TransferFacts) -> TransferConflict | None:
    """The conflict between the logs and an end already reached, or None. The end never changes; a person decides."""
    sums = totals(facts.facts, transfer.source, transfer.destination)
    if sums.elsewhere:
        return TransferConflict.ELSEWHERE
    if end is State.REJECTED and (sums.sent or sums.settled):
        return TransferConflict.LEFT_AFTER_REJECTION
    if sums.settled and (end is State.REVERSED or sums.reversed):
        return TransferConflict.RECEIVED_AND_REVERSED
    return TransferConflict.RECEIVED_MORE if sums.more_than_sent and _all_lines_sent(transfer, sums) else None


def instruction(transfer: Transfer, request: StepRequest, token: int) -> Instruction:
    """The instruction to a site, under the fencing token of the lease."""
    return Instruction(
        transfer_id=transfer.transfer_id,
        step=request.step,
        token=token,
        location_id=request.location_id,
        source=transfer.source,
        destination=transfer.destination,
        lines=request.lines,
        reason=request.reason,
    )
