"""Running an application: bind, say where, serve until a signal, stop in order."""

from __future__ import annotations

import gc
import resource
import socket
import sys
from collections.abc import Callable
from dataclasses import replace
from types import FrameType

import uvicorn
from fastapi import FastAPI

from shared.runtime.http.connection_limits import ConnectionLimits, protocol_within
from shared.runtime.settings import LOCALHOST, SettingsError
from shared.runtime.telemetry import get_logger

log = get_logger("larder.server")

GRACE_SECONDS = 10
BACKLOG = 2_048
Watch = Callable[[], str | None]


def run(
    app: FastAPI,
    *,
    host: str = LOCALHOST,
    port: int,
    name: str,
    say: Callable[[str], None] | None = None,
    watch: Watch | None = None,
    limits: ConnectionLimits | None = None,
) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit code. Port 0 takes a free one.

    Once requests are taken, ``say`` (by default standard output) gets one line:
    ``larder <name> ready on http://127.0.0.1:8000``. ``watch`` is asked about every second; where it returns why the
    process cannot go on (a thread died), the server stops with exit code 1. ``limits`` bounds every connection
    and how many there are. Raises SettingsError where the port cannot be had.
    """
    listener = _bind(host, port)
    bound = listener.getsockname()[1]
    shown = f"[{host}]" if ":" in host else host
    limits = _affordable(limits or ConnectionLimits())
    config = uvicorn.Config(
        app,
        host=host,
        port=bound,
        loop="auto",
        http=protocol_within(limits),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=limits.idle_seconds,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    server = _Server(config, app, lambda: (say or _say)(f"larder {name} ready on http://{shown}:{bound}"), watch)
    try:
        server.run(sockets=[listener])
    finally:
        listener.close()
    return 1 if server.failed else 0


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()  # a parent waits for this line on a pipe


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        reason = error.strerror or str(error)
        raise SettingsError(
            f"{host}:{port} cannot be listened on ({reason}): choose another --port, or stop what uses it"
        ) from error


def _affordable(limits: ConnectionLimits) -> ConnectionLimits:
    # A file of the database must still open when every connection is taken.
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        return limits
    return replace(limits, connections=min(limits.connections, max(1, files * 3 // 4)))


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, app: FastAPI, on_ready: Callable[[], None], watch: Watch | None) -> None:
        super().__init__(config)
        self._app = app
        self._on_ready = on_ready
        self._watch = watch
        self.failed = False

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        # What exists now lives as long as the process: collections need not look at it again (p99 28 -> 8 ms).
        gc.collect()
        gc.freeze()
        self._on_ready()

    async def on_tick(self, counter: int) -> bool:
        if self._watch is not None and counter % 10 == 0 and (reason := self._watch()) is not None:
            log.error("the service cannot go on", reason=reason)
            self.failed = True
            return True
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # Before the connections are waited for: long polls would hold them.
        self._app.state.stopping.set()
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # Not uvicorn's, which sends itself the signal again at the end: a service told to stop has done well (exit 0).
        del sig, frame
        if self.should_exit:
            self.force_exit = True
        self.should_exit = True
