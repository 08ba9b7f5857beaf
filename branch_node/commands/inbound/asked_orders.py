"""The command that takes a told event because head office asks this branch to, and records an answer whatever it is.

What a told event records is its answer. Where one of this branch's own sources would be answered without an event, or
with a problem, the log says so instead: it is all that head office goes by. Rules: INTERFACES A3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from branch_node.commands.inbound.order_event_commands import order_event_command
from branch_node.commands.inbound.order_event_decisions import left_to_ship
from branch_node.commands.inbound.told_events import OrderEventAnswer, ToldEventCommand
from branch_node.commands.preconditions import known_items
from branch_node.commands.reservations.reservation_commands import ViewedStock
from branch_node.commands.reservations.reservation_decisions import AskedLine
from branch_node.model import Command, Decision, Item, RecordedCommand, View
from branch_node.problems import UNKNOWN_ITEM, UNKNOWN_TOLD_ORDER
from shared.events import MAX_QUANTITY, MIN_TIME, Event
from shared.orders.inbound_orders import ASKED_KEYS, INBOUND_KEYS, RESERVED_BEFORE
from shared.orders.order_event_inputs import OrderEvent, OrderEventContent, OrderEventKind, ToldLine
from shared.orders.order_instructions import OrderInstruction
from shared.orders.order_outcomes import (
    ALREADY_CANCELLED,
    SUPERSEDED,
    UNKNOWN_CONTENT,
    OrderOutcome,
    RecordedOutcome,
    recorded_outcome,
)
from shared.runtime.problems import INVALID_REQUEST, SERVER_ERROR, WRONG_LOCATION, Problem

_LONGEST_SOURCE: Final = 40
_LONGEST_NOTE: Final = 1_000


class OrderInstructionTaken(msgspec.Struct, frozen=True, kw_only=True):
    """What the log answers to an instruction. `recorded`: it was recorded just now, else before."""

    outcome: RecordedOutcome
    recorded: bool


class TakeOrderInstruction(Command):
    """Take the event of an instruction under its key. Answered with an `OrderInstructionTaken`.

    Raises a Problem, and leaves the instruction open, where it can be taken later: the database fails (5xx), or an
    item is not known here yet (422 `unknown-item`); and where it is none that this branch could answer: 403
    `wrong-location`, 422 `invalid-request`.
    """

    reserves = True

    def __init__(self, instruction: OrderInstruction) -> None:
        self.instruction = instruction
        self._told = _told_event(instruction)
        told = self._command(self._told)
        self.key, self.digest, self.order = told.key, told.digest, told.order
        self.size, self.content_bytes = told.size, told.content_bytes

    def decide(self, view: View) -> Decision:
        self._check(view)
        told = self._told
        if told.time is not None:
            # Head office's clock may be ahead of this one, and nothing can occur after it was recorded.
            told = msgspec.structs.replace(told, time=max(MIN_TIME, min(told.time, view.now)))
        command = self._command(told)
        try:
            decision = command.decide(view)
        except Problem as refused:
            if refused.status >= SERVER_ERROR:
                raise
            return Decision(events=self._refusal(view, command, refused))
        if decision.events:
            return decision
        return Decision(events=self._answer_without_effect(view, command, decision.answer))

    def answer(self, recorded: RecordedCommand) -> OrderInstructionTaken:
        outcome = recorded_outcome([each.event for each in recorded.sealed])
        return OrderInstructionTaken(outcome=outcome, recorded=not recorded.repeated)

    def _command(self, told: OrderEvent) -> ToldEventCommand:
        asked = self.instruction
        actor = f"inbound/{asked.source[:_LONGEST_SOURCE]}"
        return order_event_command(told, key=asked.key, actor=actor, hold_days=asked.hold_days, items=self._items)

    def _check(self, view: View) -> None:
        asked = self.instruction
        if asked.location_id != view.location.location_id:
            raise WRONG_LOCATION(f"it is for {asked.location_id}, not for {view.location.location_id}")
        if len(asked.source) > _LONGEST_SOURCE or not asked.key.startswith(f"{INBOUND_KEYS}{asked.source}{ASKED_KEYS}"):
            raise INVALID_REQUEST(f"the key {asked.key!r} is not one of an event of {asked.source!r}")
        lines = asked.lines or ()
        if len({line.item_id for line in lines}) < len(lines):
            raise INVALID_REQUEST("an item stands in two lines")
        if any(line.quantity > MAX_QUANTITY for line in lines):
            raise INVALID_REQUEST("a quantity is out of bounds")
        if asked.lines is None and asked.kind in {OrderEventKind.PLACED, OrderEventKind.RETURNED}:
            raise INVALID_REQUEST(f"{asked.kind} without lines")

    def _items(self, view: View, named: Sequence[tuple[str, str]]) -> Mapping[str, Item]:
        """The items by code, never by barcode: head office names them as both have them. Raises 422."""
        units = {line.item_id: line.unit for line in self.instruction.lines or ()}
        found = known_items(view, [(path.removesuffix(".item_id"), code, units[code]) for path, code in named])
        for code, item in found.items():
            if item.stands_for is not None:
                raise UNKNOWN_ITEM(f"the code {code!r} stands for {item.stands_for} here", item_id=code)
        return found

    def _answer_without_effect(self, view: View, command: ToldEventCommand, answer: object) -> list[Event]:
        """The event that says what a told event would be answered that changes nothing."""
        if not isinstance(answer, OrderEventAnswer):
            raise TypeError(f"a told event was answered with {answer!r}")
        situation = command.situation(view)
        match answer.outcome:
            case OrderOutcome.CANCELLED:
                return [command.cancellation(view, reason=ALREADY_CANCELLED)]
            case OrderOutcome.NOTHING:
                reason, note = command.told_reason()
                return [command.cancellation(view, reason=reason, note=note, revision=max(situation.revision, 1))]
            case OrderOutcome.SUPERSEDED:
                return self._refused(view, command, SUPERSEDED)
            case OrderOutcome.RESERVED:
                return [command.noted(view, situation, revision=None, reason=None, kind=RESERVED_BEFORE)]
            case OrderOutcome.SHIPPED:
                return [command.noted(view, situation, revision=None, reason=None)]
            case _:
                raise ValueError(f"what is {answer.outcome} is answered by its own events")

    def _refusal(self, view: View, command: ToldEventCommand, refused: Problem) -> list[Event]:
        note = refused.detail[:_LONGEST_NOTE] or None
        if refused.code == UNKNOWN_TOLD_ORDER.code:
            return [command.cancellation(view, reason=UNKNOWN_CONTENT, note=note)]
        if refused.code == UNKNOWN_ITEM.code and any(
            view.item(line.item_id) is None for line in self.instruction.lines or ()
        ):
            raise refused  # the catalogue may bring it
        return self._refused(view, command, refused.code, note)

    def _refused(self, view: View, command: ToldEventCommand, reason: str, note: str | None = None) -> list[Event]:
        """A refusal of each line whose item is known here; the stock cannot be told of others.

        Raises 422 `unknown-item` where there is none: it is answered once the catalogue brings one.
        """
        if self.instruction.lines is None:
            lines = left_to_ship(command.situation(view), ViewedStock(view))
        else:
            found = [(line, view.item(line.item_id)) for line in self.instruction.lines]
            lines = [
                AskedLine(item_id=item.item_id, unit=item.unit, quantity=line.quantity)
                for line, item in found
                if item is not None
            ]
        if not lines:
            raise UNKNOWN_ITEM(f"none of its items is known here, to answer that it is refused: {reason}")
        placed = self.instruction.kind is OrderEventKind.PLACED
        revision = self.instruction.revision if placed else None
        return command.refusal(view, lines, reason=reason, note=note, revision=revision)


def _told_event(asked: OrderInstruction) -> OrderEvent:
    """The told event as a source of this branch would have sent it: equal contents make an equal digest."""
    lines = None
    if asked.lines is not None:
        in_order = sorted(asked.lines, key=lambda line: line.item_id)
        lines = tuple(ToldLine(item_id=line.item_id, quantity=line.quantity) for line in in_order)
    return OrderEvent(
        content=OrderEventContent(
            kind=asked.kind,
            source=asked.source,
            order_id=asked.order_id,
            revision=asked.revision,
            lines=lines,
            final=asked.final or (asked.kind is OrderEventKind.SHIPPED and lines is None),
        ),
        time=asked.time,
        expires_at=asked.expires_at,
        reason=asked.reason,
        places={line.item_id: place for place, line in reversed(list(enumerate(asked.lines or ())))},
    )
