"""How many transfers move at once just now: for so many it pays to wait a moment before a round.

Every round, and what it sets going at head office and at the branches, costs much the same for one transfer as for
twenty. So transfers that are under way together are kept together; one that is alone never waits, and those that stand
still, because a branch is away, are waited for by nobody.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Final

WINDOW: Final = 0.3
"""For how many seconds a transfer counts as moving after its last change, and the most that moved at once is expected
to come again: callers that were answered ask for the next."""


class Tempo:
    """Told of every round what it changed; moments are monotonic seconds. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._moved: dict[str, float] = {}  # in order of the moments
        self._most = 0
        self._most_at = float("-inf")

    def note(self, changed: Mapping[str, object | None], moment: float) -> None:
        """Transfers that changed at a moment; None for one that ended."""
        with self._lock:
            for name, still_open in changed.items():
                self._moved.pop(name, None)
                if still_open is not None:
                    self._moved[name] = moment

    def expected(self, moment: float) -> int:
        """How many transfers may be expected to move next, at one time."""
        with self._lock:
            while self._moved and (oldest := next(iter(self._moved.items())))[1] < moment - WINDOW:
                del self._moved[oldest[0]]
            if len(self._moved) >= self._most or moment - self._most_at > WINDOW:
                self._most, self._most_at = len(self._moved), moment
            return self._most
