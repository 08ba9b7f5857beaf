"""A checkout of the simulation: it reserves stock for orders, states them anew, confirms and gives back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from branch_node.commands.reservations.reservation_commands import (
    ConfirmReservation,
    Refusal,
    ReleaseReservation,
    Reserve,
)
from branch_node.commands.reservations.reservation_decisions import Rest
from branch_node.commands.reservations.reservation_inputs import (
    ConfirmationContent,
    ReleaseContent,
    ReservationContent,
    WantedLine,
)
from branch_node.model import Command
from shared.reservations import Reservation
from tests.simulation.reservation_ledger import Content

KINDS = ("reserve", "restate", "confirm", "release")
WEIGHTS = (14, 7, 16, 4)
LATELY = 5
"""Of how many reservations a checkout still thinks."""


@dataclass
class Checkout:
    """At one location. `asked` is what it wants recorded, by key; `told` the newest answer on each reservation."""

    random: Random
    asked: dict[str, Content] = field(default_factory=dict)
    told: dict[str, Reservation] = field(default_factory=dict)
    revisions: Counter[str] = field(default_factory=Counter)

    def wish(self, kind: str, number: int, items: tuple[str, ...]) -> Callable[[], Command]:
        """What it wants next. `number` names it; where nothing is reserved yet, a new order reserves."""
        open_ones = [each for each in self.told.values() if each.active]
        lately = (open_ones if open_ones and self.random.random() < 0.8 else list(self.told.values()))[-LATELY:]
        if kind == "restate" and self.revisions:
            sent_in_part = [each.order_id for each in self.told.values() if any(line.confirmed for line in each.lines)]
            orders = sent_in_part if sent_in_part and self.random.random() < 0.5 else list(self.revisions)
            return self._reserve(self.random.choice(orders[-LATELY:]), number, items)
        if kind == "confirm" and lately:
            return self._confirm(self.random.choice(lately), f"key-{number}")
        if kind == "release" and lately:
            content = ReleaseContent(reservation_id=self.random.choice(lately).reservation_id, reason="changed-mind")
            return self._known(lambda: ReleaseReservation(content, key=f"key-{number}", actor="s-1"), content)
        return self._reserve(f"r-{number}", number, items)

    def order(self) -> str | None:
        """An order that it has reserved for, or tried to."""
        return self.random.choice(list(self.revisions)[-LATELY:]) if self.revisions else None

    def hear(self, answer: object) -> None:
        """It is told how something went."""
        if isinstance(answer, Reservation):
            self.told.pop(answer.reservation_id, None)
            self.told[answer.reservation_id] = answer

    def _reserve(self, order_id: str, number: int, items: tuple[str, ...]) -> Callable[[], Command]:
        self.revisions[order_id] += 1
        random = self.random
        most = random.choice([8, 8, 8, 8, 240])
        content = ReservationContent(
            order_id=order_id,
            revision=self.revisions[order_id],
            lines=tuple(
                WantedLine(item_id=item, quantity=random.randint(1, most) * 250)
                for item in random.sample(items, random.randint(1, len(items)))
            ),
            expires_in=random.choice([20, 120, 900, 1_800]),
        )
        key = random.choice([f"key-{number}", None])
        return self._known(lambda: Reserve(content, key=key, actor="s-1"), content)

    def _confirm(self, reservation: Reservation, key: str) -> Callable[[], Command]:
        random = self.random
        lines = None
        if random.random() < 0.6:
            some = (
                random.sample(reservation.lines, random.randint(1, len(reservation.lines))) if reservation.lines else []
            )
            lines = tuple(
                WantedLine(item_id=line.item_id, quantity=random.randint(1, line.quantity // 250) * 250)
                for line in some
            )
        content = ConfirmationContent(
            reservation_id=reservation.reservation_id,
            lines=lines or None,
            rest=random.choice([Rest.KEEP, Rest.KEEP, Rest.RELEASE]),
        )
        return self._known(lambda: ConfirmReservation(content, key=key, actor="s-1"), content)

    def _known(self, make: Callable[[], Command], content: Content) -> Callable[[], Command]:
        key = make().key
        assert key is not None
        self.asked[key] = content
        return make


def reserves(answer: object) -> bool:
    """Whether an answer is one of reservations, which the log must have."""
    return isinstance(answer, Reservation | Refusal)
