"""Stock of the group now, as of a moment, or known at one; each figure with its flags.

Current figures are the projection's; past ones are folded by SQL from the log, within a cut that the report names.
Quantities are thousandths, moments microseconds UTC. Works inside the transaction of the Connection it is given.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from functools import partial
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import Connection, Row

from head_office.catalogue.item_codes import items_known
from head_office.database.schema import now
from head_office.reports.known_at import AsOf, Cut, SettledMoment, before, moment_at, take_cut
from head_office.reports.stock_flags import incomplete, unit_conflicts
from head_office.reports.stock_queries import Shape, current, past, past_at
from shared.catalogue_messages import CatalogueItem
from shared.stock import BEGINNING


class FigureKey(NamedTuple):
    """One row of stock: an item at a location in one unit."""

    item_id: str
    location_id: str
    unit: str | None


class StockRow(msgspec.Struct, frozen=True, kw_only=True):
    """One item at one location: the sums over its `codes` in the location's log, the group's own first.

    `counted_at` is the latest count of any code.

    Flags: `negative` on hand below zero; `short` more reserved than on hand; `recount` goods arrived before the last
    count and were recorded after it; `incomplete` an event in quarantine may change the figure; `unit_conflict` the
    item is recorded in different units.
    """

    item_id: str
    location_id: str
    codes: tuple[str, ...]
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
    def key(self) -> FigureKey:
        return FigureKey(self.item_id, self.location_id, self.unit)

    @property
    def recorded_as(self) -> str:
        """The code in the log; the first one where there are several."""
        return self.codes[0]

    @property
    def available(self) -> int:
        return self.on_hand - self.reserved

    @property
    def flags(self) -> tuple[str, ...]:
        return tuple(name for name in FLAGS if getattr(self, name))


FLAGS: Final = ("negative", "short", "recount", "incomplete", "unit_conflict")


class StockKey(NamedTuple):
    """The last row of a page of stock, after which the next page begins."""

    item_id: str
    location_id: str


class CodeRow(NamedTuple):
    """What stands of one code in a location's log, and the group's item that it is; names as in StockRow."""

    location_id: str
    code: str
    item_id: str
    on_hand: int


class StockReport(msgspec.Struct, frozen=True, kw_only=True):
    """A page of stock in the order of item and location, and its cut.

    `as_of` None: every known event counts. `codes`: the rows taken apart, a code each. `next`: the cursor of the next
    page, None on the last one.
    """

    as_of: AsOf | None
    cut: Cut
    rows: list[StockRow]
    codes: list[CodeRow]
    next: StockKey | None


class Total(msgspec.Struct, frozen=True, kw_only=True):
    """The sum of one item over locations, in one unit; an item with two units has two totals, with `unit_conflict`."""

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
    as_of: AsOf | None = None,
    known_at: SettledMoment | None = None,
    after: StockKey | None = None,
    limit: int | None = None,
) -> StockReport:
    """Read the stock of the given locations and items (None: all). `item_ids` are the group's.

    Moments are microseconds UTC; `known_at` is settled, see `report_snapshot`.
    """
    shape = Shape(
        location_ids is not None, item_ids is not None, after is not None, limit is not None, known_at is not None
    )
    given: dict[str, Any] = {
        "location_ids": None if location_ids is None else list(location_ids),
        "item_ids": None if item_ids is None else list(item_ids),
        "limit": None if limit is None else limit + 1,
    }
    if after is not None:
        given |= {"after_item": after.item_id, "after_location": after.location_id}
    if as_of is None and known_at is None:
        found = connection.execute(current(shape), given).all()
        cut = Cut(None, {row.location_id: row.sequence for row in found})
        quarantined = bool(found) and found[0].quarantined
    else:
        cut = take_cut(connection, known_at, location_ids)
        given |= _of_the_past(connection, cut, as_of)
        query = (
            past(shape, as_of is not None, cut.hides_releases)
            if as_of is None or isinstance(as_of, int)
            else past_at(shape, partial(moment_at, as_of=as_of), cut.hides_releases)
        )
        found = connection.execute(query, given).all()
        quarantined = True
    page, following = _page(found, limit)
    touched = incomplete(connection, cut, as_of) if quarantined else set()
    known = [row for row in page if row.latest_at != BEGINNING.occurred_at or (row.location_id, row.item_id) in touched]
    item_ids = {row.group_item for row in known}
    names = None if known_at is None else items_known(connection, item_ids, known_at)
    return StockReport(
        as_of=as_of,
        cut=cut,
        rows=_rows(known, touched, unit_conflicts(connection, item_ids, cut), names),
        codes=[CodeRow(row.location_id, row.item_id, row.group_item, row.on_hand) for row in known],
        next=following,
    )


def openings(
    connection: Connection,
    report: StockReport,
    begin: AsOf | None,
    location_ids: Collection[str] | None,
    known_at: SettledMoment | None,
) -> dict[FigureKey, int]:
    """On hand just before a period began (None: with the first event), of each item at each location of its report."""
    keys = {row.key: 0 for row in report.rows}
    if begin is None or not keys:
        return keys
    item_ids = {key.item_id for key in keys}
    opened = stock(connection, location_ids=location_ids, item_ids=item_ids, as_of=before(begin), known_at=known_at)
    return keys | {row.key: row.on_hand for row in opened.rows}


def _page(found: Sequence[Row[Any]], limit: int | None) -> tuple[Sequence[Row[Any]], StockKey | None]:
    """The rows of at most `limit` items at locations, each with all its codes, and the cursor of the next page."""
    keys = list(dict.fromkeys(StockKey(row.group_item, row.location_id) for row in found))
    if limit is None or not found or (len(keys) <= limit and len(found) < limit + 1 + found[0].most_codes):
        return found, None
    # The last one may go on behind the rows that were read.
    whole = keys[: len(keys) - 1][:limit]
    # Not compared here: the order is that of the database's collation.
    kept = set(whole)
    return [row for row in found if (row.group_item, row.location_id) in kept], whole[-1]


def _of_the_past(connection: Connection, cut: Cut, as_of: AsOf | None) -> dict[str, Any]:
    moment = as_of if isinstance(as_of, int) else cut.known_at
    return {
        "cut_locations": list(cut.sequences),
        "cut_sequences": list(cut.sequences.values()),
        "known_at": cut.known_at,
        "as_of": as_of,
        "expired_by": now(connection) if moment is None else moment,
    }


def _rows(
    found: Sequence[Row[Any]],
    touched: Set[tuple[str, str | None]],
    conflicts: Set[str],
    names: Mapping[str, CatalogueItem] | None,
) -> list[StockRow]:
    """Sum the codes of each item at each location; only equal units are added. `names`: None for those of the rows."""
    # A code whose events are all in quarantine has no unit of its own.
    units = {(row.group_item, row.location_id): row.unit for row in found if row.unit is not None}
    same: dict[tuple[str, str, str | None], list[Row[Any]]] = {}
    for row in found:
        key = (row.group_item, row.location_id)
        same.setdefault((*key, row.unit or units.get(key)), []).append(row)
    return [_row(rows, touched, conflicts, names) for rows in same.values()]


def _row(
    rows: list[Row[Any]],
    touched: Set[tuple[str, str | None]],
    conflicts: Set[str],
    names: Mapping[str, CatalogueItem] | None,
) -> StockRow:
    first = rows[0]
    item_id, location_id = first.group_item, first.location_id
    on_hand, reserved = sum(row.on_hand for row in rows), sum(row.reserved for row in rows)
    listed = None if names is None else names.get(item_id)
    return StockRow(
        item_id=item_id,
        location_id=location_id,
        codes=tuple(sorted((row.item_id for row in rows), key=lambda code: (code != item_id, code))),
        name=first.name if names is None else None if listed is None else listed.name,
        unit=next((row.unit for row in rows if row.unit is not None), None),
        on_hand=on_hand,
        reserved=reserved,
        counted_at=max((row.counted_at for row in rows if row.counted_at is not None), default=None),
        latest_at=max(row.latest_at for row in rows),
        negative=on_hand < 0,
        short=reserved > max(on_hand, 0),
        recount=any(row.recount for row in rows),
        incomplete=bool(touched)
        and ((location_id, None) in touched or any((location_id, row.item_id) in touched for row in rows)),
        unit_conflict=item_id in conflicts,
    )


def totals(rows: Iterable[StockRow]) -> list[Total]:
    """Sum each item over its locations; only equal units are added. Pure; in the order of item and unit."""
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


def opened_total(total: Total, rows: Iterable[StockRow], opened: Mapping[FigureKey, int]) -> int:
    """What a total over these rows was at the beginning of a period, of which `opened` gives each row. Pure."""
    return sum(opened[row.key] for row in rows if (row.item_id, row.unit) == (total.item_id, total.unit))
