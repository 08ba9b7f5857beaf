"""A TCP relay on loopback between a branch and head office, which can be cut and joined."""

from __future__ import annotations

import asyncio
import threading
from types import TracebackType
from typing import Self

CHUNK = 64 * 1024
START_SECONDS = 10.0


class Link:
    """Relays 127.0.0.1:`port` (0: chosen by the system) to 127.0.0.1:`target`, until cut. A context manager.

    `cut` closes the open connections and stops listening, as when a router loses power; `join` listens again on the
    same port.
    """

    def __init__(self, target: int, port: int = 0) -> None:
        self._target = target
        self._loop = asyncio.new_event_loop()
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, name="demo-link", daemon=True)
        self.port = port

    def __enter__(self) -> Self:
        self._thread.start()
        self.join()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.cut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(START_SECONDS)
        self._loop.close()

    @property
    def up(self) -> bool:
        return self._server is not None

    def cut(self) -> None:
        """Cut the link. Does nothing if it is cut already."""
        asyncio.run_coroutine_threadsafe(self._cut(), self._loop).result(START_SECONDS)

    def join(self) -> None:
        """Join the link again. Does nothing if it is up."""
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(START_SECONDS)

    async def _listen(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._relay, "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    async def _cut(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.close()
        for writer in list(self._open):
            writer.transport.abort()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a relay runs as a task")
        self._tasks.add(task)
        self._open.add(writer)
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
            self._open.add(far_writer)
            try:
                await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))
            finally:
                self._open.discard(far_writer)
                far_writer.close()
        except (OSError, asyncio.CancelledError):
            pass  # either end closed, or the link was cut: only closing remains
        finally:
            self._tasks.discard(task)
            self._open.discard(writer)
            writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(CHUNK):
        writer.write(data)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()
