"""The process between Larder and its embedded PostgreSQL; it stops the server when Larder's process has ended.

Run as a program, by path, with the standard library alone. Its first line of input is its task (JSON, see `Task`);
after that a line, the end of input or the end of the owner makes it stop. Its only line of output is `ready` with the
port, or `error`. The owner may end in any way: a pidfd detects it, as a child may have inherited the pipe and outlive
it. If this process itself is killed, the kernel signals the server (PR_SET_PDEATHSIG), which shuts down at once.
"""

import ctypes
import json
import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypedDict

PR_SET_PDEATHSIG = 1
PORT_ATTEMPTS = 10
NO_PORT = "could not create any TCP/IP sockets"  # the server's message, in lc_messages=C
IMMEDIATE_SECONDS = 15.0  # the server itself kills what has not ended after five
KILL_SECONDS = 10.0
READY_POLL_SECONDS = 0.02
LOG_CHECK_SECONDS = 60.0
LOG_BYTES = 16 * 1024 * 1024
ERROR_BYTES = 2000


class Task(TypedDict):
    owner: int  # process id; the server ends with this process
    command: list[str]  # the server's, without data directory and port
    environment: dict[str, str]
    data: str
    log: str
    endpoint: str  # the file with the server's port and state
    lock: int  # an inherited file descriptor, locked; held by this process, the server and its backends
    user: list[int] | None  # uid and gid to run as
    port: int | None  # the one to try first
    shared: bool  # whether others may attach
    stop_seconds: float  # for an orderly shutdown, before an immediate one


class Supervisor:
    """Starts one server, waits, stops it."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.server: subprocess.Popen[bytes] | None = None
        self.stop_requested = False
        self.selector = selectors.DefaultSelector()
        self.selector.register(0, selectors.EVENT_READ, self._on_input)
        self._watch_owner()
        self._watch_signals()

    def run(self) -> int:
        log_start = Path(self.task["log"]).stat().st_size
        port = self._start()
        if port is None:
            if not self.stop_requested:
                report({"error": read_end(self.task["log"], log_start)})
            return 1
        try:
            self._publish(port, ready=True)
            report({"ready": port})
            while not self.stop_requested and self._running():
                self._wait(LOG_CHECK_SECONDS)
                bound_log(Path(self.task["log"]))
            crashed = not self.stop_requested
            self._publish(port, ready=False)
        finally:  # a full disk must not keep the server from being stopped
            self._stop()
        return 1 if crashed else 0

    def _start(self) -> int | None:
        """The port of the server once it accepts connections; None where it ended or a stop was requested."""
        for attempt in range(PORT_ATTEMPTS):
            port = self.task["port"] if attempt == 0 else None
            port = port or free_port()
            self._publish(port, ready=False)
            log_start = Path(self.task["log"]).stat().st_size
            self._launch(port)
            while self._running() and not self.stop_requested:
                if self._accepts_connections():
                    return port
                self._wait(READY_POLL_SECONDS)
            self._stop()
            if self.stop_requested or NO_PORT not in read_end(self.task["log"], log_start):
                return None
        return None

    def _launch(self, port: int) -> None:
        user = self.task["user"]
        data = self.task["data"]
        held = [self.task["lock"]]
        identity: dict[str, Any] = {}
        if user is not None:
            # The user may not be able to enter the folders above; an inherited descriptor bypasses them.
            folder = os.open(data, os.O_RDONLY | os.O_DIRECTORY)
            held.append(folder)
            data = f"/proc/self/fd/{folder}"
            identity = {"user": user[0], "group": user[1], "extra_groups": []}
        with Path(self.task["log"]).open("ab") as log:
            self.server = subprocess.Popen(
                [*self.task["command"], "-D", data, "-c", f"port={port}"],
                env=self.task["environment"],
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=held,
                umask=0o077,
                preexec_fn=die_with_parent(),  # noqa: PLW1509 - this process has one thread
                **identity,
            )
        for descriptor in held[1:]:
            os.close(descriptor)

    def _accepts_connections(self) -> bool:
        assert self.server is not None
        try:
            lines = (Path(self.task["data"]) / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) >= 8 and lines[0] == str(self.server.pid) and lines[7].strip() == "ready"

    def _running(self) -> bool:
        return self.server is not None and self.server.poll() is None

    def _stop(self) -> None:
        """Fast shutdown rolls back and makes a checkpoint; immediate leaves that to the recovery of the next start."""
        assert self.server is not None
        for how, seconds in (
            (signal.SIGINT, self.task["stop_seconds"]),
            (signal.SIGQUIT, IMMEDIATE_SECONDS),
            (signal.SIGKILL, KILL_SECONDS),
        ):
            if not self._running():
                return
            self.server.send_signal(how)
            deadline = time.monotonic() + seconds
            while self._running() and time.monotonic() < deadline:
                self._wait(min(1.0, max(0.0, deadline - time.monotonic())))

    def _publish(self, port: int, *, ready: bool) -> None:
        """Replace the endpoint file atomically."""
        endpoint = Path(self.task["endpoint"])
        scratch = endpoint.with_name(endpoint.name + ".new")
        content = {"port": port, "ready": ready, "shared": self.task["shared"], "owner": self.task["owner"]}
        scratch.write_text(json.dumps(content))
        scratch.replace(endpoint)

    def _wait(self, seconds: float) -> None:
        for key, _ in self.selector.select(seconds):
            handle: Callable[[], None] = key.data
            handle()

    def _watch_owner(self) -> None:
        owner = self.task["owner"]
        if hasattr(os, "pidfd_open"):
            try:
                self.selector.register(os.pidfd_open(owner), selectors.EVENT_READ, self._on_owner_gone)
            except ProcessLookupError:
                self.stop_requested = True
        if os.getppid() != owner:  # it ended before this check
            self.stop_requested = True

    def _watch_signals(self) -> None:
        receiving, sending = socket.socketpair()
        receiving.setblocking(False)
        sending.setblocking(False)
        signal.set_wakeup_fd(sending.fileno(), warn_on_full_buffer=False)
        for ignored in (signal.SIGCHLD, signal.SIGINT, signal.SIGHUP):  # a handler, as the server would inherit SIG_IGN
            signal.signal(ignored, lambda *_: None)
        signal.signal(signal.SIGTERM, self._on_terminate)
        self._wakeup = (receiving, sending)
        self.selector.register(receiving, selectors.EVENT_READ, self._on_signal)

    def _on_input(self) -> None:
        self.stop_requested = True
        self.selector.unregister(0)

    def _on_owner_gone(self) -> None:
        self.stop_requested = True
        for key in list(self.selector.get_map().values()):
            if key.data == self._on_owner_gone:
                self.selector.unregister(key.fileobj)

    def _on_signal(self) -> None:
        self._wakeup[0].recv(4096)

    def _on_terminate(self, *_: object) -> None:
        self.stop_requested = True


def die_with_parent() -> Callable[[], None] | None:
    """A function for a child to run between fork and exec, so that it ends with this process; None but on Linux."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None, use_errno=True)
    parent = os.getpid()

    def set_signal() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGQUIT, 0, 0, 0)
        if os.getppid() != parent:  # the parent has ended already
            os._exit(1)

    return set_signal


def bound_log(log: Path, limit: int = LOG_BYTES) -> None:
    """Rotate the log if it has more than `limit` bytes: copy it to `.old` and truncate it."""
    if log.stat().st_size > limit:
        shutil.copyfile(log, log.with_name(log.name + ".old"))
        os.truncate(log, 0)  # the server opened the file for appending, so it continues at the new end


def free_port() -> int:
    """A TCP port of the loopback address that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def read_end(path: str, start: int) -> str:
    """The text written to the file since `start`, at most the last ERROR_BYTES."""
    with Path(path).open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(max(start, end - ERROR_BYTES))
        return file.read().decode(errors="replace")


def report(message: dict[str, object]) -> None:
    """Send a message to the launcher, which may have ended already."""
    try:
        os.write(1, json.dumps(message).encode() + b"\n")
    except BrokenPipeError:
        return


def main() -> int:
    with open(0, "rb", buffering=0, closefd=False) as first_line:
        task: Task = json.loads(first_line.readline())
    os.set_inheritable(task["lock"], False)
    return Supervisor(task).run()


if __name__ == "__main__":
    sys.exit(main())
