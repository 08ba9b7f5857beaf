"""Yardstick: plain sqlite3 with the branch's columns, indexes and projection, and no hash. Runs in a child process."""

from __future__ import annotations

import gc
import sqlite3
import time
from collections import defaultdict
from pathlib import Path

from sqlalchemy import MetaData, create_engine

from shared.event_log import BRANCH_COLUMNS, lean_row, log_tables
from shared.projection import stock_table
from tests.benchmarks.sample import sealed_log

INSERT = f"INSERT INTO event ({', '.join(BRANCH_COLUMNS)}) VALUES ({', '.join('?' * len(BRANCH_COLUMNS))})"
PROJECT = (
    "INSERT INTO stock (location_id, item_id, on_hand, reserved, latest_at, latest_sequence, recount)"
    " VALUES (?, ?, ?, 0, ?, ?, 0) ON CONFLICT (location_id, item_id) DO UPDATE SET"
    " on_hand = on_hand + excluded.on_hand, latest_at = excluded.latest_at, latest_sequence = excluded.latest_sequence"
)


def create(path: Path) -> sqlite3.Connection:
    """A database with the branch's `event` and `stock`, in the branch's mode."""
    metadata = MetaData()
    tables, stock = log_tables(metadata, consolidated=False), stock_table(metadata)
    engine = create_engine(f"sqlite:///{path}")
    metadata.create_all(engine, tables=[tables.event, stock])
    engine.dispose()
    return connect(path)


def connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, cached_statements=256)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    return connection


def rows_of_log(count: int) -> list[tuple[object, ...]]:
    """The rows that our branch would insert for the sample log."""
    return [(*lean_row(each.event, each.hash), each.event.command_key, each.line) for each in sealed_log(count)]


def append(path: str, events: int, group: int) -> dict[str, float]:
    """Insert ready-made rows, `group` a transaction, the projection once an item and transaction. Events a second."""
    rows = rows_of_log(events)
    connection = create(Path(path))
    gc.collect()
    gc.freeze()
    begin, cpu = time.perf_counter(), time.process_time()
    for start in range(0, events, group):
        transaction(connection, rows[start : start + group])
    elapsed, cpu = time.perf_counter() - begin, time.process_time() - cpu
    connection.close()
    return {"rate": events / elapsed, "a_cpu_second": events / cpu}


def transaction(connection: sqlite3.Connection, rows: list[tuple[object, ...]]) -> None:
    """One transaction: the rows, and what they change in the projection."""
    connection.execute("BEGIN IMMEDIATE")
    if len(rows) == 1:
        connection.execute(INSERT, rows[0])
    else:
        connection.executemany(INSERT, rows)
    change: defaultdict[object, int] = defaultdict(int)
    for row in rows:
        change[row[4]] += row[5]  # type: ignore[operator]
    last = rows[-1]
    connection.executemany(PROJECT, [(last[0], item, by, last[13], last[1]) for item, by in change.items()])
    connection.execute("COMMIT")
