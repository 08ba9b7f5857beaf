"""The report of a morning, read again: as it was made, or as it would be by what is known since, with what changed."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any, Final, NamedTuple

from msgspec.structs import replace
from sqlalchemy import Connection, Row, select

from head_office.database.morning_tables import PURCHASING_MORNING
from head_office.problems import REPORT_NOT_MADE
from head_office.reports.known_at import SettledMoment
from head_office.reports.mornings.report_changes import report_changes
from head_office.reports.purchasing.packed_rows import MOST_TOGETHER, PackedRows, order_of, packed
from head_office.reports.purchasing.purchasing_records import PurchasingChange, PurchasingReport, PurchasingRow
from head_office.reports.purchasing.purchasing_report import purchasing_report, worry_order

MOST_COMPARED: Final = 20
"""How many locations are compared at the same time with what they were; that bounds the memory of it."""


class _MorningGroup(NamedTuple):
    """Locations whose reports have the same moments and window."""

    as_of: int
    known_at: int
    window_days: int
    location_ids: list[str]


def morning_report(
    connection: Connection,
    *,
    date: str,
    location_ids: Collection[str] | None = None,
    known_at: SettledMoment | None = None,
    window_days: int | None = None,
    all_rows: bool = False,
    advance: Callable[[int], None] = lambda _: None,
) -> PurchasingReport:
    """Read the report of a date (as 2026-01-31) at the given locations (None: all), where it was made.

    As it was made that morning: the same for ever. With `known_at` as of the same moments, by what was known then, and
    `changes`, which says in what that differs. `window_days`: None for what it was made with. `advance` is told how
    many locations were read. Raises Problem 404 `report-not-made` where it was made at none of them.
    """
    parts = _read(connection, date, location_ids)
    if not parts:
        raise REPORT_NOT_MADE(f"no report of {date} was made" + ("" if location_ids is None else " there"))

    def read(part: _MorningGroup, moment: int) -> PurchasingReport:
        return purchasing_report(
            connection,
            location_ids=part.location_ids,
            as_of=part.as_of,
            # That of the morning was settled when it was made.
            known_at=SettledMoment(moment),
            given=True,
            window_days=part.window_days if window_days is None else window_days,
            all_rows=all_rows,
            advance=advance if moment == (part.known_at if known_at is None else known_at) else lambda _: None,
        )

    if known_at is None:
        return _merged([read(part, part.known_at) for part in parts], date)
    anew: list[PurchasingReport] = []
    changes: list[PurchasingChange] = []
    for part in _few(parts):
        anew.append(read(part, known_at))
        changes += report_changes(read(part, part.known_at), anew[-1])
    # By location, wherever the parts came from; those of one location are in order.
    changes.sort(key=lambda change: change.location_id)
    return replace(_merged(anew, date), changes=changes)


def _read(connection: Connection, date: str, location_ids: Collection[str] | None) -> list[_MorningGroup]:
    morning = PURCHASING_MORNING
    query = select(morning).where(morning.c.date == date)
    if location_ids is not None:
        query = query.where(morning.c.location_id.in_(sorted(location_ids)))
    order = morning.c.as_of, morning.c.known_at, morning.c.window_days, morning.c.location_id
    rows = connection.execute(query.order_by(*order)).all()
    return [_MorningGroup(*same, [row.location_id for row in found]) for same, found in groupby(rows, _same)]


def _same(row: Row[Any]) -> tuple[int, int, int]:
    return row.as_of, row.known_at, row.window_days


def _few(parts: Iterable[_MorningGroup]) -> Iterator[_MorningGroup]:
    for part in parts:
        for begin in range(0, len(part.location_ids), MOST_COMPARED):
            yield part._replace(location_ids=part.location_ids[begin : begin + MOST_COMPARED])


def _merged(parts: Sequence[PurchasingReport], date: str) -> PurchasingReport:
    first = parts[0]
    if len(parts) == 1:
        return replace(first, date=date)
    return replace(
        first,
        as_of=first.as_of if all(part.as_of == first.as_of for part in parts) else None,
        known_at=first.known_at if all(part.known_at == first.known_at for part in parts) else None,
        date=date,
        cut=dict(sorted((place, sequence) for part in parts for place, sequence in part.cut.items())),
        locations=sorted((each for part in parts for each in part.locations), key=worry_order),
        rows=_repacked(heapq.merge(*(part.rows for part in parts), key=order_of)),
    )


def _repacked(rows: Iterable[PurchasingRow]) -> PackedRows:
    frames: list[bytes] = []
    together: list[PurchasingRow] = []
    count = 0
    for row in rows:
        together.append(row)
        count += 1
        if len(together) == MOST_TOGETHER:
            frames.append(packed(together))
            together.clear()
    if together:
        frames.append(packed(together))
    return PackedRows(frames, count)
