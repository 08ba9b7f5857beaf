"""The coordinator's threads, each a short loop round one step of the worker. A dead one ends the process.

*decide* runs the rounds and alone changes sagas; *poll* waits at head office for changed facts; *send* sends the
instructions of the rounds. A scheduler only wakes the deciding thread, for deadlines, leases and unanswered
instructions, and has the catalogue pulled.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

from shared.runtime.problems import Problem
from shared.runtime.telemetry import get_logger
from shared.runtime.timers import Timers
from transfer_coordinator.office.group_catalogue import Catalogue
from transfer_coordinator.worker.worker import CoordinatorWorker

log = get_logger("larder.runner")

LONG_POLL: Final = 20.0
SWEEP_SECONDS: Final = 0.5
"""How often to process what is due by the clock."""
CATALOGUE_SECONDS: Final = 10.0
LINGER: Final = 0.002
LONGEST_LINGER: Final = 0.03
"""How long at most to wait for a batch before a round, for each active transfer and for all: see `batching`."""
BATCH_SHARE: Final = 0.9
"""The share of the expected transfers that is a full batch."""
BETWEEN_POLLS: Final = 0.006
"""The pause between two polls, while more than one transfer is active."""
DATABASE_TROUBLE_WAIT: Final = 1.0
IDLE_WAIT: Final = 1.0
EMPTY_POLL_WAIT: Final = 0.05
SERVER_FAULT: Final = 500
STOP_SECONDS: Final = 10.0


class Runner:
    """The threads of one worker."""

    def __init__(self, worker: CoordinatorWorker, catalogue: Catalogue, timers: Timers) -> None:
        self._worker = worker
        self._timers = timers
        self._stopping = threading.Event()
        self._failure: str | None = None
        self._swept_at = float("-inf")
        self._threads: dict[str, threading.Thread] = {}
        timers.every(SWEEP_SECONDS, "sweep", worker.round_queue.wake)
        timers.every(CATALOGUE_SECONDS, "catalogue", catalogue.refresh)

    @property
    def running(self) -> bool:
        """Whether the deciding thread runs and takes commands."""
        thread = self._threads.get("decide")
        return thread is not None and thread.is_alive()

    def problem(self) -> str | None:
        """Why the service cannot go on, or None: all threads run, or none was started."""
        return self._failure

    def start(self) -> None:
        steps = {"decide": self._decide, "poll": self._poll_facts, "send": self._send}
        for name, step in steps.items():
            thread = threading.Thread(target=self._run, args=(name, step), name=f"larder-{name}", daemon=True)
            self._threads[name] = thread
            thread.start()
        self._timers.start()

    def stop(self) -> None:
        """Stop the threads after their current step, and release the leases."""
        self._stopping.set()
        self._timers.stop()
        self._worker.round_queue.close()
        self._worker.send_queue.close()
        for name in ("decide", "send"):
            if name in self._threads:
                self._threads[name].join(STOP_SECONDS)
        if "poll" in self._threads:
            # Its poll may still wait at head office; nothing is lost with it.
            self._threads["poll"].join(0.2)
        if self._threads and not self._threads["decide"].is_alive():
            try:
                self._worker.give_up_leases()
            except Problem as problem:
                # They expire by themselves.
                log.warning("the leases cannot be released now", why=str(problem))

    def _run(self, name: str, step: Callable[[], None]) -> None:
        try:
            while not self._stopping.is_set():
                try:
                    step()
                except Problem as problem:
                    if problem.status < SERVER_FAULT:
                        raise
                    log.warning("the database cannot be used now", thread=name, why=str(problem))
                    self._stopping.wait(DATABASE_TROUBLE_WAIT)
        except BaseException as error:
            if self._stopping.is_set():
                return  # its client or its database was closed under it, which is how a long poll ends
            # Reported by `problem`, which ends the process.
            log.exception("a thread of the coordinator ends", thread=name)
            self._failure = f"the {name} thread ended: {type(error).__name__}: {error}"

    def _decide(self) -> None:
        round_queue = self._worker.round_queue
        round_queue.wait(IDLE_WAIT)
        expected = self._worker.expected()
        if expected > 1:
            round_queue.wait_for_batch(BATCH_SHARE * expected, min(LINGER * expected, LONGEST_LINGER))
        moment = time.monotonic()
        sweep = moment - self._swept_at >= SWEEP_SECONDS
        if sweep:
            self._swept_at = moment
        self._worker.round(sweep=sweep)

    def _poll_facts(self) -> None:
        worker = self._worker
        pause = worker.poll_retry.remaining()
        if pause > 0:
            self._stopping.wait(min(pause, IDLE_WAIT))
            return
        began = time.monotonic()
        if worker.poll(LONG_POLL) == 0 and time.monotonic() - began < EMPTY_POLL_WAIT:
            self._stopping.wait(EMPTY_POLL_WAIT)  # head office answered at once with nothing
        elif worker.expected() > 1:
            time.sleep(BETWEEN_POLLS)

    def _send(self) -> None:
        worker = self._worker
        pause = worker.send_retry.remaining()
        if pause > 0:
            self._stopping.wait(min(pause, IDLE_WAIT))
            return
        worker.send_queue.wait(IDLE_WAIT)
        worker.send()
