"""`larder branch init` and `serve`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import SecretStr
from rich.markup import escape
from sqlalchemy import update

from branch_node.cli.node_client import Directory, serving
from branch_node.database.keys.api_keys import has_own_key, issue_manager_key
from branch_node.database.schema import LOCATION
from branch_node.database.store import AlreadyWriting, DirectoryLock, Store, load_location
from branch_node.main import serve as run_node
from branch_node.model import Location
from branch_node.settings import DEFAULT_PORT, SERVICE, BranchSettings, load
from branch_node.sync.sync_state import read_sync_state
from shared.runtime.cli.errors import CommandRefused
from shared.runtime.cli.output import AsJson, print_json, print_line, print_next
from shared.runtime.cli.service_client import http_client
from shared.runtime.client import RemoteProblem, Unreachable
from shared.runtime.clock import SystemClock
from shared.runtime.database.engine import translate_driver_errors
from shared.runtime.settings import command_line, read_settings_file, write_settings_file


def init(
    *,
    location: Annotated[str | None, typer.Option(help="The location's code, such as BEY-01.")] = None,
    directory: Directory = None,
    timezone: Annotated[str | None, typer.Option(help="Such as Asia/Beirut; UTC if not given.")] = None,
    day_start: Annotated[str | None, typer.Option(help="When the business day begins; 04:00 if not given.")] = None,
    head_office: Annotated[str | None, typer.Option(help="Head office's address; can be added later.")] = None,
    key: Annotated[str | None, typer.Option(help="This location's key, as head office printed it.")] = None,
    port: Annotated[int | None, typer.Option(help=f"Where the node will listen; {DEFAULT_PORT} if not given.")] = None,
    host: Annotated[str | None, typer.Option(help="The address it will listen on; 127.0.0.1 if not given.")] = None,
    database: Annotated[str | None, typer.Option(help="postgresql://…; a file in --dir if not given.")] = None,
    witness: Annotated[Path | None, typer.Option(help="The witness file; beside --dir if not given.")] = None,
    new_key: Annotated[bool, typer.Option("--new-key", help="Issue a further manager key: one was lost.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make a branch's node, or change its settings: run it again to add head office's address or key.

    Prints a manager key for the node's own API, once.
    """
    given = {
        "location": location,
        "timezone": timezone,
        "day_start": day_start,
        "head_office": head_office,
        "key": key,
        "port": port,
        "host": host,
        "database": database,
        "witness": None if witness is None else str(witness.absolute()),
    }
    settings = load(directory, **given)
    kept = read_settings_file(settings.dir)
    if kept.get("location") not in {None, settings.location}:
        raise CommandRefused(
            f"{settings.dir} is the node of {kept['location']}", "Choose another --dir for another location."
        )
    if settings.head_office is not None and settings.key is None:
        raise CommandRefused(
            "head office needs a key",
            "Give --key with the text that 'larder head-office locations add' printed for this location.",
        )
    refused = _try_key(settings)
    made_key = _set_up(settings, new_key=new_key, changed=timezone is not None or day_start is not None)
    write_settings_file(settings.dir, {"service": SERVICE, **kept, **_keep(settings)})
    _report(settings, made_key, began=not kept, refused=refused, as_json=as_json)


def _try_key(settings: BranchSettings) -> str | None:
    """Why head office refuses the node's key; None where it does not, gives no answer or is not set."""
    if settings.head_office is None or settings.key is None:
        return None
    with http_client(settings.head_office, settings.key.get_secret_value()) as client:
        try:
            client.get("/v1/sync/catalogue", limit=1)
        except RemoteProblem as problem:
            return (problem.detail or problem.title) if problem.status in {401, 403} else None
        except Unreachable:
            return None
    return None


def _set_up(settings: BranchSettings, *, new_key: bool, changed: bool) -> str | None:
    """Make the database and the first key, or change an existing one; the text of a new key, None if none was made."""
    store = Store(settings.database_url, settings.dir)
    place = Location(
        location_id=settings.location,
        name=settings.location,
        timezone=settings.timezone,
        day_start=settings.day_start_minutes,
    )
    try:
        try:
            store.set_up(place)
        except AlreadyWriting:
            if not settings.has_database or (changed and _differs(store, place)):
                raise
            if new_key:
                return _issued_by_the_node(settings)
            return None  # a node runs: the other settings take effect when it is started again
        with DirectoryLock(settings.dir):
            engine = store.writing_engine()
            try:
                with translate_driver_errors(), engine.begin() as connection:
                    # Once head office has published the location, its time zone and day start are head office's.
                    published = read_sync_state(connection).catalogue_version > 0
                    if changed and not published and load_location(connection) != place:
                        moved = {"timezone": place.timezone, "day_start": place.day_start}
                        connection.execute(update(LOCATION).values(moved))
                    if new_key or not has_own_key(connection):
                        return issue_manager_key(connection, settings.location, SystemClock().now()).text
                    return None
            finally:
                engine.dispose()
    finally:
        store.close()


def _differs(store: Store, place: Location) -> bool:
    """Whether time zone or start of the day are to be changed, which a running node does not do."""
    with store.reading() as connection:
        kept = load_location(connection)
    return (kept.timezone, kept.day_start) != (place.timezone, place.day_start)


def _issued_by_the_node(settings: BranchSettings) -> str:
    """The text of a key that the running node issues. Raises AlreadyWriting where none answers."""
    client = serving(settings.dir)
    if client is None:
        raise AlreadyWriting(f"another process works in {settings.dir}: give the command again once it has ended")
    with client:
        return str(client.post("/v1/keys", {})["key"])


def _keep(settings: BranchSettings) -> dict[str, Any]:
    """What goes into the settings file: every setting that was given, without defaults."""
    given = settings.model_dump(exclude={"dir"}, exclude_defaults=True)
    return {
        name: value.get_secret_value() if isinstance(value, SecretStr) else str(value) if name == "witness" else value
        for name, value in given.items()
    }


def _report(settings: BranchSettings, key: str | None, *, began: bool, refused: str | None, as_json: bool) -> None:
    next_steps = [command_line("branch", "serve", "--dir", settings.dir)]
    if settings.head_office is None:
        again = command_line("branch", "init", "--dir", settings.dir, "--head-office", "URL", "--key", "KEY")
        next_steps.append(f"{again}   # any time later, then serve again")
    if as_json:
        print_json(
            {
                "location": settings.location,
                "dir": str(settings.dir),
                "key": key,
                "head_office": settings.head_office,
                "key_refused": refused,
                "witness": str(settings.witness_path),
                "next": next_steps,
            }
        )
        return
    done = "is ready" if began else "has its new settings; start it again if it runs"
    print_line(f"[green]The node of {escape(settings.location)} in {escape(str(settings.dir))} {done}.[/]")
    if key is not None:
        print_line(f"Manager key, shown this once: [bold]{escape(key)}[/]")
    if refused is not None:
        again = command_line("branch", "init", "--dir", settings.dir, "--key", "KEY")
        print_line(
            f"[yellow]Head office at {escape(settings.head_office or '')} does not take the key: {escape(refused)}. "
            f"The node works all the same and keeps every event; give it the right key with: {escape(again)}[/]"
        )
    print_line(f"Witness: {escape(str(settings.witness_path))} (keep it where a restore of --dir does not touch it)")
    print_next(*next_steps)


def serve(
    directory: Directory = None,
    port: Annotated[int | None, typer.Option(help=f"{DEFAULT_PORT} if not given; 0 takes a free one.")] = None,
    host: Annotated[str | None, typer.Option(help="127.0.0.1 if not given.")] = None,
    log_level: Annotated[str | None, typer.Option(help="DEBUG, INFO, WARNING or ERROR.")] = None,
) -> None:
    """Run the node: its API and pages, and shipping to head office, with or without a line to it."""
    settings = load(directory, port=port, host=host, log_level=log_level)
    if not settings.has_database:
        raise CommandRefused(
            f"there is no database in {settings.dir}",
            f"Run: larder branch init --dir {settings.dir} --location {settings.location}",
        )
    other = serving(settings.dir)
    if other is not None:
        other.close()
        raise CommandRefused(f"a node serves {settings.dir} already, at {other.base_url}", "Use it, or stop it first.")
    raise typer.Exit(run_node(settings, typer.echo))
