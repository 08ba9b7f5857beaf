"""Yardsticks for shipping: native logical replication, and binary COPY, of the same rows with their lines.

Two PostgreSQL servers on loopback. The rows are head office's lean ones and the canonical line; the indexes are head
office's. Replication is given what it does best: transactions of some size, no initial copy.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator

import psycopg
from psycopg import sql
from sqlalchemy import CheckConstraint, Column, LargeBinary, MetaData
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateTable

from shared.event_log import LEAN_COLUMNS, lean_row, log_tables
from shared.projection import stock_table
from tests.benchmarks.harness import Bench, Figures
from tests.benchmarks.sample import sealed_log
from tests.benchmarks.yard_hot import binaries
from tests.support.processes import clean_environment
from tests.support.waiting import wait_until

TRANSACTION = 1_000
SECONDS = 300
COLUMNS = (*LEAN_COLUMNS, "line")

TRIGGER = """
CREATE FUNCTION project() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  UPDATE public.stock SET on_hand = on_hand + NEW.on_hand_change, latest_at = NEW.occurred_at,
    latest_sequence = NEW.sequence WHERE location_id = NEW.location_id AND item_id = NEW.item_id;
  IF NOT FOUND THEN
    INSERT INTO public.stock (location_id, item_id, on_hand, reserved, latest_at, latest_sequence, recount)
    VALUES (NEW.location_id, NEW.item_id, NEW.on_hand_change, 0, NEW.occurred_at, NEW.sequence, false);
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER project AFTER INSERT ON event FOR EACH ROW EXECUTE FUNCTION project();
ALTER TABLE event ENABLE ALWAYS TRIGGER project;
"""
PROJECT_ONCE = (
    "INSERT INTO stock (location_id, item_id, on_hand, reserved, latest_at, latest_sequence, recount)"
    " SELECT location_id, item_id, sum(on_hand_change), 0, max(occurred_at), max(sequence), false"
    " FROM event GROUP BY location_id, item_id"
)


def schema() -> Iterator[str]:
    """The statements that make the consolidated event table, with the line in the row, and the projection.

    Head office's indexes, but none of its checks: a yardstick need not mind what is written.
    """
    metadata = MetaData()
    event, stock = log_tables(metadata, consolidated=True).event, stock_table(metadata)
    event.append_column(Column("line", LargeBinary, nullable=False))
    for table in (event, stock):
        table.constraints -= {each for each in table.constraints if isinstance(each, CheckConstraint)}
    dialect = postgresql.dialect()
    yield from (str(CreateTable(table).compile(dialect=dialect)) for table in (event, stock))
    yield from (str(CreateIndex(index).compile(dialect=dialect)) for index in event.indexes)


class Peers:
    """The publisher with its rows, and a fresh subscriber for each measurement."""

    def __init__(self, bench: Bench, events: int) -> None:
        self._bench = bench
        self._events = events
        self._publisher, self._subscriber = bench.cluster("one"), bench.cluster("two")
        self._source = ""

    def replication(self) -> Figures:
        """From ENABLE until the subscriber has and has projected every row. Rows a second."""
        source = self._fill(slot=True)
        target = self._target(TRIGGER)
        name = f"sub_{target}"
        with psycopg.connect(self._subscriber.conninfo(target), autocommit=True) as connection:
            connection.execute(
                sql.SQL(
                    "CREATE SUBSCRIPTION {} CONNECTION {} PUBLICATION log WITH (create_slot = false, slot_name = {},"
                    " copy_data = false, enabled = false, streaming = off)"
                ).format(sql.Identifier(name), sql.Literal(self._publisher.conninfo(source)), sql.Literal(source))
            )
            begin = time.perf_counter()
            connection.execute(sql.SQL("ALTER SUBSCRIPTION {} ENABLE").format(sql.Identifier(name)))
            wait_until(lambda: self._last(connection) == self._events, SECONDS, what="the last row", interval=0.01)
            elapsed = time.perf_counter() - begin
            self._check(connection)
            connection.execute(sql.SQL("DROP SUBSCRIPTION {}").format(sql.Identifier(name)))
        self._drop(target)
        self._publisher_drop(source)
        return {"rate": self._events / elapsed}

    def copy(self) -> Figures:
        """psql to psql, the projection made once at the end, one transaction. Rows a second."""
        if not self._source:
            self._source = self._fill(slot=False)
        target = self._target("")
        psql, columns = str(binaries() / "psql"), ", ".join(COLUMNS)
        begin = time.perf_counter()
        with subprocess.Popen(
            [psql, "-Xqc", f"COPY event ({columns}) TO STDOUT (FORMAT binary)", self._publisher.conninfo(self._source)],
            stdout=subprocess.PIPE,
            env=clean_environment(),
        ) as sender:
            subprocess.run(
                [
                    psql, "-Xq1", "-v", "ON_ERROR_STOP=1", "-c", f"COPY event ({columns}) FROM STDIN (FORMAT binary)",
                    "-c", PROJECT_ONCE, self._subscriber.conninfo(target),
                ],
                stdin=sender.stdout,
                env=clean_environment(),
                check=True,
            )  # fmt: skip
        elapsed = time.perf_counter() - begin
        with psycopg.connect(self._subscriber.conninfo(target), autocommit=True) as connection:
            self._check(connection)
        self._drop(target)
        return {"rate": self._events / elapsed}

    def _fill(self, *, slot: bool) -> str:
        """A publishing database with all rows, in transactions of TRANSACTION; its name, which is its slot's too."""
        name = self._bench.database(self._publisher, "source")
        with psycopg.connect(self._publisher.conninfo(name), autocommit=True) as connection:
            for statement in schema():
                connection.execute(statement.encode())
            if slot:
                connection.execute("CREATE PUBLICATION log FOR TABLE event WITH (publish = 'insert')")
                connection.execute("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", [name])
            rows = ((*lean_row(each.event, each.hash), each.line) for each in sealed_log(self._events))
            copy = sql.SQL("COPY event ({}) FROM STDIN (FORMAT binary)").format(
                sql.SQL(", ").join(map(sql.Identifier, COLUMNS))
            )
            for _ in range(0, self._events, TRANSACTION):
                with connection.cursor() as cursor, cursor.copy(copy) as writer:
                    writer.set_types(_TYPES)
                    for _, row in zip(range(TRANSACTION), rows, strict=False):
                        writer.write_row(row)
            connection.execute("CHECKPOINT")
        return name

    def _target(self, further: str) -> str:
        name = self._bench.database(self._subscriber, "target")
        with psycopg.connect(self._subscriber.conninfo(name), autocommit=True) as connection:
            for statement in schema():
                connection.execute(statement.encode())
            if further:
                connection.execute(further.encode())
        return name

    @staticmethod
    def _last(connection: psycopg.Connection) -> int:
        row = connection.execute("SELECT max(sequence) FROM event WHERE location_id = 'BEY-01'").fetchone()
        assert row is not None
        return row[0] or 0

    def _check(self, connection: psycopg.Connection) -> None:
        """Every row is there, and in the projection."""
        row = connection.execute(
            "SELECT (SELECT count(*) FROM event), (SELECT sum(on_hand_change) FROM event), sum(on_hand) FROM stock"
        ).fetchone()
        assert row is not None
        if row[0] != self._events or row[1] != row[2]:
            raise RuntimeError(f"the copy is not whole: {row}")

    def _drop(self, name: str) -> None:
        with psycopg.connect(self._subscriber.conninfo(), autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def _publisher_drop(self, name: str) -> None:
        with psycopg.connect(self._publisher.conninfo(), autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


_TYPES = [
    "text", "int8", "bytea", "text", "text", "int8", "int8", "int8", "int8", "text", "int8", "text", "int8", "int8",
    "bytea", "bytea",
]  # fmt: skip
