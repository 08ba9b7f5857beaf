"""The number of transfers that change at one time, which decides how long a round waits for its batch to fill.

A round, with the work that it causes at head office and at the branches, costs much the same for one transfer as for
twenty. So transfers that are active together are batched; a single one never waits, and transfers that do not change,
because a branch is away, do not count.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Final

WINDOW: Final = 0.3
"""Seconds for which a transfer counts as active after its last change, and for which the largest number seen is still
expected: callers that got an answer send their next request."""


class ActiveTransfers:
    """Counts the transfers that recent rounds changed; moments are monotonic seconds. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._moved: dict[str, float] = {}  # in order of the moments
        self._most = 0
        self._most_at = float("-inf")

    def note(self, changed: Mapping[str, object | None], moment: float) -> None:
        """Record the transfers that changed at a moment; None for one that ended."""
        with self._lock:
            for name, still_open in changed.items():
                self._moved.pop(name, None)
                if still_open is not None:
                    self._moved[name] = moment

    def expected(self, moment: float) -> int:
        """How many transfers are expected to change next, at one time."""
        with self._lock:
            while self._moved and (oldest := next(iter(self._moved.items())))[1] < moment - WINDOW:
                del self._moved[oldest[0]]
            if len(self._moved) >= self._most or moment - self._most_at > WINDOW:
                self._most, self._most_at = len(self._moved), moment
            return self._most
