"""`larder branch reserve` and `reservations`, with and without a node that serves; also beside callers over HTTP."""

from __future__ import annotations

import json
import sqlite3
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.branch_node.cli.test_commands import REFUSED, WRONG_USAGE, Branch
from tests.support.forked import run_larder
from tests.support.processes import RunningProcess

STOCK = 20


@pytest.fixture
def branch(tmp_path: Path) -> Branch:
    made = Branch(tmp_path / "node").with_milk()
    made.json("record", "delivery", "milk", str(STOCK))
    return made


def _stock(branch: Branch) -> tuple[float, float, float]:
    found = branch.json("stock", "milk")
    return found["on_hand"], found["reserved"], found["available"]


def test_a_reservation_from_its_order_to_its_end(branch: Branch) -> None:
    made = branch.json("reserve", "web-1", "milk=2,5", "--source", "shop", "--expires-in", "2h")
    assert made["state"] == "ACTIVE"
    assert _stock(branch) == (20, 2.5, 17.5)
    with branch.serve():
        first = made["reservation_id"]
        assert branch.json("reservations", "confirm", "web-1", "milk=1", "--keep")["lines"][0]["open"] == 1.5
        listed = branch.json("reservations", "list", "--state", "active", "--item", "milk")["items"]
        assert [each["reservation_id"] for each in listed] == [first]
        assert branch.json("reservations", "show", "web-1", "--source", "shop")["lines"][0]["confirmed"] == 1
        ended = branch.json("reservations", "release", first, "--reason", "cancelled")
        assert (ended["state"], ended["lines"][0]["released"]) == ("RELEASED", 1.5)
        assert "reservation-ended" in branch.refused("reservations", "confirm", first)
    assert _stock(branch) == (19, 0, 19)


def test_refusals_name_what_is_short_and_what_to_do(branch: Branch) -> None:
    told = branch.refused("reserve", "web-1", "milk=21")
    assert "21 l of milk asked, 20 available" in told
    assert "larder branch stock" in told
    done = branch.run("reserve", "web-1", "milk=21", "--json")
    problem = json.loads(done.stdout or done.stderr)
    assert (done.returncode, problem["code"], problem["recorded"]) == (REFUSED, "inventory-unavailable", "yes")
    assert problem["short"] == [{"item_id": "milk", "unit": "l", "asked": 21, "available": 20}]
    log = branch.json("log", "--type", "RESERVATION_REFUSED")["items"]
    assert [each["quantity"] for each in log] == [21, 21]  # each try is a demand of its own
    branch.json("record", "delivery", "milk", "1")
    assert branch.json("reserve", "web-1", "milk=21")["state"] == "ACTIVE"
    assert "unknown-reservation" in branch.refused("reservations", "show", "nothing")
    assert "duration" in branch.refused("reserve", "web-2", "milk=1", "--expires-in", "soon", code=WRONG_USAGE)
    assert "--state" in branch.refused("reservations", "list", "--state", "OPEN", code=WRONG_USAGE)


def test_verify_names_a_reservation_that_is_not_what_the_log_says(branch: Branch) -> None:
    made = branch.json("reserve", "web-1", "milk=2")
    assert branch.json("verify")["true"]
    with sqlite3.connect(branch.folder / "branch.db") as connection:
        connection.execute("UPDATE reservation_line SET quantity = 9000")
    connection.close()
    done = branch.run("verify", "--json")
    (finding,) = json.loads(done.stdout)["findings"]
    assert done.returncode == REFUSED
    assert made["reservation_id"] in finding["what"]
    assert "milk 9 " in finding["recorded"]
    assert "milk 2 " in finding["computed"]


def test_an_order_id_of_two_systems_needs_the_system_named(branch: Branch) -> None:
    for source in ("shop", "market"):
        branch.json("reserve", "4711", "milk=2", "--source", source)
    told = branch.refused("reservations", "release", "4711", code=WRONG_USAGE)
    assert "--source" in told
    assert "market" in told
    assert "shop" in told
    assert _stock(branch) == (20, 4, 16)
    assert branch.json("reservations", "confirm", "4711", "--source", "shop")["source"] == "shop"
    assert _stock(branch) == (18, 2, 16)


@pytest.mark.parametrize("way", ["http", "command-line beside http"])
def test_64_callers_never_reserve_more_than_there_is(branch: Branch, way: str) -> None:
    """Each asks for one of the last 20 units; exactly 20 get one, the others are told how many are left."""
    with branch.serve() as node:
        address = _address(node)
        outcomes: list[str] = []
        commands = 0 if way == "http" else 6
        with httpx.Client(base_url=address, headers={"Authorization": f"Bearer {branch.key}"}, timeout=60) as client:

            def over_http(number: int) -> str:
                body = {"order_id": f"web-{number}", "lines": [{"item_id": "milk", "quantity": 1}]}
                answer = client.post("/v1/reservations", json=body)
                return "reserved" if answer.status_code == 201 else str(answer.json()["code"])

            def by_command(number: int) -> str:
                done: subprocess.CompletedProcess[str] = run_larder(
                    "branch", "reserve", f"cli-{number}", "milk=1", "--dir", branch.folder, "--json"
                )
                answer: dict[str, Any] = json.loads(done.stdout or done.stderr)
                return "reserved" if done.returncode == 0 else str(answer["code"])

            with ThreadPoolExecutor(64) as pool:
                waiting = [pool.submit(by_command, number) for number in range(commands)]
                waiting += [pool.submit(over_http, number) for number in range(64 - commands)]
                outcomes = [each.result() for each in waiting]
        assert sorted(set(outcomes)) == ["inventory-unavailable", "reserved"]
        assert outcomes.count("reserved") == STOCK
        assert _stock(branch) == (20, 20, 0)
    assert branch.json("verify", "--deep")["true"]


def _address(node: RunningProcess) -> str:
    return node.wait_for(r"ready on (http://127\.0\.0\.1:\d+)")[1]
