"""What a log says of its reservations, kept as on paper: another model than the product's, which it is to judge.

It reads the log's events alone, command by command, and what the callers had asked for under each key. Quantities are
thousandths, times microseconds UTC. Rules: DESIGN section 6, rules 8 and 13; INTERFACES A1.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from branch_node.commands.reservations.reservation_decisions import Rest
from branch_node.commands.reservations.reservation_inputs import (
    ConfirmationContent,
    ReleaseContent,
    ReservationContent,
)
from shared.events import Event, EventType
from tests.simulation.rule_broken import RuleBroken

Content = ReservationContent | ConfirmationContent | ReleaseContent
CLOCK = "clock"
RESTATED = "restated"
TAKES = (EventType.RESERVATION_CONFIRMED, EventType.RESERVATION_RELEASED, EventType.RESERVATION_EXPIRED)
ENDS = dict(zip(TAKES, ("CONFIRMED", "RELEASED", "EXPIRED"), strict=True))


@dataclass
class Promise:
    """One reservation. `open`, `confirmed` and `released` are quantities by item; none of zero."""

    reservation_id: str
    order_id: str
    source: str
    created_at: int
    revision: int = 0
    expires_at: int = 0
    stated_at: int = 0
    state: str = "ACTIVE"
    open: Counter[str] = field(default_factory=Counter)
    confirmed: Counter[str] = field(default_factory=Counter)
    released: Counter[str] = field(default_factory=Counter)

    @property
    def lines(self) -> list[tuple[str, int, int, int]]:
        """(item, quantity, confirmed, released) in order of item."""
        items = sorted({*self.open, *self.confirmed, *self.released})
        return [(i, self.open[i] + self.confirmed[i] + self.released[i], self.confirmed[i], self.released[i])
                for i in items if self.open[i] + self.confirmed[i] + self.released[i]]  # fmt: skip


@dataclass
class ReservationLedger:
    """All reservations of one log, as far as it was read. `where` names the log in what is found wrong."""

    where: str
    promises: dict[str, Promise] = field(default_factory=dict)
    reserved: Counter[str] = field(default_factory=Counter)
    asked: dict[str, Content] = field(default_factory=dict)
    """What callers ask for, by the key that it is recorded under; filled by them before they ask."""
    sold: dict[int, tuple[str, str, str, int]] = field(default_factory=dict)
    """What recorded orders took that stands: (order id, source, item, quantity) by sequence."""
    keys: set[str] = field(default_factory=set)
    """Under which commands were recorded."""
    seen: Counter[str] = field(default_factory=Counter)
    """How often each kind of event of reservations was recorded."""

    @property
    def active(self) -> list[Promise]:
        return [each for each in self.promises.values() if each.state == "ACTIVE"]

    def of_order(self, order_id: str, source: str) -> list[Promise]:
        return [each for each in self.promises.values() if (each.order_id, each.source) == (order_id, source)]

    def take(self, command: Sequence[Event], on_hand: Callable[[str], int]) -> None:
        """Take in the events of one command. `on_hand` gives an item's, with this command. Raises RuleBroken."""
        self._nothing_was_due(command)
        key = command[0].command_key
        content = None if key is None else self.asked.get(key)
        self.keys |= set() if key is None else {key}
        held = self._held(content)
        before = Counter(self.reserved)
        touched: dict[str, Promise] = {}
        for event in command:
            if event.reservation_id is None:
                continue
            self.seen[event.type.value] += 1
            if event.type is not EventType.RESERVATION_REFUSED:
                touched[event.reservation_id] = self._change(event, command)
        for promise in touched.values():
            self._close(promise, command)
        self._decided_on_what_was_there(command, before, on_hand)
        self._as_asked(command, content, held)
        self._orders_release(command)
        self._sell(command)

    # One event

    def _change(self, event: Event, command: Sequence[Event]) -> Promise:
        item, quantity, reservation_id = event.item_id or "", event.quantity or 0, event.reservation_id or ""
        promise = self.promises.get(reservation_id)
        if event.type is EventType.STOCK_RESERVED:
            if promise is None:
                promise = self._open(event)
            elif promise.state != "ACTIVE":
                raise self._broken(f"{reservation_id} had ended as {promise.state}, and holds stock again")
            promise.expires_at = event.expires_at or 0
            promise.open[item] += quantity
            self.reserved[item] += quantity
        else:
            if promise is None or promise.state != "ACTIVE":
                state = "unknown" if promise is None else promise.state
                raise self._broken(f"{event.type} at {event.sequence} of {reservation_id}, which is {state}")
            if quantity > promise.open[item]:
                raise self._broken(f"{event.type} takes {quantity} of {item}, open are {promise.open[item]}")
            promise.open[item] -= quantity
            self.reserved[item] -= quantity
            if event.type is EventType.RESERVATION_CONFIRMED:
                promise.confirmed[item] += quantity
            elif event.reason != RESTATED:
                promise.released[item] += quantity
            if event.type is EventType.RESERVATION_EXPIRED and not (
                event.occurred_at == promise.expires_at <= event.recorded_at
            ):
                raise self._broken(f"{reservation_id} lasts to {promise.expires_at}; expired at {event.occurred_at}")
        revision = 0 if event.reference is None else event.reference.revision or 1
        if revision > promise.revision:
            promise.revision, promise.stated_at = revision, command[0].sequence
        return promise

    def _open(self, event: Event) -> Promise:
        order_id = "" if event.reference is None else event.reference.id
        others = [each for each in self.of_order(order_id, event.source) if each.state == "ACTIVE"]
        if others:
            raise self._broken(f"two reservations of {order_id}: {others[0].reservation_id}, {event.reservation_id}")
        promise = Promise(event.reservation_id or "", order_id, event.source, event.occurred_at)
        return self.promises.setdefault(promise.reservation_id, promise)

    def _close(self, promise: Promise, command: Sequence[Event]) -> None:
        last = [each for each in command if each.reservation_id == promise.reservation_id][-1]
        if not +promise.open:
            promise.state = ENDS.get(last.type, "ACTIVE")
        elif last.type is EventType.RESERVATION_EXPIRED:
            raise self._broken(f"{promise.reservation_id} expired, and {+promise.open} of it did not")

    # One command

    def _nothing_was_due(self, command: Sequence[Event]) -> None:
        """An expiry is recorded before anything that is recorded at or after it."""
        first = command[0]
        if first.type is EventType.RESERVATION_EXPIRED or first.actor == CLOCK:
            return
        due = [each.reservation_id for each in self.active if each.expires_at <= first.recorded_at]
        if due:
            raise self._broken(f"{first.type} at {first.sequence} was recorded before the expiry of {due}")

    def _decided_on_what_was_there(
        self, command: Sequence[Event], before: Mapping[str, int], on_hand: Callable[[str], int]
    ) -> None:
        """A decision (a reservation, a transfer out) takes no available below zero; a refusal was one of too much."""
        for item in {each.item_id or "" for each in command}:
            if self.reserved[item] < 0:
                raise self._broken(f"{self.reserved[item]} of {item} reserved")
            sent = any(each.type is EventType.TRANSFER_OUT for each in command if each.item_id == item)
            available = on_hand(item) - self.reserved[item] if sent or self.reserved[item] > before[item] else 0
            if available < 0:
                raise self._broken(f"{command[0].type} at {command[0].sequence} left {available} of {item} available")
        for event in command:
            if event.type is EventType.RESERVATION_REFUSED:
                item = event.item_id or ""
                if (event.quantity or 0) <= on_hand(item) - self.reserved[item]:
                    raise self._broken(f"{event.quantity} of {item} were available, and refused at {event.sequence}")

    def _held(self, content: Content | None) -> tuple[Counter[str], Counter[str]]:
        """What was confirmed or sold for an order before a command, and what its reservation has open, by item."""
        served: Counter[str] = Counter()
        held: Counter[str] = Counter()
        if isinstance(content, ReservationContent):
            for each in self.of_order(content.order_id, content.source):
                served += each.confirmed
                held += each.open if each.state == "ACTIVE" else Counter()
            for order_id, source, item, quantity in self.sold.values():
                if (order_id, source) == (content.order_id, content.source):
                    served[item] += quantity
        elif content is not None and content.reservation_id in self.promises:
            held += self.promises[content.reservation_id].open
        return served, held

    def _as_asked(
        self, command: Sequence[Event], content: Content | None, before: tuple[Counter[str], Counter[str]]
    ) -> None:
        """What a command recorded is what its caller asked for."""
        served, held = before
        found = _totals(command)
        match content:
            case ReservationContent():
                wanted = Counter({each.item_id: each.quantity for each in content.lines}) - served
                refused = found.pop(EventType.RESERVATION_REFUSED, None)
                if refused is not None:
                    beyond = wanted - held
                    right = not found and all(refused[item] == beyond[item] for item in refused)
                else:
                    right = found == _without_nothing({EventType.STOCK_RESERVED: wanted, TAKES[1]: held})
            case ConfirmationContent():
                taken = held if content.lines is None else Counter({e.item_id: e.quantity for e in content.lines})
                left = held - taken if content.rest is Rest.RELEASE else Counter()
                right = found == _without_nothing({TAKES[0]: taken, TAKES[1]: left})
            case ReleaseContent():
                right = found == _without_nothing({TAKES[1]: held})
            case None:
                return
        if not right:
            raise self._broken(f"{content}, with {served} served and {held} held, recorded {found}")

    def _orders_release(self, command: Sequence[Event]) -> None:
        """An order that is recorded or cancelled holds no stock any more."""
        for event in command:
            reference = event.reference
            if event.reservation_id is not None or reference is None or reference.revision is None:
                continue
            if any(each.state == "ACTIVE" for each in self.of_order(reference.id, event.source)):
                raise self._broken(f"{reference.id} is recorded at {event.sequence}, and still reserves stock")

    def _sell(self, command: Sequence[Event]) -> None:
        for event in command:
            reference = event.reference
            if event.voided_sequence is not None:
                self.sold.pop(event.voided_sequence, None)
            elif event.type is EventType.ORDER_DEDUCTION and reference is not None and reference.revision is not None:
                sold = (reference.id, event.source, event.item_id or "", event.quantity or 0)
                self.sold[event.sequence] = sold

    def _broken(self, what: str) -> RuleBroken:
        return RuleBroken(13, f"{self.where}: {what}")


def _totals(command: Sequence[Event]) -> dict[EventType, Counter[str]]:
    """What a command recorded of reservations, by type and item."""
    found: dict[EventType, Counter[str]] = {}
    for event in command:
        if event.reservation_id is not None:
            found.setdefault(event.type, Counter())[event.item_id or ""] += event.quantity or 0
    return found


def _without_nothing(totals: Mapping[EventType, Counter[str]]) -> dict[EventType, Counter[str]]:
    return {kind: +each for kind, each in totals.items() if +each}
