"""Rotation of keys: which earlier texts of a key are good, and until when. Pure.

They are stored and published as one line, `DIGEST:MICROSECONDS DIGEST:MICROSECONDS`, the newest first; empty: none.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

_PART: Final = re.compile(r"([0-9a-f]{64}):([0-9]{1,18})", re.ASCII)
OVERLAP_SECONDS: Final = 86_400
MOST_OVERLAP_SECONDS: Final = 31 * OVERLAP_SECONDS
"""How long the text of a key stays good after a rotation where nothing else is asked for, and at most."""
MOST_EARLIER: Final = 4
"""How many earlier texts of a key are good at a time; one more rotation ends the oldest."""


class EarlierText(NamedTuple):
    """The digest of a text of a key before a rotation, which is good until a moment (microseconds UTC)."""

    digest: str
    good_until: int


def read_earlier(line: str) -> tuple[EarlierText, ...]:
    """The earlier texts of a line. A part of another form, of a newer service, opens nothing."""
    found = map(_PART.fullmatch, line.split(" "))
    return tuple(EarlierText(each[1], int(each[2])) for each in found if each is not None)


def earlier_line(line: str, digest: str, now: int, overlap_seconds: int) -> str:
    """The line after a rotation at `now` (microseconds UTC), which replaces the text of `digest`.

    That stays good for the overlap, and those before for the rest of theirs, as their rotation may not have come to its
    end, or its answer was lost. Without an overlap all of them end.
    """
    if not overlap_seconds:
        return ""
    kept = [each for each in read_earlier(line) if each.good_until > now]
    now_earlier = [EarlierText(digest, now + overlap_seconds * 1_000_000), *kept][:MOST_EARLIER]
    return " ".join(f"{each.digest}:{each.good_until}" for each in now_earlier)


def last_good(line: str) -> int | None:
    """Until when an earlier text is good, the longest of them (microseconds UTC); None: there is none."""
    return max((each.good_until for each in read_earlier(line)), default=None)
