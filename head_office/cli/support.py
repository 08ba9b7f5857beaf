"""What head office's commands share: options, the database, tables and JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from sqlalchemy import Connection, Engine

from head_office.database.connections import opened
from head_office.problem_translation import translated
from head_office.settings import settings_of
from shared.runtime.database.migrations import DatabaseVersionError

REFUSED = 1

Dir = Annotated[
    Path | None,
    typer.Option("--dir", help="Head office's folder. Without it LARDER_DIR, else the only one found here."),
]
DatabaseUrl = Annotated[
    str | None,
    typer.Option("--database-url", help="PostgreSQL to use. Without it head office runs one of its own in --dir."),
]
Json = Annotated[bool, typer.Option("--json", help="JSON for machines instead of a table.")]


@contextmanager
def office(folder: Path | None, database_url: str | None) -> Iterator[Engine]:
    """Head office's database: attached to where it runs, else started for the command."""
    with fitting(), translated(), opened(settings_of(folder, database_url=database_url)) as engine:
        yield engine


@contextmanager
def fitting() -> Iterator[None]:
    """Tell in one line where the database is of a newer Larder."""
    try:
        yield
    except DatabaseVersionError as error:
        fail(str(error))


@contextmanager
def transaction(folder: Path | None, database_url: str | None) -> Iterator[Connection]:
    """One transaction in head office's database, committed at the end."""
    with office(folder, database_url) as engine, engine.begin() as connection:
        yield connection


def fail(text: str) -> NoReturn:
    """Say why not, and end with exit code 1."""
    typer.echo(f"larder: {text}", err=True)
    raise typer.Exit(REFUSED)


def print_json(value: Any) -> None:
    typer.echo(msgspec.json.encode(value).decode())


def print_table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], *, right: Sequence[str] = ()
) -> None:
    """A table on the terminal; where the output is no terminal, as wide as its text."""
    if not rows:
        typer.echo(f"{title}: none")
        return
    console = Console()
    if not console.is_terminal:
        console = Console(width=10_000)
    table = Table(title=title, title_justify="left", expand=False)
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*("" if each is None else str(each) for each in row))
    console.print(table)


def pages(read: Callable[[Any], Sequence[Any]], after: Callable[[Any], Any], beginning: Any) -> list[Any]:
    """Everything of a list that is read in pages: `read(where to go on)` until it gives nothing."""
    found: list[Any] = []
    while page := read(beginning):
        found.extend(page)
        beginning = after(page[-1])
    return found


def say_next(*lines: str) -> None:
    """What to do next."""
    typer.echo("\nNext:")
    for line in lines:
        typer.echo(f"  {line}")
