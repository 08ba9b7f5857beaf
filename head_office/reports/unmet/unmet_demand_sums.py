"""Unmet demand in sum: of each item at each location, how often and how much was asked for and was not there."""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple

import msgspec

from head_office.problems import REPORT_TOO_LARGE
from head_office.reports.known_at import Cut
from head_office.reports.tables.table_report import TableScope
from head_office.reports.unmet.unmet_demand import REFUSALS_AT_ONCE, unmet_demand

MOST_REFUSALS: Final = 50_000
"""Refused lines that one answer sums at most."""


class UnmetDemandBy(StrEnum):
    """What a row of the report is: one refused line, or the sum over those of an item at a location."""

    EVENT = "event"
    ITEM = "item"


class UnmetDemandKey(NamedTuple):
    """What a sum is of, in the order of the rows."""

    location_id: str
    item_id: str
    unit: str


class UnmetDemandSum(msgspec.Struct, kw_only=True):
    """The refused lines of an item at a location in one unit.

    `orders`: different orders among them. An order that was asked for again counts each time in the other figures.
    """

    key: UnmetDemandKey
    refusals: int = 0
    orders: int = 0
    asked: int = 0
    short: int = 0
    last_at: int = 0


def unmet_demand_sums(scope: TableScope, cut: Cut, *, source: str | None = None) -> list[UnmetDemandSum]:
    """Sum all refused lines of the scope. Raises Problem 422 `report-too-large` beyond MOST_REFUSALS."""
    sums: dict[UnmetDemandKey, UnmetDemandSum] = {}
    orders: set[tuple[UnmetDemandKey, str, str]] = set()
    after, read = None, 0
    while True:
        found = unmet_demand(scope, cut, source=source, after=after, limit=REFUSALS_AT_ONCE)
        read += len(found)
        if read > MOST_REFUSALS:
            raise REPORT_TOO_LARGE(f"it would sum more than {MOST_REFUSALS} refused lines of orders")
        for each in found:
            key = UnmetDemandKey(each.location_id, each.item_id, each.unit)
            row = sums.setdefault(key, UnmetDemandSum(key=key))
            row.refusals += 1
            row.asked += each.asked
            row.short += each.short
            row.last_at = max(row.last_at, each.occurred_at)
            if (order := (key, each.source, each.order_id)) not in orders:
                orders.add(order)
                row.orders += 1
        if len(found) < REFUSALS_AT_ONCE:
            return [sums[key] for key in sorted(sums)]
        after = found[-1].cursor
