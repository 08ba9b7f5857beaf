"""A branch's node in the simulation: the real writer, shipper and puller, stepped, crashed and started again."""

from __future__ import annotations

import sqlite3
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, cast

from branch_node.database.store import Store, last_moment
from branch_node.model import Command, Location
from branch_node.sync.log_reader import LogReader
from branch_node.sync.puller import Puller
from branch_node.sync.shipper import Shipper
from branch_node.sync.shipping_status import ShippingState, ShippingStatus, StatusBoard
from branch_node.sync.step_result import StepResult
from branch_node.writer.writer import Writer
from shared.reservations import Reservation
from shared.runtime.client import ServiceClient
from shared.runtime.clock import IdFactory, NodeClock
from shared.runtime.retry import Backoff
from tests.simulation.clock import ComputerClock, VirtualClock
from tests.simulation.network import Network
from tests.support.command_recorder import LocalCommandRecorder

OFFICE = "http://head-office"


@cache
def empty_log(location_id: str) -> bytes:
    """The file of a location's database in which nothing is recorded yet."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "branch.db"
        store = Store(f"sqlite:///{path}", Path(folder))
        store.set_up(Location(location_id=location_id, name=location_id, timezone="UTC"))
        store.close()
        return path.read_bytes()


class Crashed(BaseException):
    """The process is gone, here and now. Not an Exception: nothing of the product may catch it."""


class SimulatedBranch:
    """One location's node on SQLite. `crash_at` makes the next commit end the process before or after it happened.

    `crash_after` counts the commits before one that does.
    """

    def __init__(
        self, location_id: str, folder: Path, key: str, clock: VirtualClock, network: Network, random: Random
    ) -> None:
        self.location_id = location_id
        self.key = key
        self.up = False
        self.starts = 0
        """How many processes there have been."""
        self.crash_at: str | None = None
        self.crash_after: int | None = None
        self.injected: Counter[str] = network.injected
        self.computer = ComputerClock(clock)
        self._network = network
        self._random = random
        self._folder = folder
        self.store = Store(f"sqlite:///{folder / 'branch.db'}", folder)
        self.database: sqlite3.Connection
        self._version = 0
        self.node_clock: NodeClock
        self.writer: Writer
        self.shipper: Shipper
        self.puller: Puller

    def set_up(self) -> None:
        """Begin an empty log."""
        (self._folder / "branch.db").write_bytes(empty_log(self.location_id))
        self.database = sqlite3.connect(self._folder / "branch.db")

    def start(self) -> None:
        """Start the process on what its database holds."""
        self.starts += 1
        with self.store.reading() as connection:
            last_now, unsettled = last_moment(connection)
        node_clock = self.node_clock = NodeClock(self.computer, last_now, unsettled=unsettled)
        self.writer = Writer(self.store, node_clock, IdFactory(self._random.getrandbits))
        self.writer.open()
        self._watch_commits()
        reader = LogReader(self.store, self.location_id)
        recorder = LocalCommandRecorder(self.writer)
        kept = reader.sync_state()
        board = StatusBoard(ShippingStatus(state=ShippingState.CONNECTING, acknowledged=kept.acknowledged))
        client = ServiceClient(
            OFFICE, key=self.key, transport=self._network.transport(self.location_id), sleep=lambda _seconds: None
        )
        self.shipper = Shipper(
            location_id=self.location_id,
            log_reader=reader,
            client=client,
            clock=node_clock,
            recorder=recorder,
            board=board,
            backoff=Backoff(self._random),
            software="simulation",
            on_hello=lambda _answer, _verdict: self.puller.restart(),
        )
        self.puller = Puller(
            location_id=self.location_id,
            log_reader=reader,
            client=client,
            clock=node_clock,
            recorder=recorder,
            board=board,
            backoff=Backoff(self._random),
            long_poll=0.0,
            on_failure=self.shipper.request_hello,
        )
        self.board = board
        self.up = True

    def _watch_commits(self) -> None:
        """Put a tripwire round the writer's own commit."""
        writing = cast(Any, self.writer)._writing
        commit = writing.commit

        def guarded() -> None:
            if self.crash_after is not None:
                self.crash_after -= 1
                if self.crash_after < 0:
                    self.crash_at, self.crash_after = (
                        self._random.choice(["before the commit", "after the commit"]),
                        None,
                    )
            crash, self.crash_at = self.crash_at, None
            if crash == "before the commit":
                raise Crashed
            commit()
            if crash == "after the commit":
                raise Crashed

        writing.commit = guarded

    def commit(self, commands: Sequence[Command]) -> list[object]:
        """Have commands recorded, as the API would. Raises Crashed."""
        return list(self.writer.commit(commands))

    def anything_committed(self) -> bool:
        """Whether anything was committed to the database since the last call."""
        before = self._version
        (self._version,) = self.database.execute("PRAGMA data_version").fetchone()
        return self._version != before

    def step(self, what: str) -> StepResult:
        """One step of the shipper or the puller. Raises Crashed."""
        return self.shipper.step() if what == "ship" else self.puller.step()

    def pass_time(self) -> None:
        """Let the writer do what it does when nobody wants anything. Raises Crashed."""
        self.writer.step(0)

    @property
    def remembered(self) -> tuple[list[Reservation], dict[str, int]]:
        """The active reservations that the writer holds in memory, and what it has as reserved, by item."""
        committed = cast(Any, self.writer)._committed
        return committed.reservations.all(), {item: each.reserved for item, each in committed.standings.items()}

    @property
    def verified(self) -> int:
        """The last event whose time head office has verified, 0 for none."""
        return int(self.database.execute("SELECT max(verified_sequence) FROM clock_settlement").fetchone()[0] or 0)

    def close(self) -> None:
        if self.up:
            self.crash()
        self.database.close()
        self.store.close()

    def attempt(self, act: Callable[[], Any]) -> Any:
        """Do something in the process; None where it died of it, as `crash_at` says."""
        try:
            return act()
        except Crashed:
            self.injected["branch crashed in a commit"] += 1
            self.crash()
            return None
        finally:
            self.crash_at = None

    def crash(self) -> None:
        """Kill the process: what it held in memory is gone, what it had not committed never was."""
        self.up = False
        self.injected["branch crashed"] += 1
        cast(Any, self.writer)._disconnect()
        cast(Any, self.writer)._lock.release()
