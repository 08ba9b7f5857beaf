"""`larder head-office quarantine`: events that verify and could not be folded."""

from __future__ import annotations

from typing import Annotated

import typer

from head_office.catalogue.locations import check_locations
from head_office.cli.office_completion import complete_location
from head_office.cli.office_database import DatabaseUrl, Directory, office, read_all, transaction
from head_office.log import quarantine
from head_office.reports.report_records import quarantined_out
from shared.runtime.cli.output import UTC, AsJson, print_json, print_next, print_table, short_time
from shared.runtime.settings import command_line

quarantine_app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Events that could not be folded: list, retry."
)


@quarantine_app.command("list")
def list_quarantine(
    *,
    location: Annotated[str | None, typer.Option(help="This location only.", autocompletion=complete_location)] = None,
    released: Annotated[bool, typer.Option("--released", help="The released events instead.")] = False,
    folder: Directory = None,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """The events in quarantine, and why each could not be folded."""
    with transaction(folder, database_url) as connection:
        if location is not None:
            check_locations(connection, [location])
        found: list[quarantine.Quarantined] = read_all(
            lambda after: quarantine.listed(
                connection, location_id=location, released=released, after=after, limit=1_000
            ),
            lambda each: (each.location_id, each.sequence),
            None,
        )
    shown = [quarantined_out(each) for each in found]
    if as_json:
        print_json({"items": shown, "next": None})
        return
    rows = [
        (each.location_id, each.sequence, each.type, each.item_id, short_time(each.received_at, UTC), each.reason)
        for each in shown
    ]
    columns = ("location", "event#", "type", "item", "received@", "why~")
    print_table("Quarantine, times in UTC", columns, rows, empty="Quarantine: none")
    if shown and not released:
        print_next("after an upgrade of head office:", command_line("head-office", "quarantine", "retry"))


@quarantine_app.command("retry")
def retry(
    *,
    location: Annotated[str | None, typer.Option(help="This location only.", autocompletion=complete_location)] = None,
    folder: Directory = None,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Fold what can be folded by now, as after an upgrade."""
    done: dict[str, quarantine.Retried] = {}
    with office(folder, database_url) as engine:
        with engine.begin() as connection:
            if location is not None:
                check_locations(connection, [location])
            waiting = [location] if location is not None else list(quarantine.count_held(connection))
        for each in waiting:
            with engine.begin() as connection:
                done[each] = quarantine.retry(connection, each)
    if as_json:
        print_json(
            {"items": [{"location_id": name, **result._asdict()} for name, result in done.items()], "next": None}
        )
        return
    rows = [(name, result.released, result.remaining) for name, result in done.items()]
    print_table("Quarantine", ("location", "folded#", "remain#"), rows)
