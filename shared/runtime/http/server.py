"""The HTTP server of a service: bind, report the address, serve until a signal, shut down."""

from __future__ import annotations

import gc
import resource
import socket
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Protocol

import uvicorn
from fastapi import FastAPI

from shared.runtime.http import running_file
from shared.runtime.http.connection_limits import ConnectionLimits, limited_protocol
from shared.runtime.settings import LOCALHOST, SettingsError
from shared.runtime.telemetry import get_logger

log = get_logger("larder.server")

GRACE_SECONDS = 10
BACKLOG = 2_048
YOUNG_OBJECTS = 10_000
"""How many new objects the garbage collector lets be before it looks through them, within about a millisecond."""
Watch = Callable[[], str | None]


def run(
    app: FastAPI,
    *,
    host: str = LOCALHOST,
    port: int,
    name: str,
    trusted_proxies: str = "",
    on_ready: Callable[[str], None] | None = None,
    watch: Watch | None = None,
    limits: ConnectionLimits | None = None,
) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit code. Port 0 takes a free port.

    Once requests are accepted, ``on_ready`` (by default a line on standard output) gets the line
    ``larder <name> ready on http://127.0.0.1:8000``. ``watch`` is called about every second; where it returns why the
    process cannot continue (a thread died), the server stops with that as its last line, exit code 1.

    ``limits`` are those of every connection and their number. ``trusted_proxies`` are addresses with commas between
    them: from these alone X-Forwarded-For and X-Forwarded-Proto say who calls, and whether by TLS.

    Raises SettingsError where the port cannot be bound.
    """
    listener = _bind(host, port)
    bound = listener.getsockname()[1]
    shown = f"[{host}]" if ":" in host else host
    limits = _within_open_files(limits or ConnectionLimits())
    config = uvicorn.Config(
        app,
        host=host,
        port=bound,
        loop="auto",
        http=limited_protocol(limits),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(trusted_proxies),
        forwarded_allow_ips=trusted_proxies or None,
        timeout_keep_alive=limits.idle_seconds,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    ready_line = f"larder {name} ready on http://{shown}:{bound}"
    server = _Server(config, app, lambda: (on_ready or _print_line)(ready_line), watch)
    try:
        server.run(sockets=[listener])
    finally:
        listener.close()
    if server.failure is None:
        return 0
    sys.stderr.write(f"larder {name} ends: {server.failure}\n")
    return 1


class ServingSettings(Protocol):
    """What `run_service` needs of a service's settings."""

    @property
    def dir(self) -> Path: ...

    @property
    def host(self) -> str: ...

    @property
    def port(self) -> int: ...

    @property
    def trusted_proxies(self) -> str: ...


def run_service(
    app: FastAPI, settings: ServingSettings, *, name: str, key: str, say: Callable[[str], None], watch: Watch
) -> int:
    """`run` by a service's settings; `say` gets the line.

    While it serves, `running.json` in its --dir names its address, and `key` to call it with, to commands of this
    machine. Where the disk is full it serves without, and writes the file once there is room.
    """
    address: list[str] = []  # what is still to be written

    def announce() -> None:
        if address:
            try:
                running_file.write(settings.dir, address[0], key)
            except OSError as error:
                log.warning("commands on this machine do not find the service", file="running.json", reason=str(error))
            else:
                address.clear()

    def ready(line: str) -> None:
        address.append(line.rpartition(" ")[2])
        announce()
        say(line)

    def look() -> str | None:
        announce()
        return watch()

    try:
        return run(
            app,
            host=settings.host,
            port=settings.port,
            name=name,
            trusted_proxies=settings.trusted_proxies,
            on_ready=ready,
            watch=look,
        )
    finally:
        running_file.remove(settings.dir)


def _print_line(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()  # a parent process waits for this line on a pipe


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        reason = error.strerror or str(error)
        raise SettingsError(
            f"{host}:{port} cannot be listened on ({reason}): choose another --port, or stop what uses it"
        ) from error


def _within_open_files(limits: ConnectionLimits) -> ConnectionLimits:
    # The database must still be able to open files when every connection is in use.
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
        self.failure: str | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        # Objects that exist now live as long as the process: the collector need not visit them (p99 28 -> 8 ms).
        gc.collect()
        gc.freeze()
        # The objects of some dozens of requests that are being served are more than Python's threshold of 700: it would
        # look through them again and again, and hardly any is in a cycle.
        gc.set_threshold(YOUNG_OBJECTS, *gc.get_threshold()[1:])
        self._on_ready()

    async def on_tick(self, counter: int) -> bool:
        if self._watch is not None and counter % 10 == 0 and (reason := self._watch()) is not None:
            log.error("the service cannot go on", reason=reason)
            self.failure = reason
            return True
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # Set before uvicorn waits for the connections, which long polls keep open.
        self._app.state.stopping.set()
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # Replaces uvicorn's, which raises the signal again at the end: a service stopped by a signal exits with 0.
        del sig, frame
        if self.should_exit:
            self.force_exit = True
        self.should_exit = True
