"""The commands that reserve stock for an order, confirm it and give it back.

A reservation is a decision: it is refused where too little is available, and the refusal is in the log. Its events
refer to the order with its revision, so the state of every reservation follows from the log.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import msgspec
from sqlalchemy import Connection

from branch_node.commands.keyed_command import KeyedCommand
from branch_node.commands.preconditions import known_items
from branch_node.commands.reservations.reservation_decisions import (
    AskedLine,
    InventoryUnavailable,
    MoreThanOpen,
    ReservationDraft,
    Shortage,
    confirm,
    release,
    reserve,
    served_of,
)
from branch_node.commands.reservations.reservation_inputs import (
    ConfirmationContent,
    ReleaseContent,
    ReservationContent,
    WantedLine,
)
from branch_node.database.lookups import events_of_reservation, standing_then
from branch_node.database.stock.stock_figures import codes_of
from branch_node.model import Decision, RecordedCommand, View
from branch_node.problems import (
    MORE_THAN_OPEN,
    ORDER_CANCELLED,
    ORDER_SUPERSEDED,
    RESERVATION_ENDED,
    TOO_MANY_RESERVATIONS,
    UNKNOWN_RESERVATION,
)
from branch_node.reservation_events import Reserved, reservation_event
from shared.events import MAX_TIME, Event, EventType, quantity_text
from shared.reservations import (
    UNAVAILABLE,
    Reservation,
    ReservationState,
    advance_reservation,
    reservation_of,
)
from shared.runtime.clock import SECOND

MOST_ACTIVE: Final = 50_000
"""The most reservations that may be active at a time: the writer holds them in memory."""

_RAISE: Final = (
    "Raise `revision` above {revision} (--revision at the command line) to change what is reserved for the order."
)


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of a reservation that was refused, which the log has: what is short."""

    order_id: str
    short: tuple[Shortage, ...]


class ReservationStatement(msgspec.Struct, frozen=True):
    """What the events of a new statement of an order say of their reservation."""

    reservation_id: str
    order_id: str
    source: str
    revision: int


class ViewedStock:
    """The writer's view as the decisions query it."""

    def __init__(self, view: View) -> None:
        self._view = view

    def stands_for(self, item_id: str) -> str:
        item = self._view.item(item_id)
        return item_id if item is None or item.stands_for is None else item.stands_for

    def available(self, item_id: str) -> int:
        return sum(self._view.available(code) for code in self._view.codes(item_id))


class ReservationCommand(KeyedCommand):
    """Base of the commands that record events of reservations."""

    def _events(
        self, view: View, of: Reserved, drafts: list[ReservationDraft], expires_at: int | None = None
    ) -> list[Event]:
        return [
            reservation_event(
                view,
                draft.type,
                of,
                draft,
                draft.quantity,
                actor=self.actor,
                reason=draft.reason,
                expires_at=expires_at if draft.type is EventType.STOCK_RESERVED else None,
            )
            for draft in drafts
        ]


class Reserve(ReservationCommand):
    """Reserve all lines of an order or none. Answered with a `Reservation`, or with the `Refusal` that was recorded."""

    kind = "reserve"
    reserves = True

    def __init__(self, content: ReservationContent, *, key: str | None, actor: str) -> None:
        made = f"larder:reservation:{content.source}:{content.order_id}:{content.revision}"
        super().__init__(content, key=key or made, actor=actor)
        self._own_key = key is None
        self.content = content
        self.order = (content.order_id, content.source)
        self.size = 2 * len(content.lines)
        self._before: Reservation | None = None

    @property
    def reused_hint(self) -> str | None:
        return _RAISE.format(revision=self.content.revision) if self._own_key else None

    def key_after(self, first: Event, view: View) -> str | None:
        """What the order's own key recorded stands for the order as long as it is active."""
        if self._own_key and first.type is not EventType.RESERVATION_REFUSED:
            self._check_active(view.reservation(first.reservation_id or ""))
        return None

    def decide(self, view: View) -> Decision:
        content = self.content
        order = view.order(content.order_id, content.source)
        told = view.inbound_order(content.order_id, content.source)
        if (order is not None and order.cancelled) or (told is not None and told.cancelled):
            raise ORDER_CANCELLED(f"the order {content.order_id} of {content.source} was cancelled")
        if told is not None and told.final:
            detail = f"the last of the order {content.order_id} of {content.source} was shipped"
            hint = "Reserve what is wanted after all under another order id."
            raise RESERVATION_ENDED(detail, hint=hint, state=ReservationState.CONFIRMED.value)
        known = view.reservations_of(content.order_id, content.source)
        newest = max(known, key=lambda each: (each.revision, each.stated_at), default=None)
        if newest is not None and content.revision <= newest.revision:
            return self._stated_before(view, newest)
        asked = _asked(view, content.lines)
        current = next((each for each in known if each.active), None)
        stock = ViewedStock(view)
        served = served_of(asked, _served(known).items(), stock)
        statement = ReservationStatement(
            view.new_id() if current is None else current.reservation_id,
            content.order_id,
            content.source,
            content.revision,
        )
        try:
            drafts = reserve(asked, current, served, stock)
        except InventoryUnavailable as refused:
            return Decision(events=self._refusals(view, statement, refused))
        if not drafts:
            detail = f"everything of the order {content.order_id} is confirmed: nothing is left to reserve"
            raise RESERVATION_ENDED(detail, state=ReservationState.CONFIRMED.value)
        if current is None and view.reservation_count() >= MOST_ACTIVE:
            raise TOO_MANY_RESERVATIONS(f"{MOST_ACTIVE} reservations are active")
        self._before = current
        expires_at = min(view.now + content.expires_in * SECOND, MAX_TIME)
        return Decision(events=self._events(view, statement, drafts, expires_at))

    def _stated_before(self, view: View, newest: Reservation) -> Decision:
        """The answer to the newest statement of the order made again under another key; another one is refused."""
        content = self.content
        if content.revision == newest.revision:
            before = view.recorded_at(newest.stated_at)
            if before.sealed[0].event.command_digest == self.digest:
                return Decision(answer=self._check_active(newest))
        raise ORDER_SUPERSEDED(
            f"revision {newest.revision} of the order {content.order_id} is reserved, with other content",
            hint=_RAISE.format(revision=newest.revision),
            revision=newest.revision,
        )

    def _check_active(self, reservation: Reservation | None) -> Reservation:
        if reservation is None:
            raise LookupError(f"the log has no reservation for the order {self.content.order_id}")
        return _active(reservation)

    def _refusals(self, view: View, of: Reserved, refused: InventoryUnavailable) -> list[Event]:
        return [
            reservation_event(
                view, EventType.RESERVATION_REFUSED, of, short, short.asked, actor=self.actor, reason=UNAVAILABLE
            )
            for short in refused.short
        ]

    def answer(self, recorded: RecordedCommand) -> Reservation | Refusal:
        events = [each.event for each in recorded.sealed]
        if events[0].type is EventType.RESERVATION_REFUSED:
            return recorded_refusal(self.content.order_id, events, recorded.look())
        return _answer(events, self._before, recorded)


class ConfirmReservation(ReservationCommand):
    """Confirm a reservation in full or in part: what is confirmed leaves the stock. Answered with a `Reservation`."""

    kind = "reservation-confirm"

    def __init__(self, content: ConfirmationContent, *, key: str, actor: str) -> None:
        super().__init__(content, key=key, actor=actor)
        self.content = content
        self.size = 1 if content.lines is None else len(content.lines)
        self._before: Reservation | None = None

    def decide(self, view: View) -> Decision:
        content = self.content
        reservation = _active(_known(view, content.reservation_id))
        asked = None if content.lines is None else _asked(view, content.lines)
        try:
            drafts = confirm(reservation, asked, content.rest)
        except MoreThanOpen as error:
            raise MORE_THAN_OPEN(
                f"{quantity_text(error.asked)} of {error.item_id} to confirm, "
                f"{quantity_text(error.open_quantity)} open",
                item_id=error.item_id,
                asked=Decimal(quantity_text(error.asked)),
                open=Decimal(quantity_text(error.open_quantity)),
            ) from error
        self._before = reservation
        return Decision(events=self._events(view, reservation, drafts))

    def answer(self, recorded: RecordedCommand) -> Reservation:
        return _answer([each.event for each in recorded.sealed], self._before, recorded)


class ReleaseReservation(ReservationCommand):
    """Give back everything that a reservation has open. Answered with a `Reservation`."""

    kind = "reservation-release"

    def __init__(self, content: ReleaseContent, *, key: str, actor: str) -> None:
        super().__init__(content, key=key, actor=actor)
        self.content = content
        self._before: Reservation | None = None

    def decide(self, view: View) -> Decision:
        reservation = _active(_known(view, self.content.reservation_id))
        self._before = reservation
        return Decision(events=self._events(view, reservation, release(reservation, self.content.reason)))

    def answer(self, recorded: RecordedCommand) -> Reservation:
        return _answer([each.event for each in recorded.sealed], self._before, recorded)


def _known(view: View, reservation_id: str) -> Reservation:
    reservation = view.reservation(reservation_id)
    if reservation is None:
        raise UNKNOWN_RESERVATION(f"there is no reservation {reservation_id!r}", reservation_id=reservation_id)
    return reservation


def _active(reservation: Reservation) -> Reservation:
    """The reservation, if any of it is open. Raises 409 `reservation-ended`."""
    if not reservation.active:
        raise RESERVATION_ENDED(
            f"the reservation {reservation.reservation_id} of the order {reservation.order_id} is {reservation.state}",
            reservation_id=reservation.reservation_id,
            state=reservation.state.value,
        )
    return reservation


def _asked(view: View, lines: tuple[WantedLine, ...]) -> list[AskedLine]:
    items = known_items(view, [(f"lines[{place}]", line.item_id, line.unit) for place, line in enumerate(lines)])
    return [AskedLine(item_id=line.item_id, unit=items[line.item_id].unit, quantity=line.quantity) for line in lines]


def _served(reservations: list[Reservation]) -> dict[str, int]:
    """What was confirmed for an order before, by item."""
    served: dict[str, int] = {}
    for each in reservations:
        for line in each.lines:
            served[line.item_id] = served.get(line.item_id, 0) + line.confirmed
    return served


def _answer(events: list[Event], before: Reservation | None, recorded: RecordedCommand) -> Reservation:
    """The reservation right after a command's events, the same when it is repeated."""
    if not recorded.repeated:
        return advance_reservation(before, events)
    last = events[-1]
    reservation = reservation_of(events_of_reservation(recorded.look(), last.reservation_id or "", last.sequence))
    if reservation is None:
        raise LookupError(f"the log has no events of the reservation {last.reservation_id}")
    return reservation


def recorded_refusal(order_id: str, events: list[Event], connection: Connection) -> Refusal:
    """What was short when the order was refused: by the log, so that a repetition has the same answer."""
    short = []
    for event in events:
        item_id = event.item_id or ""
        _, codes = codes_of(connection, item_id)
        standings = [standing_then(connection, event.location_id, code, known_through=event.sequence) for code in codes]
        available = sum(each.on_hand - each.reserved for each in standings)
        short.append(Shortage(item_id=item_id, unit=event.unit or "", asked=event.quantity or 0, available=available))
    return Refusal(order_id=order_id, short=tuple(short))
