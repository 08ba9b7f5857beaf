"""Completion of codes in a shell, from the PostgreSQL of a service."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from sqlalchemy import ColumnElement, Select

from shared.runtime.postgres.service_database import ServiceDatabase
from shared.runtime.settings import PostgresSettings

Completions = list[tuple[str, str]]
"""Codes, each with its name, as Typer has them."""

MOST: Final = 100


def complete_code(
    database: ServiceDatabase,
    settings: Callable[[], PostgresSettings],
    query: Select[Any],
    code: ColumnElement[Any],
    incomplete: str,
) -> Completions:
    """The codes of a query of (code, name) that begin so; none where they cannot be read: a shell cannot show an error.

    Only a database that runs is read: a person who types waits for none to start.
    """
    try:
        with database.glance(settings()) as connection:
            if connection is None:
                return []
            wanted = query.where(code.istartswith(incomplete, autoescape=True)).order_by(code).limit(MOST)
            return [(row[0], row[1]) for row in connection.execute(wanted)]
    except Exception:  # noqa: BLE001 - whatever it is, the person goes on typing
        return []


def as_lines(codes: Callable[[], Completions], incomplete: str) -> Completions:
    """The codes for a line ITEM=QUANTITY, none behind the equals sign."""
    return [] if "=" in incomplete else [(f"{code}=", name) for code, name in codes()]
