"""The commands that record what another system tells of its orders: placed, shipped, cancelled, returned.

Each is decided on what is known of the order, so that events may come late, twice or in another order. What became of
an event follows from what its command recorded; where it recorded nothing, the answer itself is kept under its key.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from branch_node.commands.inbound.order_event_decisions import settled, ship, shipped_before
from branch_node.commands.inbound.told_events import ItemsOf, ToldEventCommand
from branch_node.commands.preconditions import StrictGuard, items_named, known_item, moment_of
from branch_node.commands.reservations.reservation_commands import (
    MOST_ACTIVE,
    ReservationStatement,
    ViewedStock,
)
from branch_node.commands.reservations.reservation_decisions import (
    InventoryUnavailable,
    ReservationDraft,
    release,
    reserve,
)
from branch_node.commands.reservations.reservation_inputs import MAX_EXPIRY
from branch_node.model import Decision, View
from branch_node.problems import (
    INVALID_TIME,
    ORDER_SUPERSEDED,
    TOO_MANY_LINES,
    TOO_MANY_RESERVATIONS,
    UNKNOWN_TOLD_ORDER,
)
from branch_node.reservation_events import reservation_event
from shared.events import MAX_LINES, MAX_TIME, Event, EventType
from shared.orders.inbound_orders import FINAL
from shared.orders.order_event_inputs import OrderEvent, OrderEventKind
from shared.orders.order_outcomes import OrderOutcome
from shared.reservations import UNAVAILABLE, Reservation
from shared.runtime.clock import DAY, SECOND, format_rfc3339

MOST_DEDUCTIONS: Final = 5_000
"""How many deductions of one order are kept for look-ups."""


class PlaceOrder(ToldEventCommand):
    """Reserve what of a placed order was not shipped yet, all or none.

    `hold_days`: how long it is reserved where the event names no expiry.
    """

    def __init__(self, told: OrderEvent, *, key: str, actor: str, hold_days: int, items: ItemsOf = items_named) -> None:
        super().__init__(told, key=key, actor=actor, items=items)
        self._hold_days = hold_days

    def decide(self, view: View) -> Decision:
        content, situation = self.content, self.situation(view)
        outcome = settled(content.revision, situation)
        if outcome is not None:
            return self._kept(outcome)
        active, stock = situation.active, ViewedStock(view)
        if active is not None and active.revision == content.revision:
            return self._stated_before(view, active)
        asked = self._asked(view)
        expires_at = self._expiry(view)
        statement = ReservationStatement(
            view.new_id() if active is None else active.reservation_id,
            content.order_id,
            content.source,
            content.revision,
        )
        try:
            drafts = reserve(asked, active, shipped_before(asked, situation, stock), stock)
        except InventoryUnavailable as refused:
            short = [
                ReservationDraft(
                    type=EventType.RESERVATION_REFUSED,
                    item_id=each.item_id,
                    unit=each.unit,
                    quantity=each.asked,
                    reason=UNAVAILABLE,
                )
                for each in refused.short
            ]
            return Decision(events=self._events(view, statement, short))
        if not drafts:
            return Decision(events=[self.noted(view, situation, revision=content.revision, reason=None)])
        if active is None and view.reservation_count() >= MOST_ACTIVE:
            raise TOO_MANY_RESERVATIONS(f"{MOST_ACTIVE} reservations are active")
        return Decision(events=self._events(view, statement, drafts, expires_at))

    def _stated_before(self, view: View, active: Reservation) -> Decision:
        """The same statement under another event id is the same reservation; another one is refused."""
        before = view.recorded_at(active.stated_at)
        if before.sealed[0].event.command_digest == self.digest:
            return self._kept(OrderOutcome.RESERVED, active.reservation_id)
        raise ORDER_SUPERSEDED(
            f"revision {active.revision} of the order {self.content.order_id} is reserved, with other content",
            hint="Raise data.revision with each change of an order.",
            revision=active.revision,
        )

    def _expiry(self, view: View) -> int:
        """When the reservation expires. Raises 422 `invalid-time` for a moment that has passed, or is years away."""
        asked = self.told.expires_at
        if asked is None or (asked <= view.now and view.clock_unconfirmed):
            return min(view.now + self._hold_days * DAY, MAX_TIME)
        if view.now < asked <= view.now + MAX_EXPIRY * SECOND:
            return asked
        message = f"it is not within the 366 days after {format_rfc3339(view.now)}, this node's time"
        raise INVALID_TIME(
            f"data.expires_at: {message}",
            hint="Leave it out to hold the order for the source's hold_days, or send a moment that is ahead.",
            errors=[{"field": "data.expires_at", "message": message}],
        )


class ShipOrder(ToldEventCommand):
    """Take what was shipped of an order out of the stock: it happened."""

    def decide(self, view: View) -> Decision:
        content, situation = self.content, self.situation(view)
        if content.lines is None and not situation.known:
            raise UNKNOWN_TOLD_ORDER(
                f"nothing was reserved for the order {content.order_id} of {content.source}: what it holds is not known"
            )
        at = moment_of(view, self.told.time, "time")
        asked = None if content.lines is None else self._asked(view)
        draft = ship(asked, situation, ViewedStock(view), final=content.final)
        reason = FINAL if content.final else None
        guard = StrictGuard(view)
        events: list[Event] = []
        if situation.active is not None and draft.reservation:
            events += self._of_reservation(view, situation.active, draft.reservation, at, reason=reason, guard=guard)
        for event in self._moved(view, EventType.ORDER_DEDUCTION, draft.deducted, at, reason):
            guard.add(known_item(view, event.item_id or "", None), event)
            events.append(event)
        deductions = len(self._deductions(view)) + len(draft.deducted)
        if len(events) > MAX_LINES or (draft.deducted and deductions > MOST_DEDUCTIONS):
            raise TOO_MANY_LINES(
                f"the order {content.order_id} of {content.source} has too many lines and parcels",
                hint="Send it in several parcels of fewer lines; beyond 5,000 lines sent, under another order id.",
            )
        if not events and situation.final:
            return self._kept(OrderOutcome.SHIPPED)
        if not any(event.reason == FINAL for event in events) and content.final:
            events.append(self.noted(view, situation, revision=None, reason=FINAL))
        return Decision(events=events)

    def _of_reservation(
        self,
        view: View,
        reservation: Reservation,
        drafts: Sequence[ReservationDraft],
        at: int,
        *,
        reason: str | None,
        guard: StrictGuard,
    ) -> list[Event]:
        """The events of the reservation. What is confirmed left when the parcel did, but not before it was reserved."""
        (stated,) = view.events_at([reservation.stated_at])
        left_at = max(at, min(stated.occurred_at, view.now))
        events = []
        for draft in drafts:
            confirmed = draft.type is EventType.RESERVATION_CONFIRMED
            event = reservation_event(
                view,
                draft.type,
                reservation,
                draft,
                draft.quantity,
                actor=self.actor,
                reason=reason if confirmed else draft.reason,
                occurred_at=left_at if confirmed else None,
            )
            guard.pass_over(known_item(view, draft.item_id, None), event)
            events.append(event)
        return events


class CancelInboundOrder(ToldEventCommand):
    """Give back what is open of an order, and reserve nothing for it from here on, also where it comes later."""

    def decide(self, view: View) -> Decision:
        situation = self.situation(view)
        active = situation.active
        if active is None and situation.cancelled:
            return self._kept(OrderOutcome.NOTHING)
        reason, note = self.told_reason()
        events: list[Event] = []
        if active is not None:
            events = self._events(view, active, release(active, reason))
        known = situation.known or situation.revision > 0
        # With a revision of an order that is known: that is what tells `nothing` from `noted`.
        revision = max(situation.revision, 1) if known else None
        events.append(self.cancellation(view, reason=reason, note=note, revision=revision))
        return Decision(events=events)


class ReturnOrder(ToldEventCommand):
    """Take back what a customer returned of an order."""

    def decide(self, view: View) -> Decision:
        at = moment_of(view, self.told.time, "time")
        return Decision(events=self._moved(view, EventType.CUSTOMER_RETURN, self._asked(view), at))


def order_event_command(
    told: OrderEvent, *, key: str, actor: str, hold_days: int, items: ItemsOf = items_named
) -> ToldEventCommand:
    """The command of a told event. `items` finds the items of its lines."""
    match told.content.kind:
        case OrderEventKind.PLACED:
            return PlaceOrder(told, key=key, actor=actor, hold_days=hold_days, items=items)
        case OrderEventKind.SHIPPED:
            return ShipOrder(told, key=key, actor=actor, items=items)
        case OrderEventKind.CANCELLED:
            return CancelInboundOrder(told, key=key, actor=actor, items=items)
        case OrderEventKind.RETURNED:
            return ReturnOrder(told, key=key, actor=actor, items=items)
