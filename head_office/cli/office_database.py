"""How head office's commands reach its database, and the options by which it is found."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer
from sqlalchemy import Connection, Engine

from head_office.database.connections import opened
from head_office.problem_translation import translated
from head_office.reports.known_at import SettledMoment, report_snapshot
from head_office.settings import settings_of
from shared.runtime.cli.service_client import find_running

Directory = Annotated[
    Path | None,
    typer.Option("--dir", help="Head office's folder. Without it LARDER_DIR, else the only one found here."),
]
DatabaseUrl = Annotated[
    str | None,
    typer.Option("--database-url", help="PostgreSQL to use. Without it head office runs one of its own in --dir."),
]


@contextmanager
def office(folder: Path | None, database_url: str | None) -> Iterator[Engine]:
    """Head office's database: the running one, else one that is started for the command. Raises Problem."""
    with translated(), opened(settings_of(folder, database_url=database_url)) as engine:
        yield engine


@contextmanager
def transaction(folder: Path | None, database_url: str | None) -> Iterator[Connection]:
    """One transaction in head office's database, committed at the end."""
    with office(folder, database_url) as engine, engine.begin() as connection:
        yield connection


@contextmanager
def report(
    folder: Path | None, database_url: str | None, known_at: int | None
) -> Iterator[tuple[Connection, SettledMoment | None]]:
    """One snapshot of head office's database for a report, and its moment settled, see `report_snapshot`."""
    with office(folder, database_url) as engine, report_snapshot(engine, known_at) as found:
        yield found


def read_all(read: Callable[[Any], Sequence[Any]], after: Callable[[Any], Any], beginning: Any) -> list[Any]:
    """Every row of a list that is read in pages: `read(cursor)` gives a page, `after(last row)` the next cursor."""
    found: list[Any] = []
    while page := read(beginning):
        found.extend(page)
        beginning = after(page[-1])
    return found


def office_address(folder: Path | None, database_url: str | None) -> str:
    """Head office's address: where it serves now, else by its settings; this machine's name is a placeholder."""
    settings = settings_of(folder, database_url=database_url)
    running = find_running(settings.dir, "/healthz")
    port = settings.port if running is None else urlsplit(running.url).port
    return f"http://THIS-MACHINE:{port}"
