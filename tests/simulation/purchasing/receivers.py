"""Who receives deliveries at the branches: they keep a key for what came, and tell it until they are answered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

from branch_node.commands.correction_inputs import CorrectionContent
from branch_node.commands.corrections import VoidEvent
from branch_node.commands.event_commands import RecordEvent
from branch_node.commands.event_inputs import EventContent
from branch_node.commands.purchases.receive_inputs import ReceiveContent, ReceivedLine
from branch_node.commands.purchases.receive_order import ReceiveOrder
from branch_node.model import Command
from shared.events import EventType, Reference
from shared.runtime.problems import Problem
from tests.simulation.callers import event_ids
from tests.simulation.purchasing.delivery_ledger import DeliveryLedger, NotedDelivery
from tests.simulation.rule_broken import RuleBroken

ACTOR = "staff-1"


@dataclass
class Paper:
    """What someone at a branch wants recorded once: deliveries, or the void of one. `make`: the command, each time."""

    name: str
    location_id: str
    make: Callable[[], Command]
    notes: list[NotedDelivery]
    refusals: frozenset[str]
    """The problems that may answer it."""
    voids: str | None = None
    tries: int = 0
    told: list[str] | None = None
    """The ids of the events that it was answered with; None before, and where it was refused."""


@dataclass
class Receivers:
    """Everyone who receives, at all branches."""

    random: Random
    ledger: DeliveryLedger
    waiting: list[Paper] = field(default_factory=list)
    answered: list[Paper] = field(default_factory=list)
    made: int = 0

    def unsure(self, location_id: str) -> bool:
        """Whether anything was told to this branch that it may or may not have recorded."""
        return any(each.tries and each.location_id == location_id for each in self.waiting)

    def think(self, location_id: str, items: Sequence[str], now: int) -> Paper | None:
        """Something that happened at a branch; None where nothing could."""
        self.made += 1
        key, random = f"paper-{self.made}", self.random
        own = [each for each, order in self.ledger.orders.items() if order.location_id == location_id]
        kind = random.choices(["receive", "by hand", "return", "void", "elsewhere"], [40, 25, 10, 22, 3])[0]
        names = sorted(set(self.ledger.orders) - set(own)) if kind == "elsewhere" else own[-6:]
        if kind == "void":
            return self._void(location_id, key)
        if not names:
            return None
        order_id = random.choice(names)
        at = now - random.randint(1, 7_200) * 1_000_000 if random.random() < 0.3 else None
        if kind == "receive":
            return self._receive(location_id, order_id, at, key)
        return self._by_hand(location_id, order_id, items, at, key, returned=kind == "return")

    def _quantity(self, wanted: int) -> int:
        """In part, all or over."""
        return self.random.choice([wanted, wanted, max(wanted // 2, 1), max(wanted // 4, 1), wanted + 1_500])

    def _receive(self, location_id: str, order_id: str, at: int | None, key: str) -> Paper:
        lines = self.ledger.orders[order_id].lines
        numbers = self.random.sample(range(1, len(lines) + 1), self.random.randint(1, len(lines)))
        came = [(number, self._quantity(lines[number - 1][1])) for number in numbers]
        content = ReceiveContent(
            purchase_order_id=order_id,
            lines=tuple(ReceivedLine(line=number, quantity=quantity) for number, quantity in came),
            occurred_at=at,
        )
        notes = [
            NotedDelivery(location_id, order_id, number, lines[number - 1][0], quantity, 0) for number, quantity in came
        ]
        # An order that was not pulled yet cannot be received as one; it is told by hand, or later.
        return self._add(
            Paper(
                f"receive {order_id} {key}",
                location_id,
                lambda: ReceiveOrder(content, key=key, actor=ACTOR),
                notes,
                frozenset({"purchase-order-not-found", "unknown-item"}),
            )
        )

    def _by_hand(
        self, location_id: str, order_id: str, items: Sequence[str], at: int | None, key: str, *, returned: bool
    ) -> Paper:
        lines = self.ledger.orders[order_id].lines
        number = self.random.randint(1, len(lines))
        item_id, wanted = lines[number - 1]
        if self.random.random() < 0.2:
            item_id = self.random.choice(items)
        quantity = max(wanted // 4, 1) if returned else self._quantity(wanted)
        entry = EventContent(
            type=EventType.PURCHASE_RETURNED if returned else EventType.PURCHASE_RECEIVED,
            item_id=item_id,
            quantity=quantity,
            occurred_at=at,
            reference=Reference(id=order_id, kind="purchase-order", line=number),
        )
        note = NotedDelivery(
            location_id, order_id, number, item_id, 0 if returned else quantity, quantity if returned else 0
        )
        return self._add(
            Paper(
                f"{'return' if returned else 'by hand'} {order_id}/{number} {item_id} {key}",
                location_id,
                lambda: RecordEvent(entry, key=key, actor=ACTOR),
                [note],
                frozenset({"purchase-order-line-differs", "unknown-item"}),
            )
        )

    def _void(self, location_id: str, key: str) -> Paper | None:
        known = [each for each, noted in self.ledger.deliveries.items() if noted.location_id == location_id]
        if not known:
            return None
        event_id = self.random.choice(known[-8:])
        content = CorrectionContent(event_id=event_id, reason="mistake")
        return self._add(
            Paper(
                f"void {event_id} {key}",
                location_id,
                lambda: VoidEvent(content, key=key, actor="manager-1"),
                [],
                frozenset({"already-voided"}),
                voids=event_id,
            )
        )

    def _add(self, paper: Paper) -> Paper:
        self.waiting.append(paper)
        return paper

    def tell(self, paper: Paper, outcome: object) -> None:
        """They are told an outcome, and note it. Raises RuleBroken."""
        if isinstance(outcome, Problem) and outcome.status >= 500:
            return
        if isinstance(outcome, BaseException):
            if not isinstance(outcome, Problem) or outcome.code not in paper.refusals or paper.told is not None:
                raise RuleBroken("P3", f"{paper.name}, told before {paper.told}: {outcome!r}") from outcome
            if paper in self.waiting:
                self.waiting.remove(paper)
            return
        ids = event_ids(outcome)
        if paper.told is not None:
            if paper.told != ids:
                raise RuleBroken("P3", f"{paper.name} was recorded as {paper.told}, then as {ids}")
            return
        paper.told = ids
        self.waiting.remove(paper)
        self.answered.append(paper)
        if paper.voids is not None:
            self.ledger.deliveries[paper.voids].voided = True
            return
        for event_id, note in zip(ids, paper.notes, strict=True):
            self.ledger.deliveries[event_id] = note
