"""The sync agent of a running node: one thread that ships, one that pulls, each a short loop round `step`."""

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
    """A thread that steps, waits as long as the step said, and is woken sooner by what concerns it."""

    def __init__(self, name: str, step: Callable[[], StepResult]) -> None:
        self._name = name
        self._step = step
        self._condition = threading.Condition()
        self._commits = 0
        self._nudges = 0
        self._stopping = False
        self._failure: str | None = None
        self._thread = threading.Thread(target=self._run, name=f"larder-{name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def committed(self) -> None:
        """Something was committed: step, if the last step said that this is a reason. Called by the writer."""
        with self._condition:
            self._commits += 1
            self._condition.notify()

    def nudge(self) -> None:
        """Step now, whatever the last step said."""
        with self._condition:
            self._nudges += 1
            self._condition.notify()

    def stop(self, timeout: float) -> None:
        """End after the step under way, waiting for it at most `timeout` seconds."""
        with self._condition:
            self._stopping = True
            self._condition.notify()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def problem(self) -> str | None:
        """Why the thread no longer runs though nobody stopped it, or None."""
        if self._stopping or self._thread.ident is None or self._thread.is_alive():
            return None
        return f"the {self._name} thread ended: {self._failure or 'for no known reason'}"

    def _run(self) -> None:
        try:
            while not self._stopping:
                commits, nudges = self._commits, self._nudges
                result = self._guarded()
                if result.wait > 0:
                    self._wait(result, commits, nudges)
        except BaseException as error:
            if self._stopping:
                return  # its client or its database was closed under it, which is how a long poll ends
            self._failure = f"{type(error).__name__}: {error}"
            log.exception("a thread of the agent ends", thread=self._name)
            raise

    def _guarded(self) -> StepResult:
        try:
            return self._step()
        except Problem as problem:
            if problem.status < SERVER_FAULT:
                raise
            # The database is busy, away or full: its own matter, and it passes.
            log.warning("the agent waits for the database", thread=self._name, why=str(problem))
            return StepResult(StepOutcome.FAILED, DATABASE_TROUBLE_WAIT)

    def _wait(self, result: StepResult, commits: int, nudges: int) -> None:
        def due() -> bool:
            return self._stopping or self._nudges != nudges or (result.wakes and self._commits != commits)

        with self._condition:
            self._condition.wait_for(due, result.wait)


class SyncAgent:
    """Both loops. Without a head office there is nothing to run, and none is made."""

    def __init__(self, shipper: Shipper, puller: Puller) -> None:
        self.shipper = StepLoop("shipper", shipper.step)
        self.puller = StepLoop("puller", puller.step)

    def start(self) -> None:
        self.shipper.start()
        self.puller.start()

    def committed(self) -> None:
        """For the writer's listeners."""
        self.shipper.committed()

    def stop(self, timeout: float = 5.0) -> None:
        # The puller is not waited for long: its poll may hang at head office, and it holds nothing that could be lost.
        self.puller.stop(0.2)
        self.shipper.stop(timeout)

    def problem(self) -> str | None:
        return self.shipper.problem() or self.puller.problem()
