"""Every table of `larder head-office`, as it stands on a terminal of 80 and of 160 columns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import Engine, insert, text

import head_office.cli
from deploy.cli import app
from head_office.database.morning_tables import MAILED_MORNING, PURCHASING_MAIL, PURCHASING_MORNING
from head_office.log.ingest import ingest
from head_office.orders.order_router import OrderRouter
from shared import wire
from shared.chain import EMPTY, canonical
from shared.events import Definition, Reference
from shared.runtime.clock import parse_rfc3339
from tests.integration.head_office.api.purchases.conftest import Deliveries
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
    run("suppliers", "set", "farm-of-the-north", "--name", "Farm of the North, Zahle", "--lead-days", "2")
    run("suppliers", "set", "mill", "--name", "Mill", "--email", "orders.of.the.morning@mill-by-the-river.example")
    run("suppliers", "list")
    create = ("purchase-orders", "create", "--supplier", "farm-of-the-north", "--location")
    lines = ("--line", "milk=24@30.00 USD", "--line", "coffee-beans-arabica-washed-01=12.5")
    run(*create, "BEY-01", *lines, "--due", "2099-12-01", "--note", "By the back door.")
    run(*create, "BEY-02", "--line", "milk=1", "--id", "the-order-of-the-spring-2099")
    deliveries = Deliveries(office)
    deliveries.add("PO-000001", 1, "milk", 30_500)
    deliveries.add("PO-000001", 1, "milk", 0, returned=1_250)
    run("purchase-orders", "close", "PO-000001", "--line", "2", "--reason", "out of season")
    run("purchase-orders", "show", "PO-000001")
    run("purchase-orders", "list")
    run("purchase-orders", "list", "--state", "OPEN", "--limit", "1", "--location", "BEY-02")
    run("purchase-orders", "list", "--limit", "1")
    run("report", "purchasing", "--as-of", "2026-01-03")
    run("report", "purchasing", "--as-of", "2026-01-03", "--all", "--location", "BEY-01", "--supplier", "mill")
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
    run("report", "mornings")
    with office.begin() as connection:
        kept = {"as_of": NOON, "known_at": NOON, "made_at": NOON + MINUTE, "window_days": 28, "sequence": 3}
        for place, state, listed in (("BEY-01", "INCOMPLETE", 1_250), ("WH-1", "FRESH", 0)):
            row = {"location_id": place, "date": "2026-01-01", "state": state, "listed": listed, **kept}
            connection.execute(insert(PURCHASING_MORNING).values(row))
        mail = {"mail_id": "m-1", "date": "2026-01-01", "state": "WAITING", "created_at": NOON, "attempts": 2}
        why = "the mail server refuses: 451 the disk is full"
        connection.execute(insert(PURCHASING_MAIL).values({**mail, "next_try_at": NOON + MINUTE, "error": why}))
        part = {"location_id": "BEY-01", "date": "2026-01-01", "mail_id": "m-1"}
        connection.execute(insert(MAILED_MORNING).values(part))
    run("report", "mornings")
    run("report", "purchasing", "--date", "2026-01-01", "--known-at", "2099-01-01T00:00:00Z")
    run("quarantine", "list")
    run("quarantine", "retry")
    run("rebuild")
    with office.begin() as connection:
        connection.execute(text("UPDATE stock SET on_hand = on_hand + 1"))
    run("verify", exit_code=1)
    tables.compare()
    # Those of reports have snapshots of their own.
    assert tables_without(Path(head_office.cli.__path__[0]), tables.call_sites, but=["show_table"]) == []
