"""A node as a real process with a line to head office: cut, joined, killed, stopped, added later."""

from __future__ import annotations

import json
import random
import sqlite3
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from branch_node.database.witness import read as read_witness
from shared.catalogue_messages import CatalogueItem, CatalogueKey
from shared.chain import understand
from shared.messages import Instruction, InstructionLine, InstructionStep
from shared.orders.order_outcomes import RecordedOutcome
from shared.runtime.http.auth import generate_key
from tests.support.fake_head_office import FakeHeadOffice
from tests.support.forked import larder, run_larder
from tests.support.office_server import OfficeServer
from tests.support.order_events import answers_in, order_instruction
from tests.support.processes import RunningProcess
from tests.support.waiting import wait_until

KEY = "lk_0123456789ab_" + "x" * 43


class Node:
    """A --dir, and the process that serves it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process: RunningProcess | None = None
        self.key = self.command("init", "--location", "BEY-01", "--timezone", "Asia/Beirut")["key"]
        self.http = httpx.Client(headers={"Authorization": f"Bearer {self.key}"}, trust_env=False, timeout=30)
        self.starts = 0

    def command(self, *arguments: str) -> Any:
        done = run_larder("branch", *arguments, "--dir", self.folder, "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    def join(self, office: OfficeServer, key: str = KEY) -> None:
        self.command("init", "--head-office", office.url, "--key", key)

    def serve(self) -> None:
        self.starts += 1
        output = self.folder.parent / f"serve-{self.starts}.log"
        self.process = larder("branch", "serve", "--dir", self.folder, "--port", "0", output=output)
        ready = self.process.wait_for(r"larder branch ready on (http://127\.0\.0\.1:\d+)")
        self.http.base_url = httpx.URL(ready[1])

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()

    def stop(self) -> int:
        assert self.process is not None
        return self.process.stop()

    def define(self, *item_ids: str) -> None:
        for item_id in item_ids:
            answer = self.http.put(f"/v1/items/{item_id}", json={"name": item_id, "unit": "l"})
            assert answer.status_code == 200, answer.text

    def deliver(self, quantity: int = 1, item_id: str = "milk", key: str | None = None) -> dict[str, Any]:
        body = {"type": "PURCHASE_RECEIVED", "item_id": item_id, "quantity": quantity}
        answer = self.http.post("/v1/events", json=body, headers={} if key is None else {"Idempotency-Key": key})
        assert answer.status_code == 201, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = self.http.get("/v1/status").json()
        return found

    def wait_for_state(self, state: str) -> dict[str, Any]:
        wait_until(lambda: self.status()["shipping"]["state"] == state, 20, what=state)
        return self.status()

    def lines(self) -> list[bytes]:
        with sqlite3.connect(f"file:{self.folder / 'branch.db'}?mode=ro", uri=True) as connection:
            rows = connection.execute("SELECT line FROM event ORDER BY sequence").fetchall()
        connection.close()
        return [row[0] for row in rows]


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    made = Node(tmp_path / "d2")
    yield made
    made.http.close()
    if made.process is not None and made.process.returncode is None:
        made.kill()


@pytest.fixture
def office() -> Iterator[OfficeServer]:
    made = FakeHeadOffice(key=KEY)
    made.time = time.time_ns() // 1_000
    with OfficeServer(made) as server:
        yield server


def everything_arrived(node: Node, office: OfficeServer) -> None:
    wait_until(lambda: office.office.lines == node.lines(), 30, what="equal logs", interval=0.05)


def test_head_office_is_added_later(node: Node, office: OfficeServer) -> None:
    node.serve()
    node.define("milk")
    for number in range(1, 4):
        node.deliver(number)
    assert node.status()["shipping"]["state"] == "NO_HEAD_OFFICE"
    assert node.status()["unshipped"] == 4
    node.join(office)  # while it runs: it acts at the next start
    assert node.stop() == 0
    node.serve()
    everything_arrived(node, office)
    node.wait_for_state("OK")
    wait_until(lambda: node.status()["unshipped"] == 0)
    assert node.status()["last_contact_at"]
    assert node.command("sync")["unshipped"] == 0


def test_a_commit_is_at_head_office_at_once(node: Node, office: OfficeServer) -> None:
    node.join(office)
    node.serve()
    node.wait_for_state("OK")
    node.define("milk")
    everything_arrived(node, office)
    took: list[float] = []
    for number in range(40):
        before, began = len(office.office.lines), time.perf_counter()
        node.deliver(number + 1)
        while len(office.office.lines) == before:
            assert time.perf_counter() - began < 10
            time.sleep(0.001)
        took.append(time.perf_counter() - began)
    assert statistics.median(took) < 0.25, "no poll's delay: it is woken by the commit"


def test_a_cut_line_heals_by_itself(node: Node, office: OfficeServer) -> None:
    node.join(office)
    node.serve()
    node.wait_for_state("OK")
    node.define("milk")
    office.close()
    for number in range(5):
        node.deliver(number + 1)
    status = node.wait_for_state("UNREACHABLE")
    assert status["unshipped"] >= 5
    assert status["shipping"]["next_try_at"]
    with OfficeServer(office.office, port=office.port):
        everything_arrived(node, office)
        node.wait_for_state("OK")
        wait_until(lambda: node.status()["unshipped"] == 0)


def test_a_wrong_key_is_told_and_facts_go_on(node: Node, office: OfficeServer) -> None:
    node.join(office, key="lk_0123456789ab_" + "y" * 43)
    node.serve()
    node.define("milk")
    shipping = node.wait_for_state("UNAUTHORIZED")["shipping"]
    assert "--key" in shipping["hint"]
    node.deliver()
    # Head office's word is final: nobody waits out the time, neither beside a node nor without one.
    for _ in range(2):
        done = run_larder("branch", "sync", "--dir", node.folder, "--wait", "600", timeout=30)
        assert done.returncode == 1
        assert "UNAUTHORIZED" in done.stdout
        node.stop()


@pytest.mark.slow
def test_killed_while_shipping_nothing_is_lost_or_doubled(node: Node, office: OfficeServer) -> None:
    """SIGKILL again and again, a batch in flight each time, the answers to some of them lost for good."""
    chance = random.Random(20260101)
    node.join(office)
    node.serve()
    node.define("milk")
    office.delay = 0.15
    answered: dict[str, int] = {}
    killed_in_flight = 0
    for life in range(8):
        for number in range(chance.randrange(20, 60)):
            key = f"till:{life}:{number}"
            answered[key] = node.deliver(chance.randrange(1, 50), key=key)["sequence"]
        in_flight = office.in_flight.wait(10)
        time.sleep(chance.random() * 0.1)
        in_flight = office.in_flight.is_set()
        node.kill()
        killed_in_flight += in_flight
        node.serve()
        # What was answered is known again under its key, whatever happened since.
        key = chance.choice(sorted(answered))
        found = next(json.loads(line) for line in node.lines() if f'"command_key":"{key}"'.encode() in line)
        assert found["sequence"] == answered[key]
    office.delay = 0.0
    everything_arrived(node, office)
    events = [json.loads(line) for line in node.lines()]
    assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
    assert {event.get("command_key"): event["sequence"] for event in events}.items() >= answered.items()
    assert node.stop() == 0
    assert node.command("verify", "--deep")["true"]
    witness = read_witness(node.folder.with_name("d2.witness"))
    assert witness is not None
    assert witness.sequence == len(events)
    print(f"\nkilled {killed_in_flight} of 8 times with a batch in flight, {len(events)} events")
    assert killed_in_flight >= 3


@pytest.mark.slow
def test_killed_while_it_takes_orders_each_is_answered_once(node: Node, office: OfficeServer) -> None:
    """SIGKILL again and again, somewhere in the pages that head office asks; what was answered stays so."""
    chance = random.Random(20260102)
    office.office.publish(item=CatalogueItem(item_id="milk", name="Milk", unit="l"))
    office.office.largest_page = 5
    node.join(office)
    answered: dict[str, RecordedOutcome] = {}
    killed_between = 0
    for life in range(6):
        kinds = [chance.choice(("placed", "placed", "cancelled", "shipped")) for _ in range(60)]
        asked = [
            order_instruction(
                kind, f"o{life}-{n % 20}", f"e{life}-{n}", None if kind == "cancelled" else {"milk": 1_000}
            )
            for n, kind in enumerate(kinds)
        ]
        office.office.ask_orders(*asked)
        node.serve()
        wait_until(lambda: asked[0].key in in_the_log(node), 20, what="the first is answered", interval=0.002)  # noqa: B023
        time.sleep(chance.random() * 0.05)
        node.kill()
        found = in_the_log(node)
        killed_between += not {each.key for each in asked} <= found.keys()
        assert found.items() >= answered.items()
        answered = found
    node.serve()
    wait_until(lambda: len(in_the_log(node)) == len(office.office.orders), 60, what="all are answered", interval=0.05)
    everything_arrived(node, office)
    assert in_the_log(node).keys() == {each.key for each in office.office.orders}
    assert node.stop() == 0
    assert node.command("verify", "--deep")["true"]
    print(f"\nkilled {killed_between} of 6 times between two answers")
    assert killed_between >= 2
    shown = run_larder("branch", "log", "--dir", node.folder, "--limit", "1000").stdout
    assert "already-cancelled, order o" in " ".join(shown.split())


def in_the_log(node: Node) -> dict[str, RecordedOutcome]:
    return answers_in(map(understand, node.lines()))


def test_told_to_stop_it_commits_what_waits(node: Node, office: OfficeServer) -> None:
    node.join(office)
    node.serve()
    node.define("milk")
    node.wait_for_state("OK")
    sequences = [node.deliver(number + 1)["sequence"] for number in range(30)]
    began = time.monotonic()
    assert node.stop() == 0
    assert time.monotonic() - began < 15, "an open long poll does not hold it"
    assert not list(node.folder.glob("branch.db-*")), "checkpointed"
    assert not (node.folder / "running.json").exists()
    assert len(node.lines()) == sequences[-1]


def test_sync_without_a_node_ships_pulls_and_ships_the_facts(node: Node, office: OfficeServer) -> None:
    office.office.publish(item=CatalogueItem(item_id="milk", name="Milk", unit="l"))
    lines = (InstructionLine(1, "milk", 2_000, "l"),)
    made = {"source": "TRI-01", "destination": "BEY-01", "location_id": "BEY-01", "lines": lines}
    office.office.ask(Instruction(transfer_id="t1", step=InstructionStep.IN, token=1, **made))  # type: ignore[arg-type]
    node.join(office)
    told = node.command("sync")
    assert (told["state"], told["unshipped"]) == ("OK", 0)
    assert [json.loads(line)["type"] for line in office.office.lines] == ["TRANSFER_IN"]
    assert node.command("stock", "milk")["on_hand"] == 2


def test_a_key_of_head_office_opens_the_branch_until_it_is_revoked(node: Node, office: OfficeServer) -> None:
    key = generate_key()
    told = {"key_id": key.key_id, "key_hash": key.digest, "role": "staff"}
    office.office.publish(key=CatalogueKey(**told))  # type: ignore[arg-type]
    office.office.hello_every = 1
    node.join(office)
    node.serve()
    node.wait_for_state("OK")
    theirs = {"Authorization": f"Bearer {key.text}"}
    wait_until(lambda: node.http.get("/v1/stock", headers=theirs).status_code == 200, 20)
    office.office.publish(key=CatalogueKey(**told, revoked_at=1_800_000_000_000_000))  # type: ignore[arg-type]
    wait_until(lambda: node.http.get("/v1/stock", headers=theirs).status_code == 401, 20)


def test_metrics_tell_what_is_worth_watching(node: Node, office: OfficeServer) -> None:
    node.join(office)
    node.serve()
    node.define("milk")
    node.wait_for_state("OK")
    everything_arrived(node, office)
    found = wait_until(
        lambda: (text := node.http.get("/metrics").text) and "larder_unshipped_events 0.0" in text and text,
        what="nothing unshipped in the metrics",
    )
    for line in ('larder_shipping_state{state="OK"} 1.0', "larder_recording 1.0", "larder_clock_confirmed 1.0"):
        assert line in str(found)
    assert node.http.get("/readyz").status_code == 200


def test_a_second_writer_behind_its_back_ends_the_process(node: Node) -> None:
    """What the lock cannot stop (a copy on another machine, a hand in the file) is noticed at the next commit."""
    node.serve()
    node.define("milk")
    node.deliver()
    with sqlite3.connect(node.folder / "branch.db") as connection:
        connection.execute("UPDATE head SET sequence = sequence + 1")
    connection.close()
    body = {"type": "PURCHASE_RECEIVED", "item_id": "milk", "quantity": 1}
    assert node.http.post("/v1/events", json=body).status_code == 503
    assert node.process is not None
    assert node.process.wait(30) == 1
    assert len(node.lines()) == 2


def test_a_node_on_postgresql(tmp_path: Path, office: OfficeServer, pg_database: str) -> None:
    folder = tmp_path / "pg"
    made = run_larder("branch", "init", "--dir", folder, "--location", "BEY-01", "--database", pg_database, "--json")
    assert made.returncode == 0, made.stderr
    node = Node(folder)
    try:
        node.join(office)
        node.serve()
        refused = run_larder("branch", "init", "--dir", folder, "--timezone", "Europe/Paris")
        assert refused.returncode == 1
        assert "already writes" in refused.stderr
        node.key = json.loads(made.stdout)["key"]
        node.http.headers["Authorization"] = f"Bearer {node.key}"
        node.define("milk")
        node.deliver(5)
        wait_until(lambda: len(office.office.lines) == 2, 20)
        assert node.command("stock", "milk")["on_hand"] == 5
        assert node.command("verify", "--deep")["true"]
        assert node.stop() == 0
        assert node.command("record", "delivery", "milk", "1")["on_hand_after"] == 6
    finally:
        node.http.close()
        if node.process is not None and node.process.returncode is None:
            node.kill()
