"""The locations of the group. Works inside the transaction of the Connection it is given."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from functools import lru_cache
from typing import Final, NamedTuple
from zoneinfo import available_timezones

import msgspec
from sqlalchemy import BigInteger, Connection, insert, literal, select, update

from head_office.catalogue.catalogue_history import Change, entries_at, lock, publish
from head_office.database.schema import HEAD, LOCATION, LOG, now
from head_office.problems import LOCATION_EXISTS, LOCATION_NOT_FOUND, UNKNOWN_LOCATION
from shared.catalogue_messages import CatalogueLocation
from shared.event_log import create_head
from shared.messages import HeadMessage
from shared.runtime.problems import invalid_request
from shared.runtime.text.nearest_codes import MOST_COMPARED, Candidate, nearest_codes
from shared.runtime.text.text_faults import code_fault, name_fault

DAY_START = 240  # 04:00, in minutes after midnight
REPORT_TIME: Final = 360
"""When a location's report is made each morning unless it says otherwise: 06:00, in minutes after midnight."""
TIME_OF_DAY: Final = r"^([01][0-9]|2[0-3]):[0-5][0-9]$"
"""The pattern of a time of day such as 06:00."""
_decode: Final = msgspec.json.Decoder(CatalogueLocation).decode


def add(connection: Connection, location: CatalogueLocation, report_time: int = REPORT_TIME) -> None:
    """Add a location with an empty log. `report_time`: minutes after midnight on its wall clock.

    Raises Problem: 409 `location-exists`, 422 `invalid-request`.
    """
    _check(location, report_time)
    lock(connection)
    if connection.execute(select(LOCATION.c.name).where(LOCATION.c.location_id == location.location_id)).first():
        raise LOCATION_EXISTS(f"the location {location.location_id} is there already")
    connection.execute(
        insert(LOCATION).values(
            location_id=location.location_id,
            name=location.name,
            timezone=location.timezone,
            day_start=location.day_start,
            added_at=now(connection),
            report_time=report_time,
        )
    )
    create_head(connection, LOG, location.location_id)
    publish(connection, [Change(location, location.location_id)])


def change(connection: Connection, location: CatalogueLocation, report_time: int | None = None) -> None:
    """Give a location another name, time zone, start of day, or time of its report (None: as it is).

    What is recorded keeps its business dates, and a report that was made stays. The time of the report is no part of
    what its branch is sent. Raises Problem: 404 `location-not-found`, 422 `invalid-request`.
    """
    _check(location, REPORT_TIME if report_time is None else report_time)
    lock(connection)
    known = read(connection, location.location_id)
    if report_time is not None:
        connection.execute(
            update(LOCATION).where(LOCATION.c.location_id == location.location_id).values(report_time=report_time)
        )
    if known == location:
        return
    connection.execute(
        update(LOCATION)
        .where(LOCATION.c.location_id == location.location_id)
        .values(name=location.name, timezone=location.timezone, day_start=location.day_start)
    )
    publish(connection, [Change(location, location.location_id)])


class BusinessDay(NamedTuple):
    """When a location's business days begin: minutes after midnight on the clock of its zone."""

    timezone: str
    day_start: int


def days_of(
    connection: Connection, location_ids: Collection[str] | None, known_at: int | None = None
) -> dict[str, BusinessDay]:
    """Read the business days of the given locations (None: all), now or as they were known at a moment."""
    query = select(LOCATION.c.location_id, LOCATION.c.timezone, LOCATION.c.day_start)
    if location_ids is not None:
        query = query.where(LOCATION.c.location_id.in_(location_ids))
    days = {row.location_id: BusinessDay(row.timezone, row.day_start) for row in connection.execute(query)}
    if known_at is None:
        return days
    # A location that was added later knew nothing at the moment, so any day does for it.
    then = entries_at("location", literal(known_at, BigInteger))
    for row in connection.execute(then):
        if row.subject in days:
            location = _decode(row.content)
            days[row.subject] = BusinessDay(location.timezone, location.day_start)
    return days


def read(connection: Connection, location_id: str) -> CatalogueLocation:
    """One location. Raises Problem 404 `location-not-found`."""
    found = list_locations(connection, location_id=location_id)
    if not found:
        near = _nearest(connection, location_id)
        raise LOCATION_NOT_FOUND(f"there is no location {location_id}", location_id=location_id, nearest=near)
    return found[0]


def list_locations(
    connection: Connection, *, after: str = "", limit: int = 1_000, location_id: str | None = None
) -> list[CatalogueLocation]:
    """Locations in the order of their ids; `location_id` leaves only that one."""
    query = select(LOCATION).where(LOCATION.c.location_id > after).order_by(LOCATION.c.location_id).limit(limit)
    if location_id is not None:
        query = query.where(LOCATION.c.location_id == location_id)
    return [
        CatalogueLocation(location_id=row.location_id, name=row.name, timezone=row.timezone, day_start=row.day_start)
        for row in connection.execute(query)
    ]


def report_times(connection: Connection, location_ids: Iterable[str]) -> dict[str, int]:
    """When the reports of these locations are made each morning: minutes after midnight on their wall clocks."""
    query = select(LOCATION.c.location_id, LOCATION.c.report_time)
    rows = connection.execute(query.where(LOCATION.c.location_id.in_(sorted(set(location_ids)))))
    return {row.location_id: row.report_time for row in rows}


def time_of_day(minutes: int) -> str:
    """Minutes after midnight as 06:00."""
    return f"{minutes // 60:02}:{minutes % 60:02}"


def read_time_of_day(text: str) -> int:
    """Minutes after midnight of a time such as 06:00. Raises ValueError."""
    if len(text) != 5 or not re.match(TIME_OF_DAY, text, re.ASCII):
        raise ValueError("a time of day is like 06:00")
    return int(text[:2]) * 60 + int(text[3:])


def read_heads(connection: Connection, location_ids: Iterable[str]) -> dict[str, HeadMessage]:
    """Where head office's copies of these logs end."""
    query = select(HEAD.c.location_id, HEAD.c.epoch, HEAD.c.sequence, HEAD.c.hash)
    rows = connection.execute(query.where(HEAD.c.location_id.in_(sorted(set(location_ids)))))
    return {row.location_id: HeadMessage(row.epoch, row.sequence, bytes(row.hash).hex()) for row in rows}


def known(connection: Connection, location_ids: Iterable[str]) -> set[str]:
    """Those of the given locations that exist."""
    query = select(LOCATION.c.location_id).where(LOCATION.c.location_id.in_(sorted(set(location_ids))))
    return set(connection.execute(query).scalars())


def check_locations(connection: Connection, location_ids: Iterable[str]) -> None:
    """Raise Problem 422 `unknown-location` for the first of the given locations that is not there."""
    wanted = sorted(set(location_ids))
    for missing in sorted(set(wanted) - known(connection, wanted)):
        near = _nearest(connection, missing)
        raise UNKNOWN_LOCATION(f"there is no location {missing}", location_id=missing, nearest=near)


def _nearest(connection: Connection, location_id: str) -> list[str]:
    rows = connection.execute(select(LOCATION.c.location_id, LOCATION.c.name).limit(MOST_COMPARED))
    return nearest_codes(location_id, (Candidate(row.location_id, row.name) for row in rows))


def _check(location: CatalogueLocation, report_time: int) -> None:
    if fault := code_fault(location.location_id):
        invalid_request("location_id", fault)
    if fault := name_fault(location.name):
        invalid_request("name", fault)
    if fault := zone_fault(location.timezone):
        invalid_request("timezone", fault)
    if not 0 <= location.day_start < 1_440:
        invalid_request("day_start", "minutes after midnight, 0 to 1439")
    if not 0 <= report_time < 1_440:
        invalid_request("report_time", "a time of day such as 06:00")


def zone_fault(name: str) -> str | None:
    """Why `name` cannot be a location's time zone, or None where it can."""
    return None if name in _zones() else f"{name!r} is no time zone of the IANA database, such as Asia/Beirut"


# Files that some systems keep among the zones: the machine's own zone, the default of POSIX, the unset zone.
_NO_ZONES: Final = frozenset({"localtime", "posixrules", "Factory"})


@lru_cache(maxsize=1)
def _zones() -> frozenset[str]:
    return frozenset(available_timezones() - _NO_ZONES)
