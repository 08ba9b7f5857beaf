"""The one clock of a simulated history, which only the history moves, and the computers' clocks, which may be wrong."""

from __future__ import annotations

from shared.runtime.clock import SECOND
from tests.support.events import NOON


class VirtualClock:
    """Micros and monotonic seconds that stand still until `advance`."""

    def __init__(self, now: int = NOON) -> None:
        self._start = now
        self._now = now

    def now(self) -> int:
        return self._now

    def monotonic(self) -> float:
        return (self._now - self._start) / SECOND

    def advance(self, micros: int) -> None:
        self._now += micros


class ComputerClock:
    """The clock of one branch's computer: `ahead` micros of the true time. It jumps when that is set."""

    def __init__(self, true: VirtualClock) -> None:
        self._true = true
        self.ahead = 0

    def now(self) -> int:
        return self._true.now() + self.ahead

    def monotonic(self) -> float:
        return self._true.monotonic()
