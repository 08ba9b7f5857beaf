"""Parsing of the times in a till's file by strict formats, and their conversion from wall clock to UTC.

Pure. A *reading* is microseconds since 1970-01-01 00:00 on the wall clock of the file; a moment is microseconds UTC.
`strptime` is not used: it is slow, depends on the locale, and accepts non-ASCII digits and runs of blanks.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Final, Literal
from zoneinfo import ZoneInfo

from branch_node.imports.cells.memo import Memo
from shared.events import MAX_TIME, MIN_TIME

SECOND: Final = 1_000_000
HOUR: Final = 3_600 * SECOND
DAY: Final = 24 * HOUR
_MINUTE: Final = 60 * SECOND
_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()
MOMENTS: Final = 131_072
"""The number of cached times: more than the seconds of a day."""


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
_UNIX: Final = {"unix": SECOND, "unix-milliseconds": 1_000}


class TimeFormat:
    """The format of a date, a time of day or both, in strptime's directives %Y %y %m %d %H %I %M %S %f %p %z.

    One or two digits are read for %m %d %H %I %M %S, exactly two where they have no separator. Also `unix` and
    `unix-milliseconds`. `zoned`: the text carries its offset, so that its reading is UTC. Raises FormatError.
    """

    def __init__(self, format_text: str) -> None:
        self.format_text = format_text
        self._unix = _UNIX.get(format_text)
        if self._unix is not None:
            self.has_date = self.has_time = self.zoned = True
            return
        pattern, names = _compile(format_text)
        self._match = re.compile(pattern).fullmatch
        for one, other in (("Y", "y"), ("H", "I")):
            if one in names and other in names:
                raise FormatError(f"{format_text!r} says both %{one} and %{other}")
        if ("I" in names) != ("p" in names):
            raise FormatError(f"{format_text!r}: %I and %p go together")
        self.has_date = bool({"Y", "y", "m", "d"} & names)
        self.has_time = bool({"H", "I", "M", "S", "f"} & names)
        self.zoned = "z" in names
        if self.has_date and not ({"m", "d"} <= names and {"Y", "y"} & names):
            raise FormatError(f"{format_text!r} lacks the year, the month or the day")
        if self.has_time and not {"H", "I"} & names:
            raise FormatError(f"{format_text!r} lacks the hour")
        if ("S" in names and "M" not in names) or ("f" in names and "S" not in names):
            raise FormatError(f"{format_text!r} leaves out minutes or seconds")
        if not names - {"z"}:
            raise FormatError(f"{format_text!r} holds no date and no time of day")

    def read(self, text: str) -> int:
        """Microseconds: since 1970 where there is a date, since midnight where there is none. Raises ValueError."""
        if self._unix is not None:
            if not re.fullmatch(r"[0-9]{1,16}", text):
                raise ValueError(f"{text[:40]!r} is no number of {self.format_text} seconds")
            return int(text) * self._unix
        match = self._match(text)
        if match is None:
            raise ValueError(f"{text[:40]!r} is not written {self.format_text}")
        part = match.groupdict()
        micros = 0
        if self.has_date:
            year = int(part["Y"]) if "Y" in part else 2000 + int(part["y"])
            try:
                micros = (date(year, int(part["m"]), int(part["d"])).toordinal() - _EPOCH_DAY) * DAY
            except ValueError:
                raise ValueError(f"{text!r}: there is no such day") from None
        if self.has_time:
            micros += _time_of_day(part, text)
        if self.zoned:
            micros -= _offset(part["z"], text) * _MINUTE
        return micros


def _compile(format_text: str) -> tuple[str, set[str]]:
    names: set[str] = set()
    parts = re.findall(r"%.|[^%]+|%$", format_text, re.DOTALL)
    pattern = ""
    for index, part in enumerate(parts):
        if part == "%%" or not part.startswith("%"):
            pattern += re.escape("%" if part == "%%" else part)
            continue
        name = part[1:]
        if name not in _DIRECTIVES:
            known = " ".join(f"%{each}" for each in _DIRECTIVES)
            raise FormatError(
                f"{format_text!r}: {part} is not read here; known are {known}, unix and unix-milliseconds"
            )
        if name in names:
            raise FormatError(f"{format_text!r} says {part} twice")
        names.add(name)
        beside = [*parts[index - 1 : index], *parts[index + 1 : index + 2]]
        adjacent = any(each.startswith("%") and each not in ("%%", "%p", "%z") for each in beside)
        pattern += _DIRECTIVES[name].replace("{1,2}", "{2}") if adjacent else _DIRECTIVES[name]
    return pattern, names


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


class WallClock:
    """Converts readings of a zone's wall clock to moments; zone None: readings are UTC already.

    Where clocks go back, an hour occurs twice: `fold` chooses one, None makes it an error. Where they go forward, an
    hour does not occur, which is an error.
    """

    def __init__(self, zone: str | None, fold: Literal["earlier", "later"] | None) -> None:
        self._zone = None if zone is None else ZoneInfo(zone)
        self._fold = fold
        self._hours: Memo[int, int | None] = Memo(self._offset_of_hour)

    def moment(self, reading: int) -> int:
        """Microseconds UTC. Raises ValueError for a time that never was, is ambiguous, or outside 2000 to 2199."""
        if not MIN_TIME - DAY <= reading < MAX_TIME + DAY:
            raise ValueError("the year is not between 2000 and 2199")
        if self._zone is None:
            moment = reading
        else:
            offset = self._hours[reading // HOUR]
            moment = reading - (self._offset_at(reading) if offset is None else offset)
        if not MIN_TIME <= moment < MAX_TIME:
            raise ValueError("the year is not between 2000 and 2199")
        return moment

    def _offset_of_hour(self, hour: int) -> int | None:
        """The offset in microseconds of a whole hour of the wall clock, None where it is not one throughout."""
        found = {*self._offsets(hour * HOUR), *self._offsets(hour * HOUR + HOUR - 1)}
        return found.pop() if len(found) == 1 else None

    def _offset_at(self, reading: int) -> int:
        first, second = self._offsets(reading)
        if first == second:
            return first
        if first < second:
            raise ValueError(f"the clocks of {self._zone} went forward over {_shown(reading)}: that time never was")
        if self._fold is None:
            raise ValueError(
                f"the clocks of {self._zone} went back over {_shown(reading)}: it was twice; "
                'say which one is meant in the map, fold = "earlier" or "later"'
            )
        return first if self._fold == "earlier" else second

    def _offsets(self, reading: int) -> tuple[int, int]:
        """The zone's offsets at the first and at the second occurrence of a reading."""
        naive = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=reading)
        found = [naive.replace(tzinfo=self._zone, fold=fold).utcoffset() or timedelta() for fold in (0, 1)]
        return found[0] // timedelta(microseconds=1), found[1] // timedelta(microseconds=1)


def _shown(reading: int) -> str:
    return f"{datetime.fromtimestamp(reading // SECOND, UTC):%Y-%m-%d %H:%M:%S}"
