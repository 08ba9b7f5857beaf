"""Head office in the simulation: its real application on a real PostgreSQL whose clock the history moves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from pydantic import SecretStr
from sqlalchemy import Connection, Engine, create_engine, event, text

from head_office.catalogue import api_keys, items, locations
from head_office.catalogue.location_levels import LevelChange, put_levels
from head_office.database.log_segments import segments
from head_office.database.schema import MIGRATIONS, VERSION_TABLE
from head_office.main import build
from head_office.settings import HeadOfficeSettings
from shared.catalogue_messages import CatalogueItem, CatalogueLocation
from shared.levels.reorder_levels import ReorderLevel
from shared.runtime.database.migrations import migrate
from shared.runtime.http.scopes import Role
from tests.simulation.branch import Crashed
from tests.simulation.clock import VirtualClock
from tests.simulation.invariants import Copy
from tests.simulation.network import HostDied, Network
from tests.simulation.rule_broken import RuleBroken
from tests.support.events import NOON

OFFICE_HOST = "head-office"
LOCATIONS = ("A", "B", "C")
ITEMS = {"milk": "l", "flour": "kg", "eggs": "piece", "salt": "kg"}
LEVELS = {
    "milk": ReorderLevel(reorder_point=40_000, order_up_to=100_000),
    "eggs": ReorderLevel(reorder_point=25_000, order_quantity=12_000, pack_size=5_000),
}
"""The reorder levels of every location."""
KEYS: dict[str, str] = {}
"""Texts of the keys in the template, by location or role. Their secrets are random; nothing decides by them."""

VIRTUAL_NOW = """
CREATE SEQUENCE simulated_clock MINVALUE 0 START {now};
CREATE OR REPLACE FUNCTION larder_now() RETURNS bigint LANGUAGE sql VOLATILE
AS 'SELECT last_value FROM simulated_clock';
"""


def give_virtual_clock(engine: Engine) -> None:
    """Replace the one function that SQL takes its time from."""
    with engine.begin() as connection:
        connection.exec_driver_sql(VIRTUAL_NOW.format(now=NOON))


class Observer:
    """The history's own connection to one service's database: it sets the clock there, and reads what was written.

    It commits each statement by itself, and so sees what the service has committed by then.
    """

    def __init__(self, url: str, clock: VirtualClock) -> None:
        self._clock = clock
        self._clock_there: int | None = None
        self._engine = create_engine(url, isolation_level="AUTOCOMMIT", pool_size=1, max_overflow=0)
        self.connection = self._engine.connect()

    def set_clock(self) -> None:
        """Bring the database's clock up to the history's; to be called before the service does anything. A sequence's
        value is seen by every transaction at once, as time is."""
        now = self._clock.now()
        if now != self._clock_there:
            self.connection.exec_driver_sql("SELECT setval('simulated_clock', %s)", (now,))
            self._clock_there = now

    def close(self) -> None:
        self.connection.close()
        self._engine.dispose()


def prepare_office(url: str) -> None:
    """A template database: migrated, with locations, items and keys."""
    engine = create_engine(url)
    migrate(engine, MIGRATIONS, VERSION_TABLE)
    give_virtual_clock(engine)
    with engine.begin() as connection:
        for name in LOCATIONS:
            locations.add(
                connection, CatalogueLocation(location_id=name, name=f"Branch {name}", timezone="UTC", day_start=240)
            )
            KEYS[name] = api_keys.issue(connection, Role.BRANCH, name).text
        items.put(
            connection, [CatalogueItem(item_id=item, name=item.title(), unit=unit) for item, unit in ITEMS.items()]
        )
        put_levels(connection, [LevelChange(name, *level) for name in LOCATIONS for level in LEVELS.items()])
        KEYS["coordinator"] = api_keys.issue(connection, Role.COORDINATOR).text
        KEYS["admin"] = api_keys.issue(connection, Role.ADMIN).text
    engine.dispose()


def tripwire(engine: Engine, host: Any) -> None:
    """Let a commit on `engine` end the process when `host.crash_at` says so; each commit sets `host.committed`."""

    def wired(connection: Connection) -> None:
        host.committed = True
        crash, host.crash_at = host.crash_at, None
        if crash == "before the commit":
            raise Crashed
        if crash == "after the commit":
            connection.connection.commit()
            raise Crashed

    event.listen(engine, "commit", wired)


class SimulatedOffice:
    """Head office's process."""

    def __init__(self, url: str, folder: Path, clock: VirtualClock) -> None:
        self.url = url
        self._folder = folder
        self.crash_at: str | None = None
        self.committed = False
        self.clock = clock
        self.observer = Observer(url, clock)
        self.app: FastAPI | None = None
        self.engine: Engine | None = None

    def start(self) -> None:
        settings = HeadOfficeSettings(dir=self._folder, database_url=SecretStr(self.url), threads=3, ingests=1)
        built = build(settings, self.clock)
        tripwire(built.engine, self)
        self.engine, self.app = built.engine, built.app

    def stop(self) -> None:
        """The process is gone, in order or not: its connections are closed, what was not committed never was."""
        if self.engine is not None:
            self.engine.dispose()
        self.engine = self.app = None

    def appear(self, network: Network, died: Callable[[], None]) -> None:
        """Be reached by the network. Its death in a commit is told to `died`, and its caller is left waiting."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            running = self.app
            if running is None:
                raise HostDied("head office is down")
            self.observer.set_clock()
            try:
                await running(scope, receive, send)
            except Crashed:
                died()
                raise HostDied("head office died") from None

        network.hosts[OFFICE_HOST] = app

    def vanish(self, network: Network) -> None:
        """The process is gone, and nothing is reached there."""
        network.injected["head office crashed"] += 1
        self.stop()
        network.hosts[OFFICE_HOST] = None

    def close(self) -> None:
        self.stop()
        self.observer.close()


def heads(connection: Connection) -> dict[str, int]:
    """The head of every location, as head office has it."""
    return {row.location_id: row.sequence for row in connection.execute(text("SELECT location_id, sequence FROM head"))}


def follow_office(copy: Copy, connection: Connection, location: str, head: int) -> None:
    """Read what head office's copy of a location's log has gained, out of its frames, up to its head and no further."""
    given = {"l": location, "after": len(copy.lines)}
    rows = connection.execute(
        text("SELECT sequence, hash FROM event WHERE location_id = :l AND sequence > :after"), given
    )
    hashes = {row.sequence: bytes(row.hash) for row in rows}
    wanted = connection.execute(
        text("SELECT first_sequence FROM log_segment WHERE location_id = :l AND last_sequence > :after"), given
    ).scalars()
    for frame, lines in segments(connection, location, wanted):
        for sequence, line in enumerate(lines, start=frame.first_sequence):
            if sequence > given["after"]:  # type: ignore[operator]
                copy.add(sequence, line, hashes.pop(sequence, b""), f"{location} at head office")
    if head != len(copy.lines) or hashes:
        raise RuleBroken(4, f"{location} at head office: the head says {head}, the log ends at {len(copy.lines)}")
