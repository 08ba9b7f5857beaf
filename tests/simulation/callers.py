"""Tills and staff of the simulation: they keep a key for what they want, and send it until they are told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from branch_node.commands.correction_inputs import CorrectionContent
from branch_node.commands.corrections import ReviewEvent, VoidEvent
from branch_node.commands.count_inputs import CountContent, CountLine
from branch_node.commands.counts import RecordCount
from branch_node.commands.event_commands import RecordEvent
from branch_node.commands.event_inputs import EventContent
from branch_node.commands.order_inputs import CancelContent, OrderContent, OrderLine
from branch_node.commands.orders import CancelOrder, RecordOrder
from branch_node.model import Command
from branch_node.problems import RESERVATION_ENDED
from shared.events import EventType
from shared.runtime.problems import Problem
from tests.simulation.checkout import KINDS, WEIGHTS, Checkout, reserves
from tests.simulation.rule_broken import RuleBroken

PLAIN = (
    EventType.PURCHASE_RECEIVED,
    EventType.ORDER_DEDUCTION,
    EventType.CUSTOMER_RETURN,
    EventType.INTERNAL_USE,
    EventType.PURCHASE_RETURNED,
)


@dataclass
class Wish:
    """Something a caller wants recorded once. `make` gives the command, the same one every time."""

    name: str
    location_id: str
    make: Callable[[], Command]
    order_id: str | None = None
    tries: int = 0
    told: object | None = None

    @property
    def accepted(self) -> bool:
        return self.told is not None and not isinstance(self.told, BaseException)


@dataclass
class Callers:
    """All callers of the group: what they wait for, and what they were told."""

    random: Random
    waiting: list[Wish] = field(default_factory=list)
    answered: list[Wish] = field(default_factory=list)
    made: int = 0
    checkouts: dict[str, Checkout] = field(default_factory=dict)
    told_of_reservations: list[Wish] = field(default_factory=list)
    """Those that were answered since the last look."""

    def checkout(self, location_id: str) -> Checkout:
        """The checkout of a location."""
        return self.checkouts.setdefault(location_id, Checkout(self.random))

    def wish(
        self, location_id: str, items: tuple[str, ...], now: int, known: list[str], *, kind: str | None = None
    ) -> Wish:
        """Think of something to record. `known` are ids of events of this branch, to void or review."""
        self.made += 1
        number, random = self.made, self.random
        key = f"key-{number}"
        kind = (
            kind
            or random.choices(
                [
                    "plain",
                    "order",
                    "revision",
                    "cancel",
                    "count",
                    "void",
                    "review",
                    "waste",
                    "adjustment",
                    "sold",
                    *KINDS,
                ],
                [30, 14, 8, 4, 10, 10, 3, 6, 4, 3, *WEIGHTS],
            )[0]
        )
        item = random.choice(items)
        quantity = random.randint(1, 40) * 250
        at = now - random.choice([0, 0, 0, random.randint(0, 7_200)]) * 1_000_000
        make: Callable[[], Command]
        order_id: str | None = None
        checkout = self.checkout(location_id)
        if kind in KINDS:
            make = checkout.wish(kind, number, items)
        elif kind in ("void", "review") and known:
            content = CorrectionContent(event_id=random.choice(known), reason="mistake")
            correction = VoidEvent if kind == "void" else ReviewEvent
            make = lambda: correction(content, key=key, actor="m-1")  # noqa: E731
        elif kind in ("order", "sold") or (kind in ("revision", "cancel") and not self._orders(location_id)):
            order_id = checkout.order() if kind == "sold" else None
            order_id = order_id or f"o-{number}"
            make = self._order(order_id, 1, items, at)
        elif kind == "revision":
            make = self._order(random.choice(self._orders(location_id)), random.randint(2, 4), items, at)
        elif kind == "cancel":
            cancel = CancelContent(order_id=random.choice(self._orders(location_id)))
            make = lambda: CancelOrder(cancel, key=None, actor="s-1")  # noqa: E731
        elif kind == "count":
            line = CountLine(item_id=item, counted=quantity, occurred_at=at)
            count = CountContent(count_id=f"c-{number}", lines=(line,))
            make = lambda: RecordCount(count, key=key, actor="s-1")  # noqa: E731
        else:
            make = self._entry(kind, item, quantity, at, key)
        wish = Wish(f"{kind} {number}", location_id, make, order_id)
        self.waiting.append(wish)
        return wish

    def delivery(self, location_id: str, item: str) -> Wish:
        """Enough of an item for a history to draw on."""
        self.made += 1
        entry = EventContent(
            item_id=item, quantity=self.random.randint(20, 120) * 1_000, type=EventType.PURCHASE_RECEIVED
        )
        key = f"key-{self.made}"
        wish = Wish(f"delivery {self.made}", location_id, lambda: RecordEvent(entry, key=key, actor="s-1"))
        self.waiting.append(wish)
        return wish

    def _entry(self, kind: str, item: str, quantity: int, at: int, key: str) -> Callable[[], Command]:
        event_type, reason = self.random.choice(PLAIN), None
        if kind == "waste":
            event_type, reason = EventType.WASTE_RECORDED, "spoiled"
        elif kind == "adjustment":
            event_type, reason = EventType.ADJUSTMENT, "found"
            quantity *= self.random.choice([1, -1])
        entry = EventContent(item_id=item, quantity=quantity, type=event_type, occurred_at=at, reason=reason)
        return lambda: RecordEvent(entry, key=key, actor="s-1")

    def _order(self, order_id: str, revision: int, items: tuple[str, ...], at: int) -> Callable[[], Command]:
        chosen = self.random.sample(items, self.random.randint(1, len(items)))
        lines = tuple(OrderLine(item_id=item, quantity=self.random.randint(1, 8) * 250) for item in chosen)
        content = OrderContent(order_id=order_id, revision=revision, occurred_at=at, lines=lines)
        return lambda: RecordOrder(content, key=None, actor="s-1")

    def _orders(self, location_id: str) -> list[str]:
        done = (wish for wish in self.answered if wish.accepted and wish.location_id == location_id)
        return [wish.order_id for wish in done if wish.order_id is not None]

    def tell(self, wish: Wish, outcome: object) -> None:
        """A caller is told an outcome: it waits no more, unless it was told to come back."""
        if isinstance(outcome, Problem) and outcome.status >= 500:
            return
        if isinstance(outcome, BaseException) and not isinstance(outcome, Problem):
            raise RuleBroken(16, f"{wish.name} was answered with {outcome!r}") from outcome
        if wish in self.waiting:
            self.waiting.remove(wish)
            self.answered.append(wish)
        elif wish.accepted and same_answer(wish.told) != same_answer(outcome) and not said_to_have_ended(wish, outcome):
            raise RuleBroken(8, f"{wish.name} was told {wish.told!r}, then {outcome!r}")
        if reserves(outcome):
            self.told_of_reservations.append(wish)
            self.checkout(wish.location_id).hear(outcome)
        if wish.told is None or wish.accepted is False:
            wish.told = outcome


def said_to_have_ended(wish: Wish, outcome: object) -> bool:
    """Whether an order's statement, sent again without a key of its own, is refused as its reservation has ended."""
    own = (wish.make().key or "").startswith("larder:reservation:")
    return own and isinstance(outcome, Problem) and outcome.code == RESERVATION_ENDED.code


def same_answer(outcome: object) -> Any:
    """What must be the same each time a command is answered: the events it recorded, or all of a reservation."""
    return outcome if reserves(outcome) else sorted(event_ids(outcome))


def event_ids(outcome: object) -> list[str]:
    """The ids of the events that an answer names, wherever they stand in it."""
    import msgspec

    found: list[str] = []

    def look(value: object) -> None:
        if isinstance(value, dict):
            for name, member in value.items():
                if name == "event_id" and isinstance(member, str):
                    found.append(member)
                else:
                    look(member)
        elif isinstance(value, list | tuple):
            for member in value:
                look(member)

    if outcome is not None and not isinstance(outcome, BaseException):
        look(msgspec.json.decode(msgspec.json.encode(outcome)))
    return found
