"""The cyclic garbage collector of a process that makes and drops very many objects, hardly any of them in cycles."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_YOUNG: Final = 50_000
"""Objects made before the youngest are looked through; Python's own figure is 700."""


@contextmanager
def infrequent_collections() -> Iterator[None]:
    """Collect seldom meanwhile: otherwise each batch of objects is traversed again and again, for nothing."""
    before = gc.get_threshold()
    gc.set_threshold(_YOUNG, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
