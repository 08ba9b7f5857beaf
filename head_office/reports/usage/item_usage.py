"""What was used of each item at each location, by one statement.

The statement goes through the items in order and sums the events of each by the index of the log, so a page costs what
it shows. Works inside the transaction of the Connection it is given.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
from sqlalchemy import func, literal, select, true, tuple_

from head_office.database.schema import EVENT
from head_office.reports.known_at import Cut
from head_office.reports.tables.table_report import TableScope
from head_office.reports.usage.usage_figures import FIGURES, UsageFigures, figure_sums, usage_codes, usage_conditions


class ItemUsageCursor(NamedTuple):
    """The last row of a page."""

    location_id: str
    item_id: str
    unit: str


class ItemUsage(msgspec.Struct, frozen=True, kw_only=True):
    """What was used of an item at a location, over its codes of one unit."""

    location_id: str
    item_id: str
    unit: str
    figures: UsageFigures


def item_usage(
    scope: TableScope, cut: Cut, *, after: ItemUsageCursor | None = None, limit: int = 100
) -> Sequence[ItemUsage]:
    """Up to `limit` items of which anything was used, by location, item and unit, after a place."""
    code = usage_codes(scope, cut)
    key = (code.c.location_id, code.c.item_id, code.c.unit)
    items = select(
        *key, func.array_agg(code.c.code).label("codes"), func.min(code.c.known_through).label("known_through")
    ).group_by(*key)
    if after is not None:
        items = items.where(tuple_(*key) > tuple_(*(literal(each) for each in after)))
    pair = items.subquery("pair")
    used = (
        select(func.count().label("events"), func.min(EVENT.c.occurred_at).label("first_at"), *figure_sums())
        .where(EVENT.c.item_id == func.any(pair.c.codes), *usage_conditions(scope, cut, pair))
        .correlate(pair)
        .lateral("used")
    )
    query = (
        select(pair.c.location_id, pair.c.item_id, pair.c.unit, used)
        .select_from(pair.join(used, true()))
        .where(used.c.events > 0)
        .order_by(pair.c.location_id, pair.c.item_id, pair.c.unit)
        .limit(limit)
    )
    return [
        ItemUsage(
            location_id=row.location_id,
            item_id=row.item_id,
            unit=row.unit,
            figures=UsageFigures(**{name: int(getattr(row, name)) for name in FIGURES}, first_at=row.first_at),
        )
        for row in scope.connection.execute(query)
    ]
