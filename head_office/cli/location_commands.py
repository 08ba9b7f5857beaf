"""`larder head-office locations`."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from head_office.catalogue import api_keys, locations
from head_office.cli.office_completion import complete_location
from head_office.cli.office_database import DatabaseUrl, Directory, office_address, read_all, transaction
from head_office.reports.freshness import Freshness, freshness
from head_office.reports.open_counts import open_counts_out
from head_office.reports.report_records import freshness_out
from shared.catalogue_messages import CatalogueLocation
from shared.event_record import moment_text
from shared.messages import Verdict
from shared.runtime.cli.output import UTC, AsJson, print_json, print_next, print_table, print_text, short_time
from shared.runtime.clock import SECOND
from shared.runtime.http.scopes import Role
from shared.runtime.settings import command_line

locations_app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Locations of the group: list, add, change."
)

_TIME_OF_DAY = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])", re.ASCII)

Timezone = Annotated[str, typer.Option(help="The place's time zone, such as Asia/Beirut.")]
DayStart = Annotated[str, typer.Option(help="When its business day begins, such as 04:00.")]


def _minutes(text: str) -> int:
    match = _TIME_OF_DAY.fullmatch(text)
    if match is None:
        raise typer.BadParameter("a time of day is like 04:00", param_hint="--day-start")
    return int(match[1]) * 60 + int(match[2])


def _time_of_day(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"


@locations_app.command("list")
def list_locations(folder: Directory = None, database_url: DatabaseUrl = None, as_json: AsJson = False) -> None:
    """The locations, their time zones and business days, and what is to be seen to."""
    with transaction(folder, database_url) as connection:
        found: list[CatalogueLocation] = read_all(
            lambda after: locations.list_locations(connection, after=after), lambda each: each.location_id, ""
        )
        fresh = freshness(connection)
    if as_json:
        items = [
            {
                **_as_dict(each),
                "freshness": freshness_out(fresh[each.location_id]),
                "open_counts": open_counts_out(fresh[each.location_id]),
            }
            for each in found
        ]
        print_json({"items": items, "next": None})
        return
    rows = [
        (each.location_id, each.name, each.timezone, _time_of_day(each.day_start), _attention(fresh[each.location_id]))
        for each in found
    ]
    print_table("Locations", ("location", "name~", "time zone", "day begins", "attention~"), rows)


def _attention(found: Freshness) -> str:
    parts = [] if found.verdict in {None, Verdict.OK, Verdict.REWIND} else [str(found.verdict)]
    if found.quarantined:
        parts.append(f"{found.quarantined} in quarantine")
    if found.skew is not None and found.clock_differs:
        parts.append(f"its clock {found.skew / SECOND:+.0f} s")
    parts += [
        f"count {each.count_id} open since {short_time(moment_text(each.opened_at), UTC)} UTC"
        for each in found.open_counts
    ]
    return ", ".join(parts)


@locations_app.command("add")
def add_location(
    location_id: Annotated[str, typer.Argument(metavar="LOCATION", help="Its code, such as BEY-01.")],
    *,
    name: Annotated[str, typer.Option(help='What people call it, such as "Beirut, Hamra".')],
    timezone: Timezone,
    day_start: DayStart = "04:00",
    folder: Directory = None,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Add a location, and print the key of its branch, once."""
    if not 1 <= len(location_id) <= 64:
        raise typer.BadParameter("a location's code has 1 to 64 characters", param_hint="LOCATION")
    location = CatalogueLocation(
        location_id=location_id, name=name[:1_000], timezone=timezone, day_start=_minutes(day_start)
    )
    with transaction(folder, database_url) as connection:
        locations.add(connection, location)
        made = api_keys.issue(connection, Role.BRANCH, location_id, f"node of {location_id}")
    if as_json:
        print_json({**_as_dict(location), "key_id": made.key_id, "key": made.text})
        return
    print_text(f"Added {location_id}. The key of its branch, shown this once:\n\n  {made.text}")
    print_next(
        "on the branch's machine:",
        command_line(
            *("branch", "init", "--dir", "DIR", "--location", location_id, "--timezone", timezone),
            *("--head-office", office_address(folder, database_url), "--key", made.text),
        ),
        command_line("branch", "serve", "--dir", "DIR", "--port", 8101),
    )


@locations_app.command("change")
def change_location(
    location_id: Annotated[str, typer.Argument(metavar="LOCATION", autocompletion=complete_location)],
    *,
    name: Annotated[str | None, typer.Option(help="Its new name.")] = None,
    timezone: Annotated[str | None, typer.Option(help="Its new time zone.")] = None,
    day_start: Annotated[str | None, typer.Option(help="When its business day begins from now on.")] = None,
    folder: Directory = None,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Change a location. What is recorded keeps its business dates."""
    with transaction(folder, database_url) as connection:
        old = locations.read(connection, location_id)
        new = CatalogueLocation(
            location_id=location_id,
            name=old.name if name is None else name[:1_000],
            timezone=timezone or old.timezone,
            day_start=old.day_start if day_start is None else _minutes(day_start),
        )
        locations.change(connection, new)
    if as_json:
        print_json(new)
    else:
        print_text(f"{location_id}: {new.name}, {new.timezone}, day begins at {_time_of_day(new.day_start)}")


def _as_dict(location: CatalogueLocation) -> dict[str, object]:
    return {
        "location_id": location.location_id,
        "name": location.name,
        "timezone": location.timezone,
        "day_start": location.day_start,
    }
