"""What the commands of told events have in common: what is known of the order, and the answer that stands for ever."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import msgspec

from branch_node.commands.inbound.order_event_decisions import DirectDeduction, OrderSituation, summed
from branch_node.commands.orders import CANCELLED
from branch_node.commands.preconditions import items_named
from branch_node.commands.reservations.reservation_commands import ReservationCommand, recorded_refusal
from branch_node.commands.reservations.reservation_decisions import AskedLine, Shortage
from branch_node.model import Decision, Item, RecordedCommand, View, unplaced
from shared.events import Event, EventType, Reference
from shared.orders.inbound_orders import NOTHING_LEFT, InboundOrder
from shared.orders.order_event_inputs import OrderEvent
from shared.orders.order_outcomes import OWN_REASONS, OrderOutcome, recorded_outcome
from shared.reservations import ORDER_REFERENCE
from shared.runtime.text.text_faults import code_fault

_LONGEST_REASON: Final = 64
_OF_AN_EVENT: Final = "Give each event an id of its own; only the same event may be sent again under its id."


class OrderEventAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of a told event; quantities in thousandths."""

    outcome: OrderOutcome
    reservation_id: str | None = None
    short: tuple[Shortage, ...] = ()


_read_answer: Final = msgspec.json.Decoder(OrderEventAnswer).decode

ItemsOf = Callable[[View, Sequence[tuple[str, str]]], Mapping[str, Item]]
"""Finds the items of (path of the field, what it says), by what it says. Raises Problem."""


class ToldEventCommand(ReservationCommand):
    """Base: the told event, and what is known of its order. `key` is made of the source and the event's own id.

    `items` finds the items of its lines. Answered with an `OrderEventAnswer`.
    """

    kind = "order-event"
    reserves = True

    def __init__(self, told: OrderEvent, *, key: str, actor: str, items: ItemsOf = items_named) -> None:
        super().__init__(told.content, key=key, actor=actor)
        self._items_of = items
        self.told = told
        self.content = told.content
        self.order = (told.content.order_id, told.content.source)
        self.size = 2 * len(told.content.lines or (1,))

    @property
    def reused_hint(self) -> str | None:
        return _OF_AN_EVENT

    def answer(self, recorded: RecordedCommand) -> OrderEventAnswer:
        events = [each.event for each in recorded.sealed]
        found = recorded_outcome(events)
        short: tuple[Shortage, ...] = ()
        if found.outcome is OrderOutcome.UNAVAILABLE:
            short = recorded_refusal(self.content.order_id, events, recorded.look()).short
        return OrderEventAnswer(outcome=found.outcome, reservation_id=found.reservation_id, short=short)

    def again(self, kept: bytes) -> OrderEventAnswer:
        return _read_answer(kept)

    def _kept(self, outcome: OrderOutcome, reservation_id: str | None = None) -> Decision:
        """The decision to record nothing: its answer stands for the event for ever."""
        answer = OrderEventAnswer(outcome=outcome, reservation_id=reservation_id)
        return Decision(answer=answer, kept=msgspec.json.encode(answer))

    def _state(self, view: View) -> InboundOrder:
        order_id, source = self.content.order_id, self.content.source
        return view.inbound_order(order_id, source) or InboundOrder(order_id=order_id, source=source)

    def _deductions(self, view: View) -> tuple[int, ...]:
        """The sequences of what was taken for the order directly, by told events and by orders recorded here."""
        recorded = view.order(self.content.order_id, self.content.source)
        return (*self._state(view).deductions, *(() if recorded is None else recorded.sequences))

    def situation(self, view: View) -> OrderSituation:
        """What is known of the order."""
        order_id, source = self.content.order_id, self.content.source
        state, recorded = self._state(view), view.order(order_id, source)
        reservations = view.reservations_of(order_id, source)
        sequences = self._deductions(view)
        gone = view.voided_by(sequences)
        standing = view.events_at([each for each in sequences if each not in gone])
        return OrderSituation(
            revision=max([state.revision, *(each.revision for each in reservations)]),
            known=bool(reservations) or state.covered or recorded is not None,
            cancelled=state.cancelled or (recorded is not None and recorded.cancelled),
            final=state.final,
            reservations=reservations,
            deductions=[
                DirectDeduction(item_id=each.item_id or "", quantity=each.quantity or 0, sequence=each.sequence)
                for each in standing
            ],
        )

    def _asked(self, view: View) -> list[AskedLine]:
        """The told lines, one an item. Raises 422 `unknown-item`."""
        items = self._items(view)
        return summed(
            AskedLine(item_id=items[line.item_id].item_id, unit=items[line.item_id].unit, quantity=line.quantity)
            for line in self.content.lines or ()
        )

    def _items(self, view: View) -> Mapping[str, Item]:
        """The items of the told lines, by the names that were sent."""
        lines = self.content.lines or ()
        return self._items_of(
            view, [(f"data.lines[{self.told.places[line.item_id]}].item_id", line.item_id) for line in lines]
        )

    def reference(
        self, *, kind: str = ORDER_REFERENCE, revision: int | None = None, line: int | None = None
    ) -> Reference:
        """How an event names the order. `line`: which of the told lines it is of, from 1."""
        return Reference(id=self.content.order_id, kind=kind, revision=revision, line=line)

    def _moved(
        self, view: View, kind: EventType, lines: Iterable[AskedLine], at: int, reason: str | None = None
    ) -> list[Event]:
        """Events that move what no reservation holds; each refers to its line in the told event, where it has one."""
        places: dict[str, int] = {}
        for name, item in self._items(view).items():
            place = self.told.places[name] + 1
            places[item.item_id] = min(place, places.get(item.item_id, place))
        return [
            unplaced(
                view,
                kind,
                actor=self.actor,
                source=self.content.source,
                occurred_at=at,
                item_id=line.item_id,
                unit=line.unit,
                quantity=line.quantity,
                reason=reason,
                reference=self.reference(line=places.get(line.item_id)),
            )
            for line in lines
        ]

    def noted(
        self,
        view: View,
        situation: OrderSituation,
        *,
        revision: int | None,
        reason: str | None,
        kind: str = NOTHING_LEFT,
    ) -> Event:
        """The event that remembers something of the order that is known: it reviews one of what shipped or reserved it.

        By default that nothing of it is left.
        """
        newest = situation.newest
        sequence = self._deductions(view)[:1] if newest is None else [newest.stated_at]
        (evidence,) = view.events_at(sequence)
        return unplaced(
            view,
            EventType.EVENT_REVIEWED,
            actor=self.actor,
            source=self.content.source,
            item_id=evidence.item_id,
            reviewed_event_id=evidence.event_id,
            reason=reason,
            reference=self.reference(kind=kind, revision=revision),
        )

    def cancellation(self, view: View, *, reason: str, note: str | None = None, revision: int | None = None) -> Event:
        """The event from which on nothing is reserved for the order."""
        return unplaced(
            view,
            EventType.ORDER_CANCELLED,
            actor=self.actor,
            source=self.content.source,
            reason=reason,
            note=note,
            reference=self.reference(revision=revision),
        )

    def refusal(
        self, view: View, lines: Iterable[AskedLine], *, reason: str, note: str | None, revision: int | None
    ) -> list[Event]:
        """The events that say of each line that it was refused. `revision`: of an order that was placed."""
        active = view.active_reservation(self.content.order_id, self.content.source)
        reservation_id = view.new_id() if active is None else active.reservation_id
        return [
            unplaced(
                view,
                EventType.RESERVATION_REFUSED,
                actor=self.actor,
                source=self.content.source,
                item_id=line.item_id,
                unit=line.unit,
                quantity=line.quantity,
                reservation_id=reservation_id,
                reason=reason,
                note=None if place else note,
                reference=self.reference(revision=revision),
            )
            for place, line in enumerate(lines)
        ]

    def told_reason(self) -> tuple[str, str | None]:
        """Why the order is cancelled: as a code, and as a note where what was told can be none."""
        told = self.told.reason
        if told is None:
            return CANCELLED, None
        is_code = len(told) <= _LONGEST_REASON and code_fault(told) is None and told not in OWN_REASONS
        return (told, None) if is_code else (CANCELLED, told)
