"""The books that a purchasing office keeps by itself: levels, orders, what came and went. Plain sums, none of Larder's.

Quantities are whole base units, moments are aware datetimes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from fractions import Fraction
from math import ceil, floor
from typing import Any

WINDOW_DAYS = 28
DAY_START = time(4)
Pair = tuple[str, str]
Line = tuple[str, int]


@dataclass(frozen=True, kw_only=True)
class ParLevel:
    """When an item is ordered for a location, from whom, and how much: up to a stock, or by a quantity."""

    reorder_point: int
    supplier_id: str
    lead_days: int
    order_up_to: int | None = None
    order_quantity: int | None = None
    pack_size: int | None = None

    def to_order(self, projected: int) -> int:
        if projected > self.reorder_point:
            return 0
        if self.order_up_to is not None:
            want = self.order_up_to - projected
        else:
            each = self.order_quantity or 0
            want = each * ((self.reorder_point - projected) // each + 1)
        return want if self.pack_size is None else ceil(Fraction(want, self.pack_size)) * self.pack_size


@dataclass
class Movement:
    """Goods that came or went; `order`: the order's line that they came or went back on."""

    event_id: str
    pair: Pair
    at: datetime
    change: int
    used: bool = False
    order: Line | None = None
    stands: bool = True


@dataclass
class PaperLine:
    """A line of an order as it was written."""

    item_id: str
    ordered: int
    closed: bool = False


@dataclass
class PaperOrder:
    """An order as it was written."""

    location_id: str
    supplier_id: str
    due: str
    lines: list[PaperLine]


@dataclass
class OfficeBooks:
    """All of it; the figures are those of a moment."""

    levels: dict[Pair, ParLevel]
    movements: list[Movement] = field(default_factory=list)
    orders: dict[str, PaperOrder] = field(default_factory=dict)

    def void(self, event_id: str) -> None:
        (found,) = (each for each in self.movements if each.event_id == event_id)
        found.stands = False

    def standing(self, at: datetime) -> list[Movement]:
        return [each for each in self.movements if each.stands and each.at <= at]

    def line(self, order_id: str, number: int, at: datetime) -> dict[str, Any]:
        """The figures of an order's line."""
        line = self.orders[order_id].lines[number - 1]
        of_it = [each.change for each in self.standing(at) if each.order == (order_id, number)]
        received = sum(each for each in of_it if each > 0)
        return {
            "line": number,
            "item_id": line.item_id,
            "quantity": line.ordered,
            "received": received,
            "returned": -sum(each for each in of_it if each < 0),
            "open": 0 if line.closed else max(line.ordered - received, 0),
            "over": max(received - line.ordered, 0),
            "closed": line.closed,
        }

    def order(self, order_id: str, at: datetime) -> dict[str, Any]:
        """An order with what became of it."""
        order = self.orders[order_id]
        lines = [self.line(order_id, number, at) for number in range(1, len(order.lines) + 1)]
        ended = (
            "CLOSED" if any(each["closed"] and each["received"] < each["quantity"] for each in lines) else "RECEIVED"
        )
        return {
            "purchase_order_id": order_id,
            "location_id": order.location_id,
            "supplier_id": order.supplier_id,
            "due": order.due,
            "state": "OPEN" if any(each["open"] for each in lines) else ended,
            "lines": lines,
        }

    def report(self, at: datetime) -> dict[Pair, dict[str, Any]]:
        """What the report must say of every level."""
        return {pair: self._row(pair, level, at) for pair, level in self.levels.items()}

    def _row(self, pair: Pair, level: ParLevel, at: datetime) -> dict[str, Any]:
        mine = [each for each in self.standing(at) if each.pair == pair]
        on_hand = sum(each.change for each in mine)
        coming = [
            (order.due, line["open"])
            for order_id, order in self.orders.items()
            if order.location_id == pair[0]
            for line in self.order(order_id, at)["lines"]
            if line["item_id"] == pair[1] and line["open"]
        ]
        on_order = sum(quantity for _, quantity in coming)
        projected = on_hand + on_order
        to_order = level.to_order(projected)
        usage = _daily_usage(mine, at)
        days_left = floor(on_hand / usage * 10) / 10 if usage else None
        return {
            "on_hand": on_hand,
            "reserved": 0,
            "available": on_hand,
            "in_transit": 0,
            "on_order": on_order,
            "next_due": min((due for due, _ in coming), default=None),
            "projected": projected,
            "supplier_id": level.supplier_id,
            "reorder_point": level.reorder_point,
            "order_up_to": level.order_up_to,
            "order_quantity": level.order_quantity,
            "pack_size": level.pack_size,
            "to_order": to_order,
            "packs": None if level.pack_size is None else to_order // level.pack_size,
            "daily_usage": None if usage is None else floor(usage * 1000 + Fraction(1, 2)) / 1000,
            "days_left": days_left,
            "lead_days": level.lead_days,
            "suggested_reorder_point": None if usage is None else ceil(usage * (level.lead_days + 2)),
        }


def _daily_usage(mine: list[Movement], at: datetime) -> Fraction | None:
    """What was used a day on the business dates before that of `at`, from the item's first movement on."""
    if not mine:
        return None
    today, first = _business_date(at), _business_date(min(each.at for each in mine))
    dates = {today - timedelta(days=back) for back in range(1, WINDOW_DAYS + 1)}
    dates = {each for each in dates if each >= first}
    if not dates:
        return None
    used = -sum(each.change for each in mine if each.used and _business_date(each.at) in dates)
    return Fraction(used, len(dates))


def _business_date(moment: datetime) -> Any:
    return (moment - timedelta(hours=DAY_START.hour)).date()
