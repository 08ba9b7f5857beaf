"""The threads of a deliverer: one that steps it, and workers, a bounded number of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import Final

from shared.runtime.problems import Problem
from shared.runtime.telemetry import get_logger
from shared.subscriptions.deliverer import TROUBLE_SECONDS, Deliverer

log = get_logger("larder.deliverer")

LINGER_SECONDS: Final = 0.01
"""How long commits are waited for that follow one: a step costs a few queries."""
STOP_SECONDS: Final = 5.0


class DeliveryThreads:
    """Runs a deliverer from `start` to `stop`. Make it first: the deliverer submits its jobs to `submit`.

    `interrupt` ends the attempts that are being made.
    """

    def __init__(self, threads: int, interrupt: Callable[[], None]) -> None:
        self._interrupt = interrupt
        self.deliverer: Deliverer | None = None
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._condition = threading.Condition()
        self._woken = False
        self._committed = False
        self._stopping = False
        self._failure: str | None = None
        self._threads = [threading.Thread(target=self._run, args=(self._loop,), name="larder-deliverer", daemon=True)]
        self._threads += [
            threading.Thread(target=self._run, args=(self._serve,), name=f"larder-delivery-{number}", daemon=True)
            for number in range(threads)
        ]

    def submit(self, job: Callable[[], None]) -> None:
        """Run a job on a worker; the deliverer submits no more than there are workers."""
        self._jobs.put(job)

    def start(self) -> None:
        for each in self._threads:
            each.start()

    def stop(self) -> None:
        """End the threads; what is on its way at that moment is not noted, and sent again. Idempotent."""
        if self.deliverer is not None:
            self.deliverer.stopping = True
        with self._condition:
            self._stopping = True
            self._condition.notify()
        for _ in self._threads[1:]:
            self._jobs.put(None)
        self._interrupt()
        until = time.monotonic() + STOP_SECONDS
        for each in self._threads:
            if each.is_alive():
                each.join(max(0.0, until - time.monotonic()))

    def committed(self) -> None:
        """The log has new events. Called after each commit, by a writer whom waking a thread costs more than this."""
        # A thread that was woken has not looked yet; what is subscribed to later begins with `wake`.
        if self._committed or (self.deliverer is not None and not self.deliverer.follows):
            return
        with self._condition:
            self._committed = True
            self._condition.notify()

    def wake(self) -> None:
        """Subscriptions were changed, or a worker is free."""
        if self.deliverer is not None:
            self.deliverer.changed()
        with self._condition:
            self._woken = True
            self._condition.notify()

    def problem(self) -> str | None:
        """Why a thread ended without `stop`, or None."""
        return None if self._stopping else self._failure

    def _run(self, target: Callable[[], None]) -> None:
        try:
            target()
        except BaseException as error:
            self._failure = f"a thread of the deliverer ended: {type(error).__name__}: {error}"
            log.exception("a thread of the deliverer ends")
            raise

    def _loop(self) -> None:
        while not self._stopping:
            with self._condition:
                self._woken = self._committed = False
            wait = self._step()
            with self._condition:
                self._condition.wait_for(lambda: self._woken or self._committed or self._stopping, wait)
                if self._committed and not self._woken:
                    self._condition.wait_for(lambda: self._woken or self._stopping, LINGER_SECONDS)

    def _step(self) -> float:
        assert self.deliverer is not None
        try:
            return self.deliverer.step()
        except Problem as problem:
            log.warning("the deliverer waits for the database", why=str(problem))
            return TROUBLE_SECONDS

    def _serve(self) -> None:
        while (job := self._jobs.get()) is not None:
            if self._stopping:
                return
            job()
            self.wake()
