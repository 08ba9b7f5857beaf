"""The LISTEN thread, which wakes the routes that wait for a notification of the database.

Every commit after a route opened its watch (`shared.runtime.http.streams.watches`) wakes it. After a lost connection
all watches are woken, as a notification may have been missed.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from selectors import EVENT_READ, DefaultSelector
from socket import socket, socketpair
from typing import Final

import psycopg
from psycopg import sql

from shared.runtime.http.streams.watches import Watch
from shared.runtime.telemetry import get_logger

log = get_logger("larder.wakeup")

RETRY_SECONDS: Final = 1.0
CHECK_SECONDS: Final = 15.0
HEARING_SECONDS: Final = 5.0
"""How often the thread notifies itself, and how long it then waits to hear it."""
CHECK_CHANNEL: Final = "larder_listener"
DEAF: Final = (
    "a notification of its own was not heard: LISTEN needs a connection of its own to the database, "
    "not one of a pooler (set listen_url)"
)
Connect = Callable[[], "psycopg.Connection[tuple[object, ...]]"]


class Wakeups:
    """The watches by channel and payload, and the thread that listens for them.

    `connect` opens a connection in autocommit mode. `callbacks` by channel are called in the thread at every
    notification of theirs and after every reconnection; they must be quick.

    Every `check_seconds` the thread notifies itself. Where it does not hear that within `hearing_seconds`, the
    connection is taken for lost.
    """

    def __init__(
        self,
        connect: Connect,
        channels: Sequence[str],
        callbacks: Mapping[str, Callable[[], None]],
        *,
        check_seconds: float = CHECK_SECONDS,
        hearing_seconds: float = HEARING_SECONDS,
    ) -> None:
        self._check_seconds = check_seconds
        self._hearing_seconds = hearing_seconds
        self._problem: str | None = "not listening to the database yet"
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

    def problem(self) -> str | None:
        """Why nothing is heard at present, or None."""
        return None if self.listening.is_set() else self._problem

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                try:
                    self._listen()
                except psycopg.OperationalError as error:
                    self._problem = (
                        f"not listening to the database: {str(error).splitlines()[0] if str(error) else error!r}"
                    )
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
            for channel in (*self._channels, CHECK_CHANNEL):
                connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
            for channel in self._channels:
                self._wake(channel, None)
            check_at = time.monotonic()
            unheard: str | None = None
            while not self._stop.is_set():
                for notification in connection.notifies(timeout=0):
                    if notification.payload == unheard and notification.channel == CHECK_CHANNEL:
                        unheard = None
                        check_at = time.monotonic() + self._check_seconds
                        self.listening.set()
                    self._wake(notification.channel, notification.payload)
                wait = check_at - time.monotonic()
                if wait > 0:
                    readable.select(wait)
                elif unheard is not None:
                    raise psycopg.OperationalError(DEAF)
                else:
                    unheard = secrets.token_hex(8)
                    check_at = time.monotonic() + self._hearing_seconds
                    connection.execute("SELECT pg_notify(%s, %s)", (CHECK_CHANNEL, unheard))

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
