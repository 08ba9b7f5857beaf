"""A set of sequences of a log, of a bit each: a file may have a million rows."""

from __future__ import annotations

from typing import Final

_PAGE_BITS: Final = 16


class SequenceSet:
    """Sequences, in pages of bits; memory is an eighth of a byte for each sequence of the log that is near a member."""

    def __init__(self) -> None:
        self._pages: dict[int, bytearray] = {}

    def add(self, sequence: int) -> bool:
        """Add a sequence; whether it is new."""
        number, place = sequence >> _PAGE_BITS, sequence & ((1 << _PAGE_BITS) - 1)
        page = self._pages.get(number)
        if page is None:
            page = self._pages[number] = bytearray(1 << (_PAGE_BITS - 3))
        bit = 1 << (place & 7)
        if page[place >> 3] & bit:
            return False
        page[place >> 3] |= bit
        return True
