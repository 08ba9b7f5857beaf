"""The purchasing report as a PDF, for paper: whom to worry about first, then what to order from each supplier."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from head_office.reports.purchasing.files.pdf_pages import PdfColumn, PdfPages
from head_office.reports.purchasing.files.report_cells import file_day, file_moment
from head_office.reports.purchasing.purchasing_records import (
    LocationState,
    PurchasingChange,
    PurchasingReport,
    PurchasingRow,
)
from shared.event_record import moment_text

MOST_PDF_ROWS: Final = 20_000
"""The rows and changes that a PDF can have: some 600 pages, which nobody reads further."""
_TITLE: Final = "Purchasing report"
_NOTHING: Final = "–"
_PART: Final = 1 << 16
_STATES: Final = {
    LocationState.BLIND: "Blind: head office has heard nothing of it for 24 hours",
    LocationState.INCOMPLETE: "Incomplete: not everything that it recorded is in its figures",
    LocationState.FRESH: "Fresh",
}
_LOCATIONS: Final = (
    PdfColumn("Location", 75),
    PdfColumn("State", 100),
    PdfColumn("As of", 36),
    PdfColumn("Last batch received", 38),
    PdfColumn("In quarantine", 28, figures=True),
)
_ROWS: Final = (
    PdfColumn("Item", 63),
    PdfColumn("Code", 32),
    PdfColumn("Location", 48),
    PdfColumn("Unit", 13),
    PdfColumn("On hand", 18, figures=True),
    PdfColumn("Available", 18, figures=True),
    PdfColumn("In transit", 18, figures=True),
    PdfColumn("On order", 18, figures=True),
    PdfColumn("To order", 18, figures=True, bold=True),
    PdfColumn("Packs", 14, figures=True),
    PdfColumn("Days left", 17, figures=True),
)
_CHANGES: Final = (
    PdfColumn("Location", 75),
    PdfColumn("Item", 72),
    PdfColumn("Field", 50),
    PdfColumn("Was", 40, figures=True),
    PdfColumn("Is", 40, figures=True),
)


def purchasing_pdf(report: PurchasingReport) -> Iterator[bytes]:
    """Write the document and return its parts. It is in memory as a whole, so `MOST_PDF_ROWS` bounds it."""
    known = _minute(file_moment(report))
    pages = PdfPages(_TITLE, f"{_TITLE}  ·  known at {known}", file_day(report))
    pages.text_line(_TITLE, 16, bold=True)
    pages.gap(1)
    pages.text_line(_moments(report), 9)
    pages.text_line(f"Daily usage is that of the {report.window_days} business dates before.", 9, faint=True)
    pages.text_line(_summary(report), 9, faint=True)
    pages.gap(3)
    _write_locations(pages, report)
    names = {each.location_id: _named(each.name, each.location_id) for each in report.locations}
    for _, group in itertools.groupby(report.rows, key=lambda row: row.supplier_id):
        rows = list(group)
        pages.gap(4)
        pages.ruled_table(_supplier(rows[0]), _ROWS, (_cells(row, names) for row in rows))
    if report.changes:
        pages.gap(4)
        pages.ruled_table("Changed since that morning", _CHANGES, (_change(each, names) for each in report.changes))
    whole = memoryview(pages.output())
    return (bytes(whole[start : start + _PART]) for start in range(0, len(whole), _PART))


def _moments(report: PurchasingReport) -> str:
    known = _minute(file_moment(report))
    morning = f"Morning of {report.date}. " if report.date is not None else ""
    if report.as_of is None:
        return f"{morning}Each location at its own time, the last one known at {known}."
    return f"{morning}As of {_minute(report.as_of)}, known at {known}."


def _summary(report: PurchasingReport) -> str:
    if not report.rows:
        return "Nothing to order: no item is at or below its reorder point."
    ordered = [row for row in report.rows if row.to_order > 0]
    suppliers = len({row.supplier_id for row in ordered})
    places = len({row.location_id for row in ordered})
    return (
        f"To order: {_count(len(ordered), 'line')} for {_count(places, 'location')} "
        f"from {_count(suppliers, 'supplier')}. Quantities are in the item's own unit."
    )


def _write_locations(pages: PdfPages, report: PurchasingReport) -> None:
    doubtful = [each for each in report.locations if each.state is not LocationState.FRESH]
    fresh = len(report.locations) - len(doubtful)
    if doubtful:
        rows = (
            (
                _named(each.name, each.location_id),
                _STATES[each.state],
                _minute(each.as_of),
                _NOTHING if each.freshness.received_at is None else _minute(each.freshness.received_at),
                f"{each.freshness.quarantined:,}",
            )
            for each in doubtful
        )
        pages.ruled_table("Locations to worry about", _LOCATIONS, rows)
        pages.gap(1)
        pages.text_line(f"The figures of the other {_count(fresh, 'location')} are fresh.", 8, faint=True)
    elif fresh:
        pages.text_line(f"The figures of {'the' if fresh == 1 else 'all'} {_count(fresh, 'location')} are fresh.", 9)


def _supplier(row: PurchasingRow) -> str:
    return "No supplier" if row.supplier_id is None else _named(row.supplier_name, row.supplier_id)


def _cells(row: PurchasingRow, names: dict[str, str]) -> Sequence[str]:
    place = names.get(row.location_id, row.location_id)
    if row.location_state is not LocationState.FRESH:
        place = f"{row.location_state.lower()}: {place}"
    return (
        row.name or _NOTHING,
        row.item_id,
        place,
        row.unit or "",
        _figure(row.on_hand),
        _figure(row.available),
        _figure(row.in_transit),
        _figure(row.on_order),
        _figure(row.to_order),
        _NOTHING if row.packs is None else f"{row.packs:,}",
        _NOTHING if row.days_left is None else _figure(row.days_left * 100),
    )


def _change(change: PurchasingChange, names: dict[str, str]) -> Sequence[str]:
    place = names.get(change.location_id, change.location_id)
    return place, change.item_id, change.field, _json_text(change.was), _json_text(change.is_now)


def _json_text(raw: msgspec.Raw) -> str:
    value: Any = msgspec.json.decode(raw)
    if value is None:
        return _NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return " ".join(map(str, value)) or _NOTHING
    # A number as it was written, not as a float shows it.
    return value if isinstance(value, str) else bytes(raw).decode()


def _named(name: str | None, code: str) -> str:
    return code if name is None or name == code else f"{code}  {name}"


def _figure(thousandths: int) -> str:
    whole, rest = divmod(abs(thousandths), 1_000)
    sign = "-" if thousandths < 0 else ""
    return f"{sign}{whole:,}" + (f".{rest:03d}".rstrip("0") if rest else "")


def _minute(micros: int) -> str:
    return f"{moment_text(micros)[:16].replace('T', ' ')} UTC"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
