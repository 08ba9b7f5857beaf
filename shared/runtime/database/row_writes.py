"""Writing rows: insert and upsert, alike on SQLite and PostgreSQL, in the transaction of the Connection given.

`upsert` takes mappings and goes through Core, which knows the types of the columns. `insert_rows` and `upsert_rows`
take tuples of plain values and run on the driver's own cursor, with SQL compiled once from the same tables: Core halves
their rate. `upsert_statement` builds every upsert of ours, except where one statement does more than that (a set-based
INSERT … SELECT, a CTE).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import ClauseElement, Column, ColumnElement, Connection, Dialect, Insert, Table, bindparam
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects import sqlite as sqlite_dialect
from sqlalchemy.dialects.postgresql import psycopg

Merge = Callable[[ColumnElement[Any], Column[Any]], ColumnElement[Any]]
"""Makes an expression of a column's new value and of its value in the row that is there."""


def upsert(
    connection: Connection,
    table: Table,
    rows: Sequence[Mapping[str, object]],
    *,
    change: Collection[str] | None = None,
    merge: Mapping[str, Merge] | None = None,
    only_if: Mapping[str, Merge] | None = None,
) -> None:
    """Insert rows, all with the same columns; one whose primary key is there changes that row.

    The arguments are those of `upsert_statement`.
    """
    if rows:
        columns = tuple(rows[0])
        statement = upsert_statement(
            table, columns, connection.dialect.name, change=change, merge=merge, only_if=only_if
        )
        connection.execute(statement, [dict(row) for row in rows])


def upsert_statement(
    table: Table,
    columns: Collection[str],
    dialect: str,
    *,
    change: Collection[str] | None = None,
    merge: Mapping[str, Merge] | None = None,
    only_if: Mapping[str, Merge] | None = None,
) -> Insert:
    """The insert of a row with `columns`, which changes the row with its primary key where there is one.

    There it sets the columns `change` (None: all of `columns`) to the new values, those in `merge` to an expression;
    and nothing at all where a condition in `only_if` does not hold.
    """
    new: Any = postgresql.insert(table) if dialect == "postgresql" else sqlite_dialect.insert(table)
    new = new.values({name: bindparam(name, type_=table.c[name].type) for name in columns})
    key = [column.name for column in table.primary_key]
    changed = {name: new.excluded[name] for name in columns if name not in key and (change is None or name in change)}
    for name, expression in (merge or {}).items():
        changed[name] = expression(new.excluded[name], table.c[name])
    conditions = [condition(new.excluded[name], table.c[name]) for name, condition in (only_if or {}).items()]
    statement: Insert = new.on_conflict_do_update(index_elements=key, set_=changed, where=_and(conditions))
    return statement


def _and(conditions: Sequence[ColumnElement[Any]]) -> ColumnElement[Any] | None:
    if not conditions:
        return None
    first, *others = conditions
    for each in others:
        first = first & each
    return first


def insert_rows(
    connection: Connection, table: Table, columns: tuple[str, ...], rows: Sequence[tuple[object, ...]]
) -> None:
    """Insert `rows` (tuples in the order of `columns`) on the driver's own cursor."""
    _execute_many(connection, _insert_sql(table, columns, connection.dialect.name, replace=False), rows)


def upsert_rows(
    connection: Connection, table: Table, columns: tuple[str, ...], rows: Sequence[tuple[object, ...]]
) -> None:
    """As `insert_rows`, but a row whose primary key is there already takes the place of that one."""
    _execute_many(connection, _insert_sql(table, columns, connection.dialect.name, replace=True), rows)


def _execute_many(connection: Connection, sql: str, rows: Sequence[tuple[object, ...]]) -> None:
    cursor = connection.connection.cursor()
    try:
        if len(rows) == 1:
            cursor.execute(sql, rows[0])
        elif rows:
            cursor.executemany(sql, rows)
    finally:
        cursor.close()


def driver_sql(statement: ClauseElement, dialect: str) -> str:
    """A Core statement as text for the driver's cursor, its parameters as a tuple in the order they stand in it."""
    compiler: Dialect = sqlite_dialect.dialect(paramstyle="qmark")
    if dialect != "sqlite":
        compiler = psycopg.dialect(paramstyle="format")  # type: ignore[no-untyped-call]
    return str(statement.compile(dialect=compiler, compile_kwargs={"render_postcompile": True}))


@lru_cache(maxsize=64)
def _insert_sql(table: Table, columns: tuple[str, ...], dialect: str, *, replace: bool) -> str:
    in_order = [column.name for column in table.columns if column.name in columns]
    if in_order != list(columns):
        raise ValueError(f"columns of {table.name} are given as {columns}, the table has them as {in_order}")
    if replace:
        return driver_sql(upsert_statement(table, columns, dialect), dialect)
    return driver_sql(table.insert().values({name: bindparam(name) for name in columns}), dialect)
