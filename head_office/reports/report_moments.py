"""The moments and periods that reports are asked for: a moment, or a business date, which is one at each location."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from head_office.catalogue.locations import days_of
from head_office.reports.group_stock import FigureKey, StockKey, StockReport, openings, stock
from head_office.reports.known_at import AsOf, SettledMoment, before
from shared.event_record import moment_text
from shared.runtime.business_days import Asked, as_of_moment, boundary, read_asked
from shared.runtime.problems import INVALID_REQUEST


class AskedPeriod(NamedTuple):
    """The ends of a period [from, to) as asked for, None where it has none."""

    begin: Asked | None
    end: Asked | None

    def __bool__(self) -> bool:
        return self.begin is not None or self.end is not None


NO_PERIOD: Final = AskedPeriod(None, None)


def asked(name: str, text: str | None) -> Asked | None:
    """Read a moment or a date. Raises Problem 422 `invalid-request`."""
    if text is None:
        return None
    try:
        # A plus sign that a client did not percent-encode arrives as a blank.
        return read_asked(text.replace(" ", "+"))
    except ValueError as error:
        raise INVALID_REQUEST(f"{name}: {error}", errors=[{"field": name, "message": str(error)}]) from error


def period(begin: str | None, end: str | None, *, as_of: str | None = None) -> AskedPeriod:
    """Read the ends of a period. Raises Problem 422 `invalid-request`, also where a moment is asked for as well."""
    found = AskedPeriod(asked("from", begin), asked("to", end))
    if found and as_of is not None:
        why = "a figure is as of a moment or of a period"
        raise INVALID_REQUEST(f"as_of: {why}", errors=[{"field": "as_of", "message": why}])
    return found


def as_of_at(
    connection: Connection, wanted: Asked | None, location_ids: list[str] | None, known_at: int | None
) -> AsOf | None:
    """The moment as of which figures are read; for a date the end of that business day at each location."""
    return _at(connection, wanted, location_ids, known_at, as_of_moment)


def ends_at(
    connection: Connection, over: AskedPeriod, location_ids: list[str] | None, known_at: int | None = None
) -> tuple[AsOf | None, AsOf | None]:
    """The moments at which a period begins and ends; for a date the start of that business day at each location.

    Raises Problem 422 `invalid-request` where it ends before it begins.
    """
    begin, end = (_at(connection, each, location_ids, known_at, boundary) for each in over)
    if begin is not None and end is not None and _is_before(end, begin):
        why = "the period ends before it begins"
        raise INVALID_REQUEST(f"to: {why}", errors=[{"field": "to", "message": why}])
    return begin, end


def _is_before(one: AsOf, other: AsOf) -> bool:
    """Whether one moment is before another at any location."""
    if isinstance(one, int):
        return any(one < each for each in ([other] if isinstance(other, int) else other.values()))
    return any(each < (other if isinstance(other, int) else other[place]) for place, each in one.items())


def _at(
    connection: Connection,
    wanted: Asked | None,
    location_ids: list[str] | None,
    known_at: int | None,
    moment: Callable[[Asked, ZoneInfo, int], int],
) -> AsOf | None:
    if wanted is None or isinstance(wanted, int):
        return wanted
    days = days_of(connection, location_ids, known_at)
    moments = {day: moment(wanted, ZoneInfo(day.timezone), day.day_start) for day in set(days.values())}
    return {location_id: moments[day] for location_id, day in days.items()}


def at_location(moment: AsOf | None, location_id: str) -> int | None:
    """The moment that holds at one location."""
    return moment if moment is None or isinstance(moment, int) else moment[location_id]


def asked_text(wanted: Asked | None) -> str | None:
    """What was asked for: a moment as RFC 3339, or a date."""
    return None if wanted is None else moment_text(wanted) if isinstance(wanted, int) else wanted.isoformat()


class StockQuestion(NamedTuple):
    """Stock as of a moment or over a period; neither: now."""

    as_of: Asked | None
    over: AskedPeriod

    def answer(
        self,
        connection: Connection,
        *,
        location_ids: list[str] | None,
        item_ids: list[str] | None = None,
        known_at: SettledMoment | None = None,
        after: StockKey | None = None,
        limit: int | None = None,
    ) -> tuple[StockReport, dict[FigureKey, int] | None]:
        """Read a page of stock, at the end of a period with what was on hand at its beginning."""
        begin, end = ends_at(connection, self.over, location_ids, known_at)
        report = stock(
            connection,
            location_ids=location_ids,
            item_ids=item_ids,
            as_of=as_of_at(connection, self.as_of, location_ids, known_at) if end is None else before(end),
            known_at=known_at,
            after=after,
            limit=limit,
        )
        return report, openings(connection, report, begin, location_ids, known_at) if self.over else None
