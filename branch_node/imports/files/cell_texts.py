"""What the values of a workbook's cells are as texts: numbers in plain notation, dates and times with a mark. Pure."""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal
from functools import lru_cache
from typing import Final

POINT: Final = "\x1e"
"""Stands for the decimal point of a number; the reader of rows is given the point or comma of its map."""

MOMENT: Final = "\x1d"
"""Begins a date or time of a cell: behind it YYYY-MM-DD, YYYY-MM-DDTHH:MM:SS[.ffffff] or HH:MM:SS[.ffffff]."""

_DIGITS: Final = Context(prec=15, rounding=ROUND_HALF_UP)
# Texts in quotes, characters behind a backslash, and what stands in brackets: colours, languages, elapsed hours.
_NO_PLACES: Final = re.compile(r'"[^"]*"?|\\.|_.|\*.|\[[^\]]*\]')


def shows_days_only(code: str) -> bool:
    """Whether a number format, such as `dd/mm/yyyy`, shows a date without a time."""
    return re.search("[hs]", _NO_PLACES.sub("", code).split(";")[0], re.IGNORECASE) is None


# Quantities and prices repeat.
@lru_cache(8_192)
def number_text(number: float) -> str | None:
    """A number in plain notation with at most 15 significant digits, as a spreadsheet shows it; None for no number."""
    exact = Decimal(repr(number))
    if not exact.is_finite():
        return None
    plain = format(_DIGITS.plus(exact), "f")
    if "." in plain:
        plain = plain.rstrip("0").rstrip(".")
    return "0" if plain in ("-0", "") else plain.replace(".", POINT)


def moment_text(value: datetime | date | time | timedelta, *, days_only: bool) -> str | None:
    """A date or time, where `days_only` says what the cell shows; None for a date before those of a spreadsheet."""
    if isinstance(value, timedelta):
        # A cell of elapsed hours: under a day it is written like a time of day.
        seconds = int(value.total_seconds())
        if value < timedelta(0):
            return None
        if value.days == 0:
            clock = time(seconds // 3_600, seconds // 60 % 60, seconds % 60, value.microseconds)
            return MOMENT + clock.isoformat()
        return f"{seconds // 3_600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    if isinstance(value, date) and value.year < 1900:
        return None
    if days_only and isinstance(value, datetime) and value.time() == time.min:
        return MOMENT + value.date().isoformat()
    return MOMENT + value.isoformat()
