"""Our services as real processes, started by the commands that people use, on free ports, their databases fresh."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg

from shared.runtime.postgres import launcher
from shared.runtime.settings import read_settings_file, write_settings_file
from tests.benchmarks.harness import Bench
from tests.benchmarks.sample import ITEMS, LOCATION, item_ids
from tests.support.processes import RunningProcess, larder, run_larder

START_SECONDS = 60.0
CLUSTER = "two"


@dataclass
class Service:
    """A process that serves. `key` is an administrator's or manager's."""

    name: str
    folder: Path
    port: int
    key: str
    process: RunningProcess

    def get(self, path: str) -> object:
        """The JSON of a GET. Raises httpx.HTTPStatusError."""
        headers = {"Authorization": f"Bearer {self.key}"}
        answer = httpx.get(f"http://127.0.0.1:{self.port}{path}", headers=headers, timeout=30, trust_env=False)
        answer.raise_for_status()
        return answer.json()

    def on_hand(self, item_id: str) -> float:
        """A branch's stock of an item."""
        found = self.get(f"/v1/stock/{item_id}")
        assert isinstance(found, dict)
        return float(found["on_hand"])


def run_json(*arguments: str | Path) -> dict[str, Any]:
    """Run a `larder` command with --json to its end; what it printed."""
    done = run_larder(*arguments, "--json")
    if done.returncode != 0:
        raise RuntimeError(f"larder {' '.join(map(str, arguments))}: {done.stderr or done.stdout}")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@contextmanager
def serve(bench: Bench, name: str, folder: Path, key: str, *arguments: str) -> Iterator[Service]:
    """`larder … serve --dir folder` until the `with` is left; then stopped in order, its memory noted."""
    # One key sends here what the keys of many tills send.
    write_settings_file(folder, {**read_settings_file(folder), "rate_limit_per_second": 1_000_000})
    command = (*arguments, "--dir", folder, "--port", "0")
    with larder(*command, output=bench.new_folder(name) / "serve.log") as process:  # type: ignore[arg-type]
        port = int(process.wait_for(r"ready on http://127\.0\.0\.1:(\d+)", START_SECONDS)[1])
        try:
            yield Service(name, folder, port, key, process)
        finally:
            bench.note_memory(name, process.pid)
            process.stop()


def make_branch(
    bench: Bench, location_id: str = LOCATION, *, events: int = 0, seed: int = 1, office: tuple[str, str] | None = None
) -> tuple[Path, str, float]:
    """A branch's folder with the sample's items and a log of so many sales; its manager key; bytes of a line.

    `office` is head office's address and the location's key.
    """
    folder = bench.new_folder(location_id) / "node"
    key = str(run_json("branch", "init", "--dir", folder, "--location", location_id)["key"])
    lines = bench.child("ours_branch:prepare", folder=str(folder), location_id=location_id, events=events, seed=seed)
    if office is not None:
        link(folder, office)
    return folder, key, lines["bytes"]


def link(folder: Path, office: tuple[str, str]) -> None:
    """Tell a branch its head office's address and its own key there."""
    run_json("branch", "init", "--dir", folder, "--head-office", office[0], "--key", office[1])


@contextmanager
def branch(bench: Bench, location_id: str = LOCATION) -> Iterator[Service]:
    """A branch without a head office, serving."""
    folder, key, _ = make_branch(bench, location_id)
    with serve(bench, "branch", folder, key, "branch", "serve") as service:
        yield service


@dataclass
class Office:
    """A head office that serves, and its database."""

    service: Service
    cluster: launcher.Cluster
    database: str

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.service.port}"

    def connect(self) -> psycopg.Connection:
        return psycopg.connect(self.cluster.conninfo(self.database), autocommit=True)

    def add_location(self, location_id: str) -> str:
        """Its key."""
        answer = run_json(
            "head-office", "locations", "add", location_id, "--name", location_id, "--timezone", "Asia/Beirut",
            "--dir", self.service.folder,
        )  # fmt: skip
        return str(answer["key"])

    def add_items(self) -> None:
        """The sample's items, into the group's catalogue."""
        path = self.service.folder / "items.csv"
        path.write_text("item_id,name,unit\n" + "".join(f"{each},{each},kg\n" for each in item_ids(ITEMS)))
        run_json("head-office", "items", "import", str(path), "--dir", self.service.folder)


@contextmanager
def head_office(bench: Bench) -> Iterator[Office]:
    """A new head office on a fresh database of a PostgreSQL of its own, which is shared by nothing else that runs."""
    cluster = bench.cluster(CLUSTER)
    name = bench.database(cluster, "office")
    folder = bench.new_folder("head-office") / "office"
    key = str(run_json("head-office", "init", "--dir", folder, "--database-url", cluster.url(name))["key"])
    with serve(bench, "head-office", folder, key, "head-office", "serve") as service:
        yield Office(service, cluster, name)
    with psycopg.connect(cluster.conninfo(), autocommit=True) as connection:
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())


@contextmanager
def coordinator(bench: Bench, office: Office) -> Iterator[Service]:
    """A transfer coordinator on a fresh database."""
    cluster = bench.cluster(CLUSTER)
    name = bench.database(cluster, "transfers")
    folder = bench.new_folder("coordinator") / "coordinator"
    key = str(run_json("head-office", "keys", "add", "--role", "coordinator", "--dir", office.service.folder)["key"])
    made = run_json(
        "transfer", "init", "--dir", folder, "--head-office", office.url, "--key", key,
        "--database-url", cluster.url(name),
    )  # fmt: skip
    with serve(bench, "coordinator", folder, str(made.get("key", "")), "transfer", "serve") as service:
        yield service
