"""Insert and upsert on SQLite; for PostgreSQL the statement, which head office's and the coordinator's tests run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import BigInteger, Column, Connection, MetaData, Table, Text, create_engine, func, select

from shared.runtime.database.row_writes import driver_sql, insert_rows, upsert, upsert_rows, upsert_statement

ROOM = Table(
    "room", MetaData(), Column("name", Text, primary_key=True), Column("seats", BigInteger), Column("note", Text)
)
COLUMNS = ("name", "seats", "note")


@pytest.fixture
def connection() -> Iterator[Connection]:
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        ROOM.create(connection)
        insert_rows(connection, ROOM, COLUMNS, [("hall", 40, "round"), ("bar", 8, None)])
        yield connection
    engine.dispose()


def rows(connection: Connection) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in connection.execute(select(ROOM).order_by(ROOM.c.name))]


def test_a_row_takes_the_place_of_one_with_its_key(connection: Connection) -> None:
    upsert(connection, ROOM, [{"name": "hall", "seats": 50, "note": None}, {"name": "roof", "seats": 2, "note": "new"}])
    assert rows(connection) == [("bar", 8, None), ("hall", 50, None), ("roof", 2, "new")]
    upsert(connection, ROOM, [])


def test_the_same_by_tuples(connection: Connection) -> None:
    upsert_rows(connection, ROOM, COLUMNS, [("hall", 50, None), ("roof", 2, "new")])
    upsert_rows(connection, ROOM, COLUMNS, [("bar", 9, None)])
    upsert_rows(connection, ROOM, COLUMNS, [])
    assert rows(connection) == [("bar", 9, None), ("hall", 50, None), ("roof", 2, "new")]


def test_columns_that_are_not_given_stay(connection: Connection) -> None:
    upsert(connection, ROOM, [{"name": "hall", "seats": 50}])
    upsert(connection, ROOM, [{"name": "bar", "seats": 1, "note": "small"}], change={"note"})
    assert rows(connection) == [("bar", 8, "small"), ("hall", 50, "round")]


def test_a_column_may_be_merged_with_what_is_there(connection: Connection) -> None:
    upsert(connection, ROOM, [{"name": "hall", "seats": 50, "note": None}], merge={"note": func.coalesce})
    assert rows(connection) == [("bar", 8, None), ("hall", 50, "round")]


def test_a_row_that_does_not_meet_the_condition_stays(connection: Connection) -> None:
    given = [{"name": "hall", "seats": 30}, {"name": "bar", "seats": 9}]
    upsert(connection, ROOM, given, only_if={"seats": lambda new, old: old < new})
    assert rows(connection) == [("bar", 9, None), ("hall", 40, "round")]


def test_columns_out_of_order_are_refused(connection: Connection) -> None:
    with pytest.raises(ValueError, match="the table has them as"):
        insert_rows(connection, ROOM, ("seats", "name"), [(1, "x")])


def test_the_statement_for_postgresql() -> None:
    statement = upsert_statement(ROOM, COLUMNS, "postgresql", only_if={"seats": lambda new, old: old < new})
    assert " ".join(driver_sql(statement, "postgresql").split()) == (
        "INSERT INTO room (name, seats, note) VALUES (%s::VARCHAR, %s::BIGINT, %s::VARCHAR) "
        "ON CONFLICT (name) DO UPDATE SET seats = excluded.seats, note = excluded.note "
        "WHERE room.seats < excluded.seats"
    )
