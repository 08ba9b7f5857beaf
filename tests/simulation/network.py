"""A seeded network: it drops, delays, duplicates, reorders and cuts what the services say to each other.

Requests reach the real ASGI applications in this process. Nothing here sleeps: a delayed request is kept and delivered
at a later step, when its sender has long given up.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import Any

import httpx
from anyio import create_task_group
from anyio.abc import TaskGroup

App = Callable[..., Any]


class HostDied(Exception):
    """The application's process ended while it worked on a request: nothing is known of it."""


class NoAnswer(Exception):
    """The application took the request and never answers: who sent it waits until its patience is over."""


class AsgiCaller:
    """Calls ASGI applications from synchronous code, one request at a time, on one event loop.

    The requests are tasks of one group: the threads in which the framework runs routes live as long as the outermost
    task, and would otherwise be started anew for each request.
    """

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._group: TaskGroup
        self._closing = asyncio.Event()
        opened = self._loop.create_future()
        self._serving = self._loop.create_task(self._serve(opened))
        self._loop.run_until_complete(opened)

    async def _serve(self, opened: asyncio.Future[None]) -> None:
        async with create_task_group() as self._group:
            opened.set_result(None)
            await self._closing.wait()

    def close(self) -> None:
        self._closing.set()
        self._loop.run_until_complete(self._serving)
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()

    def call(self, app: App, method: str, url: httpx.URL, headers: httpx.Headers, body: bytes) -> httpx.Response:
        answered: asyncio.Future[httpx.Response] = self._loop.create_future()

        async def answer() -> None:
            try:
                answered.set_result(await self._call(app, method, url, headers, body))
            except BaseException as error:  # noqa: BLE001 - raised again where the answer is waited for
                answered.set_exception(error)

        self._loop.call_soon(self._group.start_soon, answer)
        return self._loop.run_until_complete(answered)

    async def _call(self, app: App, method: str, url: httpx.URL, headers: httpx.Headers, body: bytes) -> httpx.Response:
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": url.path,
            "raw_path": url.raw_path.partition(b"?")[0],
            "query_string": url.query,
            "root_path": "",
            "headers": [(name.lower(), value) for name, value in headers.raw],
            "client": ("127.0.0.1", 1),
            "server": ("simulated", 80),
        }
        given = False
        status, answered, parts = 500, [], []

        async def receive() -> dict[str, Any]:
            nonlocal given
            if given:
                await asyncio.Event().wait()  # the client stays; only the answer ends the exchange
            given = True
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: MutableMapping[str, Any]) -> None:
            nonlocal status, answered
            if message["type"] == "http.response.start":
                status, answered = message["status"], list(message.get("headers", []))
            elif message["type"] == "http.response.body":
                parts.append(message.get("body", b""))

        await app(scope, receive, send)
        return httpx.Response(status, headers=answered, content=b"".join(parts))


@dataclass
class Late:
    """A request that its sender has given up on; it left at step `sent` and arrives at step `due` or after."""

    due: int
    sent: int
    host: str
    request: httpx.Request
    body: bytes


@dataclass
class Network:
    """Every link of the group. `hosts` maps a host name to the application that answers there (None: it is down).

    `faults` is the chance of each kind for one request; `injected` counts what was really done.
    """

    random: Random
    caller: AsgiCaller
    injected: Counter[str]
    faults: dict[str, float]
    hosts: dict[str, App | None] = field(default_factory=dict)
    cut: set[tuple[str, str]] = field(default_factory=set)
    late: list[Late] = field(default_factory=list)
    step: int = 0

    def transport(self, sender: str) -> SimulatedTransport:
        """The transport to hand to one service; `sender` names its end of the link."""
        return SimulatedTransport(self, sender)

    def heal(self) -> None:
        """End all faults; what was delayed still arrives."""
        self.faults = {}
        self.cut.clear()

    def deliver_late(self) -> None:
        """Deliver the delayed requests that are due, in a random order: this is how requests overtake each other."""
        due = [each for each in self.late if each.due <= self.step]
        self.late = [each for each in self.late if each.due > self.step]
        sent = list(due)
        self.random.shuffle(due)
        if due != sent or (due and any(each.sent < due[0].sent for each in self.late)):
            self.injected["reordered"] += 1
        for each in due:
            app = self.hosts.get(each.host)
            if app is not None:
                self.injected["delivered late"] += 1
                with suppress(HostDied, NoAnswer):  # its sender has long stopped listening
                    self.caller.call(app, each.request.method, each.request.url, each.request.headers, each.body)

    def send(self, sender: str, request: httpx.Request) -> httpx.Response:
        """One request through the weather. Raises what httpx raises when a network fails."""
        host = request.url.host
        body = request.read()
        if (sender, host) in self.cut:
            self.injected["refused by a cut"] += 1
            raise httpx.ConnectError("the link is cut", request=request)
        app = self.hosts.get(host)
        if app is None:
            self.injected["sent to a host that is down"] += 1
            raise httpx.ConnectError("the host is down", request=request)
        fault = self._pick()
        if fault == "dropped":
            self.injected[fault] += 1
            raise httpx.ConnectTimeout("the request was lost", request=request)
        if fault == "delayed":
            self.injected[fault] += 1
            due = self.step + self.random.randint(1, 30)
            self.late.append(Late(due, self.step, host, request, body))
            raise httpx.ReadTimeout("no answer came", request=request)
        if fault == "truncated" and len(body) > 2:
            self.injected[fault] += 1
            body = body[: self.random.randint(1, len(body) - 1)]
        response = self._deliver(app, request, body)
        if fault == "duplicated" and self.hosts.get(host) is not None:
            self.injected[fault] += 1
            response = self._deliver(app, request, body)
        if fault == "answer lost":
            self.injected[fault] += 1
            raise httpx.ReadError("the answer was lost", request=request)
        response.request = request
        return response

    def _deliver(self, app: App, request: httpx.Request, body: bytes) -> httpx.Response:
        try:
            return self.caller.call(app, request.method, request.url, request.headers, body)
        except HostDied as error:
            raise httpx.ReadError("the other side went away", request=request) from error
        except NoAnswer as error:
            raise httpx.ReadTimeout("no answer came", request=request) from error

    def _pick(self) -> str | None:
        roll = self.random.random()
        for kind, chance in self.faults.items():
            if roll < chance:
                return kind
            roll -= chance
        return None


class SimulatedTransport(httpx.BaseTransport):
    """What one service's httpx client sends through."""

    def __init__(self, network: Network, sender: str) -> None:
        self._network = network
        self._sender = sender

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return self._network.send(self._sender, request)
