"""`larder head-office report mornings`."""

from __future__ import annotations

from typing import Annotated

import typer

from head_office.catalogue.locations import check_locations
from head_office.cli.office_completion import complete_location
from head_office.cli.office_database import DatabaseUrl, Directory, report
from head_office.reports.mornings.morning_list import MailOut, checked_date, list_mornings
from shared.runtime.cli.output import UTC, AsJson, print_json, print_table, short_time


def mornings_report(
    *,
    location: Annotated[
        str | None, typer.Option("--location", help="Of this location only.", autocompletion=complete_location)
    ] = None,
    begin: Annotated[str | None, typer.Option("--from", help="From this date on, such as 2026-01-31.")] = None,
    end: Annotated[str | None, typer.Option("--to", help="Before this date.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1_000, help="How many mornings at most.")] = 100,
    folder: Directory = None,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """The mornings at which the purchasing report was made, the newest first, and what became of their mails."""
    first, last = checked_date("--from", begin), checked_date("--to", end)
    with report(folder, database_url, None) as (connection, _):
        if location is not None:
            check_locations(connection, [location])
        found = list_mornings(
            connection,
            location_ids=None if location is None else [location],
            begin=first,
            end=last,
            limit=limit,
        )
    if as_json:
        print_json({"items": found, "next": None})
        return
    print_table(
        "Mornings, times in UTC",
        ("location", "date", "as of@", "made@", "state", "to order#", "mail~"),
        [
            (
                *(each.location_id, each.date, short_time(each.as_of, UTC), short_time(each.made_at, UTC)),
                *(each.state.value, each.listed, _mail(each.mail)),
            )
            for each in found
        ],
    )


def _mail(mail: MailOut | None) -> str:
    if mail is None:
        return ""
    return mail.state + (f": {mail.error}" if mail.error else "")
