"""Sums by key of more keys than memory should hold: sorted runs go into an unnamed file and are merged when read."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from heapq import merge
from itertools import chain
from types import TracebackType
from typing import Final, NamedTuple

import msgspec

MOST_IN_MEMORY: Final = 50_000
"""Keys held in memory at most."""
BLOCK: Final = 64 * 1024
"""Bytes that are read of a run at a time."""

SumKey = tuple[str, ...]


class SummedRow(NamedTuple):
    """A key, its sums, and the earliest of its moments."""

    key: SumKey
    sums: list[int]
    first_at: int


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(SummedRow).decode


class SpilledSums:
    """Adds up `width` integers for each key. The file is gone when the context ends, or the process.

    Memory: `most` keys (None: MOST_IN_MEMORY), and a block of each run, of which there is one for every `most` keys.
    """

    def __init__(self, width: int, most: int | None = None) -> None:
        self._width = width
        self._most = MOST_IN_MEMORY if most is None else most
        self._held: dict[SumKey, list[int]] = {}  # the sums, then the earliest moment
        self._file = tempfile.TemporaryFile(prefix="larder-sums-")  # noqa: SIM115 - closed by the context
        self._runs: list[tuple[int, int]] = []

    def __enter__(self) -> SpilledSums:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def add(self, key: SumKey, place: int, quantity: int, at: int) -> None:
        """Add to the sum at a place of the key's sums; it happened at a moment."""
        sums = self._held.get(key)
        if sums is None:
            if len(self._held) >= self._most:
                self._spill()
            sums = self._held[key] = [*([0] * self._width), at]
        sums[place] += quantity
        sums[-1] = min(sums[-1], at)

    def rows(self) -> Iterator[SummedRow]:
        """Every key once, in order. Nothing may be added any more."""
        runs = [self._run(*each) for each in self._runs]
        last: SummedRow | None = None
        for row in merge(*runs, self._sorted(), key=lambda each: each.key):
            if last is not None and last.key == row.key:
                sums = [one + other for one, other in zip(last.sums, row.sums, strict=True)]
                last = SummedRow(row.key, sums, min(last.first_at, row.first_at))
                continue
            if last is not None:
                yield last
            last = row
        if last is not None:
            yield last

    def _sorted(self) -> Iterator[SummedRow]:
        for key in sorted(self._held):
            *sums, first_at = self._held[key]
            yield SummedRow(key, sums, first_at)

    def _spill(self) -> None:
        begin = self._file.tell()
        # JSON has no raw line feed, so that a row is a line.
        self._file.writelines(chain.from_iterable((_encode(row), b"\n") for row in self._sorted()))
        self._file.flush()
        self._runs.append((begin, self._file.tell()))
        self._held.clear()

    def _run(self, begin: int, end: int) -> Iterator[SummedRow]:
        rest = b""
        while begin < end:
            block = os.pread(self._file.fileno(), min(BLOCK, end - begin), begin)
            if not block:
                raise OSError("the file of the sums was cut short")
            begin += len(block)
            *lines, rest = (rest + block).split(b"\n")
            yield from map(_decode, lines)
