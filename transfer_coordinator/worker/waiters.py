"""Callers that wait for the end of a transfer, woken by the round that ends it, without polling."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from transfer_coordinator.saga.planner import TransferRecord


class Waiters:
    """The waits by transfer. Waits are opened on an event loop; `ended` is called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_transfer: dict[str, set[Wait]] = {}

    @contextmanager
    def wait_for(self, transfer_id: str) -> Iterator[Wait]:
        """Open a wait before reading the transfer, so that an end after the reading is not missed."""
        wait = Wait()
        with self._lock:
            self._by_transfer.setdefault(transfer_id, set()).add(wait)
        try:
            yield wait
        finally:
            with self._lock:
                waiting = self._by_transfer[transfer_id]
                waiting.discard(wait)
                if not waiting:
                    del self._by_transfer[transfer_id]

    def ended(self, records: Iterable[TransferRecord]) -> None:
        """Wake the waits for these transfers."""
        with self._lock:
            woken = [
                (wait, record) for record in records for wait in self._by_transfer.get(record.transfer.transfer_id, ())
            ]
        for wait, record in woken:
            wait.wake(record)


class Wait:
    """The wait of one caller."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._future: asyncio.Future[TransferRecord] = self._loop.create_future()

    def wake(self, record: TransferRecord) -> None:
        """Set the result, from any thread."""
        try:
            self._loop.call_soon_threadsafe(self._set, record)
        except RuntimeError:
            return  # the loop has ended, and the caller's request with it

    def _set(self, record: TransferRecord) -> None:
        if not self._future.done():
            self._future.set_result(record)

    async def end(self, seconds: float, stopping: asyncio.Event) -> TransferRecord | None:
        """Wait for the ended transfer's record; None where that takes longer, or the service stops."""
        stop = asyncio.ensure_future(stopping.wait())
        both: set[asyncio.Future[Any]] = {self._future, stop}
        try:
            await asyncio.wait(both, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop.cancel()
        return self._future.result() if self._future.done() else None
