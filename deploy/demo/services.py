"""The demo's processes: head office, coordinator, branches, each a real `larder … serve` in a folder of its own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import msgspec

from deploy.demo.data import LOCATIONS, SampleLocation
from deploy.demo.link import Link
from shared.runtime.http import running_file

START_SECONDS = 60.0
STOP_SECONDS = 20.0
PORTS_TRIED = 5
WATCH_SECONDS = 0.25
POLL_SECONDS = 0.05
LARDER = (sys.executable, "-m", "deploy.cli")
CHILD_COMMAND = (sys.executable, "-m", "deploy.demo.child_command")


class DemoFailed(Exception):
    """A part of the demo did not start or did not answer; the text names it and its log."""


def larder_json(*arguments: str | Path) -> Any:
    """Run one `larder` command with --json; the JSON that it printed. Raises DemoFailed."""
    command = [*LARDER, *map(str, arguments), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=START_SECONDS)
    if done.returncode != 0:
        raise DemoFailed(f"`larder {' '.join(map(str, arguments))}` said: {(done.stderr or done.stdout).strip()}")
    return json.loads(done.stdout)


def free_port(preferred: int) -> int:
    """`preferred` if it is free now, else a port that the system chooses. Raises DemoFailed.

    Another program may take it before it is listened on; `Service.start` tries the next then.
    """
    for port in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise DemoFailed("no port of 127.0.0.1 is free")


class Service:
    """One `larder … serve` in a process of its own; its output goes to `DIR/serve.log`.

    Where its port is taken it is started on another one, which `port` and `url` name then.
    """

    def __init__(self, name: str, folder: Path, port: int, arguments: Sequence[str]) -> None:
        self.name = name
        self.folder = folder
        self.port = port
        self.log = folder / "serve.log"
        self._arguments = [*CHILD_COMMAND, *arguments, "--dir", str(folder)]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.stop()

    def died(self) -> str | None:
        """How it ended, where it was not stopped; None while it runs."""
        process = self._process
        code = None if process is None else process.poll()
        return None if code is None else f"{self.name} ended (exit code {code}): see {self.log}"

    def start(self) -> None:
        """Start it and wait until it is ready, on another port where its own is taken. Raises DemoFailed."""
        for _ in range(PORTS_TRIED):
            self.port = free_port(self.port)
            if self._start():
                return
            why = self.died() or f"{self.name} was not ready after {START_SECONDS:.0f} s: see {self.log}"
            self.stop()
            if free_port(self.port) == self.port:
                break  # it did not end because of its port
        raise DemoFailed(why)

    def _start(self) -> bool:
        """Start it on `port`; whether it became ready."""
        with self.log.open("ab") as log:
            # A session of its own: Ctrl-C in the terminal reaches the demo, which stops its services in order. Nothing
            # is written to the pipe; it is closed when this process ends, in whatever way.
            self._process = subprocess.Popen(
                [*self._arguments, "--port", str(self.port)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            if self._is_mine() and self._answers():
                return True
            time.sleep(POLL_SECONDS)
        return False

    def _is_mine(self) -> bool:
        """Whether the process that we started says that it serves at our address: another program may answer there."""
        found = running_file.read(self.folder)
        return (
            found is not None and self._process is not None and (found.url, found.pid) == (self.url, self._process.pid)
        )

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/readyz", timeout=2.0, trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    def stop(self) -> None:
        """Stop it; kill it if it does not end in time."""
        process, self._process = self._process, None
        if process is None:
            return
        with process:  # closes the pipe
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


class Branch(Service):
    """A branch's node, its manager key, and its link to head office."""

    def __init__(self, location: SampleLocation, folder: Path, port: int, key: str, link: Link) -> None:
        super().__init__(location.location_id, folder, port, ("branch", "serve"))
        self.location = location
        self.key = key
        self.link = link


class DemoState(msgspec.Struct, kw_only=True):
    """The keys and ports of a demo, in `demo.json` in its folder, so that it can be started again."""

    admin_key: str
    ports: dict[str, int]
    branch_keys: dict[str, str]
    link_ports: dict[str, int]


STATE_FILE = "demo.json"


class DemoGroup:
    """All services of the demo, as a context manager; leaving it stops them, the last started first.

    `new`: the folder was empty, and so are the databases. Where a service ends by itself, `failure` says which, and
    this process gets a SIGTERM.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.branches: dict[str, Branch] = {}
        self.new = not self.exists_in(folder)
        self.admin_key = ""
        self.head_office: Service
        self.coordinator: Service
        self.failure: str | None = None
        self._stack = ExitStack()
        self._leaving = threading.Event()

    @staticmethod
    def exists_in(folder: Path) -> bool:
        """Whether `folder` holds a demo."""
        return (folder / STATE_FILE).exists()

    def __enter__(self) -> Self:
        try:
            if self.new:
                self._create()
            else:
                self._resume(msgspec.json.decode((self.folder / STATE_FILE).read_bytes(), type=DemoState))
        except BaseException:
            self._stack.close()
            raise
        watch = threading.Thread(target=self._watch, name="demo-watch", daemon=True)
        self._stack.callback(watch.join)
        self._stack.callback(self._leaving.set)
        watch.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._stack.close()

    def _watch(self) -> None:
        services = (self.head_office, self.coordinator, *self.branches.values())
        while not self._leaving.wait(WATCH_SECONDS):
            self.failure = next((ended for each in services if (ended := each.died()) is not None), None)
            if self.failure is not None:
                os.kill(os.getpid(), signal.SIGTERM)
                return

    def _create(self) -> None:
        office = self.folder / "head-office"
        self.admin_key = str(larder_json("head-office", "init", "--dir", office)["key"])
        self._serve_head_office(free_port(8000))
        for number, location in enumerate(LOCATIONS, start=1):
            added = larder_json(
                "head-office", "locations", "add", location.location_id,
                "--name", location.name, "--timezone", location.timezone, "--dir", office,
            )  # fmt: skip
            link = self._stack.enter_context(Link(self.head_office.port))
            made = larder_json(
                "branch", "init", "--dir", self.folder / location.location_id, "--location", location.location_id,
                "--timezone", location.timezone,
                "--head-office", f"http://127.0.0.1:{link.port}", "--key", added["key"],
            )  # fmt: skip
            self._serve_branch(location, free_port(8100 + number), str(made["key"]), link)
        key = larder_json("head-office", "keys", "add", "--role", "coordinator", "--dir", office)["key"]
        folder = self.folder / "transfer-coordinator"
        larder_json("transfer", "init", "--dir", folder, "--head-office", self.head_office.url, "--key", key)
        self._serve_coordinator(free_port(8001))
        self._save_state()

    def _resume(self, state: DemoState) -> None:
        self.admin_key = state.admin_key
        self._serve_head_office(state.ports["head-office"])
        for location in LOCATIONS:
            name = location.location_id
            link = self._stack.enter_context(Link(self.head_office.port, free_port(state.link_ports[name])))
            if link.port != state.link_ports[name]:
                larder_json(
                    "branch", "init", "--dir", self.folder / name, "--head-office", f"http://127.0.0.1:{link.port}"
                )
            self._serve_branch(location, state.ports[name], state.branch_keys[name], link)
        self._serve_coordinator(state.ports["transfer-coordinator"])
        self._save_state()

    def _serve_head_office(self, port: int) -> None:
        service = Service("head office", self.folder / "head-office", port, ("head-office", "serve"))
        self.head_office = self._stack.enter_context(service)

    def _serve_branch(self, location: SampleLocation, port: int, key: str, link: Link) -> None:
        branch = Branch(location, self.folder / location.location_id, port, key, link)
        self.branches[location.location_id] = self._stack.enter_context(branch)

    def _serve_coordinator(self, port: int) -> None:
        serve = ("transfer", "serve", "--head-office", self.head_office.url)
        service = Service("transfer coordinator", self.folder / "transfer-coordinator", port, serve)
        self.coordinator = self._stack.enter_context(service)

    def _save_state(self) -> None:
        state = DemoState(
            admin_key=self.admin_key,
            ports={"head-office": self.head_office.port, "transfer-coordinator": self.coordinator.port}
            | {name: branch.port for name, branch in self.branches.items()},
            branch_keys={name: branch.key for name, branch in self.branches.items()},
            link_ports={name: branch.link.port for name, branch in self.branches.items()},
        )
        path = self.folder / STATE_FILE
        path.touch(mode=0o600)
        path.write_bytes(msgspec.json.encode(state))
