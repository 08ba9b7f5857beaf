"""What the cells of a workbook say: numbers as plain texts, dates and times by their number formats. Pure."""

from __future__ import annotations

import re
from datetime import date, time, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation
from enum import StrEnum
from functools import lru_cache
from typing import Final

POINT: Final = "\x1e"
"""Stands for the decimal point of a number; the reader of rows is given the point or comma of its map."""

MOMENT: Final = "\x1d"
"""Begins a date or time of a cell: behind it YYYY-MM-DD, YYYY-MM-DDTHH:MM:SS[.ffffff] or HH:MM:SS[.ffffff]."""


class FormatKind(StrEnum):
    """What a number format shows."""

    NUMBER = "number"
    DATE = "date"
    TIME = "time"
    DATE_AND_TIME = "date and time"
    ELAPSED = "elapsed"


_DIGITS: Final = Context(prec=15, rounding=ROUND_HALF_UP)
_WHOLE: Final = re.compile(r"-?[1-9][0-9]{0,14}|0")
_LITERALS: Final = re.compile(r'"[^"]*"?|\\.|_.|\*.')
_ELAPSED: Final = re.compile(r"\[(?:h+|m+|s+)\]", re.IGNORECASE)
_BRACKETS: Final = re.compile(r"\[[^\]]*\]")
_BUILT_IN: Final = {
    **dict.fromkeys((14, 15, 16, 17, *range(27, 32), 36, *range(50, 59)), FormatKind.DATE),
    **dict.fromkeys((18, 19, 20, 21, 32, 33, 34, 35, 45, 47), FormatKind.TIME),
    22: FormatKind.DATE_AND_TIME,
    46: FormatKind.ELAPSED,
}
_MILLISECONDS: Final = 86_400_000


def built_in(number: int) -> FormatKind:
    """What a format shows that is known by its number alone."""
    return _BUILT_IN.get(number, FormatKind.NUMBER)


def shown_by(code: str) -> FormatKind:
    """What a format's code shows, such as `dd/mm/yyyy hh:mm`."""
    bare = _LITERALS.sub("", code).split(";")[0]
    if _ELAPSED.search(bare):
        return FormatKind.ELAPSED
    bare = _BRACKETS.sub("", bare).lower()
    if "general" in bare:
        return FormatKind.NUMBER
    has_time = "h" in bare or "s" in bare or "am/pm" in bare
    # Months and minutes are both m: alone, or three of them, they are months.
    has_date = "y" in bare or "d" in bare or "mmm" in bare or ("m" in bare and not has_time)
    if has_date and has_time:
        return FormatKind.DATE_AND_TIME
    return FormatKind.DATE if has_date else FormatKind.TIME if has_time else FormatKind.NUMBER


# Quantities and prices repeat.
@lru_cache(8_192)
def number_text(text: str) -> str | None:
    """A number in plain notation with at most 15 significant digits, as a spreadsheet shows it; None for no number."""
    if _WHOLE.fullmatch(text):
        return text
    number = _decimal(text)
    if number is None:
        return None
    plain = format(_DIGITS.plus(number), "f")
    if "." in plain:
        plain = plain.rstrip("0").rstrip(".")
    return "0" if plain in ("-0", "") else plain.replace(".", POINT)


def moment_text(text: str, shown: FormatKind, *, from_1904: bool) -> str | None:
    """The date or time that a number of days stands for, to the millisecond; None where it is no date.

    The day 60 of 1900 is none: Excel counts a 29 February that never was.
    """
    days = _decimal(text)
    if days is None or not 0 <= days < 2_958_466:
        return None
    milliseconds = int((days * _MILLISECONDS).to_integral_value(ROUND_HALF_UP))
    whole, rest = divmod(milliseconds, _MILLISECONDS)
    if whole == 0 and not (from_1904 and shown in (FormatKind.DATE, FormatKind.DATE_AND_TIME)):
        return MOMENT + _time_of_day(rest)
    if shown is FormatKind.ELAPSED:
        seconds = milliseconds // 1_000
        return f"{seconds // 3_600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    if whole == 60 and not from_1904:
        return None
    first = date(1904, 1, 1) if from_1904 else date(1899, 12, 30 + (whole < 60))
    day = (first + timedelta(days=whole)).isoformat()
    return MOMENT + (day if rest == 0 and shown is FormatKind.DATE else f"{day}T{_time_of_day(rest)}")


def _time_of_day(milliseconds: int) -> str:
    seconds, rest = divmod(milliseconds, 1_000)
    return time(seconds // 3_600, seconds // 60 % 60, seconds % 60, rest * 1_000).isoformat()


def _decimal(text: str) -> Decimal | None:
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    # The range of a spreadsheet's numbers, so that plain notation has an end.
    return number if number.is_finite() and (not number or -330 < number.adjusted() < 309) else None
