"""Where commands wait for the writer: bounded, taken in groups, answered together.

Requests of one event loop that arrive in one pass of it are handed over at once, and their answers come back in one
wake-up, as each hand-over between threads costs more than recording an event. While more callers are known to be at it
than have arrived, the writer waits some tenths of a millisecond for them: one commit for all is faster for each.
"""

from __future__ import annotations

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
from branch_node.problems import BUSY

QUEUE_ENTRIES: Final = 1_024
GROUP_COMMANDS: Final = 256
GROUP_EVENTS: Final = 2_000
QUIET_SECONDS: Final = 0.000_3
"""When nothing has arrived for so long, nobody else is on the way."""
LINGER_SECONDS: Final = 0.003

Outcome = Any
"""A command's answer, or the exception that refused or stopped it."""


class QueueEntry:
    """One entry: commands to be decided in order, and whom to tell."""

    __slots__ = ("commands", "future", "loop", "many", "outcomes", "size")

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
        self.outcomes: list[Outcome] = []

    def settle(self) -> None:
        if self.future.done():
            return  # whoever asked has gone; what was recorded stays, and its key finds it
        if self.many:
            self.future.set_result(self.outcomes)
        elif isinstance(self.outcomes[0], BaseException):
            self.future.set_exception(self.outcomes[0])
        else:
            self.future.set_result(self.outcomes[0])


def _settle_all(entries: list[QueueEntry]) -> None:
    for entry in entries:
        entry.settle()


class CommandQueue:
    """Entered by any thread, emptied by the writer's alone."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[list[QueueEntry] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._entered = 0  # under the lock
        self._left = 0  # the writer's
        self._expected = 1  # the writer's
        self._ready: deque[QueueEntry] = deque()  # the writer's
        self._arriving: dict[AbstractEventLoop, list[QueueEntry]] = {}  # each list its loop's

    def __len__(self) -> int:
        """How many entries wait or are being committed."""
        return self._entered - self._left

    def _admit(self) -> None:
        with self._lock:
            if self._entered - self._left >= QUEUE_ENTRIES:
                raise BUSY(f"{QUEUE_ENTRIES} requests wait already", headers={"Retry-After": "1"})
            self._entered += 1

    def enter(self, entry: QueueEntry) -> None:
        """Wait for the writer. Raises 503 `busy` where too many do."""
        self._admit()
        self._queue.put([entry])

    def enter_from(self, loop: AbstractEventLoop, entry: QueueEntry) -> None:
        """As `enter`, from the thread of the entry's event loop."""
        self._admit()
        arriving = self._arriving.get(loop)
        if arriving is None:
            arriving = self._arriving[loop] = []
            loop.call_soon(self._hand_over, loop)
        arriving.append(entry)

    def _hand_over(self, loop: AbstractEventLoop) -> None:
        self._queue.put(self._arriving.pop(loop))

    def wake(self) -> None:
        """Let the writer look up, though nobody entered."""
        self._queue.put(None)

    @property
    def empty(self) -> bool:
        """For the writer: nobody waits any more."""
        return not self._ready and len(self) == 0

    def take(self, block_for: float) -> list[QueueEntry]:
        """The next group, in the order entered; empty where nobody came within `block_for` seconds, or it was woken."""
        ready = self._ready
        if not ready and not self._receive(block_for):
            return []
        while self._receive(0):
            pass
        if len(ready) < self._expected:
            deadline = time.monotonic() + LINGER_SECONDS
            while len(ready) < self._expected and self._receive(QUIET_SECONDS) and time.monotonic() < deadline:
                pass
        group = [ready.popleft()]
        commands, events = len(group[0].commands), group[0].size
        while ready:
            commands += len(ready[0].commands)
            events += ready[0].size
            if commands > GROUP_COMMANDS or events > GROUP_EVENTS:
                break
            group.append(ready.popleft())
        return group

    def _receive(self, block_for: float) -> bool:
        try:
            entries = self._queue.get(timeout=block_for) if block_for > 0 else self._queue.get_nowait()
        except queue.Empty:
            return False
        if entries is None:
            return False
        self._ready.extend(entries)
        return True

    def answer(self, group: list[QueueEntry]) -> None:
        """Tell those who entered what came of it, their `outcomes`."""
        # Whoever is answered now will be back, and those who came meanwhile are here: so many may be expected.
        self._expected = min(len(self), GROUP_COMMANDS)
        self._left += len(group)
        by_loop: dict[AbstractEventLoop, list[QueueEntry]] = {}
        for entry in group:
            if entry.loop is None:
                entry.settle()
            else:
                by_loop.setdefault(entry.loop, []).append(entry)
        for loop, some in by_loop.items():
            if not loop.is_closed():
                loop.call_soon_threadsafe(_settle_all, some)
