"""Parsing of the times in a till's file by strict formats.

Pure. A *reading* is microseconds since 1970-01-01 00:00 on the wall clock of the file, or since midnight where there is
no date. `strptime` is not used: it is slow, depends on the locale, and accepts non-ASCII digits and runs of blanks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import date, time
from decimal import ROUND_HALF_UP, Decimal
from typing import Final, Literal, Protocol

from branch_node.imports.cells.memo import Memo
from branch_node.imports.cells.month_names import UnknownLanguage, folded, month_names, weekday_names
from branch_node.imports.files.cell_texts import MOMENT

SECOND: Final = 1_000_000
HOUR: Final = 3_600 * SECOND
DAY: Final = 24 * HOUR
_MINUTE: Final = 60 * SECOND
_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()
MOMENTS: Final = 131_072
"""The number of cached times: more than the seconds of a day."""

Role = Literal["moment", "date", "time"]
"""What a column says: date and time of day, or one of them."""

YearOf = Callable[[int, int], int]
"""The year of a month and a day that are written without one. Raises ValueError where there is no such day."""


class FormatError(ValueError):
    """An invalid format; the text gives the reason."""


_DIRECTIVES: Final = {
    "Y": r"(?P<Y>[0-9]{4})",
    "y": r"(?P<y>[0-9]{2})",
    "m": r"(?P<m>[0-9]{1,2})",
    "d": r"(?P<d>[0-9]{1,2})",
    "H": r"(?P<H>[0-9]{1,2})",
    "I": r"(?P<I>[0-9]{1,2})",
    "M": r"(?P<M>[0-9]{1,2})",
    "S": r"(?P<S>[0-9]{1,2})",
    "f": r"(?P<f>[0-9]{1,6})",
    "p": r"(?P<p>[AaPp]\.?[Mm]\.?)",
    "z": r"(?P<z>[Zz]|[+-][0-9]{2}:?[0-9]{2})",
}
_NAMES: Final = ("b", "B", "a", "A")
"""Directives of names: of a month, of a weekday (which must be one, and is not compared with the date)."""

_UNIX: Final = {"unix": SECOND, "unix-milliseconds": 1_000}
# Day 0 of a workbook's dates. Those of 1900 have a 29th of February that never was, which is why it is not the 31st.
_SERIALS: Final = {"excel": date(1899, 12, 30).toordinal(), "excel-1904": date(1904, 1, 1).toordinal()}
_SERIAL: Final = re.compile(r"[0-9]{1,6}(?:[.,][0-9]{1,20})?|[.,][0-9]{1,20}")
_DIVIDED: Final = (("Y", "y"), ("H", "I"), ("m", "b"), ("m", "B"), ("b", "B"), ("a", "A"))


class Format(Protocol):
    """One way to write a time. `zoned`: the text carries its offset, so that its reading is UTC."""

    zoned: bool

    def read(self, text: str) -> int:
        """The reading of a text without outer blanks. Raises ValueError."""


class TimeFormat:
    """The format of a date, a time of day or both, in strptime's directives %Y %y %m %b %d %H %I %M %S %f %p %z %a.

    One or two digits are read for %m %d %H %I %M %S, exactly two where they have no separator. %b and %B, and %a and
    %A, are alike: any name of the language `locale`, long or short. A format without a year needs `year_of`. Also
    `unix` and `unix-milliseconds`. Raises FormatError.
    """

    def __init__(self, format_text: str, *, locale: str = "en", year_of: YearOf | None = None) -> None:
        self.format_text = format_text
        self._unix = _UNIX.get(format_text)
        if self._unix is not None:
            self.has_date = self.has_time = self.zoned = True
            return
        # Names are compared folded, so the format and the text are too.
        self._folds = any(f"%{each}" in format_text for each in _NAMES)
        pattern, names = _compile(format_text, locale, folds=self._folds)
        self._match = re.compile(pattern).fullmatch
        self._check(names, year_of)
        self.has_date = bool({"Y", "y", "m", "b", "B", "d"} & names)
        self.has_time = bool({"H", "I", "M", "S", "f"} & names)
        self.zoned = "z" in names
        self._year_of = year_of
        self._months = month_names(locale) if {"b", "B"} & names else {}
        # Days repeat, so each is computed once.
        self._days: Memo[tuple[str | None, ...], int] = Memo(self._day)
        self._clock_from, self._heads = self._split(format_text, locale, year_of)

    def _split(self, text: str, locale: str, year_of: YearOf | None) -> tuple[int, Memo[str, int] | None]:
        """For formats that end in %H:%M:%S or %H:%M: how far from the end that begins, and the readings of the rest."""
        for clock, length in (("%H:%M:%S", 8), ("%H:%M", 5)):
            if text == clock:
                return length, None
            head = text.removesuffix(clock)
            if head != text and not self._folds and head[-2:-1] != "%" and not self.zoned:
                try:
                    return length, Memo(TimeFormat(head, locale=locale, year_of=year_of).read)
                except FormatError:
                    break  # no time by itself, as a word before the clock
        return 0, None

    def _check(self, names: set[str], year_of: YearOf | None) -> None:
        text = self.format_text
        for one, other in _DIVIDED:
            if one in names and other in names:
                raise FormatError(f"{text!r} says both %{one} and %{other}")
        if ("I" in names) != ("p" in names):
            raise FormatError(f"{text!r}: %I and %p go together")
        if {"Y", "y", "m", "b", "B", "d"} & names:
            if not ("d" in names and {"m", "b", "B"} & names):
                raise FormatError(f"{text!r} lacks the year, the month or the day")
            if not {"Y", "y"} & names and year_of is None:
                raise FormatError(f'{text!r} lacks the year: give it, or year = 2026 or year = "latest" in the map')
        if {"H", "I", "M", "S", "f"} & names and not {"H", "I"} & names:
            raise FormatError(f"{text!r} lacks the hour")
        if ("S" in names and "M" not in names) or ("f" in names and "S" not in names):
            raise FormatError(f"{text!r} leaves out minutes or seconds")
        if not names - {"z", "a", "A"}:
            raise FormatError(f"{text!r} holds no date and no time of day{_meant(text)}")

    def read(self, text: str) -> int:
        """Microseconds: since 1970 where there is a date, since midnight where there is none. Raises ValueError."""
        if self._unix is not None:
            if not re.fullmatch(r"[0-9]{1,16}", text):
                raise ValueError(f"{text[:40]!r} is no number of {self.format_text} seconds")
            return int(text) * self._unix
        if self._clock_from and (micros := _clock_reading(text, self._clock_from)) is not None:
            head = text[: -self._clock_from]
            if self._heads is None:
                if not head:
                    return micros
            else:
                try:
                    return self._heads[head] + micros
                except ValueError:
                    pass  # what is wrong is said of the whole text
        match = self._match(folded(text) if self._folds else text)
        if match is None:
            raise ValueError(f"{text[:40]!r} is not written {self.format_text}")
        part = match.groupdict()
        micros = 0
        if self.has_date:
            get = part.get
            try:
                micros = self._days[get("Y"), get("y"), get("m"), get("b") or get("B"), get("d")]
            except ValueError:
                raise ValueError(f"{text!r}: there is no such day") from None
        if self.has_time:
            micros += _time_of_day(part, text)
        if self.zoned:
            micros -= _offset(part["z"], text) * _MINUTE
        return micros

    def _day(self, parts: tuple[str | None, ...]) -> int:
        full, short, number, name, day_text = parts
        month = self._months[name.rstrip(".")] if name is not None else int(number or "0")
        day = int(day_text or "0")
        if full is not None:
            year = int(full)
        elif short is not None:
            year = 2000 + int(short)
        else:
            year = self._year_of(month, day) if self._year_of is not None else 0
        return (date(year, month, day).toordinal() - _EPOCH_DAY) * DAY


class SerialFormat:
    """The numbers that a workbook keeps for times: days, the time of day behind the point; to the millisecond."""

    zoned = False

    def __init__(self, format_text: str, role: Role) -> None:
        self.format_text = format_text
        self._first = _SERIALS[format_text] - _EPOCH_DAY
        self._role = role

    def read(self, text: str) -> int:
        """As `TimeFormat.read`. Raises ValueError."""
        if _SERIAL.fullmatch(text) is None:
            raise ValueError(f"{text[:40]!r} is no date as a workbook keeps it, such as 46053.5")
        serial = Decimal(text.replace(",", "."))
        day = int(serial)
        micros = int(((serial - day) * 86_400_000).to_integral_value(ROUND_HALF_UP)) * 1_000
        if self._role == "time":
            return micros % DAY
        return (self._first + day) * DAY + (micros if self._role == "moment" else 0)


class ColumnTimes:
    """The times of one column, in any of several formats: the first that fits.

    Cells that are dates or times by themselves (MOMENT) are read by no format. `zoned`: readings are UTC.
    """

    def __init__(
        self, formats: Sequence[str], role: Role, *, locale: str = "en", year_of: YearOf | None = None
    ) -> None:
        if not formats:
            raise FormatError("names no format")
        self._role = role
        self._texts = [text if text else "an empty text" for text in formats]
        self._formats = [_format_for(text, role, locale, year_of) for text in formats]
        zoned = {each.zoned for each in self._formats}
        if len(zoned) > 1:
            raise FormatError("names formats with an offset from UTC beside others without: a file has one kind")
        self.zoned = zoned.pop()

    def read(self, cell: str) -> int:
        """The reading of a cell as it stands in the file. Raises ValueError."""
        if cell[:1] == MOMENT:
            return self._typed(cell[1:].strip())
        text = cell.strip()
        if len(self._formats) == 1:
            return self._formats[0].read(text)
        for each in self._formats:
            try:
                return each.read(text)
            except ValueError:
                continue
        raise ValueError(f"{text[:40]!r} is not written {_or(self._texts)}")

    def _typed(self, text: str) -> int:
        """A date cell may carry a time of day besides, and a time cell a date: what is asked for is taken."""
        if self.zoned:
            raise ValueError(f"{text[:40]!r} is a date cell, which has no offset from UTC: the map needs a time_zone")
        day, _, clock = text.partition("T") if "T" in text or "-" in text else ("", "", text)
        micros = 0
        if self._role != "time":
            if not day:
                raise ValueError(f"{text[:40]!r} is a time of day without a date")
            micros = (date.fromisoformat(day).toordinal() - _EPOCH_DAY) * DAY
        if self._role != "date" and clock:
            shown = time.fromisoformat(clock)
            micros += ((shown.hour * 60 + shown.minute) * 60 + shown.second) * SECOND + shown.microsecond
        return micros


def year_rule(rule: int | str, today: date) -> YearOf:
    """The years of dates without one: always `rule`, or, for "latest", the newest such day that is not after today."""
    if isinstance(rule, int):
        return lambda _month, _day: rule

    def latest(month: int, day: int) -> int:
        for year in range(today.year, today.year - 9, -1):  # a 29th of February comes back within eight years
            try:
                if date(year, month, day) <= today:
                    return year
            except ValueError:
                continue
        raise ValueError("there is no such day")

    return latest


def _format_for(text: str, role: Role, locale: str, year_of: YearOf | None) -> Format:
    if text in _SERIALS:
        return SerialFormat(text, role)
    made = TimeFormat(text, locale=locale, year_of=year_of)
    if made.has_date != (role != "time") or made.has_time != (role != "date"):
        wanted = {"moment": "the date and the time of day", "date": "the date", "time": "the time of day"}[role]
        raise FormatError(f"{text!r} must give {wanted}, and nothing else")
    return made


_LETTERS: Final = re.compile("y{4}|y{2}|m{1,4}|d{1,2}|h{1,2}|s{1,2}", re.IGNORECASE)
_MEANT: Final = {"yyyy": "%Y", "yy": "%y", "d": "%d", "h": "%H", "s": "%S", "mmm": "%b", "mmmm": "%b"}


def _meant(text: str) -> str:
    """The format that was meant by one such as DD.MM.YYYY, as spreadsheets write them; else those that there are."""
    found: list[str] = []

    def directive(match: re.Match[str]) -> str:
        letters = match[0].lower()
        name = _MEANT.get(letters) or _MEANT.get(letters[0]) or ("%M" if "%H" in found else "%m")
        found.append(name)
        return name

    meant = _LETTERS.sub(directive, text)
    if found and not re.search("[A-Za-z]", _LETTERS.sub("", text).replace("T", "")):
        return f"; the nearest is {meant}"
    return f"; known are {' '.join(f'%{each}' for each in (*_DIRECTIVES, *_NAMES))}"


def _or(words: Iterable[str]) -> str:
    return " or ".join(words)


def _compile(format_text: str, locale: str, *, folds: bool) -> tuple[str, set[str]]:
    names: set[str] = set()
    parts = re.findall(r"%.|[^%]+|%$", format_text, re.DOTALL)
    pattern = ""
    for index, part in enumerate(parts):
        if part == "%%" or not part.startswith("%"):
            literal = "%" if part == "%%" else part
            pattern += re.escape(folded(literal) if folds else literal)
            continue
        name = part[1:]
        if name not in _DIRECTIVES and name not in _NAMES:
            known = " ".join(f"%{each}" for each in (*_DIRECTIVES, *_NAMES))
            raise FormatError(
                f"{format_text!r}: {part} is not read here; known are {known}, {', '.join((*_UNIX, *_SERIALS))}"
            )
        if name in names:
            raise FormatError(f"{format_text!r} says {part} twice")
        names.add(name)
        if name in _NAMES:
            pattern += _names_pattern(name, locale)
            continue
        beside = [*parts[index - 1 : index], *parts[index + 1 : index + 2]]
        adjacent = any(each.startswith("%") and each[1:] not in ("%", "p", "z", *_NAMES) for each in beside)
        pattern += _DIRECTIVES[name].replace("{1,2}", "{2}") if adjacent else _DIRECTIVES[name]
    return pattern, names


def _names_pattern(name: str, locale: str) -> str:
    try:
        known = month_names(locale) if name in "bB" else weekday_names(locale)
    except UnknownLanguage as error:
        raise FormatError(str(error)) from error
    longest_first = sorted(known, key=len, reverse=True)
    return f"(?P<{name}>(?:{'|'.join(map(re.escape, longest_first))})\\.?)"


_SIXTY: Final = {f"{number:02d}": number for number in range(60)}
_HOURS: Final = {f"{number:02d}": number * HOUR for number in range(24)}


def _clock_reading(text: str, length: int) -> int | None:
    """The reading of HH:MM:SS (`length` 8) or HH:MM (5) with two digits each at the end of a text; None for another."""
    clock = text[-length:]
    if len(clock) != length or clock[2] != ":":
        return None
    try:
        micros = _HOURS[clock[:2]] + _SIXTY[clock[3:5]] * _MINUTE
        if length == 5:
            return micros
        return micros + _SIXTY[clock[6:]] * SECOND if clock[5] == ":" else None
    except KeyError:
        return None


def _time_of_day(part: dict[str, str], text: str) -> int:
    if "I" in part:
        hour, limit = int(part["I"]), 12
        wrong = not 1 <= hour <= limit
        hour = hour % 12 + (12 if part["p"][0] in "Pp" else 0)
    else:
        hour = int(part["H"])
        wrong = hour > 23
    minute, second = int(part.get("M", "0")), int(part.get("S", "0"))
    if wrong or minute > 59 or second > 59:
        raise ValueError(f"{text!r}: there is no such time of day")
    return ((hour * 60 + minute) * 60 + second) * SECOND + int(part.get("f", "0").ljust(6, "0"))


def _offset(offset: str, text: str) -> int:
    if offset in "Zz":
        return 0
    hours, minutes = int(offset[1:3]), int(offset[-2:])
    if hours > 18 or minutes > 59:
        raise ValueError(f"{text!r}: there is no such offset from UTC")
    return (hours * 60 + minutes) * (-1 if offset[0] == "-" else 1)
