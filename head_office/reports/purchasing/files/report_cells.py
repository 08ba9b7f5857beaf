"""What the cells of a purchasing report hold, for every file it is written to; and the moment that its files are of."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from types import MappingProxyType
from typing import Any, Final

from head_office.reports.purchasing.purchasing_records import (
    COLUMNS,
    PurchasingLocation,
    PurchasingReport,
    PurchasingRow,
)
from shared.event_record import moment_text

# What no file can hold: halves of surrogate pairs, and code points that stand for no character ever.
_NO_CHARACTER: Final = re.compile("[\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
REPLACEMENT: Final = "\ufffd"


class CellKind(Enum):
    """What a column holds. A quantity is in thousandths, as all are; TENTHS are of a day."""

    TEXT = auto()
    DATE = auto()
    QUANTITY = auto()
    TENTHS = auto()
    NUMBER = auto()
    WORDS = auto()


_QUANTITIES: Final = (
    "on_hand", "reserved", "available", "in_transit", "on_order", "projected", "reorder_point", "order_up_to",
    "order_quantity", "pack_size", "to_order", "daily_usage", "suggested_reorder_point",
)  # fmt: skip
KINDS: Final = MappingProxyType(
    {
        **dict.fromkeys(COLUMNS, CellKind.TEXT),
        **dict.fromkeys(_QUANTITIES, CellKind.QUANTITY),
        "next_due": CellKind.DATE,
        "packs": CellKind.NUMBER,
        "days_left": CellKind.TENTHS,
        "lead_days": CellKind.NUMBER,
        "flags": CellKind.WORDS,
    }
)
"""The kind of each column of the report."""

# Of a location only what its log says up to the cut: what is known of its last call, or of what it recorded since,
# would make another file of the same report.
LOCATION_KINDS: Final = MappingProxyType(
    {
        "location_id": CellKind.TEXT,
        "name": CellKind.TEXT,
        "state": CellKind.TEXT,
        "as_of": CellKind.TEXT,
        "known_at": CellKind.TEXT,
        "sequence": CellKind.NUMBER,
        "received_at": CellKind.TEXT,
        "quarantined": CellKind.NUMBER,
    }
)
"""The columns of the sheet Locations, in order, and their kinds."""


def row_values(row: PurchasingRow) -> Iterator[tuple[CellKind, Any]]:
    """The values of a row with their kinds, in the order of the columns: a text, an integer or None."""
    for column in COLUMNS:
        kind, value = KINDS[column], getattr(row, column)
        if kind is CellKind.WORDS:
            yield kind, whole_text(" ".join(value))
        else:
            yield kind, whole_text(value) if isinstance(value, str) else value


def location_values(report: PurchasingReport, location: PurchasingLocation) -> Iterator[tuple[CellKind, Any]]:
    """The values of a location with their kinds, in the order of `LOCATION_KINDS`; moments as RFC 3339 in UTC."""
    received_at = location.freshness.received_at
    values = (
        whole_text(location.location_id),
        None if location.name is None else whole_text(location.name),
        str(location.state),
        moment_text(location.as_of),
        moment_text(location.known_at),
        report.cut.get(location.location_id, 0),
        None if received_at is None else moment_text(received_at),
        location.freshness.quarantined,
    )
    yield from zip(LOCATION_KINDS.values(), values, strict=True)


def whole_text(text: str) -> str:
    """The text with a replacement character for each code point that no file can hold."""
    return text if text.isascii() else _NO_CHARACTER.sub(REPLACEMENT, text)


def file_moment(report: PurchasingReport) -> int:
    """The moment that every date inside a file is: the report's known at, or the latest of its locations' own."""
    if report.known_at is not None:
        return report.known_at
    return max((location.known_at for location in report.locations), default=0)


def file_day(report: PurchasingReport) -> datetime:
    """`file_moment` as a date and time in UTC, in whole seconds, as files keep them."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=file_moment(report) // 1_000_000)


def file_stem(report: PurchasingReport) -> str:
    """The name of a file of the report without its ending: by its morning, or the moment that it is known at."""
    return f"purchasing-{report.date or file_day(report).strftime('%Y%m%dT%H%M%SZ')}"
