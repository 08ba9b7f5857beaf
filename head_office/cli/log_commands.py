"""`larder head-office verify` and `rebuild`."""

from __future__ import annotations

from typing import Annotated

import typer
from sqlalchemy import Connection, func, select

from head_office.catalogue import catalogue_history
from head_office.cli.office_completion import complete_location
from head_office.cli.office_database import DatabaseUrl, Directory, office, transaction
from head_office.database.schema import HEAD
from head_office.log import rebuild
from head_office.reports import verification
from shared.runtime.cli.errors import REFUSED
from shared.runtime.cli.output import AsJson, number_of, print_json, print_table
from shared.runtime.cli.progress import progress_bar, status_line
from shared.runtime.database.engine import snapshot

Location = Annotated[
    str | None, typer.Option("--location", help="This location only.", autocompletion=complete_location)
]


def verify_logs(
    *, location: Location = None, folder: Directory = None, database_url: DatabaseUrl = None, as_json: AsJson = False
) -> None:
    """Verify every hash, every row beside the log, every projected figure, and that goods are conserved."""
    with office(folder, database_url) as engine, snapshot(engine) as connection:
        with progress_bar("Events", _events(connection, location)) as advance:
            result = verification.verify(connection, location, progress=advance)
        findings = list(result.findings)
        try:
            versions = catalogue_history.verify(connection)
        except catalogue_history.CatalogueBroken as error:
            versions = error.version - 1
            findings.append(verification.ConsolidationFinding(code="catalogue-differs", detail=str(error)))
    if as_json:
        print_json(
            {
                "ok": not findings,
                "locations": result.locations,
                "events": result.events,
                "catalogue_versions": versions,
                "findings": findings,
            }
        )
    elif findings:
        rows = [(each.code, each.location_id, each.sequence, each.item_id, each.detail) for each in findings]
        print_table("Discrepancies", ("code", "location", "event#", "item", "what~"), rows)
    else:
        typer.echo(
            f"All is well: {number_of(result.events, 'event')} of {number_of(result.locations, 'location')}, "
            f"{number_of(versions, 'change')} of the catalogue; every hash, row and figure is right, "
            "and goods are conserved."
        )
    if findings:
        raise typer.Exit(REFUSED)


def rebuild_projections(
    *, location: Location = None, folder: Directory = None, database_url: DatabaseUrl = None, as_json: AsJson = False
) -> None:
    """Rebuild stock and transfers from the log; correct rows stay unchanged."""
    with transaction(folder, database_url) as connection, status_line("Rebuilding the projections"):
        result = rebuild.rebuild(connection, location)
    if as_json:
        print_json(result)
        return
    rows = [(name.replace("_", " "), count, result.corrected[name]) for name, count in result.rows.items()]
    print_table(f"Projections of {number_of(result.locations, 'location')}", ("", "rows#", "were wrong#"), rows)


def _events(connection: Connection, location: str | None) -> int:
    query = select(func.coalesce(func.sum(HEAD.c.sequence), 0))
    if location is not None:
        query = query.where(HEAD.c.location_id == location)
    return int(connection.execute(query).scalar_one())
