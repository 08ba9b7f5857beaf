"""How a command reaches its service: over HTTP where one serves the --dir, else the application in this process.

Both ways go through the same routes, so a command is validated, recorded and answered in the same way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import httpx

from shared.runtime.client import RemoteProblem, ServiceClient, Unreachable
from shared.runtime.http import running_file
from shared.runtime.http.running_file import RunningService

USER_AGENT: Final = f"larder-cli/{version('larder')}"
PROBE_SECONDS: Final = 3.0
PAGE: Final = 1_000
_IN_PROCESS: Final = "http://this-process"


class InProcessTransport(httpx.BaseTransport):
    """Requests to an ASGI application in this process, one at a time, on an event loop of its own."""

    def __init__(self, app: Any) -> None:
        self._app = httpx.ASGITransport(app, raise_app_exceptions=False)
        self._loop = asyncio.new_event_loop()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return self._loop.run_until_complete(self._handle(request))

    async def _handle(self, request: httpx.Request) -> httpx.Response:
        copy = httpx.Request(request.method, request.url, headers=request.headers, content=request.read())
        answer = await self._app.handle_async_request(copy)
        return httpx.Response(answer.status_code, headers=answer.headers, content=await answer.aread())

    def close(self) -> None:
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()


def http_client(url: str, key: str) -> ServiceClient:
    """A client for a service at an address."""
    return ServiceClient(url, key=key, user_agent=USER_AGENT)


def in_process_client(app: Any, key: str) -> ServiceClient:
    """A client for an ASGI application in this process."""
    return ServiceClient(_IN_PROCESS, key=key, transport=InProcessTransport(app), user_agent=USER_AGENT)


def find_running(directory: Path, probe_path: str, **params: Any) -> RunningService | None:
    """The service that serves this directory; None where none answers a GET of `probe_path`."""
    found = running_file.read(directory)
    if found is None:
        return None
    with ServiceClient(found.url, key=found.key, timeout=PROBE_SECONDS, user_agent=USER_AGENT) as probe:
        try:
            probe.get(probe_path, **params)
        except (Unreachable, RemoteProblem):
            # The file of a service that was killed; another program may listen on its port by now.
            return None
    return found


def read_pages(
    client: ServiceClient, path: str, *, most: int | None = None, after: str | None = None, **params: Any
) -> Iterator[dict[str, Any]]:
    """The pages `{items, next}` of a list route after the cursor `after`, with at most `most` items in all.

    Of a log the last page has a `next`, too; it is shorter than what was asked for.
    """
    left = most
    while left is None or left > 0:
        limit = PAGE if left is None else min(PAGE, left)
        page = client.get(path, after=after, limit=limit, **params)
        yield page
        left = None if left is None else left - len(page["items"])
        after = page.get("next")
        if after is None or len(page["items"]) < limit:
            return


def read_items(client: ServiceClient, path: str, **params: Any) -> Iterator[dict[str, Any]]:
    """The items of a list route, page by page; parameters as of `read_pages`."""
    for page in read_pages(client, path, **params):
        yield from page["items"]
