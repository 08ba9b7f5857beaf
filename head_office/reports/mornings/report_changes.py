"""In what two readings of one report differ, field by field. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from head_office.reports.purchasing.purchasing_json import purchasing_row_out
from head_office.reports.purchasing.purchasing_records import (
    COLUMNS,
    PurchasingChange,
    PurchasingReport,
    PurchasingRow,
)

LISTED: Final = "listed"
"""The field of a change by which a row came or went."""

_COMPARED: Final = tuple(name for name in COLUMNS if name not in {"location_id", "item_id", "location_state"})
"""What a row says of its item. The state of its location stands in the report's list of locations, once."""


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
    before, after = purchasing_row_out(was), purchasing_row_out(now)
    for name in _COMPARED:
        if getattr(was, name) != getattr(now, name):
            yield _change(either, name, getattr(before, name), getattr(after, name))


def _change(row: PurchasingRow, field: str, was: Any, now: Any) -> PurchasingChange:
    return PurchasingChange(
        location_id=row.location_id,
        item_id=row.item_id,
        field=field,
        was=msgspec.Raw(msgspec.json.encode(was)),
        is_now=msgspec.Raw(msgspec.json.encode(now)),
    )
