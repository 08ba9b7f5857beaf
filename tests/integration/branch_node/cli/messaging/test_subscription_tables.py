"""Every table of `larder branch subscriptions`, as it stands on a terminal of 80 and of 160 columns."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import shared.subscriptions
from branch_node.database.schema import SUBSCRIPTIONS
from deploy.cli import app
from shared.outbox.message_cursor import MessageCursor
from shared.runtime.clock import DAY
from shared.runtime.database.engine import sqlite_engine
from tests.support.events import MINUTE, NOON
from tests.support.noted_deliveries import GONE, GOOD, REFUSED, SILENT, note, note_dead
from tests.support.table_snapshots import WIDTHS, TableSnapshots, frozen_at, tables_without

HERE = Path(__file__).parent
NOW = NOON + 4 * DAY
SHOP = "http://127.0.0.1:9/hooks/stock"
LONG = (
    "http://127.0.0.1:9/integrations/larder/inventory/hooks?tenant=groceries-of-the-old-harbour&environment=production"
)


def at(sequence: int) -> MessageCursor:
    return MessageCursor(1, sequence, 0)


@pytest.mark.parametrize("width", WIDTHS)
def test_every_table(width: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LARDER_DIR", "node")
    monkeypatch.setenv("LARDER_WEBHOOK_ALLOW", "127.0.0.1,2001:db8::/32")
    frozen_at(monkeypatch, NOW)
    tables = TableSnapshots(app, HERE / "tables", width, monkeypatch)

    def subscriptions(*arguments: str, exit_code: int = 0) -> str:
        return tables.run("branch", "subscriptions", *arguments, exit_code=exit_code)

    def given(*arguments: str) -> str:
        done = CliRunner().invoke(app, ["branch", *arguments], catch_exceptions=False)
        assert done.exit_code == 0, done.stdout
        return done.stdout

    given("init", "--location", "BEY-01", "--timezone", "Asia/Beirut")
    given("items", "add", "milk", "--name", "Milk", "--unit", "l")
    for _ in range(12):
        given("record", "delivery", "milk", "1")
    subscriptions("list")
    subscriptions("add", SHOP, "--after", "start", "--label", "Shop")
    shop = json.loads(given("subscriptions", "list", "--json"))["items"][0]["subscription_id"]
    subscriptions("show", shop)
    subscriptions("deliveries", shop)

    def add(url: str, *more: str) -> str:
        made = json.loads(given("subscriptions", "add", url, "--after", "start", *more, "--json"))
        return str(made["subscription_id"])

    types = [f"--type=larder.{each}" for each in ("StockAdded", "LowStockDetected", "InventoryUnavailable")]
    # Their order is that of their making.
    frozen_at(monkeypatch, NOW + MINUTE)
    failing = add(LONG, "--label", "Order system of the group, second shift of the night", *types)
    frozen_at(monkeypatch, NOW + 2 * MINUTE)
    gone = add(SHOP)
    frozen_at(monkeypatch, NOW + 3 * MINUTE)
    paused = add("https://[2001:db8::1]:8443/x", "--label", "Old till")
    engine = sqlite_engine(tmp_path / "node" / "branch.db")
    note(engine, SUBSCRIPTIONS, shop, "BEY-01", NOW - MINUTE, *((at(each), GOOD) for each in range(2, 14)))
    note_dead(engine, SUBSCRIPTIONS, failing, "BEY-01", NOW - 30 * MINUTE)
    note(engine, SUBSCRIPTIONS, failing, "BEY-01", NOW - MINUTE, (at(2), GOOD), (at(3), SILENT))
    note(engine, SUBSCRIPTIONS, gone, "BEY-01", NOW, (at(2), GOOD), (at(3), GONE))
    note(engine, SUBSCRIPTIONS, paused, "BEY-01", NOW - DAY, (at(2), REFUSED))
    engine.dispose()
    subscriptions("pause", paused)
    subscriptions("list")
    for each in (failing, gone, shop):
        subscriptions("show", each)
        subscriptions("deliveries", each)
    subscriptions("deliveries", failing, "--state", "DEAD")
    subscriptions("resume", gone)
    subscriptions("rotate", shop)
    subscriptions("replay", shop, "--after", str(at(12)))
    subscriptions("remove", paused)
    subscriptions("show", paused, exit_code=1)
    tables.compare()
    assert tables_without(Path(shared.subscriptions.__path__[0]), tables.call_sites) == []
