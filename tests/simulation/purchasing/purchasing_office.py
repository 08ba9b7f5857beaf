"""Those who order: what they want of head office, told until it is answered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

import httpx

from tests.simulation.office import ITEMS, LOCATIONS
from tests.simulation.purchasing.delivery_ledger import DeliveryLedger, OrderedLines
from tests.simulation.rule_broken import RuleBroken

ORDERS: Final = "/v1/purchase-orders"
RETRIED: Final = frozenset({400, 429, 503})
"""What is sent again: the network cut a body, or head office was busy."""


@dataclass
class Wanted:
    """A request. `then` is called with its first answer."""

    method: str
    path: str
    body: dict[str, Any]
    key: str | None
    then: Callable[[Any], None]

    def __str__(self) -> str:
        return f"{self.method} {self.path} {self.body}"


@dataclass
class PurchasingOffice:
    """Orders are in the ledger once they were thought of: paper comes to a branch before its order does."""

    random: Random
    http: httpx.Client
    ledger: DeliveryLedger
    injected: Counter[str]
    waiting: list[Wanted] = field(default_factory=list)
    answered: list[Wanted] = field(default_factory=list)
    made: set[str] = field(default_factory=set)
    """The orders that head office has answered."""
    thought: int = 0

    def step(self) -> str:
        """Something new, or what was not answered yet, or what was, again; told what."""
        roll = self.random.random()
        if roll < 0.1 and self.answered:
            self.injected["request told again"] += 1
            return self._tell(self.random.choice(self.answered))
        if roll < 0.6 or not self.waiting:
            self.waiting.append(self._think())
        return self._tell(self.random.choice(self.waiting))

    def tell_all(self) -> None:
        """Everything that waits, in turn."""
        for wanted in list(self.waiting):
            self._tell(wanted)

    def _think(self) -> Wanted:
        self.thought += 1
        kind = self.random.choices(["order", "change", "close"], [50, 25, 25])[0]
        if kind == "order" or not self.made:
            return self._order()
        order_id = self.random.choice(sorted(self.made)[-8:])
        if kind == "change":
            # Which of two changes counts is that which came last; head office and the branch must agree on it.
            body: dict[str, Any] = {"note": f"note {self.thought}"}
            if self.random.random() < 0.6:
                body["due"] = f"2026-02-{self.random.randint(1, 28):02d}"
            return Wanted("PATCH", f"{ORDERS}/{order_id}", body, None, lambda _answer: None)
        return self._close(order_id)

    def _order(self) -> Wanted:
        number = self.thought
        location_id = self.random.choice(LOCATIONS)
        lines = [
            (self.random.choice(sorted(ITEMS)), self.random.randint(1, 40) * 500)
            for _ in range(self.random.randint(1, 3))
        ]
        stated = [{"item_id": item, "quantity": f"{quantity / 1_000}"} for item, quantity in lines]
        body: dict[str, Any] = {"location_id": location_id, "supplier_id": "farm", "lines": stated}
        order = OrderedLines(location_id, lines)
        if self.random.random() < 0.8:
            body["purchase_order_id"] = f"order-{number:03d}"
            self.ledger.orders[body["purchase_order_id"]] = order

        def made(answer: Any) -> None:
            order_id = answer["purchase_order_id"]
            if order_id in self.made:
                raise RuleBroken("P2", f"{order_id} was given to two orders")
            self.made.add(order_id)
            self.ledger.orders[order_id] = order

        return Wanted("POST", ORDERS, body, f"order-key-{number}", made)

    def _close(self, order_id: str) -> Wanted:
        order = self.ledger.orders[order_id]
        numbers = range(1, len(order.lines) + 1)
        some = sorted(self.random.sample(numbers, self.random.randint(1, len(numbers))))
        body: dict[str, Any] = {"reason": "sold out"}
        if len(some) < len(numbers) or self.random.random() < 0.5:
            body["lines"] = some
        return Wanted("POST", f"{ORDERS}/{order_id}/close", body, None, lambda _answer: order.closed.update(some))

    def _tell(self, wanted: Wanted) -> str:
        headers = {} if wanted.key is None else {"Idempotency-Key": wanted.key}
        try:
            answer = self.http.request(wanted.method, wanted.path, json=wanted.body, headers=headers)
        except httpx.TransportError as error:
            return f"{wanted}: {error}"
        said = f"{wanted}: {answer.status_code} {answer.text}"
        if answer.status_code in RETRIED:
            return said
        if not answer.is_success:
            raise RuleBroken(16, said)
        if wanted in self.waiting:
            self.waiting.remove(wanted)
            self.answered.append(wanted)
            wanted.then(answer.json())
        return said
