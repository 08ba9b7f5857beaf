"""The bounded queue of commands before the writer, consumed in groups.

Requests that arrive in one iteration of an event loop are enqueued together, and their results return in one callback,
as passing an object between threads costs more than recording an event. While fewer requests have arrived than are
expected from the active callers, the writer waits some tenths of a millisecond: one commit for all is faster for each.
Only the last of those expected wakes it then: each time that it wakes it takes the interpreter from the event loop.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from asyncio import AbstractEventLoop
from asyncio import Future as LoopFuture
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any, Final

from branch_node.model import Command
from branch_node.problems import BUSY, NOT_WRITING
from shared.runtime.problems import Recorded

QUEUE_ENTRIES: Final = 1_024
QUEUE_EVENTS: Final = 50_000
QUEUE_BYTES: Final = 16 * 1024 * 1024
"""What may wait, in events and in bytes of the commands' content; one request that is larger waits alone."""
GROUP_COMMANDS: Final = 256
GROUP_EVENTS: Final = 2_000
QUIET_SECONDS: Final = 0.000_3
"""When nothing has arrived for this long, no further request is expected."""
LINGER_SECONDS: Final = 0.003
_NEVER: Final = 1 << 60

Outcome = Any
"""A command's answer, or the exception that refused or failed it."""


class QueueEntry:
    """Commands to be decided in order, and the future of their outcomes."""

    __slots__ = ("alone", "bytes", "commands", "future", "loop", "many", "outcomes", "size")

    def __init__(
        self,
        commands: Sequence[Command],
        future: Future[Any] | LoopFuture[Any],
        *,
        loop: AbstractEventLoop | None,
        many: bool,
    ) -> None:
        self.commands = commands
        self.future = future
        self.loop = loop
        self.many = many
        self.size = sum(command.size for command in commands) if many else commands[0].size
        self.bytes = sum(command.content_bytes for command in commands) if many else commands[0].content_bytes
        self.alone = not many and commands[0].alone
        self.outcomes: list[Outcome] = []

    def resolve(self) -> None:
        if self.future.done():
            return  # the caller has cancelled; what was recorded stays, and its key finds it
        if self.many:
            self.future.set_result(self.outcomes)
        elif isinstance(self.outcomes[0], BaseException):
            self.future.set_exception(self.outcomes[0])
        else:
            self.future.set_result(self.outcomes[0])


def _resolve_all(entries: list[QueueEntry]) -> None:
    for entry in entries:
        entry.resolve()


class CommandQueue:
    """Filled by any thread, consumed by the writer's thread alone."""

    def __init__(self) -> None:
        self._arrivals: deque[QueueEntry] = deque()  # appended to by any thread, emptied by the writer's
        self._wake_at = _NEVER  # how many arrivals wake the writer
        self._signals: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        # What was put is counted under the lock, what is done by the writer's thread only.
        self._put_count = self._put_events = self._put_bytes = 0
        self._done_count = self._done_events = self._done_bytes = 0
        self._closed = False
        self._expected = 1  # writer's thread only
        self._ready: deque[QueueEntry] = deque()  # writer's thread only
        self._arrived: dict[AbstractEventLoop, list[QueueEntry]] = {}  # each list is used by its loop's thread only

    def __len__(self) -> int:
        """The number of entries that wait or are being committed."""
        return self._put_count - self._done_count

    def _admit(self, entry: QueueEntry) -> None:
        with self._lock:
            if self._closed:
                raise NOT_WRITING("the writer has ended", recorded=Recorded.NO)
            waiting = self._put_count - self._done_count
            events = self._put_events - self._done_events + entry.size
            size = self._put_bytes - self._done_bytes + entry.bytes
            if waiting and (waiting >= QUEUE_ENTRIES or events > QUEUE_EVENTS or size > QUEUE_BYTES):
                told = f"{waiting} requests wait already, with {events - entry.size} events"
                raise BUSY(told, recorded=Recorded.NO, headers={"Retry-After": "1"})
            self._put_count += 1
            self._put_events += entry.size
            self._put_bytes += entry.bytes

    def close(self, *, only_if_empty: bool = False) -> bool:
        """Take no more entries; False, and nothing changed, where some wait and `only_if_empty`.

        What was admitted before is still to be taken, and will come, if it is not there yet.
        """
        with self._lock:
            if only_if_empty and self._put_count != self._done_count:
                return False
            self._closed = True
            return True

    def put(self, entry: QueueEntry) -> None:
        """Enqueue an entry. Raises 503 `busy` where the queue is full, `not-writing` where it is closed."""
        self._admit(entry)
        self._arrivals.append(entry)
        self._signal()

    def put_from(self, loop: AbstractEventLoop, entry: QueueEntry) -> None:
        """As `put`, from the thread of the entry's event loop."""
        self._admit(entry)
        arrived = self._arrived.get(loop)
        if arrived is None:
            arrived = self._arrived[loop] = []
            loop.call_soon(self._put_arrived, loop)
        arrived.append(entry)

    def _put_arrived(self, loop: AbstractEventLoop) -> None:
        self._arrivals.extend(self._arrived.pop(loop))
        self._signal()

    def _signal(self) -> None:
        # Looked at after the arrival; the writer looks for arrivals once it has said how many wake it.
        if len(self._arrivals) >= self._wake_at:
            self._wake_at = _NEVER
            self._signals.put(None)

    def wake(self) -> None:
        """End a blocking `take` without an entry."""
        self._signals.put(None)

    def take(self, block_for: float) -> list[QueueEntry]:
        """The next group, first in first out; empty if none arrived within `block_for` seconds, or after `wake`."""
        ready = self._ready
        if not (self._receive(1, 0) or ready or self._receive(1, block_for)):
            return []
        deadline = time.monotonic() + LINGER_SECONDS
        while len(ready) < self._expected and self._receive(self._expected - len(ready), QUIET_SECONDS):
            if time.monotonic() >= deadline:
                break
        group = [ready.popleft()]
        commands, events = len(group[0].commands), group[0].size
        while ready and not (group[-1].alone or ready[0].alone):
            commands += len(ready[0].commands)
            events += ready[0].size
            if commands > GROUP_COMMANDS or events > GROUP_EVENTS:
                break
            group.append(ready.popleft())
        return group

    def _receive(self, wanted: int, seconds: float) -> bool:
        """Receive so many entries, or those that have arrived after these seconds, or at `wake`; whether any did."""
        arrived = len(self._arrivals)
        if arrived < wanted and seconds > 0:
            self._wake_at = wanted
            if len(self._arrivals) < wanted:
                with contextlib.suppress(queue.Empty):
                    self._signals.get(timeout=seconds)
            self._wake_at = _NEVER
            arrived = len(self._arrivals)
        self._ready.extend([self._arrivals.popleft() for _ in range(arrived)])
        return arrived > 0

    def complete(self, group: list[QueueEntry]) -> None:
        """Resolve the futures of a group with the entries' `outcomes`."""
        # The callers answered now are likely to return, and further entries wait already: as many may be expected.
        self._expected = min(len(self), GROUP_COMMANDS)
        self._done_count += len(group)
        self._done_events += sum(entry.size for entry in group)
        self._done_bytes += sum(entry.bytes for entry in group)
        by_loop: dict[AbstractEventLoop, list[QueueEntry]] = {}
        for entry in group:
            if entry.loop is None:
                entry.resolve()
            else:
                by_loop.setdefault(entry.loop, []).append(entry)
        for loop, entries in by_loop.items():
            if not loop.is_closed():
                loop.call_soon_threadsafe(_resolve_all, entries)
