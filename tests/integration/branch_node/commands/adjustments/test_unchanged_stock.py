"""A node that serves, and many clients over real connections: of those that read the same stock exactly one wins."""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from shared.runtime.http import running_file
from tests.integration.branch_node.cli.test_commands import Branch
from tests.support.processes import ROOT, start_command

PAGE = ROOT / "deploy" / "handbook" / "stock-commands.md"
CLIENTS, ROUNDS = 64, 4


class Served(NamedTuple):
    """A serving node with milk, and a key of it."""

    url: str
    key: str
    branch: Branch


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    branch = Branch(tmp_path / "node").with_milk()
    with branch.serve():
        running = running_file.read(branch.folder)
        assert running is not None
        made = branch.json("keys", "add", "--role", "integration", "--scope", "restock", "--label", "web shop")
        yield Served(running.url, made["key"], branch)


@pytest.mark.parametrize("path", ["/api/inventory/adjust", "/v1/events"])
def test_64_clients_and_one_winner_each_round(served: Served, path: str) -> None:
    bodies = {
        "/api/inventory/adjust": {"sku": "milk", "change": -1, "reason": "SALE"},
        "/v1/events": {"type": "ORDER_DEDUCTION", "item_id": "milk", "quantity": 1},
    }
    headers = {"Authorization": f"Bearer {served.branch.key}"}
    barrier = threading.Barrier(CLIENTS)
    served.branch.run("record", "delivery", "milk", "100")

    def client(_number: int) -> list[tuple[int, str | None]]:
        answers: list[tuple[int, str | None]] = []
        with httpx.Client(base_url=served.url, headers=headers, trust_env=False, timeout=60) as http:
            for _ in range(ROUNDS):
                barrier.wait(60)
                read = http.get("/v1/stock/milk").headers["etag"]
                barrier.wait(60)  # everybody has read the same
                answer = http.post(path, json=bodies[path], headers={"If-Match": read})
                told = answer.json().get("stock", {}).get("on_hand")
                assert answer.status_code in {200, 201} or (answer.json()["code"], told) == ("stock-changed", told)
                answers.append((answer.status_code, read))
        return answers

    with ThreadPoolExecutor(CLIENTS) as pool:
        found = list(pool.map(client, range(CLIENTS)))
    for round_ in range(ROUNDS):
        statuses = sorted(answers[round_][0] for answers in found)
        assert statuses[0] in {200, 201}
        assert statuses[1:] == [412] * (CLIENTS - 1)
        assert len({answers[round_][1] for answers in found}) == 1
    assert served.branch.json("stock", "milk")["on_hand"] == 100 - ROUNDS


def test_the_clients_of_the_handbook_sell_what_there_is_and_no_more(served: Served, tmp_path: Path) -> None:
    text = PAGE.read_text(encoding="utf-8")
    (program,) = re.findall(r"^`sell.py`:\n\n```python\n(.*?)^```", text, re.M | re.S)
    (tmp_path / "sell.py").write_text(program, encoding="utf-8")
    served.branch.run("record", "delivery", "milk", "7")

    def run(number: int, *arguments: str) -> tuple[int, str]:
        words = [sys.executable, str(tmp_path / "sell.py"), served.url, served.key, *arguments]
        output = tmp_path / f"{number}.log"
        with start_command(words, output) as process:
            code = process.wait(60)
        return code, output.read_text()

    with ThreadPoolExecutor(12) as pool:
        done = list(pool.map(lambda number: run(number, "milk", "1"), range(12)))
    assert sorted(text.partition(",")[0].strip() for _, text in done) == ["sold"] * 7 + ["sold out"] * 5
    assert {code for code, _ in done} == {0}
    assert served.branch.json("stock", "milk")["on_hand"] == 0
    code, told = run(99, "mlk", "1")
    assert (code, "not known" in told) == (1, True)


def test_the_command_of_the_handbook_is_as_it_stands(served: Served) -> None:
    command = re.search(r"^    larder branch (keys add .*) --dir DIR$", PAGE.read_text(encoding="utf-8"), re.M)
    assert command is not None
    assert command[1] == 'keys add --role integration --scope restock --label "web shop"'
    headers = {"Authorization": f"Bearer {served.key}"}
    for change, reason, status in ((5, "RESTOCK", 200), (-1, "SALE", 200), (1, "CORRECTION", 403)):
        body = {"sku": "milk", "change": change, "reason": reason}
        answer = httpx.post(f"{served.url}/api/inventory/adjust", json=body, headers=headers, trust_env=False)
        assert answer.status_code == status
