"""Completion of codes in a shell, from the database of a service."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Select

Completions = list[tuple[str, str]]
"""Codes, each with its name, as Typer has them."""

MOST: Final = 100


def complete_code(
    connect: Callable[[], AbstractContextManager[Connection | None]],
    query: Select[Any],
    code: ColumnElement[Any],
    incomplete: str,
) -> Completions:
    """The codes of a query of (code, name) that begin so; none where they cannot be read: a shell cannot show an error.

    `connect` gives None where there is no database, or none that runs: a person who types waits for none to start.
    """
    try:
        with connect() as connection:
            if connection is None:
                return []
            wanted = query.where(code.istartswith(incomplete, autoescape=True)).order_by(code).limit(MOST)
            return [(row[0], row[1]) for row in connection.execute(wanted)]
    except Exception:  # noqa: BLE001 - whatever it is, the person goes on typing
        return []


def as_lines(codes: Callable[[], Completions], incomplete: str) -> Completions:
    """The codes for a line ITEM=QUANTITY, none behind the equals sign."""
    return [] if "=" in incomplete else [(f"{code}=", name) for code, name in codes()]
