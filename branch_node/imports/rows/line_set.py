"""The lines of a file that a person names: `4,7-9`, or all."""

from __future__ import annotations

import re
from typing import Final

import msgspec

_RANGE: Final = re.compile(r"([0-9]{1,12})(?:-([0-9]{1,12}))?")
MOST_RANGES: Final = 10_000


class LineSet(msgspec.Struct, frozen=True):
    """Ranges of line numbers, first and last; None: every line."""

    ranges: tuple[tuple[int, int], ...] | None

    @classmethod
    def none(cls) -> LineSet:
        return cls(())

    @classmethod
    def parse(cls, text: str) -> LineSet:
        """`all`, or lines and ranges such as `4,7-9`. Raises ValueError."""
        if text.strip() == "all":
            return cls(None)
        ranges = []
        for part in text.split(","):
            match = _RANGE.fullmatch(part.strip())
            if match is None:
                raise ValueError(f"{part.strip()!r} is no line and no range of lines: give lines such as 4,7-9, or all")
            first, last = int(match[1]), int(match[2] or match[1])
            if not 1 <= first <= last:
                raise ValueError(f"{part.strip()!r} is no range of lines, which begin at 1")
            ranges.append((first, last))
        if len(ranges) > MOST_RANGES:
            raise ValueError(f"{len(ranges)} ranges are too many, at most {MOST_RANGES} are read")
        return cls(tuple(ranges))

    def __bool__(self) -> bool:
        return self.ranges is None or bool(self.ranges)

    def __contains__(self, line: int) -> bool:
        return self.ranges is None or any(first <= line <= last for first, last in self.ranges)
