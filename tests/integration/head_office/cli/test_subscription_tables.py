"""Every table of `larder head-office subscriptions`, as it stands on a terminal of 80 and of 160 columns."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sqlalchemy import Engine
from typer.testing import CliRunner

import shared.subscriptions
from deploy.cli import app
from head_office.database.office_schema import SUBSCRIPTIONS
from shared.outbox.message_cursor import MessageCursor
from shared.runtime.clock import DAY
from tests.support.branch_log import BranchLog
from tests.support.events import MINUTE, NOON
from tests.support.noted_deliveries import GOOD, SILENT, note, note_dead
from tests.support.table_snapshots import WIDTHS, TableSnapshots, frozen_at, tables_without

HERE = Path(__file__).parent
NOW = NOON + 4 * DAY
SHOP = "http://127.0.0.1:9/hooks/stock"


def at(sequence: int) -> MessageCursor:
    return MessageCursor(1, sequence, 0)


@pytest.mark.parametrize("width", WIDTHS)
def test_every_table(
    width: int, office: Engine, office_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LARDER_WEBHOOK_ALLOW", "127.0.0.1")
    frozen_at(monkeypatch, NOW)
    for place in ("BEY-01", "BEY-02"):
        log = BranchLog(place)
        for _ in range(3):
            log.record("PURCHASE_RECEIVED")
        log.ship_now(office)
    tables = TableSnapshots(app, HERE / "tables" / "subscriptions", width, monkeypatch)
    hidden = ("--dir", tmp_path / "office", "--database-url", office_url)

    def subscriptions(*arguments: str, exit_code: int = 0) -> None:
        tables.run("head-office", "subscriptions", *arguments, hidden=hidden, exit_code=exit_code)

    def add(*arguments: str) -> str:
        command = ["head-office", "subscriptions", "add", *arguments, "--json", *map(str, hidden)]
        done = CliRunner().invoke(app, command, catch_exceptions=False)
        return str(json.loads(done.stdout)["subscription_id"])

    subscriptions("list")
    subscriptions("add", SHOP, "--location", "BEY-01", "--label", "Shop")
    # Their order is that of their making.
    frozen_at(monkeypatch, NOW + MINUTE)
    every = add(SHOP, "--after", "start", "--label", "Stock of the group, for the web shop and its three markets")
    frozen_at(monkeypatch, NOW + 2 * MINUTE)
    own = add(SHOP, "--location", "BEY-02", "--location", "BEY-01", "--after", "start", "--type", "larder.StockAdded")
    note_dead(office, SUBSCRIPTIONS, every, "BEY-01", NOW - MINUTE)
    note(office, SUBSCRIPTIONS, every, "BEY-01", NOW, (at(2), GOOD), (at(3), GOOD))
    note(office, SUBSCRIPTIONS, every, "BEY-02", NOW - MINUTE, (at(1), GOOD), (at(2), SILENT))
    subscriptions("list")
    for each in (every, own):
        subscriptions("show", each)
        subscriptions("deliveries", each)
    subscriptions("deliveries", every, "--location", "BEY-02", "--state", "RETRYING")
    subscriptions("pause", own)
    subscriptions("rotate", own)
    subscriptions("replay", every, "--after", "start", "--location", "BEY-02")
    subscriptions("remove", own)
    subscriptions("show", own, exit_code=1)
    tables.compare()
    assert tables_without(Path(shared.subscriptions.__path__[0]), tables.call_sites) == []
