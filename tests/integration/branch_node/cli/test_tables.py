"""Every table of `larder branch`, as it stands on a terminal of 80 and of 160 columns."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

import branch_node.cli
from branch_node.cli.node_client import node_at as a_node
from branch_node.cli.node_client import opened
from branch_node.settings import load
from deploy.cli import app
from shared.runtime.clock import DAY
from tests.support.events import NOON
from tests.support.pulled_orders import FARM, pulled, purchase_order
from tests.support.table_snapshots import WIDTHS, TableSnapshots, frozen_at, tables_without

HERE = Path(__file__).parent
LONG = "coffee-beans-of-the-house-arabica-washed-ethiopia-yirgacheffe-01"
MAP = """
source = "till-7"
time_zone = "Asia/Beirut"
type = "ORDER_DEDUCTION"

[columns]
id = "id"
item = "item"
quantity = "quantity"
occurred_at = "at"

[formats]
occurred_at = "%Y-%m-%d %H:%M"
"""
ROWS = """id,item,quantity,at
1,milk,0.25,2026-01-04 09:00
2,milk,12,2026-01-04 10:30
3,silk,1,2026-01-04 11:00
"""


def a_time(day: int, hour: int) -> str:
    return f"2026-01-{day:02}T{hour:02}:00:00+02:00"


@pytest.mark.parametrize("width", WIDTHS)
def test_every_table(width: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LARDER_DIR", "node")
    frozen_at(monkeypatch, NOON + 4 * DAY)
    tables = TableSnapshots(app, HERE / "tables", width, monkeypatch)

    def branch(*arguments: str, exit_code: int = 0) -> str:
        return tables.run("branch", *arguments, exit_code=exit_code)

    quiet = TableSnapshots(app, HERE / "tables", width, monkeypatch)
    quiet.run("branch", "init", "--location", "BEY-01", "--timezone", "Asia/Beirut")
    for item, name, unit in (
        ("milk", "Whole milk from the mountain dairy of Barouk, pasteurised", "l"),
        (LONG, "Beans", "kg"),
        ("bread", "Flat bread", "pc"),
    ):
        quiet.run("branch", "items", "add", item, "--name", name, "--unit", unit)
    tables = TableSnapshots(app, HERE / "tables", width, monkeypatch)
    for arguments in (
        ("delivery", "milk", "480", "--reference", "delivery:4711", "--note", "left at the back door, half of it warm"),
        ("delivery", LONG, "12.125"),
        ("waste", "milk", "0.5", "--reason", "spoiled"),
    ):
        quiet.run("branch", "record", *arguments, "--occurred-at", a_time(2, 9))
    branch("record", "waste", "milk", "2.25", "--reason", "broken", "--occurred-at", a_time(2, 10))
    branch("record", "adjustment", "milk", "--reason", "correction", "--occurred-at", a_time(2, 11), "--", "-1.5")
    branch("order", "4711", "milk=1.5", "bread=2", "--occurred-at", a_time(3, 12))
    branch("order", "4711", "milk=2", "--revision", "2")
    branch("count", "milk=470.5", f"{LONG}=13", "--occurred-at", a_time(3, 20))
    branch("count", "bread=3", "--count-id", "evening", "--area", "kitchen", "--more")
    branch("record", "sale", "milk", "3", "--occurred-at", a_time(4, 8), "--note", "by hand, the till was off")
    branch("void", "16", "--reason", "mistake")
    quiet.run("branch", "order", "4712", "milk=1", f"{LONG}=0.125", "--occurred-at", a_time(4, 9))
    branch("void", "18", "--reason", "mistake")
    branch("review", "4", "--comment", "seen")
    (tmp_path / "map.toml").write_text(MAP, encoding="utf-8")
    (tmp_path / "till.csv").write_text(ROWS, encoding="utf-8")
    creating = f'unknown_items = "create"\n{MAP}\n[new_items]\nunit = "kg"\n'
    (tmp_path / "creating.toml").write_text(creating, encoding="utf-8")
    branch("import", "till.csv", "--map", "creating.toml", "--dry-run")
    branch("import", "till.csv", "--map", "map.toml", exit_code=1)
    branch("imports", "list")
    branch("imports", "show", "2026-01-05-1")
    (tmp_path / "items.csv").write_text("item_id,name,unit,strict\ntea,Tea,kg,maybe\n", encoding="utf-8")
    branch("items", "import", "items.csv", exit_code=1)
    branch("reserve", "web-4711", "milk=2.5", f"{LONG}=1", "--source", "shop", "--expires-in", "2h")
    branch("reservations", "confirm", "web-4711", "milk=1", "--keep")
    quiet.run("branch", "reserve", "web-4712", "milk=1", "--expires-in", "14d")
    quiet.run("branch", "reservations", "release", "web-4712", "--reason", "cancelled")
    branch("reservations", "list")
    quiet.run("branch", "sources", "add", "webshop", "--hold-days", "7", "--secret", f"whsec_{'A' * 43}=")
    branch("sources", "list")
    branch("items")
    branch("items", "list")
    by = ("--order-quantity", "1000", "--pack-size", "12.5", "--supplier", "farm-of-the-north", "--lead-days", "2")
    branch("levels", "set", LONG, "--reorder-point", "15", *by)
    branch("levels", "set", "milk", "--reorder-point", "480.5", "--order-up-to", "500")
    branch("levels", "list")
    with opened(load(tmp_path / "node")) as node_here:
        node_here.writer.submit(pulled(FARM, purchase_order("PO-000001", (("milk", "l", 24_500),)))).result(10)
    branch("purchase-orders", "list")
    branch("purchase-orders", "show", "PO-000001")
    branch("stock")
    branch("stock", "milk")
    branch("stock", "--low")
    branch("levels", "remove", LONG)
    branch("log")
    branch("log", "--oldest", "--limit", "3")
    branch("log", "--after", "3", "--limit", "2")
    branch("log", "--item", LONG)
    branch("log", "--item", "milk", "--limit", "4")
    branch("explain", "milk")
    branch("keys", "list")
    branch("status")
    frozen_at(monkeypatch, NOON + 400 * DAY)
    branch("clock", "show")
    quiet.run("branch", "record", "sale", "milk", "1")
    frozen_at(monkeypatch, NOON + 4 * DAY)
    branch("clock", "confirm", "--yes")
    branch("clock", "repair")
    branch("clock", "repair", "--yes")
    branch("verify")
    with sqlite3.connect(tmp_path / "node" / "branch.db") as connection:
        connection.execute("UPDATE stock SET on_hand = 7000 WHERE item_id = 'milk'")
    connection.close()
    branch("verify", exit_code=1)
    tables.compare()
    assert tables_without(Path(branch_node.cli.__path__[0]), tables.call_sites) == []


def test_an_explanation_begins_with_the_figure_and_ends_with_the_last_thirty_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LARDER_DIR", str(tmp_path / "node"))
    tables = TableSnapshots(app, tmp_path, 160, monkeypatch)
    tables.run("branch", "init", "--location", "BEY-01")
    tables.run("branch", "items", "add", "milk", "--name", "Milk", "--unit", "l")
    with a_node(tmp_path / "node") as node:
        batch = [
            {"key": f"k{each}", "type": "PURCHASE_RECEIVED", "item_id": "milk", "quantity": 1} for each in range(45)
        ]
        node.post("/v1/events/batch", {"events": batch})
    shown = tables.run("branch", "explain", "milk").splitlines()
    assert shown[0].startswith("milk as of ")
    assert "on hand 45 l" in shown[0]
    lines = [line.split() for line in shown if "PURCHASE_RECEIVED" in line]
    assert [line[-1] for line in lines] == [str(each) for each in range(16, 46)]
    assert any("15 older events" in line for line in shown)
    every = tables.run("branch", "explain", "milk", "--all")
    assert every.count("PURCHASE_RECEIVED") == 45
    assert "older events" not in every
    newest = tables.run("branch", "log", "--limit", "2").splitlines()
    assert [line.split()[0] for line in newest if "PURCHASE" in line] == ["46", "45"]
    # What does not count is cut in the same way: the item's definition, an order, its voids.
    tables.run("branch", "order", "4711", *["milk=1"] * 20)
    tables.run("branch", "order", "4711", "--cancel")
    left_out = tables.run("branch", "explain", "milk").partition("What does not count")[2]
    assert (left_out.count("ORDER_DEDUCTION"), left_out.count("EVENT_VOIDED")) == (10, 20)
    assert "11 older events" in left_out
    every = tables.run("branch", "explain", "milk", "--all").partition("What does not count")[2]
    assert (every.count("ORDER_DEDUCTION"), every.count("EVENT_VOIDED")) == (20, 20)
    assert "older events" not in every
