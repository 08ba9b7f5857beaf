"""The formulas of the purchasing report beyond those of reorder levels. Pure and exact: whole numbers only.

Quantities are thousandths of the item's base unit. How much to order is the rule of `shared.levels.reorder_levels`.
Source: INTERFACES A5.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Final, NamedTuple

import msgspec

from shared.levels.reorder_levels import ReorderLevel, to_order

SPARE_DAYS: Final = 2
"""By how many days a suggested reorder point lasts longer than the delivery takes."""


class Consumption(NamedTuple):
    """What was used of an item over so many business dates, none where it has no event before the report's date."""

    used: int
    days: int


class RowFigures(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The computed figures of a row, as in `PurchasingRow`; `days_left` in tenths of a day."""

    projected: int
    to_order: int
    packs: int | None
    daily_usage: int | None
    days_left: int | None
    suggested_reorder_point: int | None


def row_figures(
    level: ReorderLevel,
    *,
    available: int,
    in_transit: int,
    on_order: int,
    consumption: Consumption,
    lead_days: int | None,
) -> RowFigures:
    """Compute the figures of one item at one location. `lead_days` is the level's, else the supplier's."""
    projected = available + in_transit + on_order
    ordered = to_order(level, projected)
    return RowFigures(
        projected=projected,
        to_order=ordered,
        packs=None if level.pack_size is None else ordered // level.pack_size,
        daily_usage=daily_usage(consumption),
        days_left=days_left(available, consumption),
        suggested_reorder_point=suggested_reorder_point(consumption, lead_days),
    )


def dates_used(day: date, window_days: int, first_day: date | None) -> int:
    """How many of the `window_days` dates before `day` an item was there for, from the date of its first event on."""
    if first_day is None:
        return 0
    return max((day - max(first_day, day - timedelta(days=window_days))).days, 0)


def daily_usage(consumption: Consumption) -> int | None:
    """What was used a day, rounded half up; None where there is no date to tell by."""
    used, days = consumption
    return (2 * used + days) // (2 * days) if days else None


def days_left(available: int, consumption: Consumption) -> int | None:
    """For how many tenths of a day what is available lasts, rounded down; None where nothing is used."""
    used, days = consumption
    return max(available, 0) * 10 * days // used if days and used > 0 else None


def suggested_reorder_point(consumption: Consumption, lead_days: int | None) -> int | None:
    """The reorder point that lasts until the delivery and `SPARE_DAYS` more, up to a whole base unit, never below zero.

    None where nothing tells the usage or the days of delivery.
    """
    used, days = consumption
    if not days or lead_days is None:
        return None
    return max(-(-used * (lead_days + SPARE_DAYS) // (days * 1_000)) * 1_000, 0)
