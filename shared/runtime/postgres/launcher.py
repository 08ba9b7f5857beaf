"""Starts an embedded PostgreSQL in a folder, and attaches to one that runs there already.

The server lives as long as the process that called `start`, however that process ends. It listens on 127.0.0.1 only,
requires a password, and runs as an unprivileged user where this process is root. `cluster_folder` describes the files.
"""

import json
import os
import re
import selectors
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import psycopg
from psycopg import conninfo, errors, sql

from shared.runtime.postgres import supervisor
from shared.runtime.postgres.binaries import (
    PostgresError,
    child_environment,
    find_binaries,
    reachable,
    unprivileged_user,
)
from shared.runtime.postgres.cluster_folder import POLL_SECONDS, SUPERUSER, Folder, PostgresBusyError

__all__ = ["Cluster", "PostgresBusyError", "PostgresError", "attach", "attach_or_start", "find_binaries", "start"]

START_SECONDS = 120.0  # a crash recovery included
BUSY_SECONDS = 10.0
STOP_SECONDS = 30.0
CONNECT_SECONDS = 10
# Fixed on every start; the options of `start` may not name these.
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "lc_messages": "C",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "logging_collector": "off",
}
RESERVED = {*SETTINGS, "port", "data_directory", "hba_file", "ident_file", "config_file", "external_pid_file"}


class Cluster:
    """A running server. `stop` and the end of a `with` stop it if this object started it, else do nothing."""

    def __init__(
        self,
        folder: Folder,
        port: int,
        process: "subprocess.Popen[bytes] | None" = None,
        stop_seconds: float = STOP_SECONDS,
    ) -> None:
        self.port = port
        self._folder = folder
        self._password = folder.password()
        self._process = process
        self._stop_seconds = stop_seconds

    @property
    def directory(self) -> Path:
        return self._folder.directory

    @property
    def owned(self) -> bool:
        """Whether `stop` ends the server."""
        return self._process is not None

    def url(self, database: str = "postgres") -> str:
        """The URL of a database for SQLAlchemy. It holds the password."""
        return (
            f"postgresql+psycopg://{SUPERUSER}:{quote(self._password, safe='')}"
            f"@127.0.0.1:{self.port}/{quote(database, safe='')}"
        )

    def conninfo(self, database: str = "postgres") -> str:
        """The same for libpq, psycopg and PostgreSQL's own programs."""
        return conninfo.make_conninfo(
            host="127.0.0.1",
            port=self.port,
            user=SUPERUSER,
            password=self._password,
            dbname=database,
            connect_timeout=CONNECT_SECONDS,
        )

    def create_database(self, name: str) -> None:
        """Create the database unless it exists."""
        with psycopg.connect(self.conninfo(), autocommit=True) as connection:
            row = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone()
            if row is None:
                try:
                    connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
                except (errors.DuplicateDatabase, errors.UniqueViolation):
                    return  # another process made it at the same time

    def running(self) -> bool:
        """Whether the server is up, as far as is known without connecting."""
        if self._process is not None:
            return self._process.poll() is None
        endpoint = self._folder.endpoint()
        return endpoint is not None and endpoint.ready and endpoint.port == self.port and self._folder.locked()

    def stop(self) -> None:
        """Shut the server down and wait for its end, unless another process owns it. May be repeated."""
        process, self._process = self._process, None
        if process is not None:
            _end(process, self._stop_seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def start(
    directory: Path,
    *,
    binaries: Path,
    options: Mapping[str, str] | None = None,
    shared: bool = True,
    wait: float = BUSY_SECONDS,
    timeout: float = START_SECONDS,
    stop_seconds: float = STOP_SECONDS,
) -> Cluster:
    """Start the PostgreSQL of `directory`, making the folder and the cluster in it where they are missing.

    binaries: the folder with `postgres` and `initdb`, see `find_binaries`.
    options: further settings of the server, as in postgresql.conf.
    shared: whether `attach` may find it; False for a short command on which no other process should depend.
    wait: seconds to wait for another process that has it running to end, then PostgresBusyError.
    timeout: seconds from the start of the server until it takes connections, then PostgresError.
    stop_seconds: how long an orderly shutdown may take before clients and checkpoint are no longer waited for.
    """
    settings = _settings(options or {})
    folder = Folder(directory)
    lock = folder.lock(wait)
    try:
        user = unprivileged_user(folder.data)
        programs = reachable(binaries, user)
        if not folder.data.exists():
            folder.initialise(programs, user, lock, durable=settings.get("fsync") != "off")
        folder.check_version(programs)
        folder.clear_stale_pid()
        last = folder.remove_endpoint()
        process = _launch(
            {
                "owner": os.getpid(),
                "command": [str(programs / "postgres"), *(f"--{name}={value}" for name, value in settings.items())],
                "environment": dict(child_environment()),
                "data": str(folder.data),
                "log": str(folder.open_log()),
                "endpoint": str(folder.endpoint_file),
                "lock": lock,
                "user": [user.uid, user.gid] if user else None,
                "port": last.port if last else None,  # the same one again, as its URL may be in use
                "shared": shared,
                "stop_seconds": stop_seconds,
            }
        )
    finally:
        os.close(lock)
    try:
        port = _await_ready(process, folder, timeout)
        return Cluster(folder, port, process, stop_seconds)
    except BaseException:
        _end(process, stop_seconds)
        raise


def attach(directory: Path, *, timeout: float = START_SECONDS) -> Cluster | None:
    """The shared server that runs in that folder, None if none does. One that is just starting is waited for."""
    folder = Folder(directory)
    deadline = time.monotonic() + timeout
    while folder.locked():
        endpoint = folder.endpoint()
        if endpoint is not None and not endpoint.shared:
            return None
        if endpoint is not None and endpoint.ready:
            return Cluster(folder, endpoint.port)
        if time.monotonic() > deadline:
            raise PostgresBusyError(f"the PostgreSQL in {directory} was neither up nor down for {timeout:.0f} seconds")
        time.sleep(POLL_SECONDS)
    return None


def attach_or_start(
    directory: Path, *, binaries: Path, options: Mapping[str, str] | None = None, wait: float = BUSY_SECONDS
) -> Cluster:
    """The server of a running service, else one started for this command.

    Commands without a running service take turns, each with a server of its own, so that none loses it when another
    ends. Raises PostgresBusyError after `wait` seconds.
    """
    deadline = time.monotonic() + wait
    while True:
        running = attach(directory)
        if running is not None:
            return running
        try:
            return start(directory, binaries=binaries, options=options, shared=False, wait=0)
        except PostgresBusyError:
            if time.monotonic() > deadline:
                raise
        time.sleep(POLL_SECONDS)


def _settings(options: Mapping[str, str]) -> dict[str, str]:
    for name in options:
        if name in RESERVED or not re.fullmatch(r"[a-z_][a-z0-9_.]*", name):
            raise ValueError(f"'{name}' is not a setting of PostgreSQL that can be chosen")
    return SETTINGS | dict(options)


def _launch(task: supervisor.Task) -> "subprocess.Popen[bytes]":
    with Path(task["log"]).open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", supervisor.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            cwd="/",
            pass_fds=[task["lock"]],
            start_new_session=True,  # Ctrl-C must not reach the server, which its clients still use
            umask=0o077,
            bufsize=0,
        )
    _send_line(process, json.dumps(task))
    return process


def _send_line(process: "subprocess.Popen[bytes]", line: str) -> None:
    assert process.stdin is not None
    with suppress(BrokenPipeError):  # it has ended already, which the waiting caller detects
        process.stdin.write(line.encode() + b"\n")


def _await_ready(process: "subprocess.Popen[bytes]", folder: Folder, timeout: float) -> int:
    """The port that the supervisor reports. Raises PostgresError with its reason, or when the time is over."""
    assert process.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        if not selector.select(timeout):
            raise PostgresError(f"PostgreSQL took no connections within {timeout:.0f} seconds; see {folder.log}")
    line = process.stdout.readline()
    message: dict[str, Any] = json.loads(line) if line else {"error": "its supervisor ended without a word"}
    if "error" in message:
        raise PostgresError(f"PostgreSQL did not start in {folder.directory} (see {folder.log}):\n{message['error']}")
    port: int = message["ready"]
    return port


def _end(process: "subprocess.Popen[bytes]", stop_seconds: float) -> None:
    """Request the supervisor to stop the server, and wait until both have ended."""
    _send_line(process, "stop")  # closing the input is not enough: a child that inherited the pipe keeps it open
    for pipe in (process.stdin, process.stdout):
        assert pipe is not None
        pipe.close()
    try:
        process.wait(stop_seconds + supervisor.IMMEDIATE_SECONDS + supervisor.KILL_SECONDS + 5)
    except subprocess.TimeoutExpired:
        process.kill()  # the kernel then signals the server, which shuts down at once
        process.wait()
