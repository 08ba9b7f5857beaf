"""The one clock of a simulated history; only the history moves it."""

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
