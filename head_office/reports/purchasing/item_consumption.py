"""What was used of items at locations in the days before a report's date, and since when they are there.

Quantities are thousandths, moments microseconds UTC. Works inside the transaction of the Connection it is given.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import BigInteger, Connection, Select, cast, func, or_, select, true

from head_office.catalogue.locations import BusinessDay
from head_office.database.arrays import BIGINT, TEXT, unnest
from head_office.database.schema import EVENT, VOIDED
from head_office.reports.purchasing.cut_changes import CutChanges
from head_office.reports.purchasing.purchasing_formulas import Consumption, dates_used
from head_office.reports.usage.usage_figures import USED_AS
from shared.runtime.business_days import day_start_of
from shared.runtime.clock import business_date
from shared.stock_expressions import EventScope, in_order, known, stands


class UsageWindow(NamedTuple):
    """The business dates at a location whose usage counts, those before `day`: [begin, end) in microseconds UTC."""

    day: date
    begin: int
    end: int


class UsageWindows:
    """The windows of a report at each location; those in one zone are computed once."""

    def __init__(self, as_of: Mapping[str, int], days: Mapping[str, BusinessDay], window_days: int) -> None:
        self._days = days
        self._window_days = window_days
        made: dict[tuple[int, BusinessDay], UsageWindow] = {}
        self._windows: dict[str, UsageWindow] = {}
        for place, day in days.items():
            key = (as_of[place], day)
            if key not in made:
                made[key] = _window(*key, window_days)
            self._windows[place] = made[key]

    def __getitem__(self, location_id: str) -> UsageWindow:
        return self._windows[location_id]

    def dates(self, location_id: str, first_at: int | None) -> int:
        """How many dates of the window an item was there for whose first event occurred at `first_at`."""
        window, day = self._windows[location_id], self._days[location_id]
        if first_at is None or first_at >= window.end:
            return 0
        if first_at < window.begin:
            return self._window_days
        return dates_used(window.day, self._window_days, business_date(first_at, ZoneInfo(day.timezone), day.day_start))


def _window(moment: int, day: BusinessDay, window_days: int) -> UsageWindow:
    zone = ZoneInfo(day.timezone)
    on = business_date(moment, zone, day.day_start)
    begin = day_start_of(on - timedelta(days=window_days), zone, day.day_start)
    return UsageWindow(on, begin, day_start_of(on, zone, day.day_start))


class CodePlace(NamedTuple):
    """A code in a location's log, and the item that it stands for."""

    location_id: str
    code: str
    item_id: str


def item_consumption(
    connection: Connection, changes: CutChanges, windows: UsageWindows, codes: Collection[CodePlace]
) -> dict[tuple[str, str], Consumption]:
    """Sum what was used by location and item, with its dates; `codes` are all codes of each item that is asked for."""
    used: dict[tuple[str, str], int] = {}
    firsts: dict[tuple[str, str], int] = {}
    items = {(each.location_id, each.code): each.item_id for each in codes}
    for row in connection.execute(_query(changes, windows, codes)) if codes else ():
        key = (row.location_id, items[row.location_id, row.code])
        used[key] = used.get(key, 0) + row.used
        if row.first_at is not None:
            firsts[key] = min(firsts.get(key, row.first_at), row.first_at)
    return {key: Consumption(quantity, windows.dates(key[0], firsts.get(key))) for key, quantity in used.items()}


def _query(changes: CutChanges, windows: UsageWindows, codes: Collection[CodePlace]) -> Select[tuple[object, ...]]:
    rows = [
        (place, code, windows[place].begin, windows[place].end, changes.cut.sequences[place], changes.as_of[place])
        for place, code, _ in codes
    ]
    numbers = (("begins", BIGINT), ("ends", BIGINT), ("known_through", BIGINT), ("moment", BIGINT))
    wanted = unnest("wanted", (("location_id", TEXT), ("code", TEXT), *numbers), rows)
    of_code = (EVENT.c.location_id == wanted.c.location_id, EVENT.c.item_id == wanted.c.code)
    scope = EventScope(wanted.c.moment, wanted.c.known_through, changes.cut.unknown())
    counts = (*of_code, *known(EVENT, scope), stands(EVENT, VOIDED, scope, wanted))
    used = (
        select(func.coalesce(cast(-func.sum(EVENT.c.on_hand_change), BigInteger), 0).label("used"))
        .where(
            *counts,
            EVENT.c.occurred_at >= wanted.c.begins,
            EVENT.c.occurred_at < wanted.c.ends,
            EVENT.c.type.in_(list(USED_AS)),  # each by what it takes from on hand, so a return against it
        )
        .lateral("used")
    )
    figures = (EVENT.c.on_hand_change, EVENT.c.counted, EVENT.c.reserved_change, EVENT.c.in_transit_change)
    # What only defines an item, or voids an event, is no sign that it is there.
    first = (
        select(EVENT.c.occurred_at.label("first_at"))
        .where(*counts, or_(*(each.is_not(None) for each in figures)))
        .order_by(*in_order(EVENT))
        .limit(1)
        .lateral("first")
    )
    return select(wanted.c.location_id, wanted.c.code, used.c.used, first.c.first_at).select_from(
        wanted.join(used, true()).outerjoin(first, true())
    )
