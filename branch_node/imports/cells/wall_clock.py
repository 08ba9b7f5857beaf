"""The conversion of what a wall clock shows to moments. Pure.

A *reading* is microseconds since 1970-01-01 00:00 on the wall clock of the file; a moment is microseconds UTC.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from branch_node.imports.cells.memo import Memo
from branch_node.imports.cells.timestamps import DAY, HOUR, SECOND
from shared.events import MAX_TIME, MIN_TIME


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

    def date_at(self, moment: int) -> date:
        """The date that the clock shows at a moment."""
        return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=moment)).astimezone(self._zone or UTC).date()

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
