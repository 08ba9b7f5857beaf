"""How shipper and puller record commands: the interface, and the one over the writer's queue."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from typing import Final, Protocol

from branch_node.model import Command
from branch_node.writer.writer import Writer
from shared.runtime.problems import DATABASE_BUSY, Problem
from shared.runtime.telemetry import get_logger

log = get_logger("larder.agent")


class CommandRecorder(Protocol):
    """Submits the agent's commands to the writer."""

    def record(self, commands: Sequence[Command]) -> list[object]:
        """Record commands in one transaction and wait: the answer of each, or the exception that refused it.

        Raises Problem where it is unknown whether any was recorded.
        """

    def record_later(self, command: Command) -> None:
        """Record a command without waiting; it may be lost in a crash."""


class QueuedRecorder:
    """A CommandRecorder over the queue of a running writer."""

    LONGEST_WAIT: Final = 60.0

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    def record(self, commands: Sequence[Command]) -> list[object]:
        future = self._writer.submit_all(commands)
        try:
            return list(future.result(self.LONGEST_WAIT))
        except TimeoutError as error:
            raise DATABASE_BUSY("the writer did not get to it in time") from error

    def record_later(self, command: Command) -> None:
        try:
            self._writer.submit(command).add_done_callback(_log_failure)
        except Problem as problem:
            log.warning("a command of the agent was not queued", why=str(problem))


def _log_failure(done: Future[object]) -> None:
    error = done.exception()
    if error is not None:
        log.warning("a command of the agent failed", why=repr(error))
