"""How many requests a second each key may make: a token bucket for each."""

from __future__ import annotations

from collections.abc import Collection
from threading import Lock
from typing import Final

MOST_BUCKETS: Final = 10_000


class RateLimiter:
    """A bucket of `burst` tokens for each key, refilled with `rate` tokens a second; a request takes one.

    A bucket is kept as the moment at which it is full again, and not at all once it is: so few are kept, at most
    MOST_BUCKETS, the longest unused of which goes. Keys in `exempt` are not limited. Thread-safe.
    """

    def __init__(self, rate: float, burst: int, *, exempt: Collection[str] = ()) -> None:
        self._interval = 1.0 / rate
        self._depth = burst / rate
        self._exempt = frozenset(exempt)
        self._full_at: dict[str, float] = {}
        self._lock = Lock()

    def wait(self, key_id: str, now: float) -> float:
        """Take a token, at `now` seconds of a monotonic clock: 0, or in how many seconds there is one."""
        if key_id in self._exempt:
            return 0.0
        with self._lock:
            full_at = max(self._full_at.pop(key_id, 0.0), now) + self._interval
            wait = full_at - now - self._depth
            if wait > 1e-9:
                self._full_at[key_id] = full_at - self._interval
                return wait
            self._full_at[key_id] = full_at
            if len(self._full_at) > MOST_BUCKETS:
                self._forget(now)
            return 0.0

    def _forget(self, now: float) -> None:
        self._full_at = {key_id: full_at for key_id, full_at in self._full_at.items() if full_at > now}
        while len(self._full_at) > MOST_BUCKETS:
            del self._full_at[next(iter(self._full_at))]
