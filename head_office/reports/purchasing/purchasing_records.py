"""The purchasing report as its parts pass it on: to JSON, CSV, XLSX, PDF, pages and mail.

Quantities are thousandths of the item's base unit, moments microseconds UTC, dates as 2026-01-31. Source: INTERFACES
A5.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final

import msgspec

from head_office.reports.freshness import Freshness

DEFAULT_WINDOW_DAYS: Final = 28
MAX_WINDOW_DAYS: Final = 366


class LocationState(StrEnum):
    """How far the figures of a location can be trusted. BLIND: no call for 24 hours.

    INCOMPLETE: events of it are in quarantine, or it was behind, or its verdict was not OK; BLIND goes before it.
    """

    FRESH = "FRESH"
    BLIND = "BLIND"
    INCOMPLETE = "INCOMPLETE"


class PurchasingRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One item at one location that has a reorder level. The fields, in this order, are the header of CSV and XLSX.

    `days_left` is in tenths of a day, `next_due` the earliest due date of what is open. `daily_usage`, `days_left`,
    `lead_days`, `suggested_reorder_point` are None where they are undefined.
    """

    location_id: str
    item_id: str
    name: str | None
    unit: str | None
    supplier_id: str | None
    supplier_name: str | None
    on_hand: int
    reserved: int
    available: int
    in_transit: int
    on_order: int
    next_due: str | None
    projected: int
    reorder_point: int
    order_up_to: int | None
    order_quantity: int | None
    pack_size: int | None
    to_order: int
    packs: int | None
    daily_usage: int | None
    days_left: int | None
    lead_days: int | None
    suggested_reorder_point: int | None
    flags: tuple[str, ...]
    location_state: LocationState


COLUMNS: Final = PurchasingRow.__struct_fields__
"""The columns of the report, in order."""


class PurchasingLocation(msgspec.Struct, frozen=True, kw_only=True):
    """One location of the report: as of which moment and known at which, and how fresh its figures were.

    `freshness` has no last contact, backlog or verdict where the moments were given: those are not kept.
    """

    location_id: str
    name: str | None
    as_of: int
    known_at: int
    state: LocationState
    freshness: Freshness


class PurchasingChange(msgspec.Struct, frozen=True, kw_only=True):
    """One field of a row that is not what it was that morning; `was`, `is_now` as the report writes them in JSON.

    `field` is `listed` where a row came or went: then one of the two is true, the other false.
    """

    location_id: str
    item_id: str
    field: str
    was: msgspec.Raw
    is_now: msgspec.Raw


class PurchasingReport(msgspec.Struct, frozen=True, kw_only=True):
    """A purchasing report. `locations`: those to worry about first; `rows` by supplier (none last), location, item.

    `as_of` and `known_at` are None where the locations have moments of their own, as on a morning; `date` is None where
    no morning was asked for. `changes`: None where no other moment was asked for beside the morning.
    """

    as_of: int | None
    known_at: int | None
    date: str | None
    window_days: int
    cut: Mapping[str, int]
    locations: list[PurchasingLocation]
    rows: Sequence[PurchasingRow]
    changes: list[PurchasingChange] | None = None
