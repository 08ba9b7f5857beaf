"""How a transfer goes on: its states, and `next_step`, which follows from the facts and the caller's wishes. Pure.

Nothing is concluded from silence. A transfer stands where the logs say (OUT, IN, LOST, REFUSED, REVERSED as head office
has them), so any coordinator that holds the facts decides the same, and one that was killed, restored or never heard of
the transfer goes on where the last one stopped. Facts only ever add up, so a decision from older facts is merely early:
asking twice does no harm, and an end is concluded from what is there, never from what is missing. The one exception is
a transfer that nobody ever asked a site about; see `_without_goods`. Quantities are thousandths, times microseconds.
Source: DESIGN section 5, mode `immediate`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

from shared.messages import Instruction, InstructionLine, InstructionStep, TransferFacts
from shared.transfers import TransferTotals, site_of, totals


class State(StrEnum):
    """Where a transfer stands."""

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
    """What the logs say that cannot be right. A person has to look; the transfer goes on only where that is safe."""

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

CALLING_BACK: Final = frozenset({InstructionStep.REFUSE_OUT, InstructionStep.REFUSE_IN})


class Transfer(msgspec.Struct, frozen=True, kw_only=True):
    """What the caller wanted and wishes since, and which steps were ever asked of a site (journalled first)."""

    transfer_id: str
    source: str
    destination: str
    lines: tuple[InstructionLine, ...]
    mode: Mode = Mode.IMMEDIATE
    deadline: int | None = None
    cancel_requested_at: int | None = None
    asked: frozenset[InstructionStep] = frozenset()


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """What to ask of one site."""

    step: InstructionStep
    location_id: str
    lines: tuple[InstructionLine, ...]
    reason: str | None = None


class NextStep(msgspec.Struct, frozen=True, kw_only=True):
    """Where the transfer stands and what to do now.

    `ask`: to be asked, and asked again while unanswered; None: only wait. `look`: read the facts at head office before
    deciding further. `end`: the reason code of an ended transfer. `conflict`: the logs contradict themselves.
    """

    state: State
    ask: Ask | None = None
    look: bool = False
    end: str | None = None
    conflict: TransferConflict | None = None


def next_step(transfer: Transfer, facts: TransferFacts | None, now: int) -> NextStep:
    """Where the transfer stands at `now` and what to ask. `facts` is None where head office was never heard of it."""
    sums = totals(facts.facts if facts is not None else (), transfer.source, transfer.destination)
    if sums.elsewhere:
        # The id was used for other goods, too: nothing asked under it could be told apart.
        return NextStep(state=_standing(transfer, sums), conflict=TransferConflict.ELSEWHERE)
    if sums.settled:
        return _with_receipts(transfer, sums)
    if sums.sent:
        return _on_the_way(transfer, sums, now)
    return _without_goods(transfer, sums, facts, now)


def _with_receipts(transfer: Transfer, sums: TransferTotals) -> NextStep:
    if sums.reversed:
        return NextStep(state=State.IN_PENDING, conflict=TransferConflict.RECEIVED_AND_REVERSED)
    if not _all_heard(transfer, sums):
        # In transit is below zero: received, and the sender is not heard yet. Its OUT is in its log and will come.
        refused = transfer.source in sums.refused and not sums.sent
        return NextStep(state=State.IN_PENDING, conflict=TransferConflict.RECEIVED_NOT_SENT if refused else None)
    if sums.over:
        end = "received" if sums.received else "lost"
        return NextStep(state=State.COMPLETED, end=end, conflict=_left_and_refused(transfer, sums))
    if sums.more_than_sent:
        return NextStep(state=State.IN_PENDING, conflict=TransferConflict.RECEIVED_MORE)
    if transfer.destination in sums.refused:
        # It may neither come back, as some of it arrived, nor be received any more.
        return NextStep(state=State.IN_PENDING, conflict=TransferConflict.RECEIVED_AND_REFUSED)
    return _receive(transfer, sums)


def _on_the_way(transfer: Transfer, sums: TransferTotals, now: int) -> NextStep:
    called_back = _called_back(transfer, now)
    if not _all_heard(transfer, sums):
        # An OUT is one transaction at the source, but a batch may be cut inside it: the rest is on its way.
        return NextStep(state=State.OUT_CANCEL_PENDING if called_back else State.OUT_PENDING)
    if transfer.destination in sums.refused:
        if sums.over:
            return NextStep(
                state=State.REVERSED, end=sums.refused[transfer.destination], conflict=_left_and_refused(transfer, sums)
            )
        return _ask(
            transfer,
            State.REVERSE_PENDING,
            InstructionStep.REVERSE,
            _sent_lines(transfer, sums),
            reason=REFUSED_AT_DESTINATION,
            conflict=_left_and_refused(transfer, sums) or _otherwise(transfer, sums),
        )
    if called_back or sums.reversed:
        # Also where the goods are back already: only a refusal at the destination says that they can never arrive.
        return _ask(
            transfer,
            State.CANCEL_PENDING,
            InstructionStep.REFUSE_IN,
            transfer.lines,
            reason=called_back or CANCELLED,
            conflict=_left_and_refused(transfer, sums) or _otherwise(transfer, sums),
        )
    return _receive(transfer, sums)


def _without_goods(transfer: Transfer, sums: TransferTotals, facts: TransferFacts | None, now: int) -> NextStep:
    if transfer.source in sums.refused:
        return NextStep(state=State.REJECTED, end=sums.refused[transfer.source])
    called_back = _called_back(transfer, now)
    if called_back and not transfer.asked and transfer.destination not in sums.refused:
        # Never asked by anybody: the journal has no ask (it is written first), and head office has seen no token, which
        # a restored coordinator's journal could not tell.
        if facts is None:
            return NextStep(state=State.REQUESTED, look=True)
        if facts.highest_token == 0:
            return NextStep(state=State.REJECTED, end=NEVER_ASKED)
    if called_back or transfer.destination in sums.refused:
        reason = called_back or REFUSED_AT_DESTINATION
        return _ask(transfer, State.OUT_CANCEL_PENDING, InstructionStep.REFUSE_OUT, transfer.lines, reason=reason)
    return _ask(transfer, State.OUT_PENDING, InstructionStep.OUT, transfer.lines)


def _receive(transfer: Transfer, sums: TransferTotals) -> NextStep:
    lines = _sent_lines(transfer, sums)
    conflict = _left_and_refused(transfer, sums) or _otherwise(transfer, sums)
    if len(lines) != len(sums.sent):
        # Something left that nobody asked for: its unit is not known here, so nobody can be told to receive it.
        return NextStep(state=State.IN_PENDING, conflict=conflict)
    return _ask(transfer, State.IN_PENDING, InstructionStep.IN, lines, conflict=conflict)


def _ask(
    transfer: Transfer,
    state: State,
    step: InstructionStep,
    lines: tuple[InstructionLine, ...],
    *,
    reason: str | None = None,
    conflict: TransferConflict | None = None,
) -> NextStep:
    site = site_of(step, transfer.source, transfer.destination)
    return NextStep(state=state, ask=Ask(step=step, location_id=site, lines=lines, reason=reason), conflict=conflict)


def _called_back(transfer: Transfer, now: int) -> str | None:
    """Why the goods shall not move any more, or None. Once a site was asked to refuse there is no way back."""
    if transfer.cancel_requested_at is not None:
        return CANCELLED
    passed = transfer.deadline is not None and now >= transfer.deadline
    return DEADLINE if passed or not CALLING_BACK.isdisjoint(transfer.asked) else None


def _all_heard(transfer: Transfer, sums: TransferTotals) -> bool:
    """Whether every line asked for has left, as far as heard: all lines of an OUT or none are in the source's log."""
    return all(line.item_id in sums.sent for line in transfer.lines)


def _sent_lines(transfer: Transfer, sums: TransferTotals) -> tuple[InstructionLine, ...]:
    """The lines as they left: the log's quantities under the line numbers and units asked for."""
    return tuple(
        line if line.quantity == sums.sent[line.item_id] else msgspec.structs.replace(line, quantity=quantity)
        for line in transfer.lines
        if (quantity := sums.sent.get(line.item_id, 0))
    )


def _otherwise(transfer: Transfer, sums: TransferTotals) -> TransferConflict | None:
    asked = {line.item_id: line.quantity for line in transfer.lines}
    return TransferConflict.SENT_OTHERWISE if asked != sums.sent else None


def _left_and_refused(transfer: Transfer, sums: TransferTotals) -> TransferConflict | None:
    # The goods did leave, whatever was recorded beside that: the transfer goes on, and somebody should look.
    return TransferConflict.LEFT_AND_REFUSED if transfer.source in sums.refused and sums.sent else None


def _standing(transfer: Transfer, sums: TransferTotals) -> State:
    if sums.settled or sums.sent:
        return State.IN_PENDING
    return State.OUT_PENDING if transfer.asked else State.REQUESTED


def contradiction(transfer: Transfer, end: State, facts: TransferFacts) -> TransferConflict | None:
    """What the logs say against an end that was concluded, or None. An end never changes: a person has to look."""
    sums = totals(facts.facts, transfer.source, transfer.destination)
    if sums.elsewhere:
        return TransferConflict.ELSEWHERE
    if end is State.REJECTED and (sums.sent or sums.settled):
        return TransferConflict.LEFT_AFTER_REJECTION
    if sums.settled and (end is State.REVERSED or sums.reversed):
        return TransferConflict.RECEIVED_AND_REVERSED
    return TransferConflict.RECEIVED_MORE if sums.more_than_sent and _all_heard(transfer, sums) else None


def instruction(transfer: Transfer, ask: Ask, token: int) -> Instruction:
    """The message that asks a site, under the fencing token of the lease."""
    return Instruction(
        transfer_id=transfer.transfer_id,
        step=ask.step,
        token=token,
        location_id=ask.location_id,
        source=transfer.source,
        destination=transfer.destination,
        lines=ask.lines,
        reason=ask.reason,
    )
