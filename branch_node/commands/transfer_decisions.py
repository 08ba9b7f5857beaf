"""The events that a site records for an instruction of a transfer. Pure.

They follow from the transfer's events in the site's own log, so an instruction may come twice, late, or after the one
that cancels it: at most one OUT a line, no IN after a refusal here, no refusal after an IN or LOST, and a reversal at
most once and only after an OUT. Quantities are thousandths. Source: DESIGN section 5; the rules of both sites are in
`shared.transfers`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec

from shared.events import MAX_LINES, MAX_QUANTITY, Event, EventType
from shared.messages import Instruction, InstructionLine, InstructionStep
from shared.transfers import answered, site_of, totals

UNKNOWN_ITEM: Final = "unknown-item"
UNIT_DIFFERS: Final = "unit-differs"
INSUFFICIENT_STOCK: Final = "insufficient-stock"
NO_LINES: Final = "no-lines"
TOO_MANY_LINES: Final = "too-many-lines"
CANCELLED: Final = "cancelled"


class WrongLocation(Exception):
    """An instruction that this site cannot answer, with the reason."""


class SiteStock(msgspec.Struct, frozen=True):
    """One item's base unit and its available stock (on hand minus unexpired reservations)."""

    unit: str
    available: int


class EventDraft(msgspec.Struct, frozen=True, kw_only=True):
    """One event to record, before it has its envelope."""

    type: EventType
    item_id: str | None = None
    quantity: int | None = None
    unit: str | None = None
    transfer_line: int | None = None
    reason: str | None = None
    voided_event_id: str | None = None
    voided_sequence: int | None = None


class TransferHistory(msgspec.Struct, frozen=True):
    """What this site's log has of one transfer: its TRANSFER_OUT events, all types, and received + lost by item."""

    sent: tuple[Event, ...]
    types: frozenset[EventType]
    settled: dict[str, int]

    @property
    def refused(self) -> bool:
        return EventType.TRANSFER_REFUSED in self.types


Stock = Callable[[str], SiteStock | None]
"""Looks an item up; None where it is not defined here."""


def history_of(events: Sequence[Event]) -> TransferHistory:
    """The history of a transfer from its events in this location's log."""
    return TransferHistory(
        sent=tuple(event for event in events if event.type is EventType.TRANSFER_OUT),
        types=frozenset(event.type for event in events),
        settled=totals(events).settled,
    )


def check_site(instruction: Instruction, location_id: str) -> None:
    """Raise WrongLocation unless this site is the one that answers this step."""
    step = instruction.step
    site = site_of(step, instruction.source, instruction.destination)
    if instruction.source == instruction.destination:
        raise WrongLocation(f"source and destination are both {instruction.source}")
    if location_id not in {site} & {instruction.location_id}:
        raise WrongLocation(
            f"'{step}' from {instruction.source} to {instruction.destination}, sent to {instruction.location_id}, "
            f"is not for {location_id}"
        )


def answer(instruction: Instruction, history: TransferHistory, stock: Stock) -> list[EventDraft]:
    """The events that answer the instruction, for one transaction; none where the site's log answers it already."""
    if instruction.step is InstructionStep.IN:
        return _receive(instruction, history, stock)  # also what is left after a receipt in part
    if answered(instruction.step, history.types):
        return []
    match instruction.step:
        case InstructionStep.OUT:
            return _send(instruction, stock)
        case InstructionStep.REVERSE:
            return _reverse(history)
        case InstructionStep.REFUSE_OUT | InstructionStep.REFUSE_IN:
            return [_refusal(instruction.reason or CANCELLED)]


def _refusal(reason: str) -> EventDraft:
    return EventDraft(type=EventType.TRANSFER_REFUSED, reason=reason)


def _summed(lines: Iterable[InstructionLine]) -> list[InstructionLine]:
    """One line an item: the same item summed under its first line's number."""
    by_item: dict[tuple[str, str], InstructionLine] = {}
    for line in lines:
        same = by_item.get((line.item_id, line.unit))
        by_item[line.item_id, line.unit] = (
            line if same is None else msgspec.structs.replace(same, quantity=same.quantity + line.quantity)
        )
    return list(by_item.values())


def _misfit(lines: list[InstructionLine], stock: Stock) -> str | None:
    """The reason why these lines cannot be recorded here regardless of stock, or None."""
    if not lines:
        return NO_LINES
    if len(lines) > MAX_LINES or any(not 1 <= line.line <= MAX_LINES for line in lines):
        return TOO_MANY_LINES
    for line in lines:
        item = stock(line.item_id)
        if item is None:
            return UNKNOWN_ITEM
        if item.unit != line.unit:
            return UNIT_DIFFERS
    return None


def _send(instruction: Instruction, stock: Stock) -> list[EventDraft]:
    lines = _summed(instruction.lines)
    misfit = _misfit(lines, stock)
    if misfit is not None:
        return [_refusal(misfit)]
    for line in lines:
        item = stock(line.item_id)
        # An event cannot carry more than MAX_QUANTITY, even if more is available.
        if item is None or line.quantity > min(item.available, MAX_QUANTITY):
            return [_refusal(INSUFFICIENT_STOCK)]
    return [_move(EventType.TRANSFER_OUT, line, line.quantity) for line in lines]


def _receive(instruction: Instruction, history: TransferHistory, stock: Stock) -> list[EventDraft]:
    if history.refused:
        return []
    lines = _summed(instruction.lines)
    misfit = _misfit(lines, stock)
    if misfit is not None:
        # After a receipt or loss recorded here the transfer can no longer be refused.
        return [] if history.settled else [_refusal(misfit)]
    left = ((line, line.quantity - history.settled.get(line.item_id, 0)) for line in lines)
    return [_move(EventType.TRANSFER_IN, line, quantity) for line, quantity in left if quantity > 0]


def _move(kind: EventType, line: InstructionLine, quantity: int) -> EventDraft:
    return EventDraft(type=kind, item_id=line.item_id, quantity=quantity, unit=line.unit, transfer_line=line.line)


def _reverse(history: TransferHistory) -> list[EventDraft]:
    return [
        EventDraft(
            type=EventType.TRANSFER_REVERSED,
            item_id=sent.item_id,
            quantity=sent.quantity,
            unit=sent.unit,
            transfer_line=sent.transfer_line,
            voided_event_id=sent.event_id,
            voided_sequence=sent.sequence,
        )
        for sent in history.sent
    ]
