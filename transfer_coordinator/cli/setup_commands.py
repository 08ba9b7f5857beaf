"""`larder transfer init` and `serve`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from shared.runtime.cli.errors import CommandRefused
from shared.runtime.cli.output import AsJson, print_json, print_line, print_next
from shared.runtime.cli.service_client import http_client
from shared.runtime.client import RemoteProblem, Unreachable
from shared.runtime.settings import command_line, load_settings, read_settings_file, write_settings_file
from transfer_coordinator.cli.coordinator_client import Directory
from transfer_coordinator.settings import DEFAULT_PORT, CoordinatorSettings, settings_of


def init(
    *,
    head_office: Annotated[str, typer.Option(help="Head office's address, such as http://127.0.0.1:8000.")],
    key: Annotated[str, typer.Option(help="What 'larder head-office keys add --role coordinator' printed.")],
    folder: Annotated[Path, typer.Option("--dir", help="A folder for its settings, database and logs.")] = Path(
        "larder-transfer"
    ),
    database_url: Annotated[
        str | None, typer.Option(help="PostgreSQL to use; without it one of its own runs in --dir.")
    ] = None,
    port: Annotated[int | None, typer.Option(help=f"Where it will listen; {DEFAULT_PORT} if not given.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make a transfer coordinator, or give it another head office or key: its settings and its database."""
    flags: dict[str, Any] = {
        "dir": folder,
        "head_office": head_office,
        "key": key,
        "database_url": database_url,
        "port": port,
    }
    from transfer_coordinator.database.connections import (
        DATABASE,  # imports SQLAlchemy, which most commands do not need
    )

    settings = load_settings(CoordinatorSettings, flags)
    answered = _try_key(settings)
    with DATABASE.opened(settings):
        kept = {name: value for name, value in flags.items() if name != "dir" and value is not None}
        write_settings_file(
            folder,
            {**read_settings_file(folder), **kept, "service": settings.service, "head_office": settings.head_office},
        )
    next_step = command_line("transfer", "serve", "--dir", folder, "--port", settings.port)
    if as_json:
        print_json({"dir": str(folder), "head_office": settings.head_office, "reached": answered, "next": [next_step]})
        return
    print_line(f"[green]The transfer coordinator in {escape(str(folder))} is ready.[/]")
    if not answered:
        print_line(f"[yellow]{escape(settings.head_office)} does not answer now; the key could not be tried.[/]")
    print_next(next_step)


def _try_key(settings: CoordinatorSettings) -> bool:
    """Whether head office answers. Raises CommandRefused where it does not accept the key."""
    with http_client(settings.head_office, settings.key.get_secret_value()) as client:
        try:
            client.get("/v1/sync/catalogue", limit=1)
        except Unreachable:
            return False
        except RemoteProblem as problem:
            if problem.status in {401, 403}:
                raise CommandRefused(
                    f"head office does not take this key: {problem.detail or problem.title}",
                    "Make one with: larder head-office keys add --role coordinator",
                ) from problem
            raise
    return True


def serve(
    *,
    folder: Directory = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on; 127.0.0.1 if not given.")] = None,
    port: Annotated[
        int | None, typer.Option(help=f"Port to listen on; {DEFAULT_PORT} if not given, 0: a free one.")
    ] = None,
    head_office: Annotated[str | None, typer.Option(help="Head office's address.")] = None,
    key: Annotated[str | None, typer.Option(help="Its key at head office.")] = None,
    database_url: Annotated[str | None, typer.Option(help="PostgreSQL to use.")] = None,
    lease_seconds: Annotated[float | None, typer.Option(help="How long a killed coordinator's transfers wait.")] = None,
    ask_again_seconds: Annotated[
        float | None, typer.Option(help="Seconds until an unanswered instruction is sent again, the first time.")
    ] = None,
    log_level: Annotated[str | None, typer.Option(help="DEBUG, INFO, WARNING or ERROR.")] = None,
) -> None:
    """Run the coordinator until Ctrl-C."""
    from transfer_coordinator.main import (
        serve as run_coordinator,  # imports the server, which other commands do not need
    )

    flags: dict[str, Any] = {
        "host": host,
        "port": port,
        "head_office": head_office,
        "key": key,
        "database_url": database_url,
        "lease_seconds": lease_seconds,
        "ask_again_seconds": ask_again_seconds,
        "log_level": log_level,
    }
    raise typer.Exit(run_coordinator(settings_of(folder, **flags), typer.echo))
