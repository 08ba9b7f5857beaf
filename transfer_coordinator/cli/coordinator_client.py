"""How a command reaches the coordinator: at an address, at the one that serves --dir, else as one in this process.

All ways go through the same routes, so a command is checked, recorded and answered in one and the same way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import httpx
from pydantic import SecretStr

from shared.runtime.client import RemoteProblem, ServiceClient, Unreachable
from shared.runtime.http import running_file
from transfer_coordinator.cli.output import Refused
from transfer_coordinator.settings import settings_of

HERE: Final = "http://this-process"
PROBE_SECONDS: Final = 3.0
AGENT: Final = f"larder-transfer-cli/{version('larder')}"


@dataclass(frozen=True)
class Reached:
    """A coordinator to ask. `drive` goes on with transfers where no server does, and does nothing where one does.

    `look_every`: how many seconds to wait for a transfer's end before looking how it stands.
    """

    client: ServiceClient
    drive: Callable[[], None] = lambda: None
    look_every: float = 1.0


class InProcess(httpx.BaseTransport):
    """Requests to an ASGI application in this process, one at a time, on an event loop of its own."""

    def __init__(self, app: Any) -> None:
        self._app = httpx.ASGITransport(app, raise_app_exceptions=False)
        self._loop = asyncio.new_event_loop()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return self._loop.run_until_complete(self._handle(request))

    async def _handle(self, request: httpx.Request) -> httpx.Response:
        again = httpx.Request(request.method, request.url, headers=request.headers, content=request.read())
        answer = await self._app.handle_async_request(again)
        return httpx.Response(answer.status_code, headers=answer.headers, content=await answer.aread())

    def close(self) -> None:
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()


@contextmanager
def coordinator(folder: Path | None, url: str | None, key: str | None) -> Iterator[Reached]:
    """The coordinator at `url`, else that of `folder`. Raises SettingsError, Refused, and what a database raises."""
    if url is not None:
        if key is None:
            raise Refused("a coordinator elsewhere wants a key", "Give --key, one of the group's keys.")
        with ServiceClient(url, key=key, user_agent=AGENT) as client:
            yield Reached(client)
        return
    settings = settings_of(folder)
    found = serving(settings.dir)
    if found is not None:
        with ServiceClient(found.url, key=key or found.key, user_agent=AGENT) as client:
            yield Reached(client)
        return
    from transfer_coordinator.database.connections import DATABASE  # the whole service, where no other process is it
    from transfer_coordinator.main import build

    with DATABASE.opened(settings) as address:
        built = build(settings.model_copy(update={"database_url": SecretStr(address)}))
        transport = InProcess(built.app)
        try:
            with ServiceClient(HERE, key=key or built.local_key, transport=transport, user_agent=AGENT) as client:

                def drive() -> None:
                    built.worker.step()

                yield Reached(client, drive, 0.1)
                # What was asked for is on its way before the command ends; whoever serves next goes on with it.
                built.worker.step()
                built.worker.give_up_leases()
        finally:
            built.close()


def serving(folder: Path) -> running_file.RunningService | None:
    """Who serves this folder, or None where nobody answers."""
    found = running_file.read(folder)
    if found is None:
        return None
    with ServiceClient(found.url, key=found.key, timeout=PROBE_SECONDS, user_agent=AGENT) as probe:
        try:
            probe.get("/v1/transfers", limit=1)
        except (Unreachable, RemoteProblem):
            # Left behind by one that was killed; somebody else may have its port by now.
            return None
    return found
