"""What texts of cells can be: numbers in one of the notations, times in one of the formats, barcodes. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Final, Literal, NamedTuple

import msgspec

from branch_node.imports.cells.cell_readers import RowRejected
from branch_node.imports.cells.month_names import folded, month_names, weekday_names
from branch_node.imports.cells.number_reader import NumberReader
from branch_node.imports.cells.timestamps import Role, TimeFormat
from branch_node.imports.files.cell_texts import MOMENT

LANGUAGES: Final = ("en", "de", "fr", "es", "it", "pt", "nl", "ar")
"""Of the names of months, in the order in which they are tried."""

Decimals = Literal[".", ","]
Thousands = Literal[".", ",", " ", "'"]
EMPTY: Final = ("NULL", "null", "None", "N/A", "n/a", "NA", "#N/A", "NaN", "nan", "-", "--", "\\N")
"""Texts that stand for an empty cell."""

SIGNS: Final = {"€": "EUR", "£": "GBP", "¥": "JPY", "₹": "INR", "₺": "TRY", "zł": "PLN", "CHF": "CHF", "US$": "USD"}
"""Signs of currencies that mean one currency."""

# Fixed dates, the day first where day and month could stand for each other.
_DAYS: Final = (
    "%Y-%m-%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y/%m/%d", "%Y.%m.%d", "%Y%m%d",
    "%d.%m.%y", "%d/%m/%y", "%m/%d/%y", "%d-%m-%y", "%m-%d-%y", "%d %m %Y", "%y-%m-%d",
)  # fmt: skip
_NAMED_DAYS: Final = (
    "%d %b %Y", "%d. %b %Y", "%d-%b-%Y", "%d-%b-%y", "%d/%b/%Y", "%d.%b.%Y", "%b %d, %Y", "%b %d %Y", "%a %d %b %Y",
    "%a, %d %b %Y", "%a, %d. %b %Y", "%a, %b %d, %Y", "%d de %b de %Y", "%Y-%b-%d", "%d %b %y",
)  # fmt: skip
_CLOCKS: Final = (
    "%H:%M:%S", "%H:%M", "%H:%M:%S.%f", "%I:%M %p", "%I:%M:%S %p", "%I:%M%p", "%Hh%M", "%H.%M", "%H.%M.%S",
    "%H:%M Uhr", "%H%M%S",
)  # fmt: skip
_BETWEEN: Final = (" ", "T", ", ", " - ")
_ZONES: Final = ("", "%z", " %z")
_LIKE_A_CLOCK: Final = re.compile(r"\d{1,2}\s?[:h.]\s?\d{2}|\d{6}|\d{1,2} ?[ap]\.?m", re.IGNORECASE)
_BARCODE: Final = re.compile(r"\d{8}|\d{12,14}", re.ASCII)
_DIGIT: Final = re.compile(r"[0-9]")


class Notation(NamedTuple):
    """How numbers are written."""

    decimal: Decimals
    thousands: Thousands | None


NOTATIONS: Final = (
    Notation(".", None), Notation(",", None), Notation(".", ","), Notation(",", "."), Notation(".", " "),
    Notation(",", " "), Notation(".", "'"), Notation(",", "'"),
)  # fmt: skip


class Times(msgspec.Struct, frozen=True):
    """How the times of a column are written: formats of one role, all of them fitting some cell, together all cells.

    Without formats its cells are dates or times by themselves. `other` is the reading with day and month exchanged
    that fits all cells as well.
    """

    role: Role
    formats: tuple[str, ...]
    locale: str = "en"
    other: str | None = None
    zoned: bool = False


@cache
def _reader(notation: Notation) -> NumberReader:
    return NumberReader(notation.decimal, notation.thousands, SIGNS | {"$": "USD"})


def number_in(text: str, notation: Notation) -> float | None:
    """The number, or amount with its currency, that a text is in a notation; None for another text."""
    if not _DIGIT.search(text):
        return None
    if notation.thousands is not None and re.match(r"[-(\u2212]?0[.,' ]\d{3}(?!\d)", text):
        # `0,250` has no thousands.
        return None
    try:
        return float(_reader(notation).amount(text))
    except RowRejected:
        return None


def currency_in(text: str, notation: Notation) -> str | None:
    """The currency beside an amount."""
    try:
        return _reader(notation).money(text).currency
    except RowRejected:
        return None


def is_number(text: str) -> bool:
    return any(number_in(text, notation) is not None for notation in NOTATIONS)


def is_datum(text: str) -> bool:
    """Whether a text is a number or a time, and so no name of a column."""
    return text[:1] == MOMENT or is_number(text) or (_DIGIT.search(text) is not None and times_of([text]) is not None)


def is_barcode(text: str) -> bool:
    """Whether a text is 8, 12, 13 or 14 digits of which the last is the check digit of the others."""
    if _BARCODE.fullmatch(text) is None:
        return False
    digits = [int(each) for each in reversed(text)]
    return (sum(digits[0::2]) + 3 * sum(digits[1::2])) % 10 == 0


def times_of(cells: Sequence[str], *, month_first: bool = False) -> Times | None:
    """How the texts of a column are written as times; None where they are none. Blank texts must be left out.

    `month_first` decides where a day could be the month and the month the day in every cell.
    """
    typed = [cell[1:] for cell in cells if cell[:1] == MOMENT]
    texts = list(dict.fromkeys(cell for cell in cells if cell[:1] != MOMENT))
    if typed:
        return None if texts else _typed(typed)
    if not texts or not all(_DIGIT.search(text) for text in texts):
        return None
    fitting = [(each, locale) for each, locale in _candidates(texts[0]) if _fits(each, locale, texts)]
    if fitting:
        return _chosen(fitting, month_first=month_first)
    return _several(texts, month_first=month_first)


def fits(times: Times, text: str) -> bool:
    """Whether a text is written in one of the formats."""
    return any(_fits(each, times.locale, [text]) for each in times.formats)


def _typed(texts: Iterable[str]) -> Times:
    found = list(texts)
    if all("-" not in text and "T" not in text for text in found):
        return Times("time", ())
    return Times("date" if all("T" not in text for text in found) else "moment", ())


def _several(texts: Sequence[str], *, month_first: bool) -> Times | None:
    """Two or three formats that together fit all cells, such as times with and without seconds."""
    left, formats, first = list(texts), list[str](), None
    while left and len(formats) < 3:
        fits = [
            (sum(_fits(each, locale, [text]) for text in left), -place, each, locale)
            for place, (each, locale) in enumerate(_candidates(left[0]))
        ]
        if not fits:
            return None
        count, _, best, locale = max(fits)
        made = _chosen([(best, locale)], month_first=month_first)
        if first is not None and (made.role, made.zoned) != (first.role, first.zoned):
            return None
        if count == 0 or (first is not None and made.locale != first.locale and "%b" in best):
            return None
        first = first or made
        formats.append(best)
        left = [text for text in left if not _fits(best, locale, [text])]
    if left or first is None:
        return None
    return Times(first.role, tuple(formats), first.locale, None, first.zoned)


def _chosen(fitting: Sequence[tuple[str, str]], *, month_first: bool) -> Times:
    (best, locale), other = fitting[0], None
    turned = _turned(best)
    if turned != best and any(each == turned for each, _ in fitting):
        other = turned
        if month_first and best.index("%d") < best.index("%m"):
            best, other = turned, best
    made = TimeFormat(best, locale=locale)
    role: Role = "moment" if made.has_date and made.has_time else "date" if made.has_date else "time"
    return Times(role, (best,), locale, other, made.zoned)


def _turned(text: str) -> str:
    return text.replace("%d", "\0").replace("%m", "%d").replace("\0", "%m")


def _candidates(text: str) -> Iterator[tuple[str, str]]:
    """The formats that fit a text, with the language of each."""
    if len(text) > 64:
        return
    letters = set(text)
    for each in _all_formats():
        # Most formats have another separator, and need not be compiled.
        if _literals(each) <= letters and _fits(each, "en", [text]):
            yield each, "en"
    has_clock = _LIKE_A_CLOCK.search(text) is not None
    if re.search(r"[^\W\d_]{3,}", text) is None:
        return
    said = folded(text)
    for locale in LANGUAGES:
        names = [*month_names(locale), *weekday_names(locale)]
        if not any(name in said for name in names if len(name) > 2 or not name.isascii()):
            continue
        for day in _NAMED_DAYS:
            if _fits(day, locale, [text]):
                yield day, locale
            if has_clock:
                for between in _BETWEEN:
                    for clock in _CLOCKS:
                        if _fits(f"{day}{between}{clock}", locale, [text]):
                            yield f"{day}{between}{clock}", locale


@cache
def _all_formats() -> tuple[str, ...]:
    moments = [
        f"{day}{between}{clock}{zone}"
        for day in _DAYS
        for between in _BETWEEN
        for clock in _CLOCKS
        for zone in _ZONES
        if (zone == "" or "%I" not in clock) and not (clock == "%H%M%S" and day != "%Y%m%d")
    ]
    midnight = [f"{day} {clock}" for day in _DAYS for clock in ("00:00:00", "00:00", "00:00:00.000")]
    clocks = [clock for clock in _CLOCKS if clock not in ("%H.%M", "%H%M%S")]
    return (*_DAYS, *midnight, *clocks, "%H.%M.%S", *moments, "%Y%m%d%H%M%S", "unix", "unix-milliseconds")


@cache
def _literals(format_text: str) -> frozenset[str]:
    return frozenset(re.sub("%.", "", format_text)) if "%" in format_text else frozenset()


@cache
def _format(text: str, locale: str) -> TimeFormat:
    return TimeFormat(text, locale=locale)


def _fits(text: str, locale: str, cells: Sequence[str]) -> bool:
    made = _format(text, locale)
    for cell in cells:
        try:
            reading = made.read(cell.strip())
        except ValueError:
            return False
        if made.has_date and not _FIRST <= reading < _LAST:
            return False
    return True


# Readings of 2000-01-01 and 2100-01-01: a number outside is no time of a till.
_FIRST: Final = 946_684_800_000_000
_LAST: Final = 4_102_444_800_000_000
