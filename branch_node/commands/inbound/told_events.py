"""What the commands of told events have in common: what is known of the order, and the answer that stands for ever."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from branch_node.commands.inbound.order_event_decisions import (
    DirectDeduction,
    OrderOutcome,
    OrderSituation,
    summed,
)
from branch_node.commands.inbound.order_event_inputs import OrderEvent
from branch_node.commands.preconditions import items_named
from branch_node.commands.reservations.reservation_commands import (
    ReservationCommand,
    deductions_of,
    standing_deductions,
)
from branch_node.commands.reservations.reservation_decisions import AskedLine, Shortage
from branch_node.inbound_orders import NOTHING_LEFT, InboundOrder
from branch_node.model import Decision, Item, View, unplaced
from shared.events import Event, EventType, Reference
from shared.reservations import ORDER_REFERENCE

_OF_AN_EVENT: Final = "Give each event an id of its own; only the same event may be sent again under its id."


class OrderEventAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of a told event; quantities in thousandths."""

    outcome: OrderOutcome
    reservation_id: str | None = None
    short: tuple[Shortage, ...] = ()


_read_answer: Final = msgspec.json.Decoder(OrderEventAnswer).decode


class ToldEventCommand(ReservationCommand):
    """Base: the told event, and what is known of its order. `key` is made of the source and the event's own id."""

    kind = "order-event"
    reserves = True

    def __init__(self, told: OrderEvent, *, key: str, actor: str) -> None:
        super().__init__(told.content, key=key, actor=actor)
        self.told = told
        self.content = told.content
        self.order = (told.content.order_id, told.content.source)
        self.size = 2 * len(told.content.lines or (1,))

    @property
    def reused_hint(self) -> str | None:
        return _OF_AN_EVENT

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
        """The sequences of what was taken for the order directly."""
        return deductions_of(view, self.content.order_id, self.content.source)

    def _situation(self, view: View) -> OrderSituation:
        order_id, source = self.content.order_id, self.content.source
        state, recorded = self._state(view), view.order(order_id, source)
        reservations = view.reservations_of(order_id, source)
        standing = standing_deductions(view, self._deductions(view))
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

    def _items(self, view: View) -> dict[str, Item]:
        """The items of the told lines, by the names that were sent."""
        lines = self.content.lines or ()
        return items_named(
            view, [(f"data.lines[{self.told.places[line.item_id]}].item_id", line.item_id) for line in lines]
        )

    def _reference(
        self, *, kind: str = ORDER_REFERENCE, revision: int | None = None, line: int | None = None
    ) -> Reference:
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
                reference=self._reference(line=places.get(line.item_id)),
            )
            for line in lines
        ]

    def _noted(self, view: View, situation: OrderSituation, *, revision: int | None, reason: str | None) -> Event:
        """The event that remembers of an order that nothing of it is left; it reviews one of what shipped it."""
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
            reference=self._reference(kind=NOTHING_LEFT, revision=revision),
        )
