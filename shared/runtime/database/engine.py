"""Engines for SQLite and PostgreSQL, and the translation of their errors into problems.

SQLite: one writing process with one writing connection, the only one that checkpoints (SQLite before 3.51.3 can
corrupt a WAL database when two connections do); any number of read-only ones. The sqlite3 module's own transactions
are off and BEGIN is sent by an event, the way SQLAlchemy documents for every Python version (the ``autocommit``
attribute exists from 3.12 only), so that a SELECT is inside the transaction and a writer takes its lock at the start.
"""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import psycopg_pool
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_random, wait_random_exponential

from shared.runtime.database_url import database_url
from shared.runtime.problems import DATABASE_BUSY, DATABASE_UNAVAILABLE, DISK_FULL, OVERLOADED, Problem

BUSY_TIMEOUT_MS = 5_000
# A server that vanished without a word is given up after about a minute: probes after 30 s of silence, three of them
# ten seconds apart; data that is not acknowledged, after 30 s (milliseconds).
CONNECT_ARGS: Mapping[str, Any] = {
    "connect_timeout": 5,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
READERS = 8


def sqlite_engine(path: Path, *, read_only: bool = False, busy_timeout_ms: int = BUSY_TIMEOUT_MS) -> sa.Engine:
    """An engine on a SQLite file. The writer has one connection, makes the file, and begins IMMEDIATE.

    A read-only engine needs the file to exist; its connections cannot write, nor checkpoint.
    """
    mode = "ro" if read_only else "rwc"
    # URL.create, as a URL given as text is unquoted once more and loses a '?' or '#' in the path.
    url = sa.URL.create("sqlite", database=f"file:{quote(str(path.absolute()))}", query={"mode": mode, "uri": "true"})
    engine = sa.create_engine(
        url,
        pool_size=READERS if read_only else 1,
        max_overflow=0,
        pool_timeout=busy_timeout_ms / 1_000,
        connect_args={"timeout": busy_timeout_ms / 1_000, "cached_statements": 256},
    )

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA foreign_keys=ON")
        if read_only:
            connection.execute("PRAGMA query_only=ON")
        else:
            # Switching a new file to WAL fails at once, without the busy timeout, while another process does the same.
            for attempt in _retrying_while_busy(busy_timeout_ms):
                with attempt:
                    connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            # Without it, INSERT OR REPLACE would bypass the triggers that forbid deletes.
            connection.execute("PRAGMA recursive_triggers=ON")

    begin = "BEGIN" if read_only else "BEGIN IMMEDIATE"

    @event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _retrying_while_busy(milliseconds: int) -> Retrying:
    return Retrying(
        retry=retry_if_exception(lambda error: getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY),
        wait=wait_random(0.002, 0.02),
        stop=stop_after_delay(milliseconds / 1_000),
        reraise=True,
    )


def postgres_engine(
    url: str,
    *,
    pool_size: int = 8,
    application_name: str = "larder",
    pool_timeout: float = 10.0,
    prepared_statements: bool = True,
) -> sa.Engine:
    """An engine on PostgreSQL through psycopg 3, at READ COMMITTED. No query depends on a session's time zone.

    ``url`` is ``postgresql://...`` (any psycopg form, several hosts included). Without ``prepared_statements`` none is
    kept at the server, for poolers that give a connection to one transaction at a time. Raises ValueError for the URL
    of another database.
    """
    parsed = database_url(url)
    if parsed.get_backend_name() not in {"postgresql", "postgres"}:
        raise ValueError(f"{parsed.render_as_string()} is not the URL of a PostgreSQL database")
    # No `options`: PgBouncer, as it is installed, refuses a connection that asks for any.
    arguments: dict[str, Any] = {**_timeouts(parsed), "application_name": application_name}
    if not prepared_statements:
        arguments["prepare_threshold"] = None
    return sa.create_engine(
        parsed.set(drivername="postgresql+psycopg"),
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=pool_timeout,
        pool_pre_ping=True,
        connect_args=arguments,
    )


def _timeouts(url: sa.URL) -> dict[str, Any]:
    """Those of CONNECT_ARGS that the address does not give itself."""
    return {name: value for name, value in CONNECT_ARGS.items() if name not in url.query}


def listening_connection(url: str, application_name: str) -> psycopg.Connection[tuple[object, ...]]:
    """A connection in autocommit mode outside any pool, with the time-outs of the engine's own.

    Raises psycopg.OperationalError, and ValueError for the URL of another database.
    """
    parsed = database_url(url).set(drivername="postgresql+psycopg")
    _, arguments = parsed.get_dialect()().create_connect_args(parsed)
    given: dict[str, Any] = {**arguments, **_timeouts(parsed), "application_name": application_name}
    return psycopg.connect(autocommit=True, **given)


def database_engine(
    url: str, *, read_only: bool = False, pool_size: int = 8, application_name: str = "larder"
) -> sa.Engine:
    """The engine of ``sqlite:///path`` or ``postgresql://...``. Raises ValueError for any other database."""
    parsed = database_url(url)
    if parsed.get_backend_name() == "sqlite":
        if not parsed.database or parsed.database == ":memory:":
            raise ValueError("a SQLite database of Larder is a file: sqlite:///path")
        return sqlite_engine(Path(parsed.database), read_only=read_only)
    return postgres_engine(url, pool_size=pool_size, application_name=application_name)


@contextmanager
def snapshot(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A read-only transaction in which every query sees one snapshot, that of the first query.

    SQLite gives that to each transaction of a read-only engine; PostgreSQL needs REPEATABLE READ, as at READ COMMITTED
    every statement sees what was committed just before it.
    """
    with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        yield connection


def wait_for_database(engine: sa.Engine, *, seconds: float = 30.0) -> None:
    """Wait until the database answers; it may still be starting. Raises Problem after ``seconds``."""
    retrying = Retrying(
        retry=retry_if_exception(_is_temporary),
        wait=wait_random_exponential(multiplier=0.1, max=2.0),
        stop=stop_after_delay(seconds),
        reraise=True,
    )
    for attempt in retrying:
        with attempt, translate_driver_errors(), engine.connect() as connection:
            connection.execute(sa.text("SELECT 1"))


def _is_temporary(error: BaseException) -> bool:
    return isinstance(error, Problem) and error.status == 503


@contextmanager
def translate_driver_errors() -> Iterator[None]:
    """Translate errors of a driver, the pool or the disk into a Problem; other errors pass through.

    507 ``disk-full``; 503 ``database-busy`` (locked, deadlock, statement or lock timeout), ``overloaded`` (no
    connection free) and ``database-unavailable``. Defects, such as a violated constraint or the trigger that keeps
    the log immutable, pass through and end as ``internal-error``: no client can do anything about them.
    """
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error, psycopg.Error, psycopg_pool.PoolTimeout, OSError) as error:
        problem = problem_of(error)
        if problem is None:
            raise
        raise problem from error


def problem_of(error: BaseException) -> Problem | None:
    """The problem of a driver's error, or None where the error is a defect."""
    if isinstance(error, PoolTimeoutError | psycopg_pool.PoolTimeout):
        return OVERLOADED("no database connection came free in time")
    if isinstance(error, DBAPIError):
        if isinstance(error.orig, psycopg.Error) and error.connection_invalidated:
            return _of_postgres(error.orig) or DATABASE_UNAVAILABLE("the connection was lost")
        return problem_of(error.orig) if error.orig is not None else None
    if isinstance(error, sqlite3.Error):
        return _of_sqlite(error)
    if isinstance(error, psycopg.Error):
        return _of_postgres(error)
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return DISK_FULL("no space is left on the device")
    return None


_SQLITE_PRIMARY = 0xFF


def _of_sqlite(error: sqlite3.Error) -> Problem | None:
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return None
    primary = code & _SQLITE_PRIMARY
    # A WAL index that cannot grow means a full disk as well.
    if primary == sqlite3.SQLITE_FULL or code == sqlite3.SQLITE_IOERR_SHMSIZE:
        return DISK_FULL("SQLite could not write: " + str(error))
    if primary in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return DATABASE_BUSY("another connection holds the database")
    if primary in {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR}:
        return DATABASE_UNAVAILABLE("the database file cannot be used: " + str(error))
    return None


_BUSY_STATES = frozenset({"40001", "40P01", "55P03", "57014"})
_UNAVAILABLE_STATES = frozenset({"57P01", "57P02", "57P03", "25006"})


def _of_postgres(error: psycopg.Error) -> Problem | None:
    state = error.sqlstate
    if state is None:
        # No answer from the server: the connection failed or was lost.
        return DATABASE_UNAVAILABLE("the connection failed") if isinstance(error, psycopg.OperationalError) else None
    if state == "53100":
        return DISK_FULL("the disk of the database is full")
    if state == "53300":
        return OVERLOADED("the database takes no more connections")
    if state in _BUSY_STATES:
        return DATABASE_BUSY("the database did not get to it in time")
    if state in _UNAVAILABLE_STATES or state.startswith("08"):
        return DATABASE_UNAVAILABLE("the database is stopping, starting or read-only")
    if state == "58030" or (state == "XX000" and "failure on connection" in str(error)):
        # An I/O error of the server, and what a distributed database says of a node it lost.
        return DATABASE_UNAVAILABLE("the database cannot reach its files or another of its machines")
    return None
