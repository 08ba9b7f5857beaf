"""`larder branch purchase-orders` and `receive`, with and without a node that serves."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing, nullcontext
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from branch_node.cli.item_completion import complete_purchase_order
from branch_node.cli.node_client import opened
from branch_node.cli.purchases.receive_command import received_line
from branch_node.settings import load
from deploy.cli import app
from tests.integration.branch_node.cli.test_commands import REFUSED, WRONG_USAGE, Branch
from tests.support.pulled_orders import FARM, pulled, purchase_order


@pytest.fixture
def branch(tmp_path: Path) -> Branch:
    """A branch that has pulled two orders."""
    made = Branch(tmp_path / "node").with_milk()
    made.json("items", "add", "beans", "--name", "Beans", "--unit", "kg")
    second = purchase_order("PO-000002", (("milk", "l", 3_000),), closed=(1,), due=None)
    with opened(load(made.folder)) as node:
        node.writer.submit(pulled(FARM, purchase_order(), second)).result(10)
    return made


@pytest.mark.parametrize("served", [False, True])
def test_an_order_is_received_in_part_and_then_all_that_is_open(branch: Branch, *, served: bool) -> None:
    with branch.serve() if served else nullcontext():
        listed = branch.json("purchase-orders", "list")["items"]
        assert [each["purchase_order_id"] for each in listed] == ["PO-000001", "PO-000002"]
        still = branch.json("purchase-orders", "list", "--state", "open")["items"]
        assert [each["purchase_order_id"] for each in still] == ["PO-000001"]
        line = "1=4,5@11.25 usd;lot=L7;expires=2026-12-24;note=box open"
        (event,) = branch.json("receive", "PO-000001", "--line", line)["recorded"]
        assert (event["quantity"], event["lot"], event["expires_on"]) == (4.5, "L7", "2026-12-24")
        assert (event["cost"], event["note"]) == ({"amount": "11.25", "currency": "USD"}, "box open")
        rest = branch.json("receive", "PO-000001", "--all", "--line", "2=0")["recorded"]
        assert [(each["reference"]["line"], each["quantity"]) for each in rest] == [(1, 5.5)]
        assert branch.json("purchase-orders", "show", "PO-000001")["state"] == "OPEN"
        told = branch.run("receive", "PO-000001", "--all").stdout
        assert "Nothing is open of PO-000001 any more." in told
        assert "nothing of PO-000001 is open" in branch.refused("receive", "PO-000001", "--all")
        over = branch.run("receive", "PO-000001", "--line", "2=1").stdout
        assert "More than was ordered: 1 kg beans" in over
        assert branch.json("purchase-orders", "show", "PO-000001")["state"] == "RECEIVED"
    assert branch.json("verify")["true"]


def test_without_lines_it_shows_what_is_open_and_records_nothing(branch: Branch) -> None:
    done = branch.run("receive", "PO-000001")
    assert done.returncode == 0
    assert "Order PO-000001 to farm: OPEN, due 2026-12-01" in done.stdout
    assert "larder branch receive PO-000001 --all" in done.stdout
    assert "larder branch receive PO-000001 --line 1=10" in done.stdout
    assert branch.json("receive", "PO-000001")["state"] == "OPEN"
    assert "Nothing is open." in branch.run("receive", "PO-000002").stdout
    assert branch.json("log", "--type", "PURCHASE_RECEIVED")["items"] == []


def test_what_is_printed_fits_eighty_columns(branch: Branch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("FORCE_COLOR", "1")
    for command in (("list",), ("show", "PO-000001"), ("show", "PO-000002")):
        words = ["branch", "purchase-orders", *command, "--dir", str(branch.folder)]
        told = CliRunner().invoke(app, words)
        lines = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in told.stdout.splitlines()]
        assert told.exit_code == 0
        assert max(len(line) for line in lines if "larder branch" not in line) <= 80, told.stdout


@pytest.mark.parametrize("served", [False, True])
def test_refusals_say_what_to_do(branch: Branch, *, served: bool) -> None:
    with branch.serve() if served else nullcontext():
        for command in (
            ("purchase-orders", "show", "PO-9"),
            ("receive", "PO-9"),
            ("receive", "PO-9", "--all"),
            ("receive", "PO-9", "--line", "1=1"),
        ):
            told = branch.refused(*command)
            assert "purchase-order-not-found" in told
            assert "larder branch sync" in told
        assert "its lines are 1 to 2" in branch.refused("receive", "PO-000001", "--line", "3=1")
        done = branch.run("receive", "PO-000001", "--line", "3=1", "--json")
        problem = json.loads(done.stdout or done.stderr)
        assert (done.returncode, problem["code"]) == (REFUSED, "invalid-request")
    for text in ("milk=1", "1", "1=", "1=1@5", "1=1;lot", "1=1;lot=a;lot=b", "1=1;colour=red", "0x1=1"):
        assert "--line" in branch.refused("receive", "PO-000001", "--line", text, code=WRONG_USAGE)
    assert "--state" in branch.refused("purchase-orders", "list", "--state", "DONE", code=WRONG_USAGE)


def test_a_delivery_and_a_return_of_an_order_by_record(branch: Branch) -> None:
    words = ("--reference", "purchase-order:PO-000001", "--reference-line")
    branch.json("record", "delivery", "milk", "3", *words, "1")
    branch.json("record", "PURCHASE_RETURNED", "milk", "1", *words, "1")
    line = branch.json("purchase-orders", "show", "PO-000001")["lines"][0]
    assert (line["received"], line["returned"], line["open"]) == (3, 1, 7)
    told = branch.refused("record", "delivery", "milk", "3", *words, "2")
    assert "purchase-order-line-differs" in told
    assert "purchase-orders show" in told
    assert "reference.line" in branch.refused("record", "delivery", "milk", "3", *words[:2])
    told = branch.refused("record", "delivery", "milk", "3", "--reference-line", "1", code=WRONG_USAGE)
    assert "--reference names" in told


def test_verify_finds_deliveries_that_are_not_the_logs(branch: Branch) -> None:
    branch.json("receive", "PO-000001", "--line", "1=1", "--line", "1=2", "--line", "2=3")
    assert branch.json("verify")["true"]
    last = branch.json("log", "--type", "PURCHASE_RECEIVED")["items"][0]["sequence"]
    with closing(sqlite3.connect(branch.folder / "branch.db")) as connection:
        connection.execute("UPDATE delivered_line SET received = 9000 WHERE received = 1000")
        connection.execute("DELETE FROM delivered_line WHERE received = 2000")
        values = f"({last + 5}, 'PO-000001', 1, 'milk', 1000, 0, 0)"
        connection.execute(f"INSERT INTO delivered_line VALUES {values}")
        connection.commit()
    done = branch.run("verify", "--json")
    findings = json.loads(done.stdout)["findings"]
    assert done.returncode == REFUSED
    assert [each["sequence"] for each in findings] == [last - 2, last - 1, last + 5]
    assert "received 9," in findings[0]["recorded"]
    assert "received 1," in findings[0]["computed"]
    assert findings[1]["recorded"] == "none"
    assert findings[2]["computed"] == "none"


def test_ids_of_orders_are_completed(branch: Branch) -> None:
    class Context:
        params = {"directory": branch.folder}  # noqa: RUF012 - as typer has it

    assert complete_purchase_order(Context(), "PO-") == [("PO-000001", "farm"), ("PO-000002", "farm")]  # type: ignore[arg-type]
    assert complete_purchase_order(Context(), "X") == []  # type: ignore[arg-type]


def test_the_words_of_a_line() -> None:
    assert received_line("2 = 4".replace(" ", "")) == {"line": 2, "quantity": "4"}
    assert received_line("12=0.5@3 EUR ; lot = a b") == {
        "line": 12, "quantity": "0.5", "cost": {"amount": "3", "currency": "EUR"}, "lot": "a b",
    }  # fmt: skip
    with pytest.raises(typer.BadParameter):
        received_line("")
