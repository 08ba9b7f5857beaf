"""Moments and business dates as they are asked for: one text is a moment, another one a date at a location.

A business day begins `day_start` minutes after midnight on its location's wall clock. A period is [from, to): it begins
with what happened at `from`, and ends before what happened at `to`. As of a moment includes what happened at it. Pure.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from shared.runtime.clock import MINUTE, business_date, parse_rfc3339

Asked = int | date
"""A moment in microseconds UTC, or a business date."""

_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_DAY: Final = 24 * 60
# Offsets from UTC are within a day, and a business day begins within a day of its midnight.
_SEARCHED: Final = 2 * _DAY


def read_asked(text: str) -> Asked:
    """Read an RFC 3339 moment, or a date such as 2026-01-31. Raises ValueError."""
    if not _DATE.fullmatch(text):
        try:
            return parse_rfc3339(text)[0]
        except ValueError as error:
            raise ValueError(f"{error}, and not a date such as 2026-01-31") from error
    try:
        found = date.fromisoformat(text)
    except ValueError as error:
        raise ValueError("there is no such date") from error
    if not 2000 <= found.year < 2199:
        raise ValueError("the year is not between 2000 and 2198")
    return found


def day_start_of(day: date, zone: ZoneInfo, day_start: int) -> int:
    """The moment (microseconds UTC) at which a business day begins at a location."""
    midnight = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() // 60)
    low, high = midnight - _SEARCHED, midnight + _SEARCHED
    while low < high:
        middle = (low + high) // 2
        if business_date(middle * MINUTE, zone, day_start) >= day:
            high = middle
        else:
            low = middle + 1
    return low * MINUTE


def as_of_moment(asked: Asked, zone: ZoneInfo, day_start: int) -> int:
    """The moment as of which a figure is asked for; for a date the last one of that business day."""
    if isinstance(asked, int):
        return asked
    return day_start_of(asked + timedelta(days=1), zone, day_start) - 1


def boundary(asked: Asked, zone: ZoneInfo, day_start: int) -> int:
    """The moment at which a period begins or ends; for a date the first one of that business day."""
    return asked if isinstance(asked, int) else day_start_of(asked, zone, day_start)
