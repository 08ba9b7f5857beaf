"""The times of a map: which columns and constants say them, how these are written, and the rules between them."""

from __future__ import annotations

import re
from datetime import date
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from branch_node.imports.cells.month_names import UnknownLanguage, language_names, month_names
from branch_node.imports.cells.timestamps import ColumnTimes, FormatError, Role, YearOf, year_rule
from branch_node.imports.files.cell_texts import MOMENT
from branch_node.imports.mapping.import_map import ImportMap, MapFault, several
from branch_node.imports.mapping.map_words import nearest
from shared.runtime.clock import parse_rfc3339
from shared.runtime.text.nearest_codes import Candidate, nearest_codes

ISO_FORMATS: Final = {
    "occurred_at": ["%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M"],
    "date": ["%Y-%m-%d"],
    "time": ["%H:%M:%S", "%H:%M"],
    "expires_on": ["%Y-%m-%d"],
}
"""How columns are read, and constants too, where the map names no formats."""

ROLES: Final[dict[str, Role]] = {"occurred_at": "moment", "date": "date", "time": "time", "expires_on": "date"}
_ANY_DAY: Final = date(2024, 2, 29)


def column_times(found: ImportMap, name: str, year_of: YearOf | None) -> ColumnTimes:
    """The reader of a column of times, `name` a key of ROLES. Raises FormatError."""
    given = getattr(found.formats, name)
    formats = ISO_FORMATS[name] if given is None else several(given)
    return ColumnTimes(formats, ROLES[name], locale=found.locale, year_of=year_of)


def constant_moment(found: ImportMap, text: str) -> int | None:
    """The moment of constants.occurred_at (microseconds UTC) where it carries its offset, else None."""
    if re.search(r"(?:[Zz]|[+-]\d\d:\d\d)$", text) is None:
        return None
    if found.formats.occurred_at is not None:
        return None
    try:
        return parse_rfc3339(text)[0]
    except ValueError as error:
        raise MapFault(("constants", "occurred_at"), f"{text[:40]!r}: {error}") from error


def check_times(found: ImportMap) -> None:
    """Check what the map says of times. Raises MapFault."""
    year_of = _check_year(found)
    columns, constants = found.columns, found.constants
    whole = columns.occurred_at or constants.occurred_at
    if (whole is None) == (columns.date is None and constants.date is None):
        raise MapFault(
            ("columns", "occurred_at"),
            "is missing: give either it, or date with time; for a file without times constants.occurred_at or --at "
            "(on the page, under More: When all rows happened)",
        )
    if whole is not None:
        for table, name in ((columns, "columns"), (constants, "constants")):
            if table.time is not None:
                raise MapFault((name, "time"), "is in occurred_at already: remove one of them")
        zoned = _checked(found, "occurred_at", year_of)
    else:
        if columns.time is None and constants.time is None:
            raise MapFault(("columns", "time"), "is missing: give it, or constants.time such as 12:00:00")
        zoned = _checked(found, "date", year_of) | _checked(found, "time", year_of)
    if columns.expires_on is not None:
        _times(found, "expires_on", year_of)
    for name in ROLES:
        used = getattr(columns, name) or getattr(constants, name, None)
        if getattr(found.formats, name) is not None and not used:
            raise MapFault(("formats", name), f"has no column: there is no columns.{name}")
    if found.fold is not None and zoned and constants.occurred_at is None:
        raise MapFault(("fold",), "is not needed: the file's times carry their offset")
    _check_zone(found, zoned=zoned)


def _check_year(found: ImportMap) -> YearOf | None:
    """The rule of dates without a year, as far as formats need one."""
    # Only a map with names in its times needs the names of a language, which take a while to load.
    if found.locale != "en":
        try:
            month_names(found.locale)
        except UnknownLanguage as error:
            near = nearest_codes(found.locale, (Candidate(code, name) for code, name in language_names().items()))
            said = f"; the nearest is {near[0]}" if near else ""
            raise MapFault(("locale",), f"{error}{said}") from error
    if found.year is None:
        return None
    if isinstance(found.year, int) and not 2000 <= found.year < 2200:
        raise MapFault(("year",), 'must be a year from 2000 to 2199, or "latest"')
    return year_rule(found.year, _ANY_DAY)


def _checked(found: ImportMap, name: str, year_of: YearOf | None) -> bool:
    """Whether the times of a column, or its constant, carry their offset."""
    times = _times(found, name, year_of)
    constant = getattr(found.constants, name)
    if constant is None:
        return times.zoned
    if name == "occurred_at" and constant_moment(found, constant) is not None:
        return True
    if constant[:1] == MOMENT:
        raise MapFault(("constants", name), "begins with a control character")
    try:
        times.read(constant)
    except ValueError as error:
        raise MapFault(("constants", name), str(error)) from error
    return times.zoned


def _times(found: ImportMap, name: str, year_of: YearOf | None) -> ColumnTimes:
    try:
        return column_times(found, name, year_of)
    except FormatError as error:
        raise MapFault(("formats", name), str(error)) from error


def _check_zone(found: ImportMap, *, zoned: bool) -> None:
    # A constant moment may carry its offset beside a zone: the one of --at does, whatever the map says.
    if zoned and found.time_zone is not None and found.constants.occurred_at is None:
        raise MapFault(("time_zone",), "is not needed: the file's times carry their offset")
    if not zoned and found.time_zone is None:
        raise MapFault(("time_zone",), "is missing: an IANA name such as Asia/Beirut")
    if found.time_zone is not None:
        try:
            ZoneInfo(found.time_zone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            near = nearest(found.time_zone, sorted(available_timezones()))
            raise MapFault(("time_zone",), f"{found.time_zone!r} is no IANA name such as Asia/Beirut{near}") from error
