"""Pages that were read lately: several readers that follow one log get the same page, made once.

A page is kept by where it began and is used again only where the log still leads, by its hashes, to where it ended.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Final, NamedTuple

from shared.outbox.kept_figures import LogPlace
from shared.outbox.message_cursor import MessageCursor
from shared.outbox.message_source import MessagePage

MOST_PAGES: Final = 8
_LOCKS: Final = 16


class PageRequest(NamedTuple):
    """What is asked of a log: the parameters of `MessageReader.read`."""

    location_id: str
    after: MessageCursor
    types: frozenset[str] | None
    limit: int


class _RecentPage(NamedTuple):
    begin: LogPlace | None
    page: MessagePage
    end: LogPlace


class RecentPages:
    """A bounded number of pages. Used by several threads."""

    def __init__(self, most: int = MOST_PAGES) -> None:
        self._most = most
        self._pages: OrderedDict[PageRequest, _RecentPage] = OrderedDict()
        self._lock = Lock()
        self._reading = [Lock() for _ in range(_LOCKS)]

    @contextmanager
    def one_at_a_time(self, request: PageRequest) -> Iterator[None]:
        """Who asks the same at the same time waits, so that it finds the page that the other one has made."""
        with self._reading[hash(request) % _LOCKS]:
            yield

    def find(self, request: PageRequest, begin: LogPlace | None) -> tuple[MessagePage, LogPlace] | None:
        """The page that was read from this place of the log, and where it ended; None where none is kept."""
        with self._lock:
            found = self._pages.get(request)
            if found is None or found.begin != begin:
                return None
            self._pages.move_to_end(request)
            return found.page, found.end

    def keep(self, request: PageRequest, begin: LogPlace | None, page: MessagePage, end: LogPlace) -> None:
        """Keep a page instead of the one that was kept for the same request."""
        with self._lock:
            self._pages[request] = _RecentPage(begin, page, end)
            self._pages.move_to_end(request)
            while len(self._pages) > self._most:
                self._pages.popitem(last=False)
