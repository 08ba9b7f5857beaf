"""The conservation of goods: on hand + in transit + lost = the sum of all movements but transfers + variances.

Each side is computed on its own: on hand by the fold (or read from the projection), the rest by plain sums over the
events that stand. Holds at every cut, as of every moment. Quantities are thousandths. Works inside the transaction of
the Connection it is given.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Select, func, select

from head_office.database.arrays import array
from head_office.database.schema import EVENT
from head_office.reports.group_stock import CodeRow, stock
from head_office.reports.known_at import AsOf, Cut, SettledMoment
from head_office.reports.past_events import standing_events
from shared.events import EventType
from shared.stock_expressions import count_variances, moved
from shared.transfers import SUM_OF

TERMS: Final[dict[str, tuple[EventType, ...]]] = {
    "purchased": (EventType.PURCHASE_RECEIVED,),
    "returned_to_supplier": (EventType.PURCHASE_RETURNED,),
    "sold": (EventType.ORDER_DEDUCTION, EventType.RESERVATION_CONFIRMED),
    "returned_by_customers": (EventType.CUSTOMER_RETURN,),
    "used": (EventType.INTERNAL_USE,),
    "wasted": (EventType.WASTE_RECORDED,),
    "put_into_production": (EventType.PRODUCTION_USED,),
    "made": (EventType.PRODUCTION_MADE,),
    "adjusted": (EventType.ADJUSTMENT,),
}
"""The signed sums of the right side and the types that each adds up; `variance` of the counts is added to them."""


class Conservation(msgspec.Struct, frozen=True, kw_only=True):
    """One item of the group. `difference` is the left side minus the right side; it must be zero."""

    item_id: str
    on_hand: int
    in_transit: int
    lost: int
    terms: dict[str, int]
    difference: int


class ConservationReport(msgspec.Struct, frozen=True, kw_only=True):
    """Every requested item, and the cut."""

    as_of: AsOf | None
    cut: Cut
    items: list[Conservation]

    @property
    def broken(self) -> list[Conservation]:
        return [each for each in self.items if each.difference]


def conservation(
    connection: Connection,
    *,
    item_ids: Collection[str] | None = None,
    as_of: AsOf | None = None,
    known_at: SettledMoment | None = None,
) -> ConservationReport:
    """Check the given items of the group (None: all) over all locations. Reads all their events.

    Moments are microseconds UTC.
    """
    report = stock(connection, item_ids=item_ids, as_of=as_of, known_at=known_at)
    codes = {(row.location_id, row.code): row.item_id for row in report.codes}
    sums = _Sums(codes)
    for row in report.codes:
        sums.on_hand(row)
    only = [] if item_ids is None else [EVENT.c.item_id == func.any(array(sorted({code for _, code in codes})))]
    events = standing_events(report.cut, as_of, EVENT.c.item_id.is_not(None), *only)
    for location_id, item_id, kind, on_hand, in_transit in connection.execute(_by_type(events)):
        sums.moved((location_id, item_id), EventType(kind), int(on_hand), int(in_transit))
    for location_id, item_id, variance in connection.execute(_by_count(events)):
        sums.add((location_id, item_id), "variance", int(variance))
    return ConservationReport(as_of=as_of, cut=report.cut, items=sums.conservations())


def _by_type(events: Select[Any]) -> Select[Any]:
    event = events.subquery("standing")
    pair_and_type = (event.c.location_id, event.c.item_id, event.c.type)
    in_transit = func.coalesce(func.sum(event.c.in_transit_change), 0)
    return select(*pair_and_type, moved(event), in_transit).group_by(*pair_and_type)


def _by_count(events: Select[Any]) -> Select[Any]:
    """The sum of the variances of every location and item."""
    counts = count_variances(events.subquery("standing"))
    pair = (counts.c.location_id, counts.c.item_id)
    return select(*pair, func.sum(counts.c.variance)).group_by(*pair)


class _Sums:
    """The terms of every item of the group, summed over its codes at the locations."""

    def __init__(self, codes: Mapping[tuple[str, str], str]) -> None:
        self._codes = codes
        self._terms: dict[str, dict[str, int]] = {}

    def add(self, code: tuple[str, str], name: str, amount: int) -> None:
        # A code without a figure counts as an item of its own, so that a difference cannot go unnoticed.
        terms = self._terms.setdefault(self._codes.get(code, code[1]), {})
        terms[name] = terms.get(name, 0) + amount

    def on_hand(self, row: CodeRow) -> None:
        self.add((row.location_id, row.code), "on_hand", row.on_hand)

    def moved(self, code: tuple[str, str], kind: EventType, on_hand: int, in_transit: int) -> None:
        self.add(code, "in_transit", in_transit)
        if SUM_OF.get(kind) == "lost":
            self.add(code, "lost", -in_transit)
        for name, kinds in TERMS.items():
            if kind in kinds:
                self.add(code, name, on_hand)

    def conservations(self) -> list[Conservation]:
        items: list[Conservation] = []
        for item_id, sums in sorted(self._terms.items()):
            terms = {name: sums.get(name, 0) for name in (*TERMS, "variance")}
            on_hand, in_transit, lost = (sums.get(name, 0) for name in ("on_hand", "in_transit", "lost"))
            difference = on_hand + in_transit + lost - sum(terms.values())
            items.append(
                Conservation(
                    item_id=item_id,
                    on_hand=on_hand,
                    in_transit=in_transit,
                    lost=lost,
                    terms=terms,
                    difference=difference,
                )
            )
        return items
