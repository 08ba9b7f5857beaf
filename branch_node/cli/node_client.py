"""How a command reaches the node: over HTTP where one serves this --dir, else as the node itself, in this process.

Both ways go through the same routes, so a command is checked, recorded and answered in one and the same way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import httpx

from branch_node.settings import BranchSettings, load
from shared.runtime.client import RemoteProblem, ServiceClient, Unreachable
from shared.runtime.http import running_file
from shared.runtime.settings import SettingsError

if TYPE_CHECKING:
    from branch_node.node import Node

USER_AGENT: Final = "larder-cli"
HERE: Final = "http://this-process"
PROBE_SECONDS: Final = 3.0
PATIENCE_SECONDS: Final = 10.0
"""How long a command waits for another one that has this --dir to itself."""


class InProcess(httpx.BaseTransport):
    """Requests to an ASGI application in this process, one at a time, on an event loop of its own."""

    def __init__(self, app: Any) -> None:
        self._app = httpx.ASGITransport(app, raise_app_exceptions=False)
        self._loop = asyncio.new_event_loop()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return self._loop.run_until_complete(self._handle(request))

    async def _handle(self, request: httpx.Request) -> httpx.Response:
        headers = request.headers
        again = httpx.Request(request.method, request.url, headers=headers, content=request.read())
        answer = await self._app.handle_async_request(again)
        body = await answer.aread()
        return httpx.Response(answer.status_code, headers=answer.headers, content=body)

    def close(self) -> None:
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()


def serving(directory: Path) -> ServiceClient | None:
    """A client of the node that serves this directory, or None where none answers."""
    found = running_file.read(directory)
    if found is None:
        return None
    with ServiceClient(found.url, key=found.key, timeout=PROBE_SECONDS, user_agent=USER_AGENT) as probe:
        try:
            probe.get("/v1/status")
        except (Unreachable, RemoteProblem):
            # Left behind by a node that was killed; somebody else may have its port by now.
            return None
    return ServiceClient(found.url, key=found.key, user_agent=USER_AGENT)


@contextmanager
def node_at(directory: Path | None) -> Iterator[ServiceClient]:
    """A client of the node of this directory. Raises SettingsError, AlreadyWriting and what `Node.open` raises."""
    settings = load(directory)
    client = serving(settings.dir)
    if client is not None:
        with client:
            yield client
        return
    with opened(settings) as node:
        transport = InProcess(node.app)
        with ServiceClient(HERE, key=node.local_key, transport=transport, user_agent=USER_AGENT) as client:
            yield client


@contextmanager
def opened(settings: BranchSettings, *, stepped: bool = False) -> Iterator[Node]:
    """The node of these settings as this process itself, recording; stopped at the end.

    `stepped`: with shipper and puller, for the caller to step.
    """
    # Imported here, as they bring the whole service along: a command that goes over HTTP starts twice as fast.
    from branch_node.main import build
    from branch_node.node import AgentMode

    if not settings.has_database:
        raise SettingsError(f"there is no node in {settings.dir}: run 'larder branch init --dir {settings.dir}' first")
    node = build(settings)
    try:
        node.open(AgentMode.STEPPED if stepped else AgentMode.NONE, patience=PATIENCE_SECONDS)
        node.start()
        yield node
    finally:
        node.stop()
