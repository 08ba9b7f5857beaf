"""`larder head-office locations`."""

from __future__ import annotations

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

Timezone = Annotated[str, typer.Option(help="The place's time zone, such as Asia/Beirut.")]
DayStart = Annotated[str, typer.Option(help="When its business day begins, such as 04:00.")]
ReportTime = Annotated[str, typer.Option(help="When its purchasing report is made each morning, such as 06:00.")]


def _minutes(option: str, text: str) -> int:
    try:
        return locations.read_time_of_day(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from error


@locations_app.command("list")
def list_locations(folder: Directory = None, database_url: DatabaseUrl = None, as_json: AsJson = False) -> None:
    """The locations, their time zones and business days, and what is to be seen to."""
    with transaction(folder, database_url) as connection:
        found: list[CatalogueLocation] = read_all(
            lambda after: locations.list_locations(connection, after=after), lambda each: each.location_id, ""
        )
        fresh = freshness(connection)
        times = locations.report_times(connection, fresh)
    if as_json:
        items = [
            {
                **_as_dict(each, times[each.location_id]),
                "freshness": freshness_out(fresh[each.location_id]),
                "open_counts": open_counts_out(fresh[each.location_id]),
            }
            for each in found
        ]
        print_json({"items": items, "next": None})
        return
    rows = [
        (
            *(each.location_id, each.name, each.timezone, locations.time_of_day(each.day_start)),
            *(locations.time_of_day(times[each.location_id]), _attention(fresh[each.location_id])),
        )
        for each in found
    ]
    print_table("Locations", ("location", "name~", "time zone", "day begins", "report", "attention~"), rows)


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
    report_time: ReportTime = "06:00",
    folder: Directory = None,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Add a location, and print the key of its branch, once."""
    if not 1 <= len(location_id) <= 64:
        raise typer.BadParameter("a location's code has 1 to 64 characters", param_hint="LOCATION")
    location = CatalogueLocation(
        location_id=location_id, name=name[:1_000], timezone=timezone, day_start=_minutes("--day-start", day_start)
    )
    made_at = _minutes("--report-time", report_time)
    with transaction(folder, database_url) as connection:
        locations.add(connection, location, made_at)
        made = api_keys.issue(connection, Role.BRANCH, location_id, f"node of {location_id}")
    if as_json:
        print_json({**_as_dict(location, made_at), "key_id": made.key_id, "key": made.text})
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
    report_time: Annotated[str | None, typer.Option(help="When its report is made each morning from now on.")] = None,
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
            day_start=old.day_start if day_start is None else _minutes("--day-start", day_start),
        )
        made_at = locations.report_times(connection, [location_id])[location_id]
        if report_time is not None:
            made_at = _minutes("--report-time", report_time)
        locations.change(connection, new, made_at)
    if as_json:
        print_json(_as_dict(new, made_at))
    else:
        day, report = locations.time_of_day(new.day_start), locations.time_of_day(made_at)
        print_text(f"{location_id}: {new.name}, {new.timezone}, day begins at {day}, report made at {report}")


def _as_dict(location: CatalogueLocation, report_time: int) -> dict[str, object]:
    return {
        "location_id": location.location_id,
        "name": location.name,
        "timezone": location.timezone,
        "day_start": location.day_start,
        "report_time": locations.time_of_day(report_time),
    }
