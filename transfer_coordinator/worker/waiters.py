"""Callers that wait for the end of a transfer, woken by the round that ends it: no polling."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from transfer_coordinator.saga.planner import TransferRecord


class Waiters:
    """Who waits for which transfer. Waits are opened on an event loop; `ended` is called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_transfer: dict[str, set[Wait]] = {}

    @contextmanager
    def wait_for(self, transfer_id: str) -> Iterator[Wait]:
        """Open before reading how the transfer stands: whatever ends it afterwards is heard."""
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
        """Wake whoever waits for these."""
        with self._lock:
            woken = [
                (wait, record) for record in records for wait in self._by_transfer.get(record.transfer.transfer_id, ())
            ]
        for wait, record in woken:
            wait.wake(record)


class Wait:
    """One caller's wait."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._future: asyncio.Future[TransferRecord] = self._loop.create_future()

    def wake(self, record: TransferRecord) -> None:
        """From any thread."""
        try:
            self._loop.call_soon_threadsafe(self._set, record)
        except RuntimeError:
            return  # the loop has ended, and the caller with it

    def _set(self, record: TransferRecord) -> None:
        if not self._future.done():
            self._future.set_result(record)

    async def end(self, seconds: float, stopping: asyncio.Event) -> TransferRecord | None:
        """The transfer's record once it ended; None where that takes longer, or the service stops."""
        stop = asyncio.ensure_future(stopping.wait())
        both: set[asyncio.Future[Any]] = {self._future, stop}
        try:
            await asyncio.wait(both, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop.cancel()
        return self._future.result() if self._future.done() else None
