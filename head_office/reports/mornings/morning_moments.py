"""When a location's report is due: the moment of a morning on its wall clock, and the mornings that wait. Pure.

The date of a morning is that of the location's calendar. Moments are microseconds UTC.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from shared.runtime.clock import SECOND

MOST_CAUGHT_UP: Final = 7
"""How many mornings of a location are made up for after a downtime: the newest."""

_DAY: Final = timedelta(days=1)
_SECOND: Final = timedelta(seconds=1)


def report_moment(day: date, zone: ZoneInfo, report_time: int) -> int | None:
    """The first moment of a date at which the wall clock shows `report_time` (minutes after midnight) or later.

    So a time that a clock change leaves out is the first one after the gap, and one that comes twice is the first. None
    where the calendar of the zone leaves out the whole date.
    """
    wanted = datetime(day.year, day.month, day.day) + timedelta(minutes=report_time)  # noqa: DTZ001 - a wall clock's
    first = wanted.replace(fold=0, tzinfo=zone).astimezone(UTC)
    if _wall(first, zone) == wanted:
        return _micros(first)
    # In a gap: both readings miss it, the later offset's on the side before the change, the earlier one's behind it.
    low, high = sorted((first, wanted.replace(fold=1, tzinfo=zone).astimezone(UTC)))
    while high - low > _SECOND:
        middle = low + ((high - low) // 2 // _SECOND) * _SECOND
        if _wall(middle, zone) >= wanted:
            high = middle
        else:
            low = middle
    if _wall(low, zone).date() < day < _wall(high, zone).date():
        return None
    return _micros(high)


def due_mornings(now: int, last_made: date | None, zone: ZoneInfo, report_time: int, added_at: int) -> list[date]:
    """List the mornings whose report is to be made, the oldest first, at most MOST_CAUGHT_UP: the newest of them.

    They are after `last_made`, their moment has come, and the location was there at it.
    """
    due: list[date] = []
    day = _wall(_moment(now), zone).date() + _DAY
    # Beside the dates that can be due: one that has not come, and one that the calendar leaves out.
    for _ in range(MOST_CAUGHT_UP + 3):
        day -= _DAY
        if len(due) == MOST_CAUGHT_UP or (last_made is not None and day <= last_made):
            break
        moment = report_moment(day, zone, report_time)
        if moment is not None and added_at <= moment <= now:
            due.append(day)
    return due[::-1]


def _wall(moment: datetime, zone: ZoneInfo) -> datetime:
    return moment.astimezone(zone).replace(tzinfo=None, fold=0)


def _moment(micros: int) -> datetime:
    return datetime.fromtimestamp(micros // SECOND, UTC)


def _micros(moment: datetime) -> int:
    return int(moment.timestamp()) * SECOND
