"""What a first map says of times: zone, formats, and what stands for times that the file does not have."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from branch_node.imports.guessing.column_roles import ColumnRoles
from branch_node.imports.guessing.map_text import MapText, toml_text
from branch_node.model import Location
from shared.runtime.text.printable import printable_line

# Where the month is written before the day, as 1/31/2026.
_MONTH_FIRST: Final = frozenset({"US", "PH", "PW", "FM", "MH", "GU", "AS", "MP", "PR", "VI", "UM"})
_NOON: Final = "12:00:00"


def place_months_first(location: Location | None) -> bool:
    """Whether dates are written with the month first at a location, by the country of its time zone."""
    if location is None:
        return False
    from babel.core import get_global

    return get_global("zone_territories").get(location.timezone) in _MONTH_FIRST


def write_times(out: MapText, roles: ColumnRoles, location: Location | None, written_at: int) -> None:
    """Write the zone, the formats and the constants of times."""
    used = {name: roles.by_field[name] for name in ("occurred_at", "date", "time") if name in roles.by_field}
    zoned = any(each.times is not None and each.times.zoned for each in used.values())
    if not zoned:
        _write_zone(out, location, has_times="occurred_at" in used or "time" in used)
    locale = next((each.times.locale for each in used.values() if each.times and each.times.locale != "en"), None)
    if locale is not None:
        out.top("locale", locale, "of the names of months")
    formatted = [
        name
        for name in ("occurred_at", "date", "time", "expires_on")
        if name in roles.by_field and (times := roles.by_field[name].times) is not None and times.formats
    ]
    if formatted:
        out.table("formats")
    for name in formatted:
        times = roles.by_field[name].times
        assert times is not None
        said = ""
        if times.other is not None:
            said = (
                f"AMBIGUOUS: {times.other} fits all rows of the sample too; taken by "
                f"{'the time zone' if location is not None else 'what is usual in most countries'}. CHECK it"
            )
        elif len(times.formats) > 1:
            said = "the first that fits is taken"
        out.entry(name, times.formats[0] if len(times.formats) == 1 else list(times.formats), said)
    _write_constants(out, roles, location, written_at)


def _write_zone(out: MapText, location: Location | None, *, has_times: bool) -> None:
    if location is None:
        out.top("time_zone", "UTC", "CHECK: of the file's times; no node was given whose zone it could be")
        return
    out.top("time_zone", location.timezone, "the node's")
    if has_times and location.timezone != "UTC":
        out.top("fold", "earlier", "which hour is meant when clocks go back")


def _write_constants(out: MapText, roles: ColumnRoles, location: Location | None, written_at: int) -> None:
    if "occurred_at" in roles.by_field or "time" in roles.by_field:
        return
    if "date" in roles.by_field:
        out.table("constants")
        out.entry("time", _NOON, "CHECK: the file has days without times of day")
        return
    zone = UTC if location is None else ZoneInfo(location.timezone)
    moment = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=written_at)).astimezone(zone)
    out.table("constants")
    for column in roles.columns:
        if column.says("date", "moment") and column.texts:
            shown = printable_line(column.texts[0])[:40]
            out.comment(f"{toml_text(column.name)} holds {shown!r}, which is in no known format: see [formats].")
    out.comment("CHECK: no column says when rows happened. This is when the file was written; or leave both lines")
    out.comment("out, and give the moment with each import: --at 2026-01-31T18:00:00+01:00")
    out.entry("date", f"{moment:%Y-%m-%d}")
    out.entry("time", f"{moment:%H:%M:%S}")
