"""kill -9 at every point where it could matter: before and after every commit, before and after every request.

Each history is run once to count the points, then once for each of them; what is left in the database and at head
office is taken up by a coordinator started anew, and the caller sends its request again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.integration.transfer_coordinator.conftest import Bench, a_transfer, cancel, create
from transfer_coordinator.worker.worker import CoordinatorWorker


class Killed(BaseException):
    """The process is gone. Not an Exception: nothing of the product may catch it."""


class Tripwire:
    """Counts the points a process passes, and kills it at one of them."""

    def __init__(self, bench: Bench) -> None:
        self.passed = 0
        self.kill_at: int | None = None
        self._bench = bench
        dialect: Any = bench.engine.dialect
        self._commit = dialect.do_commit
        dialect.do_commit = self._guarded_commit
        bench.office.before = bench.office.after = lambda _path: self.point()

    def point(self) -> None:
        self.passed += 1
        if self.passed == self.kill_at:
            raise Killed

    def _guarded_commit(self, connection: object) -> None:
        self.point()
        self._commit(connection)
        self.point()

    def off(self) -> None:
        self.kill_at = None


def straight(bench: Bench, worker: CoordinatorWorker) -> None:
    create(worker, a_transfer(items=("milk", "rice")))
    bench.settle(worker)


def reversed_(bench: Bench, worker: CoordinatorWorker) -> None:
    bench.office.sites["B"].unknown_items.add("milk")
    create(worker)
    bench.settle(worker)


def refused(bench: Bench, worker: CoordinatorWorker) -> None:
    create(worker, a_transfer(quantity=200_000))
    bench.settle(worker)


def cancelled(bench: Bench, worker: CoordinatorWorker) -> None:
    bench.office.sites["B"].away = True
    create(worker)
    bench.settle(worker)
    cancel(worker)
    bench.settle(worker)
    bench.office.sites["B"].away = False
    bench.settle(worker)


ENDS = {
    straight: ("COMPLETED", ["OUT", "OUT"], ["IN", "IN"]),
    reversed_: ("REVERSED", ["OUT", "REVERSED"], ["REFUSED"]),
    refused: ("REJECTED", ["REFUSED"], []),
    cancelled: ("REVERSED", ["OUT", "REVERSED"], ["REFUSED"]),
}


def play(bench: Bench, history: Callable[[Bench, CoordinatorWorker], None], wire: Tripwire) -> int:
    """The history until the process is killed, and then again by a new one, whose caller repeats the whole of it."""
    lives = 0
    while True:
        lives += 1
        worker = bench.worker(f"life {lives}")
        try:
            history(bench, worker)
            return lives
        except Killed:
            wire.off()
            bench.engine.dispose()
            bench.clock.turn(11)


@pytest.mark.parametrize("history", ENDS, ids=lambda history: history.__name__)
def test_killed_anywhere(bench: Bench, history: Callable[[Bench, CoordinatorWorker], None]) -> None:
    end, at_source, at_destination = ENDS[history]  # type: ignore[index]
    wire = Tripwire(bench)
    assert play(bench, history, wire) == 1
    points = wire.passed
    assert points > 10
    assert bench.state() == end
    for point in range(1, points + 1):
        fresh(bench)
        wire = Tripwire(bench)
        wire.kill_at = point
        assert play(bench, history, wire) == 2, point
        assert bench.state() == end, point
        assert (bench.office.log("A"), bench.office.log("B")) == (at_source, at_destination), point
        assert (bench.office.stock("milk"), bench.office.in_transit("milk")) == (100_000, 0), point
        tokens = [token for token, _, _ in bench.journal()]
        assert tokens == sorted(tokens), point
    print(points, "points")


def fresh(bench: Bench) -> None:
    """Empty databases and shelves as at the beginning. The triggers of the product are put aside for it."""
    dialect: Any = bench.engine.dialect
    dialect.__dict__.pop("do_commit", None)
    with bench.engine.begin() as connection:
        connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
        connection.exec_driver_sql("DELETE FROM journal; DELETE FROM transfer_line; DELETE FROM fact; DELETE FROM feed")
        connection.exec_driver_sql("DELETE FROM transfer")
    bench.office.__init__(A={"milk": 100_000, "rice": 50_000}, B={}, C={})  # type: ignore[misc]
