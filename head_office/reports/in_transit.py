"""The goods in transit: for each transfer and item the sums sent, reversed, received and lost.

In transit is the signed sum of all logs (`shared.transfers`); below zero means received while the source's log is not
known yet. Quantities are thousandths, moments microseconds UTC. Works inside the transaction of the Connection it is
given.
"""

from __future__ import annotations

from collections.abc import Collection, Set
from typing import Any

import msgspec
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    FromClause,
    Row,
    Text,
    cast,
    func,
    literal,
    select,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY

from head_office.catalogue.item_codes import ItemCodes, items_meant, read_codes
from head_office.database.arrays import array
from head_office.database.schema import EVENT, HEAD, ITEM_UNIT, TRANSFER_LINE
from head_office.reports.known_at import AsOf, Cut, SettledMoment, take_cut, unit_within
from head_office.reports.past_events import standing_events
from head_office.reports.stock_flags import touched_transfers, transfer_lines_in_quarantine
from shared.events import EventType
from shared.transfers import SIGNS, SUM_OF
from shared.transfers import in_transit as signed_sum


class OnItsWay(msgspec.Struct, frozen=True, kw_only=True):
    """One item of one transfer, over all logs. `first_at`: when the earliest of its events occurred.

    `item_id` is the group's, by the mapping of the source, or of a destination where the source is not known; None
    for what could not be read of an event in quarantine.
    `incomplete`: an event in quarantine may be of the transfer.

    As of a past moment a TRANSFER_OUT that was reversed since is left out, so `reversed` is zero.
    """

    transfer_id: str
    item_id: str | None
    unit: str | None
    sources: list[str]
    destinations: list[str]
    sent: int
    reversed: int
    received: int
    lost: int
    first_at: int
    incomplete: bool = False

    @property
    def in_transit(self) -> int:
        return signed_sum(lambda name: int(getattr(self, name)))

    @property
    def ahead(self) -> bool:
        """Whether it was received while the source's log is not known yet."""
        return self.in_transit < 0


class InTransitReport(msgspec.Struct, frozen=True, kw_only=True):
    """What is in transit, the oldest first, and the cut it was read at."""

    as_of: AsOf | None
    cut: Cut
    rows: list[OnItsWay]


def in_transit(
    connection: Connection,
    *,
    as_of: AsOf | None = None,
    known_at: SettledMoment | None = None,
    location_ids: Collection[str] | None = None,
    item_id: str | None = None,
    limit: int | None = None,
) -> InTransitReport:
    """The goods in transit now, as of a moment, or as known at one; None for a filter: all.

    Of a transfer with an event in quarantine every line, though nothing may be left of it by what could be read.
    `item_id` is any code of an item; `location_ids` selects the transfers with an event at one of these locations.
    """
    if as_of is None and known_at is None:
        cut = Cut(None, {row.location_id: row.sequence for row in connection.execute(select(HEAD))})
        known: FromClause = TRANSFER_LINE
    else:
        cut = take_cut(connection, known_at)
        known = _past_lines(cut, as_of)
    lines = _with_quarantine(known, cut, as_of)
    touched = touched_transfers(connection, cut, as_of)
    left = signed_sum(lambda name: lines.c[name])
    unit = (
        select(func.min(ITEM_UNIT.c.unit))
        .where(ITEM_UNIT.c.item_id == lines.c.item_id, *unit_within(cut))
        .correlate(lines)
        .scalar_subquery()
    )
    query = (
        select(
            lines.c.transfer_id,
            lines.c.item_id,
            unit.label("unit"),
            _locations(lines, lines.c.sends).label("sources"),
            _locations(lines, lines.c.arrives).label("destinations"),
            *(_total(lines.c[name]).label(name) for name in SIGNS),
            func.min(lines.c.first_at).label("first_at"),
        )
        .group_by(lines.c.transfer_id, lines.c.item_id)
        .having((func.sum(left) != 0) | (lines.c.transfer_id == func.any(array(sorted(filter(None, touched))))))
        .order_by(func.min(lines.c.first_at), lines.c.transfer_id, lines.c.item_id)
    )
    meant = None if item_id is None else items_meant(connection, item_id, location_ids, known_at)
    codes = read_codes(connection, meant, known_at)
    if meant is not None:
        query = query.where(lines.c.item_id.in_(codes.all_codes(meant)))
    if location_ids is not None:
        query = query.having(func.bool_or(lines.c.location_id == func.any(array(sorted(location_ids)))))
    if meant is None:
        rows = [_row(row, codes, touched) for row in connection.execute(query.limit(limit))]
    else:
        # A code may stand for another item at this transfer's sites.
        found = (_row(each, codes, touched) for each in connection.execute(query))
        rows = [row for row in found if row.item_id in meant][:limit]
    named = {row.transfer_id for row in rows if row.item_id is not None}
    # Of a transfer that has other lines an unread one says no more than that they are incomplete.
    rows = [row for row in rows if row.item_id is not None or row.transfer_id not in named]
    return InTransitReport(as_of=as_of, cut=cut, rows=rows)


def _row(row: Row[Any], codes: ItemCodes, touched: Set[str | None]) -> OnItsWay:
    found = dict(row._mapping)
    site = next(iter(row.sources or row.destinations), "")
    found["item_id"] = None if row.item_id is None else codes.item_of(site, row.item_id)
    return OnItsWay(**found, incomplete=bool(touched & {None, row.transfer_id}))


def _total(column: ColumnElement[Any]) -> ColumnElement[int]:
    return cast(func.sum(column), BigInteger)


def _locations(lines: FromClause, which: ColumnElement[bool]) -> ColumnElement[Any]:
    names = func.array_agg(lines.c.location_id.distinct()).filter(which)
    return func.coalesce(names, cast(literal("{}"), ARRAY(Text)))


def _with_quarantine(known: FromClause, cut: Cut, as_of: AsOf | None) -> FromClause:
    """The lines known and those in quarantine, each with whether its location sends or whether goods arrived there."""
    unread = transfer_lines_in_quarantine(cut, as_of).subquery("unread")
    sums = [known.c[name] for name in SIGNS]
    return union_all(
        select(
            known.c.location_id,
            known.c.transfer_id,
            known.c.item_id,
            *sums,
            known.c.first_at,
            (known.c.sent > 0).label("sends"),
            ((known.c.received > 0) | (known.c.lost > 0)).label("arrives"),
        ),
        select(
            unread.c.location_id,
            unread.c.transfer_id,
            unread.c.item_id,
            *(literal(0, BigInteger).label(name) for name in SIGNS),
            unread.c.first_at,
            unread.c.type == EventType.TRANSFER_OUT.value,
            unread.c.type.in_([EventType.TRANSFER_IN.value, EventType.TRANSFER_LOST.value]),
        ),
    ).subquery("line")


def _past_lines(cut: Cut, as_of: AsOf | None) -> FromClause:
    event = standing_events(cut, as_of, EVENT.c.in_transit_change.is_not(None), EVENT.c.transfer_id.is_not(None))
    moved = event.subquery("moved")

    def total(name: str) -> ColumnElement[int]:
        kinds = [kind.value for kind, each in SUM_OF.items() if each == name]
        amount = func.sum(func.abs(moved.c.in_transit_change)).filter(moved.c.type.in_(kinds))
        return func.coalesce(cast(amount, BigInteger), 0)

    return (
        select(
            moved.c.location_id,
            moved.c.transfer_id,
            moved.c.item_id,
            *(total(name).label(name) for name in SIGNS),
            func.min(moved.c.occurred_at).label("first_at"),
        )
        .group_by(moved.c.location_id, moved.c.transfer_id, moved.c.item_id)
        .subquery("line")
    )
