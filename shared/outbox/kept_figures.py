"""Figures kept between the pages of those who follow a log, so that its items are not folded anew for every page.

They are kept by the place in the log and by its hash there: equal hashes prove equal logs, so that what was kept of a
log that has been restored since is never used.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from threading import Lock
from typing import Final, NamedTuple

from shared.stock import Standing

MOST_STANDINGS: Final = 50_000
MOST_PLACES: Final = 64


class LogPlace(NamedTuple):
    """After the event `sequence` of a location's log, whose hash (32 bytes) it is."""

    location_id: str
    sequence: int
    hash: bytes


class KeptFigures:
    """The standings at the places where pages ended lately: a bounded number of places, and of standings in them.

    Used by several threads; what is kept is never changed in place.
    """

    def __init__(self, *, most_standings: int = MOST_STANDINGS, most_places: int = MOST_PLACES) -> None:
        self._most_standings = most_standings
        self._most_places = most_places
        self._kept: OrderedDict[LogPlace, Mapping[str, Standing]] = OrderedDict()
        self._size = 0
        self._lock = Lock()

    def at(self, place: LogPlace) -> Mapping[str, Standing]:
        """The standings kept at a place: of some items, or of none."""
        with self._lock:
            found = self._kept.get(place)
            if found is None:
                return {}
            self._kept.move_to_end(place)
            return found

    def keep(self, place: LogPlace, standings: Mapping[str, Standing]) -> None:
        """Keep the standings at a place, with those of other items that are kept there already."""
        with self._lock:
            kept = {**self._kept.get(place, {}), **standings}
            self._drop(place)
            if len(kept) > self._most_standings:
                return
            self._kept[place] = kept
            self._size += len(kept)
            while self._size > self._most_standings or len(self._kept) > self._most_places:
                self._drop(next(iter(self._kept)))

    def _drop(self, place: LogPlace) -> None:
        self._size -= len(self._kept.pop(place, {}))
