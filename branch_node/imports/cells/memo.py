"""A bounded cache of a function's results."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Generic, TypeVar

_TEXTS: Final = 8_192


K = TypeVar("K")


V = TypeVar("V")


class Memo(dict[K, V], Generic[K, V]):
    """`memo[key]` is `compute(key)`, cached for at most `limit` keys; exceptions are not cached."""

    def __init__(self, compute: Callable[[K], V], limit: int = _TEXTS) -> None:
        super().__init__()
        self._compute = compute
        self._limit = limit

    def __missing__(self, key: K) -> V:
        value = self._compute(key)
        if len(self) >= self._limit:
            self.clear()
        self[key] = value
        return value
