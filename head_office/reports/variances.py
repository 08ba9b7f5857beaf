"""The variance of every count: counted against expected, as the fold gives it now and as it was when posted.

Quantities are thousandths, moments microseconds UTC. Works inside the transaction of the Connection it is given.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import ColumnElement, Connection, FromClause, Row, Select, exists, literal, select, true, tuple_

from head_office.catalogue.item_codes import ItemCodes, items_meant, read_codes
from head_office.database.arrays import TEXT, unnest
from head_office.database.log_segments import read_lines_of
from head_office.database.schema import EVENT, ITEM_UNIT
from head_office.reports.known_at import AsOf, Cut, SettledMoment, moment_at, take_cut
from head_office.reports.past_events import standing_events
from head_office.reports.stock_flags import IncompleteCodes, incomplete_since
from shared.chain import understand
from shared.events import Event
from shared.runtime.http.cursor import Whole
from shared.stock_expressions import after_count, before, is_count, moved, newest_first, on_hand


class VarianceCursor(NamedTuple):
    """The last count of a page, after which the next page begins."""

    occurred_at: Whole
    location_id: str
    sequence: Whole


class Variance(msgspec.Struct, frozen=True, kw_only=True):
    """One count that stands, of a code in the location's log that is the group's `item_id`.

    `expected` is the figure just before it by the fold, `posted` the one recorded with it. `incomplete`: an event in
    quarantine may have come before it.
    """

    event: Event
    item_id: str
    unit: str | None
    counted: int
    expected: int
    posted: int
    incomplete: bool

    @property
    def variance(self) -> int:
        return self.counted - self.expected


class VarianceReport(msgspec.Struct, frozen=True, kw_only=True):
    """A page of counts in the order they occurred, its cut, and the cursor of the next page."""

    cut: Cut
    rows: list[Variance]
    next: VarianceCursor | None


def variances(
    connection: Connection,
    *,
    location_ids: Collection[str] | None = None,
    item_id: str | None = None,
    begin: AsOf | None = None,
    end: AsOf | None = None,
    known_at: SettledMoment | None = None,
    after: VarianceCursor | None = None,
    limit: int = 100,
) -> VarianceReport:
    """List the counts that stand, of the given locations and item (any of its codes; None: all) in a period.

    The period is [begin, end); moments are microseconds UTC.
    """
    cut = take_cut(connection, known_at, location_ids)
    counts, codes = counts_of(
        connection, cut, location_ids=location_ids, item_id=item_id, begin=begin, end=end, known_at=known_at
    )
    place = (counts.c.occurred_at, counts.c.location_id, counts.c.sequence)
    page = select(counts).order_by(*place).limit(limit + 1)
    if after is not None:
        page = page.where(tuple_(*place) > tuple_(*(literal(each) for each in after)))
    count = page.subquery("count")
    query = with_expected(cut, count).order_by(count.c.occurred_at, count.c.location_id, count.c.sequence)
    found = connection.execute(query).all()
    rows = found[:limit]
    last = rows[-1] if len(found) > limit else None
    return VarianceReport(
        cut=cut,
        rows=_rows(connection, rows, codes, incomplete_since(connection, cut)),
        next=None if last is None else VarianceCursor(last.occurred_at, last.location_id, last.sequence),
    )


def counts_of(
    connection: Connection,
    cut: Cut,
    *,
    location_ids: Collection[str] | None,
    item_id: str | None,
    begin: AsOf | None,
    end: AsOf | None,
    known_at: SettledMoment | None,
) -> tuple[FromClause, ItemCodes]:
    """The counts that stand in a cut, asked for as `variances` is, as rows of `event`; and the codes of their items."""
    counts = standing_events(cut, None, is_count(EVENT)).subquery("counts")
    meant = None if item_id is None else items_meant(connection, item_id, location_ids, known_at)
    codes = read_codes(connection, meant, known_at)
    wanted = select(counts)
    if meant is not None:
        wanted = wanted.where(_is_item(counts, meant, codes, cut))
    if begin is not None:
        wanted = wanted.where(counts.c.occurred_at >= moment_at(counts.c.location_id, begin))
    if end is not None:
        wanted = wanted.where(counts.c.occurred_at < moment_at(counts.c.location_id, end))
    return wanted.subquery("wanted_counts"), codes


def with_expected(cut: Cut, count: FromClause) -> Select[Any]:
    """Select the rows of `count`, each with `unit`, and `expected`: the figure just before it."""
    unit = (
        select(ITEM_UNIT.c.unit)
        .where(ITEM_UNIT.c.location_id == count.c.location_id, ITEM_UNIT.c.item_id == count.c.item_id)
        .correlate(count)
        .scalar_subquery()
    )
    previous, expected = _before(cut, count)
    return select(count, unit.label("unit"), expected.label("expected")).select_from(count.outerjoin(previous, true()))


def _before(cut: Cut, count: FromClause) -> tuple[FromClause, ColumnElement[int]]:
    """For each row of `count`: the count before it, and the figure just before it."""
    same = (EVENT.c.location_id == count.c.location_id, EVENT.c.item_id == count.c.item_id, before(EVENT, count))
    previous = (
        standing_events(cut, None, is_count(EVENT), *same).order_by(*newest_first(EVENT)).limit(1).lateral("previous")
    )
    moved_since = (
        standing_events(cut, None, *same, after_count(EVENT, previous))
        .with_only_columns(moved(EVENT), maintain_column_froms=True)
        .correlate(count, previous)
        .scalar_subquery()
    )
    return previous, on_hand(previous, moved_since)


def _is_item(counts: FromClause, item_ids: Collection[str], codes: ItemCodes, cut: Cut) -> ColumnElement[bool]:
    """A count's code stands for one of the items at its location."""
    pairs = [(place, code) for place in cut.sequences for each in item_ids for code in codes.codes_at(place, each)]
    wanted = unnest("wanted", (("location_id", TEXT), ("item_id", TEXT)), pairs)
    return exists().where(wanted.c.location_id == counts.c.location_id, wanted.c.item_id == counts.c.item_id)


def _rows(connection: Connection, found: Sequence[Row[Any]], codes: ItemCodes, held: IncompleteCodes) -> list[Variance]:
    lines = read_lines_of(connection, [(row.location_id, row.sequence) for row in found])
    rows: list[Variance] = []
    for row in found:
        event = understand(lines[row.location_id, row.sequence])
        rows.append(
            Variance(
                event=event,
                item_id=codes.item_of(row.location_id, row.item_id),
                unit=row.unit,
                counted=row.counted,
                expected=row.expected,
                posted=event.expected or 0,
                incomplete=held.may_precede(row.location_id, row.item_id, row.occurred_at),
            )
        )
    return rows
