"""What shipper and puller share: the result of a step, how long to wait after failures, how to record."""

from __future__ import annotations

import random
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Final, Protocol

from branch_node.model import Command
from branch_node.writer.writer import Writer
from shared.runtime.problems import DATABASE_BUSY, Problem
from shared.runtime.telemetry import get_logger

log = get_logger("larder.agent")

FIRST_WAIT: Final = 0.25
LONGEST_WAIT: Final = 30.0


class Backoff:
    """Waits after failures in a row: at random up to a bound that doubles ("full jitter"), so that branches which lost
    head office together do not come back together."""

    def __init__(self, rng: random.Random, *, first: float = FIRST_WAIT, longest: float = LONGEST_WAIT) -> None:
        self._rng = rng
        self._first = first
        self._longest = longest
        self._failures = 0

    def success(self) -> None:
        self._failures = 0

    def next(self) -> float:
        """Seconds to wait after one more failure: between half and all of first × 2ⁿ, at most `longest`."""
        bound: float = min(self._longest, self._first * 2 ** min(self._failures, 30))
        self._failures += 1
        return bound / 2 + self._rng.random() * bound / 2


class CommandRecorder(Protocol):
    """How the agent gets its commands through the writer."""

    def record(self, commands: Sequence[Command]) -> list[object]:
        """Have them decided together and wait: the answer of each, or the exception that refused it.

        Raises Problem where none of them is known to have been decided.
        """

    def note(self, command: Command) -> None:
        """Have one decided some time soon; bookkeeping that may be lost in a crash."""


class QueuedRecorder:
    """Through the writer's thread, as the running node does."""

    LONGEST_WAIT: Final = 60.0

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    def record(self, commands: Sequence[Command]) -> list[object]:
        future = self._writer.submit_all(commands)
        try:
            return list(future.result(self.LONGEST_WAIT))
        except TimeoutError as error:
            raise DATABASE_BUSY("the writer did not get to it in time") from error

    def note(self, command: Command) -> None:
        try:
            self._writer.submit(command).add_done_callback(_tell)
        except Problem as full:
            log.warning("a note of the agent was not taken", why=str(full))


def _tell(done: Future[object]) -> None:
    error = done.exception()
    if error is not None:
        log.warning("a note of the agent was not kept", why=repr(error))
