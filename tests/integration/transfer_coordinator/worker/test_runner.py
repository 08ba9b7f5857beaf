"""The threads: a dead one ends the process, a database that is away does not."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from shared.runtime.problems import DATABASE_BUSY
from shared.runtime.telemetry import Telemetry
from shared.runtime.timers import Timers
from tests.integration.transfer_coordinator.conftest import Bench, create
from tests.support.waiting import wait_until
from transfer_coordinator.office.group_catalogue import Catalogue
from transfer_coordinator.worker.runner import Runner
from transfer_coordinator.worker.worker import CoordinatorWorker


class NoCatalogue(Catalogue):
    """Nothing to pull."""

    def __init__(self) -> None:
        self.pulled = 0

    def refresh(self, since: float | None = None) -> bool:
        self.pulled += 1
        return True


@pytest.fixture
def runner(bench: Bench) -> Iterator[tuple[CoordinatorWorker, Runner]]:
    worker = bench.worker()
    made = Runner(worker, NoCatalogue(), Timers(Telemetry("test")))
    yield worker, made
    made.stop()


def test_what_is_due_is_looked_at_though_nothing_happens(
    bench: Bench, runner: tuple[CoordinatorWorker, Runner]
) -> None:
    worker, threads = runner
    bench.office.sites["A"].away = True
    threads.start()
    assert threads.running
    create(worker)
    wait_until(lambda: len(bench.office.asked) == 1, what="the first instruction")
    bench.clock.turn(6)
    wait_until(lambda: len(bench.office.asked) == 2, what="the second instruction")
    bench.office.sites["A"].away = False
    bench.office.work()
    wait_until(lambda: bench.state() == "IN_PENDING", what="the facts to be heard")
    threads.stop()
    assert threads.problem() is None
    # stopped in order, it has given its leases back: the next one need not wait
    other = bench.worker("two")
    bench.office.work()
    other.step()
    other.step()
    assert bench.state() == "COMPLETED"


def test_a_dead_thread_is_told(bench: Bench, runner: tuple[CoordinatorWorker, Runner]) -> None:
    worker, threads = runner

    def fail(*, sweep: bool) -> int:
        raise RuntimeError("a mistake of ours")

    worker.round = fail  # type: ignore[method-assign]
    logging.disable()
    try:
        threads.start()
        wait_until(threads.problem, what="the thread's death to be told")
    finally:
        logging.disable(logging.NOTSET)
    assert threads.problem() == "the decide thread ended: RuntimeError: a mistake of ours"
    assert not threads.running


def test_a_database_that_is_away_is_waited_for(bench: Bench, runner: tuple[CoordinatorWorker, Runner]) -> None:
    worker, threads = runner
    real = worker.round
    failures = iter([True, True])

    def fail_twice(*, sweep: bool) -> int:
        if next(failures, False):
            raise DATABASE_BUSY("not now")
        return real(sweep=sweep)

    worker.round = fail_twice  # type: ignore[method-assign]
    threads.start()
    create(worker)
    wait_until(lambda: len(bench.office.asked) == 1, what="the instruction")
    assert threads.problem() is None
