"""`larder head-office sources`: the systems that may tell head office of orders, and the secrets they sign with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer

from head_office.cli.office_completion import complete_source
from head_office.cli.office_database import DatabaseUrl, Directory, office
from head_office.orders.office_sources import office_source_desk
from shared.orders.source_desk import SourceDesk
from shared.orders.source_output import OWN_SECRET, print_removed_source, print_source_secret, print_sources
from shared.orders.source_records import OrderSourceRecord, SecretRotationInput, SourceInput, SourceWithSecret
from shared.runtime.cli.arguments import duration
from shared.runtime.cli.output import UTC, AsJson, print_json
from shared.runtime.cli.service_app import command_group
from shared.runtime.clock import SystemClock
from shared.runtime.http.strict_json import CheckedDecoder

PAGE: Final = 1_000
MAX_INPUT: Final = 64 * 1024

sources_app: Final = command_group("Systems that may tell of their orders: list, add, rotate the secret, remove.")

_NewSource = Annotated[str, typer.Argument(metavar="SOURCE", help="The name of the system, such as webshop.")]
_Source = Annotated[
    str,
    typer.Argument(metavar="SOURCE", help="The system, as 'list' names it.", autocompletion=complete_source),
]


@contextmanager
def _desk(folder: Path | None, database_url: str | None) -> Iterator[SourceDesk]:
    """What a running head office takes into account from the next event on."""
    with office(folder, database_url) as engine:
        yield office_source_desk(engine, SystemClock().now)


@sources_app.command("list")
def list_sources(folder: Directory = None, database_url: DatabaseUrl = None, as_json: AsJson = False) -> None:
    """List the systems that may tell of orders, and where each sends its events. No secret is shown."""
    found: list[OrderSourceRecord] = []
    with _desk(folder, database_url) as desk:
        page = desk.page(None, PAGE)
        found += page.items
        while page.next is not None:
            page = desk.page(page.next, PAGE)
            found += page.items
    if as_json:
        print_json({"items": found, "next": None})
    else:
        print_sources([msgspec.to_builtins(each) for each in found], UTC, "head-office")


@sources_app.command("add")
def add_source(
    source: _NewSource,
    *,
    hold_days: Annotated[int, typer.Option(help="How many days an order is reserved that names no expiry.")] = 14,
    secret: Annotated[str | None, typer.Option(help=OWN_SECRET)] = None,
    folder: Directory = None,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Let a system tell of its orders, and print the secret that it signs with, once."""
    given = _read(SourceInput, {"source": source, "hold_days": hold_days, "secret": secret})
    with _desk(folder, database_url) as desk:
        made = desk.add(given)
    _print_secret(made, as_json=as_json)


@sources_app.command("rotate")
def rotate_secret(
    source: _Source,
    *,
    overlap: Annotated[
        str, typer.Option(help="How long the secret until now still counts: 24h, 30m, 7d; 0: not at all.")
    ] = "24h",
    secret: Annotated[str | None, typer.Option(help=OWN_SECRET)] = None,
    folder: Directory = None,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Give a source another secret, and print it, once. The secret until now counts for the overlap."""
    given = _read(SecretRotationInput, {"overlap_seconds": duration(overlap, "--overlap"), "secret": secret})
    with _desk(folder, database_url) as desk:
        made = desk.rotate(source, given)
    _print_secret(made, as_json=as_json)


@sources_app.command("remove")
def remove_source(
    source: _Source, *, folder: Directory = None, database_url: DatabaseUrl = None, as_json: AsJson = False
) -> None:
    """Take nothing more from a source. What it told of stays in the log."""
    with _desk(folder, database_url) as desk:
        removed = desk.remove(source)
    if as_json:
        print_json(removed)
    else:
        print_removed_source(msgspec.to_builtins(removed))


def _read(kind: type[Any], given: dict[str, Any]) -> Any:
    """What was given, checked as the body of a request is. Raises Problem 422 `invalid-request`."""
    body = {name: value for name, value in given.items() if value is not None}
    return CheckedDecoder(kind, max_bytes=MAX_INPUT)(msgspec.json.encode(body))


def _print_secret(made: SourceWithSecret, *, as_json: bool) -> None:
    if as_json:
        print_json(made)
    else:
        print_source_secret(msgspec.to_builtins(made), "head office")
