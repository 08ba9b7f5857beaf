"""Commands decided and committed on the caller's own thread, where no writer thread runs."""

from __future__ import annotations

from collections.abc import Sequence

from branch_node.model import Command
from branch_node.writer.writer import Writer
from shared.runtime.telemetry import get_logger

log = get_logger("larder.agent")


class LocalCommandRecorder:
    """A `CommandRecorder` over a writer whose thread was not started."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    def record(self, commands: Sequence[Command]) -> list[object]:
        return list(self._writer.commit(commands))

    def record_later(self, command: Command) -> None:
        (outcome,) = self._writer.commit([command])
        if isinstance(outcome, BaseException):
            log.warning("a command of the agent failed", why=repr(outcome))
