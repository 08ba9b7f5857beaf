"""`larder head-office init` and `serve`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from sqlalchemy import select

from head_office.catalogue import api_keys
from head_office.cli.office_database import DatabaseUrl, Directory, office
from head_office.database.office_schema import API_KEY
from head_office.settings import SERVICE, settings_of
from shared.runtime.cli.errors import CommandRefused
from shared.runtime.cli.output import AsJson, print_json, print_next
from shared.runtime.http.scopes import Role
from shared.runtime.settings import FILE_NAME, command_line, write_settings_file


def init(
    *,
    folder: Annotated[Path, typer.Option("--dir", help="A folder for its settings, database and logs.")] = Path(
        "larder-head-office"
    ),
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Make a head office: its database, its catalogue, an admin key."""
    if not (folder / FILE_NAME).exists():
        write_settings_file(folder, {"service": SERVICE, "database_url": database_url})
    with office(folder, database_url) as engine, engine.begin() as connection:
        if connection.execute(select(API_KEY.c.key_id).where(API_KEY.c.role == Role.ADMIN.value)).first():
            raise CommandRefused(
                f"{folder} is a head office already",
                f"For another admin key run 'larder head-office keys add --role admin --dir {folder}'.",
            )
        made = api_keys.issue(connection, Role.ADMIN, label="the first key")
    if as_json:
        print_json({"dir": str(folder), "key_id": made.key_id, "key": made.text})
        return
    typer.echo(f"Head office is in {folder}. Its admin key, shown this once:\n\n  {made.text}")
    print_next(
        command_line(
            "head-office", "serve", "--dir", folder, "--port", settings_of(folder, database_url=database_url).port
        ),
        command_line(
            *("head-office", "locations", "add", "BEY-01", "--name", "Beirut, Hamra", "--timezone", "Asia/Beirut"),
            *("--dir", folder),
        ),
    )


def serve(
    *,
    folder: Directory = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on; 127.0.0.1 if not given.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 8000 if not given.")] = None,
    database_url: DatabaseUrl = None,
    threads: Annotated[int | None, typer.Option(help="Requests worked on at the same time.")] = None,
    ingests: Annotated[int | None, typer.Option(help="Batches ingested at the same time.")] = None,
    heard_within: Annotated[
        int | None, typer.Option(help="Seconds within which a branch must have been heard of to serve an order.")
    ] = None,
    log_level: Annotated[str | None, typer.Option(help="DEBUG, INFO, WARNING or ERROR.")] = None,
) -> None:
    """Run head office until Ctrl-C."""
    from head_office import main  # imports the server, which other commands do not need

    flags: dict[str, Any] = {
        "host": host,
        "port": port,
        "database_url": database_url,
        "threads": threads,
        "ingests": ingests,
        "heard_within": heard_within,
        "log_level": log_level,
    }
    raise typer.Exit(main.serve(settings_of(folder, **flags), typer.echo))
