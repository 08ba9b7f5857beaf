"""The sources that may tell of orders, and their secrets; on the Connection that is given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
from sqlalchemy import ColumnElement, Connection, and_, delete, func, insert, or_, select, update

from shared.orders.source_tables import SourceTables
from shared.runtime.http.cursor import Cursor

BY_SOURCE: Final[Cursor[str]] = Cursor(str)
"""The cursor of the list, in the order of names."""


class SourceSecret(msgspec.Struct, frozen=True, kw_only=True):
    """A secret that signatures are verified with; `expires_at` of one that was replaced. Microseconds UTC."""

    secret: str
    created_at: int
    expires_at: int | None


class OrderSource(msgspec.Struct, frozen=True, kw_only=True):
    """A system that may tell of orders. `secrets` are those that count, the newest first."""

    source: str
    hold_days: int
    created_at: int
    secrets: tuple[SourceSecret, ...]


def order_source(connection: Connection, tables: SourceTables, source: str, now: int) -> OrderSource | None:
    """Read one source with the secrets that count at a moment."""
    found = _sources(connection, tables, tables.source.c.source == source, now, 1)
    return found[0] if found else None


def order_sources(
    connection: Connection, tables: SourceTables, after: str | None, limit: int, now: int
) -> list[OrderSource]:
    """Read sources in the order of their names."""
    return _sources(connection, tables, tables.source.c.source > (after or ""), now, limit)


def count_sources(connection: Connection, tables: SourceTables) -> int:
    """How many sources there are."""
    return connection.execute(select(func.count()).select_from(tables.source)).scalar_one()


def add_source(
    connection: Connection, tables: SourceTables, source: str, secret: str, *, hold_days: int, now: int
) -> None:
    """Store a new source with its first secret."""
    connection.execute(insert(tables.source).values(source=source, hold_days=hold_days, created_at=now))
    _add_secret(connection, tables, source, secret, number=1, now=now)


def rotate_secret(
    connection: Connection, tables: SourceTables, source: str, secret: str, *, until: int, now: int
) -> None:
    """Store a newer secret of a source; the one until now counts until a moment, ended ones are removed."""
    row = tables.secret.c
    its = row.source == source
    number = connection.execute(select(func.max(row.number)).where(its)).scalar_one()
    connection.execute(update(tables.secret).where(its, row.expires_at.is_(None)).values(expires_at=until))
    connection.execute(delete(tables.secret).where(its, row.expires_at <= now))
    _add_secret(connection, tables, source, secret, number=number + 1, now=now)


def end_replaced_secrets(connection: Connection, tables: SourceTables, source: str) -> None:
    """Remove the secrets of a source that were replaced, also those that still count."""
    row = tables.secret.c
    connection.execute(delete(tables.secret).where(row.source == source, row.expires_at.is_not(None)))


def remove_source(connection: Connection, tables: SourceTables, source: str) -> None:
    """Remove a source with its secrets. What it told of stays in the log."""
    connection.execute(delete(tables.secret).where(tables.secret.c.source == source))
    connection.execute(delete(tables.source).where(tables.source.c.source == source))


def _add_secret(
    connection: Connection, tables: SourceTables, source: str, secret: str, *, number: int, now: int
) -> None:
    values = {"source": source, "number": number, "secret": secret, "created_at": now}
    connection.execute(insert(tables.secret).values(values))


def _sources(
    connection: Connection, tables: SourceTables, condition: ColumnElement[bool], now: int, limit: int
) -> list[OrderSource]:
    rows = connection.execute(select(tables.source).where(condition).order_by("source").limit(limit)).all()
    secrets = _live_secrets(connection, tables, [row.source for row in rows], now)
    return [
        OrderSource(
            source=row.source,
            hold_days=row.hold_days,
            created_at=row.created_at,
            secrets=tuple(secrets.get(row.source, ())),
        )
        for row in rows
    ]


def _live_secrets(
    connection: Connection, tables: SourceTables, sources: Sequence[str], now: int
) -> dict[str, list[SourceSecret]]:
    row = tables.secret.c
    counts = and_(row.source.in_(list(sources)), or_(row.expires_at.is_(None), row.expires_at > now))
    found: dict[str, list[SourceSecret]] = {}
    for each in connection.execute(select(tables.secret).where(counts).order_by(row.number.desc())):
        secret = SourceSecret(secret=each.secret, created_at=each.created_at, expires_at=each.expires_at)
        found.setdefault(each.source, []).append(secret)
    return found
