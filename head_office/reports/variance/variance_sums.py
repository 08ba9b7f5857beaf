"""What counts found in sum: of each item in each of its units, or of each location in each unit.

Quantities are thousandths. variance = surplus - shrinkage, neither below zero. Works inside the transaction of the
Connection it is given; sums are made by one statement.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    FromClause,
    and_,
    distinct,
    exists,
    func,
    literal,
    select,
    tuple_,
)

from head_office.catalogue.item_codes import mappings
from head_office.database.arrays import BIGINT, TEXT, unnest
from head_office.reports.known_at import AsOf, Cut, SettledMoment, take_cut
from head_office.reports.stock_flags import IncompleteCodes, incomplete_since
from head_office.reports.variances import counts_of, with_expected


class VarianceBy(StrEnum):
    """What a row of the report is: one count, or the sum over the counts of an item or of a location, in one unit."""

    COUNT = "count"
    ITEM = "item"
    LOCATION = "location"


class VarianceSumCursor(NamedTuple):
    """The last sum of a page: the item or location, and the unit."""

    subject: str
    unit: str


class VarianceSum(msgspec.Struct, frozen=True, kw_only=True):
    """The counts of `subject` (an item, or a location) in one unit; `unit` is empty where it is not known.

    `among`: at how many locations an item was counted, or how many items at a location. `short`, `over`: how many
    counts found less, or more, than expected; the rest found what was expected. `incomplete`: of one of them.
    """

    subject: str
    unit: str
    among: int
    counts: int
    short: int
    over: int
    counted: int
    expected: int
    shrinkage: int
    surplus: int
    incomplete: bool

    @property
    def variance(self) -> int:
        return self.surplus - self.shrinkage


class VarianceSumReport(msgspec.Struct, frozen=True, kw_only=True):
    """A page of sums in the order of subject and unit, its cut, and the cursor of the next page."""

    cut: Cut
    rows: list[VarianceSum]
    next: VarianceSumCursor | None


_SUMMED: Final = ("among", "counts", "short", "over", "counted", "expected", "shrinkage", "surplus")


def variance_sums(
    connection: Connection,
    by: VarianceBy,
    *,
    location_ids: Collection[str] | None = None,
    item_id: str | None = None,
    begin: AsOf | None = None,
    end: AsOf | None = None,
    known_at: SettledMoment | None = None,
    after: VarianceSumCursor | None = None,
    limit: int = 100,
) -> VarianceSumReport:
    """Sum the counts that `variances` lists, by item or by location."""
    cut = take_cut(connection, known_at, location_ids)
    counts, _ = counts_of(
        connection, cut, location_ids=location_ids, item_id=item_id, begin=begin, end=end, known_at=known_at
    )
    found = with_expected(cut, counts).subquery("found")
    mapping = mappings(None if known_at is None else literal(known_at, BigInteger))
    aliased = and_(mapping.c.location_id == found.c.location_id, mapping.c.alias == found.c.item_id)
    item = func.coalesce(mapping.c.item_id, found.c.item_id)
    subject, other = (item, found.c.location_id) if by is VarianceBy.ITEM else (found.c.location_id, item)
    unit = func.coalesce(found.c.unit, "")
    variance = found.c.counted - found.c.expected
    sums = (
        select(
            subject.label("subject"),
            unit.label("unit"),
            func.count(distinct(other)).label("among"),
            func.count().label("counts"),
            func.count().filter(variance < 0).label("short"),
            func.count().filter(variance > 0).label("over"),
            func.sum(found.c.counted).label("counted"),
            func.sum(found.c.expected).label("expected"),
            func.coalesce(func.sum(-variance).filter(variance < 0), 0).label("shrinkage"),
            func.coalesce(func.sum(variance).filter(variance > 0), 0).label("surplus"),
            func.bool_or(_may_change(incomplete_since(connection, cut), found)).label("incomplete"),
        )
        .select_from(found.outerjoin(mapping, aliased))
        .group_by(subject, unit)
        .subquery("sums")
    )
    query: Any = select(sums).order_by(sums.c.subject, sums.c.unit).limit(limit + 1)
    if after is not None:
        query = query.where(tuple_(sums.c.subject, sums.c.unit) > tuple_(literal(after.subject), literal(after.unit)))
    rows = [
        VarianceSum(
            subject=row.subject,
            unit=row.unit,
            incomplete=row.incomplete,
            **{name: int(getattr(row, name)) for name in _SUMMED},
        )
        for row in connection.execute(query)
    ]
    page = rows[:limit]
    following = VarianceSumCursor(page[-1].subject, page[-1].unit) if len(rows) > limit else None
    return VarianceSumReport(cut=cut, rows=page, next=following)


def _may_change(held: IncompleteCodes, count: FromClause) -> ColumnElement[bool]:
    """An event in quarantine may have come before a count."""
    columns = (("location_id", TEXT), ("item_id", TEXT), ("since", BIGINT))
    since = unnest("held", columns, held.rows())
    return exists().where(
        since.c.location_id == count.c.location_id,
        since.c.item_id.is_(None) | (since.c.item_id == count.c.item_id),
        since.c.since <= count.c.occurred_at,
    )
