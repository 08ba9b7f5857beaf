"""The LISTEN thread, which wakes the routes that wait for a notification of the database.

A route opens a watch, reads, and where there was nothing waits on the watch and reads again: every commit after it
opened the watch wakes it. After a lost connection all watches are woken, as a notification may have been missed.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from selectors import EVENT_READ, DefaultSelector
from socket import socket, socketpair
from typing import Final

import psycopg
from psycopg import sql

from shared.runtime.telemetry import get_logger

log = get_logger("larder.wakeup")

RETRY_SECONDS: Final = 1.0
Connect = Callable[[], "psycopg.Connection[tuple[object, ...]]"]


class Watch:
    """One waiting route. Used on the event loop that opened it."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._event = asyncio.Event()

    def wake(self) -> None:
        """From any thread."""
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
        notified = self._event.is_set()
        self._event.clear()
        return notified and not stopping.is_set()


class Wakeups:
    """The watches by channel and payload, and the thread that listens for them.

    `connect` opens a connection in autocommit mode. `callbacks` by channel are called in the thread at every
    notification of theirs and after every reconnection; they must be quick.
    """

    def __init__(self, connect: Connect, channels: Sequence[str], callbacks: Mapping[str, Callable[[], None]]) -> None:
        self._connect = connect
        self._channels = tuple(channels)
        self._callbacks = dict(callbacks)
        self._watches: dict[tuple[str, str | None], set[Watch]] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._ends: tuple[socket, socket] | None = None  # the first is readable once the thread is to end
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None
        self.listening = threading.Event()

    @contextmanager
    def watch(self, *wanted: tuple[str, str | None]) -> Iterator[Watch]:
        """A watch for notifications: each a channel with a payload, or with any (None)."""
        watch = Watch()
        with self._lock:
            for name in wanted:
                self._watches.setdefault(name, set()).add(watch)
        try:
            yield watch
        finally:
            with self._lock:
                for name in wanted:
                    self._watches[name].discard(watch)
                    if not self._watches[name]:
                        del self._watches[name]

    def start(self) -> None:
        self._ends = socketpair()
        self._thread = threading.Thread(target=self._run, name="larder-wakeup", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread, for good."""
        self._stop.set()
        if self._thread is not None and self._ends is not None:
            self._ends[1].close()
            self._thread.join()
            self._ends[0].close()

    def failure(self) -> str | None:
        """Why the thread is dead, or None: it lives, was stopped, or never started."""
        return None if self._failure is None else f"the wake-up thread died: {self._failure!r}"

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                try:
                    self._listen()
                except psycopg.OperationalError as error:
                    self.listening.clear()
                    log.warning("the connection that listens was lost", error=str(error))
                    self._stop.wait(RETRY_SECONDS)
        except BaseException as error:
            self._failure = error
            raise
        finally:
            self.listening.clear()

    def _listen(self) -> None:
        assert self._ends is not None
        with self._connect() as connection, DefaultSelector() as readable:
            readable.register(connection, EVENT_READ)
            readable.register(self._ends[0], EVENT_READ)
            for channel in self._channels:
                connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
            for channel in self._channels:
                self._wake(channel, None)
            self.listening.set()
            while not self._stop.is_set():
                for notification in connection.notifies(timeout=0):
                    self._wake(notification.channel, notification.payload)
                readable.select()

    def _wake(self, channel: str, payload: str | None) -> None:
        """Wake the watches of this payload and of any payload; None: every watch of the channel."""
        if (callback := self._callbacks.get(channel)) is not None:
            callback()
        with self._lock:
            woken = [
                watch
                for (waited_for, wanted), watches in self._watches.items()
                if waited_for == channel and (payload is None or wanted is None or wanted == payload)
                for watch in watches
            ]
        for watch in woken:
            watch.wake()
