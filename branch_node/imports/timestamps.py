"""Times as tills write them: formats that read only what they say, and wall clocks turned into moments.

Pure. A *reading* is microseconds since 1970-01-01 00:00 on the wall clock of the file; a moment is microseconds UTC.
`strptime` is not used: it is slow, knows the machine's language, and takes Arabic digits and runs of blanks.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Final, Literal
from zoneinfo import ZoneInfo

from branch_node.imports.memo import Memo
from shared.events import MAX_TIME, MIN_TIME

SECOND: Final = 1_000_000
HOUR: Final = 3_600 * SECOND
DAY: Final = 24 * HOUR
_MINUTE: Final = 60 * SECOND
_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()
MOMENTS: Final = 131_072
"""Times remembered: more than a day has seconds."""


class FormatError(ValueError):
    """A format that cannot be read by; its text says why."""


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
    """How a file writes a date, a time of day or both, in strptime's directives %Y %y %m %d %H %I %M %S %f %p %z.

    One or two digits are read for %m %d %H %I %M %S, exactly two where no separator stands beside them. Also `unix` and
    `unix-milliseconds`. `zoned`: the text carries its offset, so that its reading is UTC. Raises FormatError.
    """

    def __init__(self, said: str) -> None:
        self.said = said
        self._unix = _UNIX.get(said)
        if self._unix is not None:
            self.has_date = self.has_time = self.zoned = True
            return
        pattern, names = _compile(said)
        self._match = re.compile(pattern).fullmatch
        for one, other in (("Y", "y"), ("H", "I")):
            if one in names and other in names:
                raise FormatError(f"{said!r} says both %{one} and %{other}")
        if ("I" in names) != ("p" in names):
            raise FormatError(f"{said!r}: %I and %p go together")
        self.has_date = bool({"Y", "y", "m", "d"} & names)
        self.has_time = bool({"H", "I", "M", "S", "f"} & names)
        self.zoned = "z" in names
        if self.has_date and not ({"m", "d"} <= names and {"Y", "y"} & names):
            raise FormatError(f"{said!r} lacks the year, the month or the day")
        if self.has_time and not {"H", "I"} & names:
            raise FormatError(f"{said!r} lacks the hour")
        if ("S" in names and "M" not in names) or ("f" in names and "S" not in names):
            raise FormatError(f"{said!r} leaves out minutes or seconds")
        if not names - {"z"}:
            raise FormatError(f"{said!r} holds no date and no time of day")

    def read(self, text: str) -> int:
        """Microseconds: since 1970 where there is a date, since midnight where there is none. Raises ValueError."""
        if self._unix is not None:
            if not re.fullmatch(r"[0-9]{1,16}", text):
                raise ValueError(f"{text[:40]!r} is no number of {self.said} seconds")
            return int(text) * self._unix
        match = self._match(text)
        if match is None:
            raise ValueError(f"{text[:40]!r} is not written {self.said}")
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


def _compile(said: str) -> tuple[str, set[str]]:
    names: set[str] = set()
    pieces = re.findall(r"%.|[^%]+|%$", said, re.DOTALL)
    pattern = ""
    for index, piece in enumerate(pieces):
        if piece == "%%" or not piece.startswith("%"):
            pattern += re.escape("%" if piece == "%%" else piece)
            continue
        name = piece[1:]
        if name not in _DIRECTIVES:
            known = " ".join(f"%{each}" for each in _DIRECTIVES)
            raise FormatError(f"{said!r}: {piece} is not read here; known are {known}, unix and unix-milliseconds")
        if name in names:
            raise FormatError(f"{said!r} says {piece} twice")
        names.add(name)
        beside = [*pieces[index - 1 : index], *pieces[index + 1 : index + 2]]
        stuck = any(each.startswith("%") and each not in ("%%", "%p", "%z") for each in beside)
        pattern += _DIRECTIVES[name].replace("{1,2}", "{2}") if stuck else _DIRECTIVES[name]
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


def _offset(said: str, text: str) -> int:
    if said in "Zz":
        return 0
    hours, minutes = int(said[1:3]), int(said[-2:])
    if hours > 18 or minutes > 59:
        raise ValueError(f"{text!r}: there is no such offset from UTC")
    return (hours * 60 + minutes) * (-1 if said[0] == "-" else 1)


class WallClock:
    """Turns readings of a zone's wall clock into moments; the zone None stands for readings that are UTC already.

    Where clocks go back an hour happens twice: `fold` says which one is meant, None that nobody can know. Where they go
    forward an hour never happens.
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
        """What the zone says of the first and of the second time that its clocks show this."""
        naive = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=reading)
        found = [naive.replace(tzinfo=self._zone, fold=fold).utcoffset() or timedelta() for fold in (0, 1)]
        return found[0] // timedelta(microseconds=1), found[1] // timedelta(microseconds=1)


def _shown(reading: int) -> str:
    return f"{datetime.fromtimestamp(reading // SECOND, UTC):%Y-%m-%d %H:%M:%S}"
