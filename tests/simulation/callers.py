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
from shared.events import EventType
from shared.runtime.problems import Problem
from tests.simulation.invariants import RuleBroken

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

    def wish(self, location_id: str, items: tuple[str, ...], now: int, known: list[str]) -> Wish:
        """Think of something to record. `known` are ids of events of this branch, to void or review."""
        self.made += 1
        number, random = self.made, self.random
        key = f"key-{number}"
        kind = random.choices(
            ["plain", "order", "revision", "cancel", "count", "void", "review", "waste", "adjustment"],
            [30, 14, 8, 4, 10, 10, 3, 6, 4],
        )[0]
        item = random.choice(items)
        quantity = random.randint(1, 40) * 250
        at = now - random.choice([0, 0, 0, random.randint(0, 7_200)]) * 1_000_000
        make: Callable[[], Command]
        if kind in ("void", "review") and known:
            content = CorrectionContent(event_id=random.choice(known), reason="mistake")
            correction = VoidEvent if kind == "void" else ReviewEvent
            make = lambda: correction(content, key=key, actor="m-1")  # noqa: E731
        elif kind == "order" or (kind in ("revision", "cancel") and not self._orders(location_id)):
            make = self._order(f"o-{number}", 1, items, at)
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
        wish = Wish(f"{kind} {number}", location_id, make)
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
        return [f"o-{wish.name.split()[1]}" for wish in done if wish.name.startswith("order ")]

    def tell(self, wish: Wish, outcome: object) -> None:
        """A caller is told an outcome: it waits no more, unless it was told to come back."""
        if isinstance(outcome, Problem) and outcome.status >= 500:
            return
        if isinstance(outcome, BaseException) and not isinstance(outcome, Problem):
            raise RuleBroken(16, f"{wish.name} was answered with {outcome!r}") from outcome
        if wish in self.waiting:
            self.waiting.remove(wish)
            self.answered.append(wish)
        elif wish.accepted and same_answer(wish.told) != same_answer(outcome):
            raise RuleBroken(8, f"{wish.name} was told {wish.told!r}, then {outcome!r}")
        if wish.told is None or wish.accepted is False:
            wish.told = outcome


def same_answer(outcome: object) -> Any:
    """What must be the same each time a command is answered: the events it recorded."""
    return sorted(event_ids(outcome))


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
