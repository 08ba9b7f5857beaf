"""Stock of the group, now, as of a moment, or as it was known at one; each figure with its flags.

Current figures are the projection's; past ones are folded by SQL from the log, within a cut that the report names.
Quantities are thousandths, moments microseconds UTC. Works inside the transaction of the Connection it is given.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import (
    BigInteger,
    Connection,
    Row,
    Select,
    case,
    cast,
    func,
    literal,
    select,
    tuple_,
)

from head_office.flags import incomplete, unit_conflicts
from head_office.known_at import Cut, take_cut
from head_office.schema import EVENT, HEAD, ITEM_UNIT, LOG, STOCK, now
from head_office.schema_office import ITEM, ITEM_ALIAS
from shared.projection import balances
from shared.stock import BEGINNING


class StockRow(msgspec.Struct, frozen=True, kw_only=True):
    """One item at one location. `item_id` is the group's; `recorded_as` the code in the location's log.

    Flags: `negative` on hand below zero; `short` more promised than there; `recount` goods came before the last count
    and were recorded after it; `incomplete` an event in quarantine may touch the figure; `unit_conflict` the item is
    kept in different units.
    """

    item_id: str
    location_id: str
    recorded_as: str
    name: str | None
    unit: str | None
    on_hand: int
    reserved: int
    counted_at: int | None
    latest_at: int
    negative: bool
    short: bool
    recount: bool
    incomplete: bool
    unit_conflict: bool

    @property
    def available(self) -> int:
        return self.on_hand - self.reserved

    @property
    def flags(self) -> tuple[str, ...]:
        return tuple(name for name in FLAGS if getattr(self, name))


FLAGS: Final = ("negative", "short", "recount", "incomplete", "unit_conflict")


class Place(NamedTuple):
    """Where a page of stock ended: the next one begins after it."""

    item_id: str
    location_id: str
    recorded_as: str


class StockReport(msgspec.Struct, frozen=True, kw_only=True):
    """A page of stock in the order of item and location, and the cut it was read at.

    `as_of` None: everything that is known. `next`: there is more after it.
    """

    as_of: int | None
    cut: Cut
    rows: list[StockRow]
    next: Place | None


class Total(msgspec.Struct, frozen=True, kw_only=True):
    """One item over several locations, in one unit; an item kept in two units has two totals, with `unit_conflict`."""

    item_id: str
    unit: str | None
    locations: int
    on_hand: int
    reserved: int
    incomplete: bool
    unit_conflict: bool

    @property
    def available(self) -> int:
        return self.on_hand - self.reserved


def stock(
    connection: Connection,
    *,
    location_ids: Collection[str] | None = None,
    item_ids: Collection[str] | None = None,
    as_of: int | None = None,
    known_at: int | None = None,
    after: Place | None = None,
    limit: int | None = None,
) -> StockReport:
    """Stock of the given locations and items (None: of all). `item_ids` are the group's.

    A moment `known_at` in the future is taken as now; with one it waits for the ingests in flight, see `take_cut`.
    """
    pairs = _pairs(connection, location_ids, item_ids)
    if after is not None:
        pairs = pairs.where(tuple_(_GROUP_ITEM, STOCK.c.location_id, STOCK.c.item_id) > tuple_(*after))
    if limit is not None:
        pairs = pairs.limit(limit + 1)
    if as_of is None and known_at is None:
        found = connection.execute(_current(pairs, now(connection))).all()
        cut = Cut(None, {row.location_id: row.sequence for row in found})
    else:
        cut = take_cut(connection, known_at, location_ids)
        found = connection.execute(_past(pairs, cut, as_of, now(connection))).all()
    rows = found[:limit]
    last = rows[-1] if len(rows) < len(found) else None
    return StockReport(
        as_of=as_of,
        cut=cut,
        rows=_rows(connection, [row for row in rows if row.latest_at != BEGINNING.occurred_at], cut, as_of),
        next=None if last is None else Place(last.group_item, last.location_id, last.item_id),
    )


_GROUP_ITEM: Final = func.coalesce(ITEM_ALIAS.c.item_id, STOCK.c.item_id)


def _pairs(
    connection: Connection, location_ids: Collection[str] | None, item_ids: Collection[str] | None
) -> Select[Any]:
    """The projection's rows with the group's item, its name and its unit there, in order."""
    query = (
        select(STOCK, _GROUP_ITEM.label("group_item"), ITEM.c.name, ITEM_UNIT.c.unit)
        .select_from(
            STOCK.outerjoin(
                ITEM_ALIAS,
                (ITEM_ALIAS.c.location_id == STOCK.c.location_id) & (ITEM_ALIAS.c.alias == STOCK.c.item_id),
            )
            .outerjoin(ITEM, ITEM.c.item_id == _GROUP_ITEM)
            .outerjoin(
                ITEM_UNIT,
                (ITEM_UNIT.c.location_id == STOCK.c.location_id) & (ITEM_UNIT.c.item_id == STOCK.c.item_id),
            )
        )
        .order_by(_GROUP_ITEM, STOCK.c.location_id, STOCK.c.item_id)
    )
    if location_ids is not None:
        query = query.where(STOCK.c.location_id.in_(location_ids))
    if item_ids is not None:
        aliases = select(ITEM_ALIAS.c.alias).where(ITEM_ALIAS.c.item_id.in_(item_ids))
        codes = {*item_ids, *connection.execute(aliases).scalars()}
        query = query.where(STOCK.c.item_id.in_(codes), _GROUP_ITEM.in_(item_ids))
    return query


def _current(pairs: Select[Any], moment: int) -> Select[Any]:
    page = pairs.subquery("page")
    promise = EVENT.alias("promise")
    left = (
        select(func.sum(promise.c.reserved_change).label("left_over"))
        .where(
            promise.c.location_id == page.c.location_id,
            promise.c.item_id == page.c.item_id,
            promise.c.reservation_id.is_not(None),
        )
        .group_by(promise.c.reservation_id)
        .having(func.coalesce(func.max(promise.c.expires_at), _NEVER) > literal(moment, BigInteger))
        .correlate(page)
        .subquery("left")
    )
    unexpired = select(cast(func.coalesce(func.sum(left.c.left_over), 0), BigInteger)).correlate(page)
    return (
        select(
            page.c.group_item,
            page.c.location_id,
            page.c.item_id,
            page.c.name,
            page.c.unit,
            page.c.on_hand,
            # A reservation stops counting at its expiry, whether its event is here or not.
            case((page.c.reserved == 0, 0), else_=unexpired.scalar_subquery()).label("reserved"),
            page.c.counted_at,
            page.c.latest_at,
            page.c.recount,
            HEAD.c.sequence,
        )
        .select_from(page.join(HEAD, HEAD.c.location_id == page.c.location_id))
        .order_by(page.c.group_item, page.c.location_id, page.c.item_id)
    )


_NEVER: Final = literal(2**62, BigInteger)


def _past(pairs: Select[Any], cut: Cut, as_of: int | None, present: int) -> Select[Any]:
    page, known = pairs.subquery("page"), cut.table()
    wanted = (
        select(page, known.c.sequence.label("known_through"))
        .select_from(page.join(known, known.c.location_id == page.c.location_id))
        .subquery("pairs")
    )
    told = balances(
        LOG,
        wanted,
        moment=None if as_of is None else literal(as_of, BigInteger),
        known_through=wanted.c.known_through,
        unknown=cut.unknown(),
        expired_by=literal(as_of or cut.known_at or present, BigInteger),
    )
    return told.add_columns(wanted.c.group_item, wanted.c.name, wanted.c.unit).order_by(
        wanted.c.group_item, wanted.c.location_id, wanted.c.item_id
    )


def _rows(connection: Connection, found: Sequence[Row[Any]], cut: Cut, as_of: int | None) -> list[StockRow]:
    touched = incomplete(connection, cut, as_of)
    conflicts = unit_conflicts(connection, {row.group_item for row in found})
    return [
        StockRow(
            item_id=row.group_item,
            location_id=row.location_id,
            recorded_as=row.item_id,
            name=row.name,
            unit=row.unit,
            on_hand=row.on_hand,
            reserved=row.reserved,
            counted_at=row.counted_at,
            latest_at=row.latest_at,
            negative=row.on_hand < 0,
            short=row.reserved > max(row.on_hand, 0),
            recount=row.recount,
            incomplete=bool(touched)
            and ((row.location_id, None) in touched or (row.location_id, row.item_id) in touched),
            unit_conflict=row.group_item in conflicts,
        )
        for row in found
    ]


def totals(rows: Iterable[StockRow]) -> list[Total]:
    """What the group has of each item: only equal units are added. Pure; in the order of item and unit."""
    sums: dict[tuple[str, str | None], list[StockRow]] = {}
    for row in rows:
        sums.setdefault((row.item_id, row.unit), []).append(row)
    return [
        Total(
            item_id=item_id,
            unit=unit,
            locations=len({row.location_id for row in same}),
            on_hand=sum(row.on_hand for row in same),
            reserved=sum(row.reserved for row in same),
            incomplete=any(row.incomplete for row in same),
            unit_conflict=any(row.unit_conflict for row in same),
        )
        for (item_id, unit), same in sorted(sums.items(), key=lambda pair: (pair[0][0], pair[0][1] or ""))
    ]
