"""The coordinator's threads, each a short loop round one step of the worker. A dead one ends the process.

*decide* has the rounds and alone touches the sagas; *listen* hangs at head office until facts change; *ask* sends what
the rounds want asked. A scheduler only wakes the deciding thread, for deadlines, leases and instructions that nobody
answers, and has the catalogue pulled.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

from apscheduler.schedulers.background import BackgroundScheduler

from shared.runtime.problems import Problem
from shared.runtime.telemetry import get_logger
from transfer_coordinator.office.group_catalogue import Catalogue
from transfer_coordinator.worker.worker import CoordinatorWorker

log = get_logger("larder.runner")

LONG_POLL: Final = 20.0
SWEEP_SECONDS: Final = 0.5
"""How often to look for what is due by the clock."""
CATALOGUE_SECONDS: Final = 10.0
LINGER: Final = 0.002
LONGEST_LINGER: Final = 0.03
"""How long at most to let work gather before a round, for each transfer that moves and for all: see `tempo`."""
ENOUGH: Final = 0.9
"""The share of the expected transfers for which nobody lingers any longer."""
BETWEEN_POLLS: Final = 0.006
"""How long to leave head office alone between two polls, while more than one transfer moves."""
DATABASE_TROUBLE_WAIT: Final = 1.0
IDLE: Final = 1.0
QUICK: Final = 0.05
SERVER_FAULT: Final = 500
STOP_SECONDS: Final = 10.0


class Runner:
    """The threads of one worker."""

    def __init__(self, worker: CoordinatorWorker, catalogue: Catalogue) -> None:
        self._worker = worker
        self._catalogue = catalogue
        self._stopping = threading.Event()
        self._failure: str | None = None
        self._scheduler: BackgroundScheduler | None = None
        self._swept_at = float("-inf")
        self._threads: dict[str, threading.Thread] = {}

    @property
    def running(self) -> bool:
        """Whether the deciding thread lives and takes commands."""
        thread = self._threads.get("decide")
        return thread is not None and thread.is_alive()

    def problem(self) -> str | None:
        """Why the service cannot go on, or None: all threads live, or none was started."""
        return self._failure

    def start(self) -> None:
        steps = {"decide": self._decide, "listen": self._listen, "ask": self._ask}
        for name, step in steps.items():
            thread = threading.Thread(target=self._run, args=(name, step), name=f"larder-{name}", daemon=True)
            self._threads[name] = thread
            thread.start()
        scheduler = BackgroundScheduler(daemon=True, timezone="UTC")
        scheduler.add_job(self._worker.inbox.wake, "interval", seconds=SWEEP_SECONDS, coalesce=True)
        scheduler.add_job(
            self._pull, "interval", seconds=CATALOGUE_SECONDS, coalesce=True, max_instances=1, misfire_grace_time=None
        )
        scheduler.start()
        self._scheduler = scheduler

    def stop(self) -> None:
        """End the threads after what they are at, and give the leases back."""
        self._stopping.set()
        scheduler, self._scheduler = self._scheduler, None
        if scheduler is not None:
            scheduler.shutdown(wait=False)
        self._worker.inbox.close()
        self._worker.outbox.close()
        for name in ("decide", "ask"):
            if name in self._threads:
                self._threads[name].join(STOP_SECONDS)
        if "listen" in self._threads:
            # Its poll may hang at head office; it holds nothing that could be lost.
            self._threads["listen"].join(0.2)
        if self._threads and not self._threads["decide"].is_alive():
            self._worker.give_up_leases()

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
            # Told by `problem`, which ends the process.
            log.exception("a thread of the coordinator ends", thread=name)
            self._failure = f"the {name} thread ended: {type(error).__name__}: {error}"

    def _decide(self) -> None:
        inbox = self._worker.inbox
        inbox.wait(IDLE)
        expected = self._worker.expected()
        if expected > 1:
            inbox.gather(ENOUGH * expected, min(LINGER * expected, LONGEST_LINGER))
        moment = time.monotonic()
        sweep = moment - self._swept_at >= SWEEP_SECONDS
        if sweep:
            self._swept_at = moment
        self._worker.round(sweep=sweep)

    def _listen(self) -> None:
        worker = self._worker
        pause = worker.hearing.remaining()
        if pause > 0:
            self._stopping.wait(min(pause, IDLE))
            return
        began = time.monotonic()
        if worker.poll(LONG_POLL) == 0 and time.monotonic() - began < QUICK:
            self._stopping.wait(QUICK)  # a head office that answers "nothing" without waiting
        elif worker.expected() > 1:
            time.sleep(BETWEEN_POLLS)

    def _ask(self) -> None:
        worker = self._worker
        pause = worker.sending.remaining()
        if pause > 0:
            self._stopping.wait(min(pause, IDLE))
            return
        worker.outbox.wait(IDLE)
        worker.send()

    def _pull(self) -> None:
        try:
            self._catalogue.refresh()
        except Problem as problem:
            log.warning("the catalogue cannot be kept now", why=str(problem))
