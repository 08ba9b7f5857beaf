"""What a route waits on: it opens a watch, reads, and where there was nothing waits on the watch and reads again.

Every cause after it opened the watch wakes it, so that nothing is missed between the reading and the waiting.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Watch:
    """One waiting route. Used on the event loop that opened it."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._event = asyncio.Event()
        self._woken = False

    def wake(self) -> None:
        """From any thread."""
        if self._woken:
            return  # a busy writer wakes far more often than anybody reads
        self._woken = True
        try:
            self._loop.call_soon_threadsafe(self._event.set)
        except RuntimeError:
            return  # the loop has ended, and the route with it

    async def wait(self, seconds: float, stopping: asyncio.Event) -> bool:
        """Whether a notification came within these seconds; `stopping` ends the wait early. May be called again."""
        waits = [asyncio.ensure_future(self._event.wait()), asyncio.ensure_future(stopping.wait())]
        try:
            await asyncio.wait(waits, timeout=max(seconds, 0.0), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waits:
                each.cancel()
        # First: who wakes in between is not passed over, at worst it is heard twice.
        self._woken = False
        notified = self._event.is_set()
        self._event.clear()
        return notified and not stopping.is_set()


class Watches:
    """The routes that wait for one cause, such as the commits of a writer."""

    def __init__(self) -> None:
        self._watches: set[Watch] = set()
        self._lock = threading.Lock()

    @contextmanager
    def watch(self) -> Iterator[Watch]:
        watch = Watch()
        with self._lock:
            self._watches.add(watch)
        try:
            yield watch
        finally:
            with self._lock:
                self._watches.discard(watch)

    def wake(self) -> None:
        """Wake everybody who waits now; from any thread, and at once where nobody does."""
        if not self._watches:
            return
        with self._lock:
            woken = list(self._watches)
        for watch in woken:
            watch.wake()
