"""In what two readings of one report differ, field by field. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from head_office.reports.purchasing.purchasing_records import (
    COLUMNS,
    PurchasingChange,
    PurchasingReport,
    PurchasingRow,
)
from shared.events import quantity_json

LISTED: Final = "listed"
"""The field of a change by which a row came or went."""

_PLACE: Final = ("location_id", "item_id")
_QUANTITIES: Final = frozenset(
    {
        *("on_hand", "reserved", "available", "in_transit", "on_order", "projected", "to_order", "daily_usage"),
        *("reorder_point", "order_up_to", "order_quantity", "pack_size", "suggested_reorder_point"),
    }
)


def report_changes(was: PurchasingReport, now: PurchasingReport) -> list[PurchasingChange]:
    """Compare two readings; the changes by location, item, and the order of the columns."""
    before = {(row.location_id, row.item_id): row for row in was.rows}
    after = {(row.location_id, row.item_id): row for row in now.rows}
    return [
        change for key in sorted(before.keys() | after.keys()) for change in _changes(before.get(key), after.get(key))
    ]


def _changes(was: PurchasingRow | None, now: PurchasingRow | None) -> Iterator[PurchasingChange]:
    either = was or now
    assert either is not None
    if was is None or now is None:
        yield _change(either, LISTED, was is not None, now is not None)
        return
    for name in COLUMNS:
        if name not in _PLACE and getattr(was, name) != getattr(now, name):
            yield _change(either, name, _shown(name, getattr(was, name)), _shown(name, getattr(now, name)))


def _change(row: PurchasingRow, field: str, was: Any, now: Any) -> PurchasingChange:
    return PurchasingChange(
        location_id=row.location_id,
        item_id=row.item_id,
        field=field,
        was=msgspec.Raw(msgspec.json.encode(was)),
        is_now=msgspec.Raw(msgspec.json.encode(now)),
    )


def _shown(name: str, value: Any) -> Any:
    """The value of a field as the report writes it in JSON."""
    if value is None:
        return None
    if name in _QUANTITIES:
        return quantity_json(value)
    return value / 10 if name == "days_left" else value
