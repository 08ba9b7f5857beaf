"""Small services for tests of what every service does. Each runs in a process of its own, until it is stopped."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from starlette.middleware import Middleware
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from shared.runtime.http.application import build_app
from shared.runtime.http.connection_limits import ConnectionLimits
from shared.runtime.http.middleware import send_json
from shared.runtime.http.server import run
from shared.runtime.problems import ProblemCatalogue
from shared.runtime.telemetry import Telemetry, configure_logging


def _application(**more: Any) -> FastAPI:
    configure_logging()
    return build_app(title="t", version="1", catalogue=ProblemCatalogue(), telemetry=Telemetry("t"), **more)


class Whole:
    """Answers POST /whole as hot routes do."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == "/whole":
            await send_json(scope, send, 201, b'{"a":1}')
        else:
            await self.app(scope, receive, send)


def limited_service(limits: dict[str, float]) -> None:
    """A service with these members of ConnectionLimits."""
    app = _application()

    @app.post("/size")
    async def size(request: Request) -> int:
        return len(await request.body())

    @app.post("/plain")
    async def plain() -> Response:
        return Response(b'{"a":1}', 201, media_type="application/json")

    app.user_middleware.append(Middleware(Whole))

    @app.post("/deaf")
    async def deaf() -> str:
        return "answered without reading"

    @app.get("/wait/{seconds}")
    async def wait(seconds: float, request: Request) -> str:
        print("waiting", flush=True)
        request.scope["larder.waits"] = True
        try:
            await asyncio.wait_for(request.app.state.stopping.wait(), seconds)
        except TimeoutError:
            return "nothing came"
        return "told to stop"

    sys.exit(run(app, port=0, name="test", limits=ConnectionLimits(**limits)))  # type: ignore[arg-type]


def watched_service(folder: Path) -> None:
    """A service that must not go on once `folder` has a file `dead`."""
    app = _application(on_stop=[lambda: print("stopped in order", flush=True)])

    @app.get("/wait")
    async def wait(request: Request) -> str:
        print("waiting", flush=True)
        await asyncio.wait_for(request.app.state.stopping.wait(), 60)
        return "told"

    def watch() -> str | None:
        return "the writer is dead" if (folder / "dead").exists() else None

    sys.exit(run(app, port=0, name="test", watch=watch))


def proxied_service(trusted: str) -> None:
    """A service that says who calls it, behind proxies at these addresses."""
    app = _application()

    @app.get("/caller")
    async def caller(request: Request) -> list[str]:
        assert request.client is not None
        return [request.client.host, request.url.scheme]

    sys.exit(run(app, port=0, name="test", trusted_proxies=trusted))
