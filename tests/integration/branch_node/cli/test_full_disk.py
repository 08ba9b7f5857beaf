"""A branch's node on a disk that is full: on a small file system of its own, with the processes that people start."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from branch_node.sync.shipping_status import ShippingState
from shared.runtime.problems import Problem
from tests.support.branch_rig import BranchRig, Record
from tests.support.forked import larder, run_larder
from tests.support.processes import RunningProcess
from tests.support.strict_skips import NO_MOUNT
from tests.support.waiting import wait_until

SIZE = 6 * 1024 * 1024
NOTE = "x" * 900


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(NO_MOUNT)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(disk: Path) -> None:
    """Take all the room that is left."""

    def write(size: int) -> None:
        while True:
            file.write(b"\0" * size)

    with (disk / "ballast").open("ab", buffering=0) as file:
        for size in (65_536, 4_096, 1):
            with pytest.raises(OSError, match="No space left"):
                write(size)


class Node:
    """The node in a folder of the small disk."""

    def __init__(self, disk: Path) -> None:
        self.folder = disk / "node"
        self.log = disk.parent / "serve.log"
        self.key = self.command("init", "--location", "BEY-01", "--json", json_answer=True)["key"]
        self.command("items", "add", "milk", "--name", "Milk", "--unit", "l")
        self.url = ""

    def command(self, *arguments: str, code: int = 0, json_answer: bool = False) -> dict[str, str]:
        done = run_larder("branch", *arguments, "--dir", self.folder)
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stdout + done.stderr
        assert "OSError" not in done.stdout + done.stderr
        return json.loads(done.stdout) if json_answer else {"out": done.stdout, "err": done.stderr}

    def serve(self) -> RunningProcess:
        process = larder("branch", "serve", "--dir", self.folder, "--port", "0", output=self.log)
        process.wait_for(r"larder branch ready on http://127\.0\.0\.1:\d+")
        found = re.findall(r"ready on (http://\S+)", self.log.read_text())
        self.url = found[-1]
        return process

    def record(self) -> httpx.Response:
        body = {"type": "PURCHASE_RECEIVED", "item_id": "milk", "quantity": 1, "note": NOTE}
        return httpx.post(f"{self.url}/v1/events", json=body, headers=self._auth, timeout=20)

    def get(self, path: str) -> httpx.Response:
        return httpx.get(f"{self.url}{path}", headers=self._auth, timeout=20)

    @property
    def _auth(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}

    def ready(self) -> bool:
        return self.get("/readyz").status_code == 200


def record_until_full(node: Node) -> int:
    """How many were recorded before the first that was refused."""
    for count in range(2_000):
        answer = node.record()
        if answer.status_code != 201:
            assert (answer.status_code, answer.json()["code"], answer.json()["recorded"]) == (507, "disk-full", "no")
            return count
    raise AssertionError("the disk is never full")


def test_a_node_on_a_full_disk_can_be_read_says_so_and_heals_by_itself(small_disk: Path) -> None:
    node = Node(small_disk)
    with node.serve() as process:
        wait_until(node.ready, what="the node to be ready")
        assert node.record().status_code == 201
        fill(small_disk)
        recorded = 1 + record_until_full(node)
        wait_until(lambda: not node.ready(), what="readiness to tell")
        assert "full" in node.get("/readyz").text
        assert node.get("/v1/status").json()["recording"] is False
        told = node.command("record", "delivery", "milk", "1", code=1)
        assert "disk" in told["err"].lower() or "No space" in told["err"]
        os.kill(process.pid, 9)
        process.wait()
    fill(small_disk)
    # After the kill it starts all the same, to be read.
    with node.serve():
        assert node.get("/v1/stock/milk").json()["on_hand"] == recorded
        fill(small_disk)  # what the killed node's write-ahead log had taken is free now
        recorded += record_until_full(node)
        wait_until(lambda: not node.ready(), what="readiness to tell")
        assert node.command("stock", "milk", "--json", json_answer=True)["on_hand"] == recorded
        (small_disk / "ballast").unlink()
        wait_until(node.ready, what="readiness to come back without a request")
        assert node.get("/v1/status").json()["recording"] is True
        assert node.record().status_code == 201
        node.command("record", "delivery", "milk", "1")
        assert node.get("/v1/stock/milk").json()["on_hand"] == recorded + 2
    node.command("verify")


def test_what_was_recorded_is_shipped_from_a_full_disk(small_disk: Path) -> None:
    folder = small_disk / "branch"
    folder.mkdir()
    rig = BranchRig(folder)
    try:
        rig.define("milk")
        rig.record(*[1_000] * 20)
        fill(small_disk)
        refused = 0
        while not refused:
            outcomes = rig.writer.commit([Record("milk", 1_000, note=NOTE)])
            refused = sum(isinstance(each, Problem) for each in outcomes)
        assert "full" in (rig.writer.failing() or "")
        rig.ship()
        assert rig.state == ShippingState.OK
        assert len(rig.office.lines) == rig.reader.head().sequence
    finally:
        rig.close()
