"""The view of the purchasing report: what to worry about in words, a page of rows by supplier, what changed. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

import msgspec

from head_office.reports.mornings.report_changes import LISTED
from head_office.reports.purchasing.purchasing_json import tenths_text
from head_office.reports.purchasing.purchasing_records import (
    LocationState,
    PurchasingChange,
    PurchasingLocation,
    PurchasingReport,
    PurchasingRow,
)
from shared.runtime.pages.words import STOCK_FLAGS, Flag

ROWS_SHOWN: Final = 500
"""Rows of one page of the report."""
CHANGES_SHOWN: Final = 500
WORRIES_SHOWN: Final = 50

FLAGS: Final = {
    **STOCK_FLAGS,
    "incomplete": Flag("incomplete: an event is in quarantine"),
    "unit_conflict": Flag("units differ"),
}
"""The flags of a row in words."""


@dataclass(frozen=True)
class LocationWorry:
    """A location whose figures cannot be trusted, and why, in words; `received_at` of its last batch."""

    location_id: str
    name: str
    bad: bool
    why: str
    received_at: int | None


@dataclass(frozen=True)
class RowView:
    """A row of the report; quantities in thousandths, `days_left` as text."""

    row: PurchasingRow
    name: str
    days_left: str | None
    flags: tuple[Flag, ...]


@dataclass(frozen=True)
class LocationRows:
    """The rows of one location that one supplier delivers. `to_order`: how many of them are to be ordered."""

    location_id: str
    name: str
    state: LocationState
    rows: tuple[RowView, ...]
    to_order: int


@dataclass(frozen=True)
class SupplierRows:
    """The rows that are ordered from one supplier; None: those without one."""

    supplier_id: str | None
    name: str | None
    locations: tuple[LocationRows, ...]


@dataclass(frozen=True)
class ChangeView:
    """A field that is not what it was that morning, in words."""

    location: str
    item_id: str
    item: str
    what: str
    was: str
    now: str


@dataclass(frozen=True)
class ReportView:
    """A page of the report. `page` counts from 1; `worries_left` are so many that are not shown."""

    worries: tuple[LocationWorry, ...]
    worries_left: int
    fresh: int
    suppliers: tuple[SupplierRows, ...]
    shown: int
    total: int
    page: int
    pages: int
    changes: tuple[ChangeView, ...] | None
    changes_left: int


def report_view(report: PurchasingReport, page: int) -> ReportView:
    """Make the view of a page of the report; of the last page where there are not so many."""
    worries = [_worry(each) for each in report.locations if each.state is not LocationState.FRESH]
    total = len(report.rows)
    pages = max(1, -(-total // ROWS_SHOWN))
    page = min(page, pages)
    rows = [report.rows[place] for place in range((page - 1) * ROWS_SHOWN, min(page * ROWS_SHOWN, total))]
    places = {each.location_id: each.name or each.location_id for each in report.locations}
    changes = None
    if report.changes is not None:
        names = {row.item_id: row.name or row.item_id for row in report.rows}
        changes = tuple(_change(each, places, names) for each in report.changes[:CHANGES_SHOWN])
    return ReportView(
        worries=tuple(worries[:WORRIES_SHOWN]),
        worries_left=max(0, len(worries) - WORRIES_SHOWN),
        fresh=len(report.locations) - len(worries),
        suppliers=_suppliers(rows, places),
        shown=len(rows),
        total=total,
        page=page,
        pages=pages,
        changes=changes,
        changes_left=0 if report.changes is None else max(0, len(report.changes) - CHANGES_SHOWN),
    )


def rows_to_order(rows: Iterable[PurchasingRow], location_id: str, supplier_id: str) -> list[PurchasingRow]:
    """Those rows of one location that are to be ordered from one supplier."""
    return [
        row for row in rows if row.location_id == location_id and row.supplier_id == supplier_id and row.to_order > 0
    ]


def _worry(location: PurchasingLocation) -> LocationWorry:
    found = location.freshness
    parts = []
    if location.state is LocationState.BLIND:
        parts.append("no call of its branch for 24 hours, so nothing of that time is in its figures")
    if found.quarantined:
        events = "event is" if found.quarantined == 1 else "events are"
        parts.append(f"{found.quarantined} {events} in quarantine")
    if found.behind:
        events = "event had" if found.behind == 1 else "events had"
        parts.append(f"{found.behind} {events} not arrived at its last call")
    if found.verdict not in (None, "OK"):
        parts.append("its log must be recovered")
    if not parts:
        parts.append("not all that its branch recorded was in its figures")
    return LocationWorry(
        location_id=location.location_id,
        name=location.name or location.location_id,
        bad=location.state is LocationState.BLIND,
        why="; ".join(parts),
        received_at=found.received_at,
    )


def _suppliers(rows: Sequence[PurchasingRow], places: Mapping[str, str]) -> tuple[SupplierRows, ...]:
    return tuple(
        SupplierRows(
            supplier_id=supplier_id,
            name=name,
            locations=tuple(
                _location_rows(place, places.get(place, place), list(of_place))
                for place, of_place in groupby(of_supplier, key=lambda row: row.location_id)
            ),
        )
        for (supplier_id, name), of_supplier in groupby(rows, key=lambda row: (row.supplier_id, row.supplier_name))
    )


def _location_rows(location_id: str, name: str, rows: Sequence[PurchasingRow]) -> LocationRows:
    return LocationRows(
        location_id=location_id,
        name=name,
        state=rows[0].location_state,
        rows=tuple(_row(row) for row in rows),
        to_order=sum(row.to_order > 0 for row in rows),
    )


def _row(row: PurchasingRow) -> RowView:
    return RowView(
        row=row,
        name=row.name or row.item_id,
        days_left=None if row.days_left is None else tenths_text(row.days_left),
        flags=tuple(FLAGS[name] for name in row.flags),
    )


def _change(change: PurchasingChange, places: Mapping[str, str], names: Mapping[str, str]) -> ChangeView:
    was, now = (_value(msgspec.json.decode(each)) for each in (change.was, change.is_now))
    what = change.field.replace("_id", "").replace("_", " ")
    if change.field == LISTED:
        what, was, now = "listed", *("yes" if each == "true" else "no" for each in (was, now))
    return ChangeView(
        location=places.get(change.location_id, change.location_id),
        item_id=change.item_id,
        item=names.get(change.item_id, change.item_id),
        what=what,
        was=was,
        now=now,
    )


def _value(value: Any) -> str:
    """A value of a changed field, as text."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return str(value)
