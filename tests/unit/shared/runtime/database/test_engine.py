"""Engines: durability settings, locks taken at the start, and driver errors as problems."""

import errno
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import psycopg_pool
import pytest
import sqlalchemy as sa

from shared.runtime.database.engine import (
    database_engine,
    postgres_engine,
    problem_of,
    sqlite_engine,
    translate_driver_errors,
    wait_for_database,
)
from shared.runtime.database.migrations import migrate, pending_upgrade
from shared.runtime.problems import Problem
from tests.unit.shared.runtime.database.test_migrations import ENV, add


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "odd ?name#100%.db"


@pytest.fixture
def writer(path: Path) -> Iterator[sa.Engine]:
    engine = sqlite_engine(path, busy_timeout_ms=50)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE t (number INTEGER PRIMARY KEY, text TEXT)")
    yield engine
    engine.dispose()


def problem_in(action) -> Problem:
    with pytest.raises(Problem) as caught, translate_driver_errors():
        action()
    return caught.value


def insert(engine: sa.Engine, text: str) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO t (text) VALUES (?)", (text,))


def count(engine: sa.Engine) -> int:
    with engine.connect() as connection:
        return connection.exec_driver_sql("SELECT count(*) FROM t").scalar_one()


def test_the_file_has_the_name_given_and_every_commit_is_synced(path: Path, writer: sa.Engine) -> None:
    assert path.exists()
    with writer.connect() as connection:
        wanted = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 50}
        assert {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in wanted} == wanted


def test_the_writer_takes_its_lock_at_the_start(path: Path, writer: sa.Engine) -> None:
    other = sqlite_engine(path, busy_timeout_ms=50)
    with writer.begin():
        problem = problem_in(lambda: other.connect().begin())
        assert (problem.status, problem.code) == (503, "database-busy")
        # Readers are not held up.
        assert count(sqlite_engine(path, read_only=True)) == 0


def test_a_reader_sees_one_moment_and_writes_nothing(path: Path, writer: sa.Engine) -> None:
    insert(writer, "one")
    reader = sqlite_engine(path, read_only=True)
    with reader.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM t").scalar() == 1
        insert(writer, "two")
        assert connection.exec_driver_sql("SELECT count(*) FROM t").scalar() == 1
    assert count(reader) == 2
    with pytest.raises(sa.exc.OperationalError, match="readonly"):
        insert(reader, "three")
    with pytest.raises(sa.exc.OperationalError), reader.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(PASSIVE)")


def test_ddl_is_rolled_back_too(writer: sa.Engine) -> None:
    with writer.connect() as connection:
        connection.exec_driver_sql("CREATE TABLE other (a INTEGER)")
        connection.rollback()
    assert sa.inspect(writer).get_table_names() == ["t"]


def test_a_read_only_engine_makes_no_file(tmp_path: Path) -> None:
    problem = problem_in(lambda: sqlite_engine(tmp_path / "none.db", read_only=True).connect())
    assert (problem.status, problem.code) == (503, "database-unavailable")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_507_and_recovers(writer: sa.Engine) -> None:
    with writer.connect() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count=4")
        connection.rollback()
    for _ in range(2):
        problem = problem_in(lambda: insert(writer, "x" * 50_000))
        assert (problem.status, problem.code) == (507, "disk-full")
    assert count(writer) == 0
    with writer.connect() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count=1000")
        connection.rollback()
    insert(writer, "x" * 50_000)
    assert count(writer) == 1


def test_our_own_mistakes_go_through_as_they_are(writer: sa.Engine) -> None:
    with writer.begin() as connection:
        connection.exec_driver_sql(
            "CREATE TRIGGER no_update BEFORE UPDATE ON t BEGIN SELECT RAISE(ABORT, 'the log is immutable'); END"
        )
    insert(writer, "x")
    with (
        pytest.raises(sa.exc.IntegrityError, match="immutable"),
        translate_driver_errors(),
        writer.begin() as connection,
    ):
        connection.exec_driver_sql("UPDATE t SET text = 'y'")
    with (
        pytest.raises(sa.exc.OperationalError, match="no such table"),
        translate_driver_errors(),
        writer.begin() as connection,
    ):
        connection.exec_driver_sql("SELECT * FROM nowhere")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (psycopg.errors.DiskFull(), "disk-full"),
        (psycopg.errors.TooManyConnections(), "overloaded"),
        (psycopg.errors.DeadlockDetected(), "database-busy"),
        (psycopg.errors.SerializationFailure(), "database-busy"),
        (psycopg.errors.LockNotAvailable(), "database-busy"),
        (psycopg.errors.QueryCanceled(), "database-busy"),
        (psycopg.errors.AdminShutdown(), "database-unavailable"),
        (psycopg.errors.CannotConnectNow(), "database-unavailable"),
        (psycopg.errors.ReadOnlySqlTransaction(), "database-unavailable"),
        (psycopg.errors.ConnectionFailure(), "database-unavailable"),
        (psycopg.errors.IoError(), "database-unavailable"),
        (psycopg.errors.InternalError_("failure on connection marked as essential: h2:5432"), "database-unavailable"),
        (psycopg.errors.InternalError_("a defect"), None),
        (psycopg.OperationalError("server closed the connection unexpectedly"), "database-unavailable"),
        (psycopg_pool.PoolTimeout(), "overloaded"),
        (sa.exc.TimeoutError(), "overloaded"),
        (OSError(errno.ENOSPC, "No space left on device"), "disk-full"),
        (OSError(errno.EDQUOT, "Quota exceeded"), "disk-full"),
        (psycopg.errors.UniqueViolation(), None),
        (psycopg.errors.RaiseException(), None),
        (psycopg.errors.UndefinedTable(), None),
        (psycopg.ProgrammingError("mine"), None),
        (sqlite3.ProgrammingError("mine"), None),
        (FileNotFoundError(errno.ENOENT, "no file"), None),
        (ValueError("mine"), None),
    ],
)
def test_what_drivers_say(error: Exception, code: str | None) -> None:
    found = problem_of(error)
    assert (found.code if found else None) == code


def test_urls(tmp_path: Path) -> None:
    assert database_engine(f"sqlite:///{tmp_path}/a.db").dialect.name == "sqlite"
    assert database_engine("postgresql://somebody:pw@127.0.0.1/x").dialect.driver == "psycopg"
    for url in ("sqlite://", "sqlite:///:memory:", "mysql://host/db"):
        with pytest.raises(ValueError, match="database"):
            database_engine(url)
    with pytest.raises(ValueError, match="PostgreSQL") as caught:
        postgres_engine("mysql://me:secret@host/db")
    assert "secret" not in str(caught.value)


def test_nobody_there_is_told_after_the_time_given() -> None:
    with pytest.raises(Problem) as caught:
        wait_for_database(postgres_engine("postgresql://127.0.0.1:1/x"), seconds=0.3)
    assert caught.value.code == "database-unavailable"


def test_postgres(pg_database: str) -> None:
    engine = postgres_engine(pg_database, pool_size=1, application_name="larder-test", pool_timeout=0.1)
    wait_for_database(engine)
    with engine.connect() as connection:
        info = connection.connection.driver_connection.info  # type: ignore[union-attr]
        assert "options" not in info.get_parameters(), "PgBouncer refuses a connection that asks for any"
        assert connection.execute(sa.text("SHOW application_name")).scalar() == "larder-test"
        assert problem_in(engine.connect).code == "overloaded"
        pid = connection.connection.driver_connection.info.backend_pid  # type: ignore[union-attr]
        with psycopg.connect(pg_database.replace("+psycopg", ""), autocommit=True) as other:
            other.execute("SELECT pg_terminate_backend(%s)", (pid,))
        assert problem_in(lambda: connection.execute(sa.text("SELECT 1"))).code == "database-unavailable"
    with engine.connect() as connection:
        assert connection.execute(sa.text("SELECT 1")).scalar() == 1
    engine.dispose()


def test_postgres_starters_do_not_race(pg_database: str, tmp_path: Path) -> None:
    folder = tmp_path / "migrations"
    (folder / "versions").mkdir(parents=True)
    (folder / "env.py").write_text(ENV)
    add(folder, "0001", None, "first")
    start = threading.Barrier(3)
    done: list[str] = []

    def starter() -> None:
        engine = postgres_engine(pg_database, pool_size=1)
        start.wait()
        done.append(migrate(engine, folder, "version_of_a"))
        engine.dispose()

    threads = [threading.Thread(target=starter) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert done == ["0001"] * 3
    engine = postgres_engine(pg_database)
    assert not pending_upgrade(engine, folder, "version_of_a")
    # Another service in the same database has a history of its own.
    assert pending_upgrade(engine, folder, "version_of_b")
    engine.dispose()
