"""What shipper and puller share: the result of a step, how to record."""

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
