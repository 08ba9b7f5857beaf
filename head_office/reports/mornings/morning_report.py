"""The report of a morning, read again: as it was made, or as it would be by what is known since, with what changed."""

from __future__ import annotations

from collections.abc import Collection
from itertools import groupby
from typing import Final

from msgspec.structs import replace
from sqlalchemy import Connection, Row, select

from head_office.database.morning_tables import PURCHASING_MORNING
from head_office.problems import REPORT_NOT_MADE
from head_office.reports.known_at import SettledMoment
from head_office.reports.mornings.report_changes import report_changes
from head_office.reports.purchasing.purchasing_records import LocationState, PurchasingReport, PurchasingRow
from head_office.reports.purchasing.purchasing_report import purchasing_report

_WORRY: Final = (LocationState.BLIND, LocationState.INCOMPLETE, LocationState.FRESH)


def morning_report(
    connection: Connection,
    *,
    date: str,
    location_ids: Collection[str] | None = None,
    known_at: SettledMoment | None = None,
    window_days: int | None = None,
    all_rows: bool = False,
) -> PurchasingReport:
    """Read the report of a date (as 2026-01-31) at the given locations (None: all), where it was made.

    As it was made that morning: the same for ever. With `known_at` as of the same moments, by what was known then, and
    `changes`, which says in what that differs. `window_days`: None for what it was made with. Raises Problem 404
    `report-not-made` where it was made at none of them.
    """
    mornings = _read(connection, date, location_ids)
    if not mornings:
        raise REPORT_NOT_MADE(f"no report of {date} was made" + ("" if location_ids is None else " there"))
    made = _merged(connection, mornings, date, None, window_days, all_rows=all_rows)
    if known_at is None:
        return made
    anew = _merged(connection, mornings, date, known_at, window_days, all_rows=all_rows)
    return replace(anew, changes=report_changes(made, anew))


def _read(connection: Connection, date: str, location_ids: Collection[str] | None) -> list[Row]:  # type: ignore[type-arg]
    morning = PURCHASING_MORNING
    query = select(morning).where(morning.c.date == date)
    if location_ids is not None:
        query = query.where(morning.c.location_id.in_(sorted(location_ids)))
    order = morning.c.as_of, morning.c.known_at, morning.c.window_days, morning.c.location_id
    return list(connection.execute(query.order_by(*order)))


def _merged(
    connection: Connection,
    mornings: list[Row],  # type: ignore[type-arg]
    date: str,
    known_at: SettledMoment | None,
    window_days: int | None,
    *,
    all_rows: bool,
) -> PurchasingReport:
    parts = [
        purchasing_report(
            connection,
            location_ids=[row.location_id for row in rows],
            as_of=as_of,
            # It was settled when the morning was made.
            known_at=SettledMoment(made_at) if known_at is None else known_at,
            given=True,
            window_days=window if window_days is None else window_days,
            all_rows=all_rows,
        )
        for (as_of, made_at, window), rows in groupby(mornings, lambda row: (row.as_of, row.known_at, row.window_days))
    ]
    first = parts[0]
    locations = [each for part in parts for each in part.locations]
    rows = [row for part in parts for row in part.rows]
    if len(parts) > 1:
        locations.sort(key=lambda each: (_WORRY.index(each.state), each.location_id))
        rows.sort(key=_place)
    return replace(
        first,
        as_of=first.as_of if all(part.as_of == first.as_of for part in parts) else None,
        known_at=first.known_at if all(part.known_at == first.known_at for part in parts) else None,
        date=date,
        cut=dict(sorted((place, sequence) for part in parts for place, sequence in part.cut.items())),
        locations=locations,
        rows=rows,
    )


def _place(row: PurchasingRow) -> tuple[bool, str, str, str]:
    return row.supplier_id is None, row.supplier_id or "", row.location_id, row.item_id
