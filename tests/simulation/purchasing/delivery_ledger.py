"""What was ordered and what came of it, as those who ordered and received have it: no code of the product's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tests.simulation.rule_broken import RuleBroken


@dataclass
class OrderedLines:
    """An order: for each line the item and thousandths of it, and the numbers of the lines that were closed."""

    location_id: str
    lines: list[tuple[str, int]]
    closed: set[int] = field(default_factory=set)


@dataclass
class NotedDelivery:
    """One event that a branch said it had recorded. Thousandths; one of the two is zero."""

    location_id: str
    order_id: str
    line: int
    item_id: str
    received: int
    returned: int
    voided: bool = False


class LineSums(NamedTuple):
    """The figures of an order's line, in thousandths."""

    received: int
    returned: int
    open: int
    over: int
    closed: bool


@dataclass
class DeliveryLedger:
    """`deliveries` by the id of their event."""

    orders: dict[str, OrderedLines] = field(default_factory=dict)
    deliveries: dict[str, NotedDelivery] = field(default_factory=dict)

    def sums(self, order_id: str) -> list[LineSums]:
        """The figures of each line. What came to another location, or of another item, is none of the order's."""
        order = self.orders[order_id]
        found: list[LineSums] = []
        for number, (item_id, quantity) in enumerate(order.lines, start=1):
            received = returned = 0
            for each in self.deliveries.values():
                here = (each.location_id, each.order_id, each.line, each.item_id)
                if here == (order.location_id, order_id, number, item_id) and not each.voided:
                    received += each.received
                    returned += each.returned
            closed = number in order.closed
            rest = quantity - received
            found.append(
                LineSums(received, returned, rest if rest > 0 and not closed else 0, -rest if rest < 0 else 0, closed)
            )
        return found

    def state(self, order_id: str) -> str:
        """OPEN, RECEIVED or CLOSED."""
        sums = self.sums(order_id)
        if any(line.open for line in sums):
            return "OPEN"
        ordered = [quantity for _, quantity in self.orders[order_id].lines]
        given_up = any(line.closed and line.received < wanted for line, wanted in zip(sums, ordered, strict=True))
        return "CLOSED" if given_up else "RECEIVED"

    def in_state(self, state: str, location_id: str | None = None) -> list[str]:
        """The ids of the orders in a state, of a location (None: all), sorted."""
        return sorted(
            order_id
            for order_id, order in self.orders.items()
            if location_id in (None, order.location_id) and self.state(order_id) == state
        )

    def on_order(self) -> dict[tuple[str, str], int]:
        """What is open of all orders, by location and item, where it is above zero."""
        found: dict[tuple[str, str], int] = {}
        for order_id, order in self.orders.items():
            for (item_id, _), line in zip(order.lines, self.sums(order_id), strict=True):
                if line.open:
                    key = (order.location_id, item_id)
                    found[key] = found.get(key, 0) + line.open
        return found

    def check_received(self, record: Mapping[str, Any], where: str) -> None:
        """P1, of an order as one end shows it, whether or not that knows yet what was closed."""
        self._compare(record, where, ("received", "returned", "over"), "P1")

    def check(self, record: Mapping[str, Any], where: str) -> None:
        """P2, of an order as one end shows it."""
        self._compare(record, where, LineSums._fields, "P2")
        order_id = record["purchase_order_id"]
        if record["state"] != self.state(order_id):
            raise RuleBroken("P2", f"{where}: {order_id} is {record['state']}, and should be {self.state(order_id)}")

    def _compare(self, record: Mapping[str, Any], where: str, fields: tuple[str, ...], rule: str) -> None:
        order_id = record["purchase_order_id"]
        shown = [tuple(_thousandths(line[name]) for name in fields) for line in record["lines"]]
        expected = [tuple(int(getattr(line, name)) for name in fields) for line in self.sums(order_id)]
        if shown != expected:
            raise RuleBroken(rule, f"{where}: {fields} of {order_id} are {shown}, and should be {expected}")


def _thousandths(shown: float | bool) -> int:
    return int(shown) if isinstance(shown, bool) else round(shown * 1_000)
