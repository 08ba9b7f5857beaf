"""The threads of a running node's sync agent: one ships, one pulls, each a loop that calls `step`."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from branch_node.sync.puller import Puller
from branch_node.sync.shipper import Shipper
from branch_node.sync.step_result import StepOutcome, StepResult
from shared.runtime.problems import Problem
from shared.runtime.telemetry import get_logger

log = get_logger("larder.agent")

DATABASE_TROUBLE_WAIT: Final = 1.0
SERVER_FAULT: Final = 500


class StepLoop:
    """A thread that calls `step`, then waits as long as its result says or until it is woken."""

    def __init__(self, name: str, step: Callable[[], StepResult]) -> None:
        self._name = name
        self._step = step
        self._condition = threading.Condition()
        self._commits = 0
        self._wakes = 0
        self._stopping = False
        self._failure: str | None = None
        self._thread = threading.Thread(target=self._run, name=f"larder-{name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def committed(self) -> None:
        """Step now if the last result has `wakes`. Called by the writer after each commit."""
        with self._condition:
            self._commits += 1
            self._condition.notify()

    def wake(self) -> None:
        """Step now, whatever the last result says."""
        with self._condition:
            self._wakes += 1
            self._condition.notify()

    def stop(self, timeout: float) -> None:
        """Stop after the step in progress; wait for it at most `timeout` seconds."""
        with self._condition:
            self._stopping = True
            self._condition.notify()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def problem(self) -> str | None:
        """Why the thread ended without `stop`, or None."""
        if self._stopping or self._thread.ident is None or self._thread.is_alive():
            return None
        return f"the {self._name} thread ended: {self._failure or 'for no known reason'}"

    def _run(self) -> None:
        try:
            while not self._stopping:
                commits, wakes = self._commits, self._wakes
                result = self._step_once()
                if result.wait > 0:
                    self._wait(result, commits, wakes)
        except BaseException as error:
            if self._stopping:
                return  # its client or its database was closed, which is how a long poll ends
            self._failure = f"{type(error).__name__}: {error}"
            log.exception("a thread of the agent ends", thread=self._name)
            raise

    def _step_once(self) -> StepResult:
        try:
            return self._step()
        except Problem as problem:
            if problem.status < SERVER_FAULT:
                raise
            # The database is busy, unavailable or full: try again later.
            log.warning("the agent waits for the database", thread=self._name, why=str(problem))
            return StepResult(StepOutcome.FAILED, DATABASE_TROUBLE_WAIT)

    def _wait(self, result: StepResult, commits: int, wakes: int) -> None:
        def due() -> bool:
            return self._stopping or self._wakes != wakes or (result.wakes and self._commits != commits)

        with self._condition:
            self._condition.wait_for(due, result.wait)


class SyncAgent:
    """The two loops. Not created where no head office is set."""

    def __init__(self, shipper: Shipper, puller: Puller) -> None:
        self.shipper = StepLoop("shipper", shipper.step)
        self.puller = StepLoop("puller", puller.step)

    def start(self) -> None:
        self.shipper.start()
        self.puller.start()

    def committed(self) -> None:
        """Wake the shipper after a commit; a listener of the writer."""
        self.shipper.committed()

    def stop(self, timeout: float = 5.0) -> None:
        # A short wait for the puller: its long poll may be open, and it has no state that could be lost.
        self.puller.stop(0.2)
        self.shipper.stop(timeout)

    def problem(self) -> str | None:
        return self.shipper.problem() or self.puller.problem()
