"""Processes on a computer whose clock is wrong."""

from __future__ import annotations

from pathlib import Path

from tests.support.forked import command_line, start_program
from tests.support.processes import RunningProcess


def larder_ahead(micros: int, *arguments: str | Path, output: Path) -> RunningProcess:
    """`larder …` as a process of its own, running on, by a clock that is so many microseconds ahead."""
    return start_program(_with_moved_clock, micros, *(str(argument) for argument in arguments), output=output)


def _with_moved_clock(micros: int, *arguments: str) -> None:
    from shared.runtime.clock import SystemClock

    read = SystemClock.now

    def moved(clock: SystemClock) -> int:
        return read(clock) + micros

    setattr(SystemClock, "now", moved)  # noqa: B010
    command_line(*arguments)
