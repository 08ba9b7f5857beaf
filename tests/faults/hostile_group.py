"""A group of real `larder … serve` processes that are killed with SIGKILL while requests are in flight."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx

from tests.support.processes import RunningProcess, free_port, larder, run_larder
from tests.support.waiting import wait_until

READY_SECONDS = 90.0


class Target:
    """One service: started, killed, started again; knows how many requests of ours are in flight to it."""

    def __init__(
        self, name: str, folder: Path, command: tuple[str, ...], environment: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.kills = 0
        self.in_flight_at_kills = 0
        self._command = (*command, "--dir", folder, "--port", str(self.port))
        self._environment = environment
        self._process: RunningProcess | None = None
        self._in_flight = 0
        self._change = threading.Condition()

    def start(self) -> None:
        """Start it and wait until it is ready."""
        output = self.folder / "acceptance.log"
        process = larder(*self._command, output=output, environment=self._environment)  # type: ignore[arg-type]
        self._process = process

        def ready() -> bool:
            assert process.returncode is None, f"{self.name} ended with {process.returncode}: {process.text()[-2_000:]}"
            try:
                return httpx.get(f"{self.url}/readyz", timeout=5, trust_env=False).status_code == 200
            except httpx.TransportError:
                return False

        wait_until(ready, READY_SECONDS, what=f"{self.name} to be ready")

    def kill(self) -> None:
        """SIGKILL, at a moment when a request is in flight if one comes within a second."""
        assert self._process is not None
        with self._change:
            self._change.wait_for(lambda: self._in_flight > 0, 1.0)
            self._process.kill()
            self.kills += 1
            self.in_flight_at_kills += self._in_flight

    def stop(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.stop(60)

    def request(self, client: httpx.Client, method: str, path: str, key: str, **more: Any) -> httpx.Response:
        """One request, counted while it is in flight. Raises httpx.TransportError."""
        with self._change:
            self._in_flight += 1
            self._change.notify_all()
        try:
            headers = {"Authorization": f"Bearer {key}", **more.pop("headers", {})}
            return client.request(method, self.url + path, headers=headers, **more)
        finally:
            with self._change:
                self._in_flight -= 1


class Traffic:
    """A thread that keeps calling until it is told to stop; what it could not do it does again.

    `pace`: seconds between calls, of one that would only take the time of the others.
    """

    def __init__(self, name: str, act: Callable[[httpx.Client], None], pace: float = 0.0) -> None:
        self.counts: Counter[str] = Counter()
        self.failure: BaseException | None = None
        self._act = act
        self._pace = pace
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with httpx.Client(timeout=60, trust_env=False) as client:
            while not self._stop.is_set():
                try:
                    self._act(client)
                    self.counts["answered"] += 1
                    if self._pace:
                        self._stop.wait(self._pace)
                except httpx.TransportError:
                    self.counts["cut off"] += 1
                    self._stop.wait(0.02)
                except BaseException as error:  # noqa: BLE001 - told to whoever stops the traffic
                    self.failure = error
                    return

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(120)
        assert self.failure is None, self.failure


def larder_json(*arguments: str | Path) -> Any:
    """One `larder` command to its end, which must be a good one; its JSON."""
    done = run_larder(*arguments, "--json", timeout=300)
    assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
    return json.loads(done.stdout)


class HostileGroup:
    """Head office, coordinator, and a branch for each store, with their keys."""

    def __init__(self, folder: Path, locations: list[str], timezone: str) -> None:
        office, coordinator = folder / "office", folder / "coordinator"
        self.admin = str(larder_json("head-office", "init", "--dir", office)["key"])
        # Webhooks of the run go to this machine.
        allowed = {"LARDER_WEBHOOK_ALLOW": "127.0.0.1"}
        self.office = Target("head office", office, ("head-office", "serve"), allowed)
        self.office.start()
        self.branches: dict[str, Target] = {}
        self.keys: dict[str, Any] = {}
        for name in locations:
            added = larder_json(
                "head-office", "locations", "add", name, "--name", name, "--timezone", timezone, "--dir", office
            )
            made = larder_json(
                "branch", "init", "--dir", folder / name, "--location", name, "--timezone", timezone,
                "--head-office", self.office.url, "--key", added["key"],
            )  # fmt: skip
            self.keys[name] = str(made["key"])
            self.branches[name] = Target(name, folder / name, ("branch", "serve"))
            self.branches[name].start()
        key = larder_json("head-office", "keys", "add", "--role", "coordinator", "--dir", office)["key"]
        larder_json("transfer", "init", "--dir", coordinator, "--head-office", self.office.url, "--key", key)
        self.coordinator = Target("coordinator", coordinator, ("transfer", "serve"))
        self.coordinator.start()

    @property
    def targets(self) -> list[Target]:
        return [self.office, self.coordinator, *self.branches.values()]

    def stop(self) -> None:
        for target in (*self.branches.values(), self.coordinator, self.office):
            target.stop()
