"""How long to leave a head office alone that does not answer: tenacity's waits, without its sleeping.

The steps never sleep (the simulation turns their clock), so a failed call only says from when on to try again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tenacity import RetryCallState, Retrying, wait_exponential

FIRST: Final = 0.2
LONGEST: Final = 15.0


class Backoff:
    """Failures in a row, and until when to wait after the last one. `monotonic` is a clock of seconds."""

    def __init__(self, monotonic: Callable[[], float], *, longest: float = LONGEST) -> None:
        self._monotonic = monotonic
        self._wait = wait_exponential(multiplier=FIRST, min=FIRST, max=longest)
        self._state = RetryCallState(Retrying(), None, (), {})
        self._failures = 0
        self._until = 0.0

    @property
    def failing(self) -> bool:
        """Whether the last call failed."""
        return self._failures > 0

    def remaining(self) -> float:
        """Seconds until the next call should be made; 0 for at once."""
        return max(0.0, self._until - self._monotonic()) if self._failures else 0.0

    def failed(self) -> None:
        self._failures += 1
        self._state.attempt_number = min(self._failures, 30)
        self._until = self._monotonic() + self._wait(self._state)

    def succeeded(self) -> None:
        self._failures = 0
