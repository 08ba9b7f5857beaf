"""A branch's database: setting it up, the one writing connection under a lock, and read-only connections.

SQLite or PostgreSQL, by URL. A second process that would write is refused at once: two writers would fork the log.
"""

from __future__ import annotations

import fcntl
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Final, cast

from sqlalchemy import Connection, Engine, insert, inspect, select, text

from branch_node.database.schema import CLOCK_SETTLEMENT, LOCATION, LOG, SYNC_STATE, VERSION_TABLE
from branch_node.model import Location
from shared.chain import understand
from shared.event_log import create_head
from shared.runtime.database.engine import database_engine, snapshot, translate_driver_errors
from shared.runtime.database.migrations import migrate
from shared.runtime.database_url import database_url

MIGRATIONS: Final = Path(__file__).parent / "migrations"
LOCK_FILE: Final = "writer.lock"
READERS: Final = 8
CHECKPOINT_PAGES: Final = 2_000
CACHE_KIB: Final = 16_000
_PIN: Final = select(LOCATION.c.location_id)
"""The first query of every snapshot: both databases take it then."""


class AlreadyWriting(Exception):
    """Another process is this log's writer. The text is one line for a person: which process, and what to do."""


class LocationDiffers(Exception):
    """The database holds another location's log. The text is one line for a person."""


class Store:
    """The database behind one branch node. `directory` is the service's --dir, which holds the lock file."""

    def __init__(self, url: str, directory: Path) -> None:
        self.url = url
        self.directory = directory
        self.on_sqlite = database_url(url).get_backend_name() == "sqlite"
        self._readers = database_engine(url, read_only=True, pool_size=READERS, application_name="larder branch reader")

    def set_up(self, location: Location) -> None:
        """Bring the schema up to date and, in an empty database, create the location's log.

        Raises LocationDiffers where it holds another location's log, AlreadyWriting where a node runs on it.
        """
        with DirectoryLock(self.directory):
            engine = self.writing_engine()
            try:
                migrate(engine, MIGRATIONS, VERSION_TABLE)
                with translate_driver_errors(), engine.begin() as connection:
                    stored = connection.execute(select(LOCATION.c.location_id)).scalar_one_or_none()
                    if stored is None:
                        _begin(connection, location)
                    elif stored != location.location_id:
                        raise LocationDiffers(f"this database is {stored}'s, not {location.location_id}'s")
            finally:
                engine.dispose()

    def upgrade(self) -> None:
        """Bring the schema of an existing database up to date; the caller holds the lock."""
        engine = self.writing_engine()
        try:
            migrate(engine, MIGRATIONS, VERSION_TABLE)
        finally:
            engine.dispose()

    def writing_engine(self) -> Engine:
        return database_engine(self.url, pool_size=1, application_name="larder branch writer")

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A read-only connection on which all queries see one snapshot. Raises Problem.

        The snapshot is taken before the block begins: everything in it was recorded before a clock read in the block.
        """
        with translate_driver_errors(), snapshot(self._readers) as connection:
            connection.execute(_PIN)
            yield connection

    def close(self) -> None:
        """Close the readers."""
        self._readers.dispose()


def _begin(connection: Connection, location: Location) -> None:
    connection.execute(
        insert(LOCATION).values(
            location_id=location.location_id,
            name=location.name,
            timezone=location.timezone,
            day_start=location.day_start,
            replaying=False,
        )
    )
    connection.execute(
        insert(SYNC_STATE).values(
            location_id=location.location_id, catalogue_version=0, catalogue_hash="0" * 64, instructions_after=0
        )
    )
    create_head(connection, LOG, location.location_id)


def load_location(connection: Connection) -> Location:
    """The location whose log this is."""
    # By name: the schema may be an older one.
    own = LOCATION.c
    row = connection.execute(select(own.location_id, own.name, own.timezone, own.day_start)).one()
    return Location(location_id=row.location_id, name=row.name, timezone=row.timezone, day_start=row.day_start)


def last_recorded_at(connection: Connection) -> int | None:
    """When the newest event was recorded (microseconds UTC), the start of the node's clock; None in an empty log.

    Where the clock was settled after that event, the settled time: the event may have been recorded by a wrong clock.
    """
    return last_moment(connection)[0]


def last_moment(connection: Connection) -> tuple[int | None, bool]:
    """`last_recorded_at`, and whether the clock was unconfirmed then: the next process confirms nothing by starting."""
    event = LOG.event
    newest = connection.execute(
        select(event.c.sequence, event.c.line).order_by(event.c.sequence.desc()).limit(1)
    ).one_or_none()
    # The schema may be an older one, which is upgraded only once this process is the writer.
    if inspect(connection).has_table(CLOCK_SETTLEMENT.name):
        settled = connection.execute(select(CLOCK_SETTLEMENT)).one_or_none()
        if settled is not None and (newest is None or newest.sequence <= settled.sequence):
            return int(settled.settled_at), False
    if newest is None:
        return None, False
    found = understand(bytes(newest.line))
    return found.recorded_at, bool(found.clock_unconfirmed)


class DirectoryLock:
    """An exclusive lock on a service's --dir, as a context manager or by `acquire` and `release`.

    The operating system releases it when the process ends. Raises AlreadyWriting at once, without waiting.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory / LOCK_FILE
        self._file: IO[str] | None = None

    def acquire(self) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = self._path.open("a+", encoding="ascii")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            holder = file.read(20).strip() or "unknown"
            file.close()
            raise AlreadyWriting(
                f"another process (id {holder}) already writes in {self._path.parent}: use it, or stop it first"
            ) from error
        self._file = file
        # The lock is the lock; who holds it is only told to people, which a full disk does not allow.
        with suppress(OSError):
            os.ftruncate(file.fileno(), 0)
            os.write(file.fileno(), f"{os.getpid()}\n".encode("ascii"))

    def release(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> DirectoryLock:
        self.acquire()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.release()


class WritingConnection:
    """The one writing connection, whose transactions begin and end on the driver's connection.

    For SQLAlchemy it stays inside one transaction, so Core statements run in the transaction that is open here. This
    saves the cost of SQLAlchemy's begin and commit per group (40 µs, a third of a small group).
    """

    def __init__(self, engine: Engine, location_id: str) -> None:
        self.connection = engine.connect()
        try:
            self._on_sqlite = engine.dialect.name == "sqlite"
            self._raw = cast("Any", self.connection.connection.driver_connection)
            self.connection.begin()
            self._raw.rollback()
            if self._on_sqlite:
                # Pages that many groups rewrite are copied back by occasional checkpoints, not after each group.
                self._raw.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
                self._raw.execute(f"PRAGMA cache_size=-{CACHE_KIB}")
            if not self._on_sqlite:
                self._lock(location_id)
        except BaseException:
            self.connection.invalidate()
            self.connection.close()
            raise

    def _lock(self, location_id: str) -> None:
        key = zlib.crc32(f"larder branch {location_id}".encode())
        taken = self.connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": key}).scalar_one()
        self._raw.commit()
        if not taken:
            raise AlreadyWriting(f"another process already writes {location_id}'s log in this database: stop it first")

    def begin(self) -> None:
        """Begin a write transaction. PostgreSQL begins it with the first statement."""
        if self._on_sqlite:
            self._raw.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        self._raw.commit()

    def rollback(self) -> None:
        self._raw.rollback()

    def close(self) -> None:
        """Close the connection; on PostgreSQL that releases the advisory lock."""
        self.connection.invalidate()
        self.connection.close()
