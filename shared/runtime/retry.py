"""How long to wait after failed calls, and how often to try one again: tenacity's waits, in one place.

`retrying` sleeps and tries again itself. The steps of a loop never sleep (the simulation turns their clock): they
count failures with `Backoff`, which only returns how long to wait, or with `RetryTimer`, which keeps until when.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential, wait_random_exponential

FIRST_WAIT: Final = 0.25
LONGEST_WAIT: Final = 30.0
FIRST_BOUND: Final = 0.2
LONGEST_BOUND: Final = 5.0


class _Failed(Exception):
    """Stands for any failure while the waits are computed."""


def exponential_waits(first: float, longest: float) -> tuple[float, ...]:
    """Seconds to wait after the first, second, … failure in a row; the last one, `longest`, holds from then on."""
    waits: list[float] = []
    for attempt in Retrying(wait=wait_exponential(multiplier=first, max=longest), sleep=waits.append):
        if waits and waits[-1] >= longest:
            break
        with attempt:
            raise _Failed
    return tuple(waits)


class Backoff:
    """Counts failures in a row; the wait after each doubles from `first` to `longest` seconds.

    With a random generator a wait is between half and all of that, so that callers that lost the same server do not
    all come back at once.
    """

    def __init__(
        self, rng: random.Random | None = None, *, first: float = FIRST_WAIT, longest: float = LONGEST_WAIT
    ) -> None:
        self._rng = rng
        self._waits = exponential_waits(first, longest)
        self._failures = 0

    @property
    def failing(self) -> bool:
        """Whether the last call failed."""
        return self._failures > 0

    def failed(self) -> float:
        """Count one more failure; seconds to wait after it."""
        wait = self._waits[min(self._failures, len(self._waits) - 1)]
        self._failures += 1
        return wait if self._rng is None else wait / 2 + self._rng.random() * wait / 2

    def succeeded(self) -> None:
        self._failures = 0


class RetryTimer:
    """A Backoff that keeps until when to wait. `monotonic` is a clock of seconds."""

    def __init__(self, backoff: Backoff, monotonic: Callable[[], float]) -> None:
        self._backoff = backoff
        self._monotonic = monotonic
        self._until = 0.0

    @property
    def failing(self) -> bool:
        """Whether the last call failed."""
        return self._backoff.failing

    def remaining(self) -> float:
        """Seconds until the next call should be made; 0 for at once."""
        return max(0.0, self._until - self._monotonic()) if self.failing else 0.0

    def failed(self) -> None:
        self._until = self._monotonic() + self._backoff.failed()

    def succeeded(self) -> None:
        self._backoff.succeeded()


def retrying(
    worth_retrying: Callable[[BaseException], bool], *, tries: int, sleep: Callable[[float], None]
) -> Retrying:
    """Up to `tries` attempts while the error is worth it, with random waits that widen; the last error is raised."""
    return Retrying(
        retry=retry_if_exception(worth_retrying),
        wait=wait_random_exponential(multiplier=FIRST_BOUND, max=LONGEST_BOUND),
        stop=stop_after_attempt(tries),
        reraise=True,
        sleep=sleep,
    )
