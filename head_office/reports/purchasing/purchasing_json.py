"""The purchasing report in JSON, in parts: a large one is sent while it is written. Source: INTERFACES A5."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from head_office.reports.purchasing.purchasing_records import (
    LocationState,
    PurchasingChange,
    PurchasingLocation,
    PurchasingReport,
    PurchasingRow,
)
from head_office.reports.report_records import FreshnessOut, freshness_out, or_none
from shared.event_record import Moment, Number, moment_text
from shared.events import quantity_json

_encode: Final = msgspec.json.Encoder().encode

MOST_TOGETHER: Final = 500
"""How many rows are in one part."""


class PurchasingFreshness(FreshnessOut, frozen=True):
    """How fresh the figures of a location were. `contacted_at`, `behind` and `verdict` are of now alone: null else."""

    behind: int | None  # type: ignore[assignment]


class PurchasingLocationOut(msgspec.Struct, frozen=True):
    """A location of the report. BLIND: no call for 24 hours. INCOMPLETE: quarantined, behind, or verdict not OK."""

    location_id: str
    name: str | None
    as_of: Moment
    known_at: Moment
    state: LocationState
    freshness: PurchasingFreshness


class PurchasingRowOut(msgspec.Struct, frozen=True, gc=False):
    """An item to be ordered for a location; what is undefined is null."""

    location_id: str
    item_id: str
    name: str | None
    unit: str | None
    supplier_id: str | None
    supplier_name: str | None
    on_hand: Number
    reserved: Number
    available: Number
    in_transit: Number
    on_order: Number
    next_due: str | None
    projected: Number
    reorder_point: Number
    order_up_to: Number | None
    order_quantity: Number | None
    pack_size: Number | None
    to_order: Number
    packs: int | None
    daily_usage: Number | None
    days_left: Number | None
    lead_days: int | None
    suggested_reorder_point: Number | None
    flags: tuple[str, ...]
    location_state: LocationState


class PurchasingChangeOut(msgspec.Struct, frozen=True, rename={"is_now": "is"}):
    """A field of a row that is not what it was that morning; `listed`: the row came or went."""

    location_id: str
    item_id: str
    field: str
    was: Any
    is_now: Any


class PurchasingReportOut(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be ordered. `as_of`, `known_at` are null where the locations have moments of their own."""

    as_of: Moment | None
    known_at: Moment | None
    date: str | None
    window_days: int
    cut: Mapping[str, int]
    locations: list[PurchasingLocationOut]
    items: list[PurchasingRowOut]
    changes: list[PurchasingChangeOut] | msgspec.UnsetType = msgspec.UNSET


def purchasing_parts(report: PurchasingReport) -> Iterator[bytes]:
    """Write a report, equal to the byte for equal reports."""
    head = PurchasingReportOut(
        as_of=or_none(report.as_of),
        known_at=or_none(report.known_at),
        date=report.date,
        window_days=report.window_days,
        cut=report.cut,
        locations=[_location_out(each) for each in report.locations],
        items=[],
    )
    yield _encode(head).removesuffix(b"]}")
    yield from _listed(map(purchasing_row_out, report.rows))
    if report.changes is None:
        yield b"]}"
        return
    yield b'],"changes":['
    yield from _listed(map(_change_out, report.changes))
    yield b"]}"


def _listed(records: Iterable[Any]) -> Iterator[bytes]:
    together: list[Any] = []
    comma = b""
    for each in records:
        together.append(each)
        if len(together) == MOST_TOGETHER:
            yield comma + _encode(together)[1:-1]
            comma = b","
            together.clear()
    if together:
        yield comma + _encode(together)[1:-1]


def purchasing_row_out(row: PurchasingRow) -> PurchasingRowOut:
    """A row with its quantities as JSON numbers."""
    return PurchasingRowOut(
        row.location_id,
        row.item_id,
        row.name,
        row.unit,
        row.supplier_id,
        row.supplier_name,
        quantity_json(row.on_hand),
        quantity_json(row.reserved),
        quantity_json(row.available),
        quantity_json(row.in_transit),
        quantity_json(row.on_order),
        row.next_due,
        quantity_json(row.projected),
        quantity_json(row.reorder_point),
        _number(row.order_up_to),
        _number(row.order_quantity),
        _number(row.pack_size),
        quantity_json(row.to_order),
        row.packs,
        _number(row.daily_usage),
        None if row.days_left is None else msgspec.Raw(tenths_text(row.days_left).encode()),
        row.lead_days,
        _number(row.suggested_reorder_point),
        row.flags,
        row.location_state,
    )


def tenths_text(tenths: int) -> str:
    """A number of tenths, not below zero, with its one decimal: 123 is `12.3`, 120 is `12.0`."""
    return f"{tenths // 10}.{tenths % 10}"


def _number(quantity: int | None) -> msgspec.Raw | None:
    return None if quantity is None else quantity_json(quantity)


def _location_out(location: PurchasingLocation) -> PurchasingLocationOut:
    found = location.freshness
    record = msgspec.structs.asdict(freshness_out(found))
    if found.branch_sequence is None:
        record["behind"] = None
    return PurchasingLocationOut(
        location.location_id,
        location.name,
        moment_text(location.as_of),
        moment_text(location.known_at),
        location.state,
        PurchasingFreshness(**record),
    )


def _change_out(change: PurchasingChange) -> PurchasingChangeOut:
    return PurchasingChangeOut(change.location_id, change.item_id, change.field, change.was, change.is_now)
