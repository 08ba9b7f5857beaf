"""Every table of `larder head-office`, as it stands on a terminal of 80 and of 160 columns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import Engine, text

import head_office.cli
from deploy.cli import app
from head_office.log.ingest import ingest
from head_office.orders.order_router import OrderRouter
from shared import wire
from shared.chain import EMPTY, canonical
from shared.events import Definition, Reference
from shared.runtime.clock import parse_rfc3339
from tests.support.branch_log import BranchLog
from tests.support.events import MINUTE, NOON, an_event
from tests.support.order_rig import OrderRig
from tests.support.table_snapshots import WIDTHS, TableSnapshots, tables_without

HERE = Path(__file__).parent
EXPIRY = parse_rfc3339("2099-01-01T12:00:00Z")[0]


def from_a_newer_branch(office: Engine, location_id: str) -> None:
    """Ship an event of a type that this version does not know."""
    event = an_event("ORDER_DEDUCTION", location_id=location_id, epoch=1, sequence=1, recorded_at=NOON, seed=1)
    line = msgspec.json.encode(msgspec.json.decode(canonical(event)) | {"type": "STOCK_BLESSED"}, order="sorted")
    with office.begin() as connection:
        ingest(connection, wire.unpack(wire.pack(location_id, 1, 1, EMPTY.hash, [line])))


@pytest.mark.parametrize("width", WIDTHS)
def test_every_table(
    width: int, office: Engine, office_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    tables = TableSnapshots(app, HERE / "tables", width, monkeypatch)

    def run(*arguments: str, exit_code: int = 0) -> None:
        hidden = ("--dir", "office", "--database-url", office_url)
        tables.run("head-office", *arguments, hidden=hidden, exit_code=exit_code)

    run("items", "add", "milk", "--name", "Milk", "--unit", "l", "--strict-at", "BEY-01", "--strict-at", "WH-1")
    run("items", "add", "coffee-beans-arabica-washed-01", "--name", "Beans", "--unit", "kg", "--category", "Coffee")
    log = BranchLog("BEY-01")
    log.record("PURCHASE_RECEIVED", quantity=480_250, occurred_at=NOON)
    log.record("ORDER_DEDUCTION", quantity=1_500, occurred_at=NOON + MINUTE)
    log.record("ORDER_DEDUCTION", quantity=999_000, occurred_at=NOON + 2 * MINUTE)
    log.record("STOCKTAKE", counted=2_000, expected=2_500, occurred_at=NOON + 3 * MINUTE)
    log.record("ITEM_DEFINED", item_id="leche", definition=Definition(name="Leche entera", unit="l"))
    log.ship_now(office)
    from_a_newer_branch(office, "BEY-02")
    run("items", "list")
    run("items", "waiting")
    run("items", "map", "BEY-01", "leche", "milk")
    run("locations", "list")
    run("keys", "add", "--role", "staff", "--location", "BEY-01", "--label", "the till at the door, second shift")
    run("keys", "list")
    run("levels", "set", "BEY-01", "milk", "--reorder-point", "2.5", "--order-up-to", "10")
    by = ("--order-quantity", "1000", "--pack-size", "12.5", "--supplier", "farm-of-the-north", "--lead-days", "2")
    run("levels", "set", "BEY-01", "coffee-beans-arabica-washed-01", "--reorder-point", "0", *by)
    run("levels", "list", "BEY-01")
    run("report", "purchasing", "--as-of", "2026-01-03")
    run("report", "purchasing", "--as-of", "2026-01-03", "--all", "--location", "BEY-01", "--supplier", "none")
    run("stock")
    run("stock", "--as-of", "2026-01-01T14:01:30+02:00", "--known-at", "2099-01-01T00:00:00Z")
    run("stock", "--total")
    run("reservations")
    reserved: dict[str, Any] = {
        "reservation_id": "01a2204d-beff-725a-8e8b-cba5acd2fa4f",
        "expires_at": EXPIRY,
        "reference": Reference(id="4711", kind="order", revision=1),
        "source": "web",
    }
    log.record("STOCK_RESERVED", quantity=1_500, occurred_at=NOON + 4 * MINUTE, **reserved)
    log.record("STOCK_RESERVED", item_id="bread", quantity=250, occurred_at=NOON + 4 * MINUTE, **reserved)
    log.record("RESERVATION_CONFIRMED", quantity=500, occurred_at=NOON + 5 * MINUTE, **reserved | {"expires_at": None})
    log.ship_now(office)
    run("reservations")
    run("reservations", "--location", "BEY-01", "--order", "4711", "--state", "ACTIVE", "--item", "milk")
    run("stock")
    run("log", "BEY-01")
    run("log", "BEY-01", "--oldest", "--limit", "1")
    run("log", "BEY-01", "--after", "3")
    run("log", "BEY-02")
    run("sources", "list")
    run("sources", "add", "webshop", "--hold-days", "7", "--secret", "whsec_" + "A" * 32)
    run("sources", "list")
    run("orders", "list")
    rig = OrderRig(office, {"WH-1": 5})
    run("orders", "show", "nothing", exit_code=1)
    rig.tell("placed", "web-4711", lines={"milk": 3}, location_id="WH-1")
    rig.tell("placed", "web-4712", lines={"milk": 900})
    rig.answer("WH-1", "unavailable")
    OrderRouter(office, 120).step()
    rig.tell("placed", "web-4711", lines={"milk": 4}, revision=2, location_id="WH-1")
    run("orders", "list")
    run("orders", "list", "--state", "ASKED", "--limit", "1")
    run("orders", "show", "web-4711", "--source", "shop")
    run("orders", "show", "web-4712")
    rig.tell("placed", "web-4713", lines={"milk": 1}, location_id="BEY-02")
    run("orders", "show", "web-4713")
    with office.begin() as connection:
        connection.execute(text("UPDATE contact SET verdict = 'ROLLED_BACK' WHERE location_id = 'WH-1'"))
    run("orders", "show", "web-4711")
    run("quarantine", "list")
    run("quarantine", "retry")
    run("rebuild")
    with office.begin() as connection:
        connection.execute(text("UPDATE stock SET on_hand = on_hand + 1"))
    run("verify", exit_code=1)
    tables.compare()
    assert tables_without(Path(head_office.cli.__path__[0]), tables.call_sites) == []
