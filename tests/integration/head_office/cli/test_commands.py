"""The commands of head office, on its database: tables, JSON, hints and exit codes."""

from __future__ import annotations

import json
import shlex
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from sqlalchemy import Engine, text
from typer.testing import CliRunner

from deploy.cli import app as larder
from head_office.cli.app import app
from head_office.database.schema import CONTACT
from shared.events import Definition, Reference
from shared.runtime.clock import DAY
from shared.runtime.http import running_file
from tests.support.branch_log import BranchLog
from tests.support.events import MINUTE, NOON
from tests.support.http_servers import http_server, send

Run = Callable[..., Result]


@pytest.fixture
def run(office_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`larder head-office ARGUMENTS` on the database of this test."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str | Path, exit_code: int = 0) -> Result:
        where = ["--dir", "office", "--database-url", office_url]
        result = CliRunner().invoke(app, [*map(str, arguments), *where])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        assert result.exit_code == exit_code, result.output
        result.stderr_bytes = result.output.encode()
        return result  # type: ignore[return-value]

    return call


def as_json(run: Run, *arguments: str | Path, exit_code: int = 0) -> Any:
    return json.loads(run(*arguments, "--json", exit_code=exit_code).stdout)


def test_a_head_office_is_made_once(run: Run, tmp_path: Path) -> None:
    made = as_json(run, "init")
    assert made["key"].startswith(f"lk_{made['key_id']}_")
    settings = (tmp_path / "office" / "settings.toml").read_text()
    assert 'service = "head-office"' in settings
    assert "keys add --role admin" in run("init", exit_code=1).stderr
    listed = as_json(run, "keys", "list")["items"]
    assert [(each["role"], each["key_id"]) for each in listed] == [("admin", made["key_id"])]


def test_a_missing_location_is_hinted_at_with_commands(run: Run) -> None:
    run("init")
    error = run("locations", "change", "zz", "--name", "X", exit_code=1).stderr
    assert "larder head-office locations list" in error
    assert "larder head-office locations add" in error


def test_the_next_steps_name_the_address_of_the_running_service(run: Run, tmp_path: Path) -> None:
    run("init")
    assert "THIS-MACHINE:8000" in run("keys", "add", "--role", "coordinator").stdout
    with http_server(lambda handler, _body: send(handler, 200, {}, b'{"status":"ok"}')) as url:
        running_file.write(tmp_path / "office", url, "")
        port = url.rpartition(":")[2]
        assert f"http://THIS-MACHINE:{port} " in run("keys", "add", "--role", "coordinator").stdout
        assert (
            f"http://THIS-MACHINE:{port} "
            in run(*("locations", "add", "TRI-01", "--name", "Tripoli", "--timezone", "Asia/Beirut")).stdout
        )
    assert "THIS-MACHINE:8000" in run("keys", "add", "--role", "coordinator").stdout


def test_locations_and_keys(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    made = as_json(run, "locations", "add", "TRI-01", "--name", "Tripoli", "--timezone", "Asia/Beirut")
    assert made["key"].startswith("lk_")
    assert made["day_start"] == 240
    assert "TRI-01" in run("locations", "list").stdout
    assert "larder branch init" in run("locations", "add", "TRI-02", "--name", "X", "--timezone", "UTC").stdout
    odd = run("locations", "add", "A $B'C", "--name", "X", "--timezone", "UTC").stdout
    [line] = [line for line in odd.splitlines() if "larder branch init" in line]
    words = shlex.split(line)
    assert words[words.index("--location") + 1] == "A $B'C"
    assert (
        "location-exists" in run("locations", "add", "TRI-01", "--name", "X", "--timezone", "UTC", exit_code=1).stderr
    )
    assert "time zone" in run("locations", "add", "TRI-03", "--name", "X", "--timezone", "Moon", exit_code=1).stderr
    run("locations", "add", "TRI-03", "--name", "X", "--timezone", "UTC", "--day-start", "25:00", exit_code=2)
    changed = as_json(run, "locations", "change", "TRI-01", "--day-start", "06:30")
    assert (changed["name"], changed["day_start"]) == ("Tripoli", 390)
    key = as_json(run, "keys", "add", "--role", "staff", "--location", "TRI-01", "--label", "the till")
    assert "unknown-location" in run("keys", "add", "--role", "staff", "--location", "NO", exit_code=1).stderr
    run("keys", "add", "--role", "king", exit_code=2)
    assert as_json(run, "keys", "revoke", key["key_id"])["revoked_at"]
    assert "unknown-key" in run("keys", "revoke", "nothing", exit_code=1).stderr
    assert "larder transfer init" in run("keys", "add", "--role", "coordinator").stdout
    monkeypatch.setenv("LARDER_PORT", "8765")
    assert "http://THIS-MACHINE:8765 " in run("keys", "add", "--role", "coordinator").stdout
    assert ":8765 " in run("locations", "add", "TRI-04", "--name", "X", "--timezone", "UTC").stdout


def test_items_from_a_file(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "items.csv"
    rows = [f"item-{number},Item {number},kg,dry,," for number in range(1_200)]
    file.write_text("\ufeffitem_id,name,unit,category,barcode,strict_at\n" + "\n".join(rows) + "\n", encoding="utf-8")
    assert as_json(run, "items", "import", file) == {"added": 1_200, "changed": 0, "unchanged": 0, "rejected": []}
    assert "1200 as they were" in run("items", "import", file).stdout
    with file.open("a", encoding="utf-8") as more:
        more.write(
            "new,New,l,,,BEY-01 WH-1\nnew,Again,l,,,\n,No code,l,,,\nbad\u200bcode,X,l,,,\nfar,X,l,,,NOWHERE\nshort\n"
        )
    found = as_json(run, "items", "import", file, exit_code=1)
    assert (found["added"], found["unchanged"]) == (1, 1_200)
    assert [each["line"] for each in found["rejected"]] == [1_203, 1_204, 1_205, 1_206, 1_207]
    listed = as_json(run, "items", "list")["items"]
    assert len(listed) == 1_201
    assert listed[-1] == {"item_id": "new", "name": "New", "unit": "l", "strict_at": ["BEY-01", "WH-1"]}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "item_id is missing"),
        (b"item_id,name\n", "unit is missing"),
        (b"item_id,name,unit,colour\n", "'colour' is not known"),
        (b"item_id,name,unit,name\n", "twice"),
        (b"item_id,name,unit\n\xff,x,y\n", "UTF-8"),
        (b'item_id,name,unit\n"a"b,x,y\n', "line 2"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(run: Run, tmp_path: Path, content: bytes, reason: str) -> None:
    file = tmp_path / "items.csv"
    file.write_bytes(content)
    assert reason in run("items", "import", file, exit_code=1).stderr


def test_items_that_wait(run: Run, office: Engine) -> None:
    assert as_json(run, "items", "add", "milk", "--name", "Milk", "--unit", "l")["item_id"] == "milk"
    log = BranchLog("BEY-01")
    for name in ("oat", "leche"):
        log.record("ITEM_DEFINED", item_id=name, definition=Definition(name=name, unit="l"))
    log.ship_now(office)
    assert [each["item_id"] for each in as_json(run, "items", "waiting")["items"]] == ["leche", "oat"]
    assert "items accept BEY-01 leche" in run("items", "waiting").stdout
    assert as_json(run, "items", "accept", "BEY-01", "oat")["name"] == "oat"
    assert as_json(run, "items", "map", "BEY-01", "leche", "milk")["item_id"] == "milk"
    assert as_json(run, "items", "waiting")["items"] == []
    assert "not-waiting" in run("items", "accept", "BEY-01", "oat", exit_code=1).stderr


def test_reorder_levels(run: Run, office: Engine) -> None:
    run("items", "add", "milk", "--name", "Milk", "--unit", "l")

    def put(place: str, item: str, *figures: str, exit_code: int = 0) -> Any:
        return run("levels", "set", place, item, "--json", *figures, exit_code=exit_code)

    up_to = ("--reorder-point", "2.5", "--order-up-to", "10")
    made = json.loads(put("BEY-01", "milk", *up_to, "--supplier", "farm", "--lead-days", "2").stdout)
    assert made == {
        "location_id": "BEY-01", "item_id": "milk", "reorder_point": 2.5, "order_up_to": 10, "supplier_id": "farm",
        "lead_days": 2,
    }  # fmt: skip
    assert as_json(run, "levels", "list", "BEY-01")["items"] == [made]
    assert "2.5" in run("levels", "list", "BEY-01").stdout
    assert "unknown-item" in put("BEY-01", "silk", *up_to, exit_code=1).stderr
    assert "unknown-location" in put("NO", "milk", *up_to, exit_code=1).stderr
    assert "location-not-found" in run("levels", "list", "NO", exit_code=1).stderr
    assert "order_up_to" in put("BEY-01", "milk", "--reorder-point", "3", "--order-up-to", "3", exit_code=1).stderr
    assert "order_up_to" in put("BEY-01", "milk", "--reorder-point", "3", exit_code=1).stderr
    put("BEY-01", "milk", "--reorder-point", "much", "--order-up-to", "2", exit_code=2)
    by = ("--reorder-point", "2,5", "--order-quantity", "10,25", "--pack-size", "6")
    with_commas = json.loads(put("BEY-01", "milk", *by).stdout)
    assert (with_commas["reorder_point"], with_commas["order_quantity"], with_commas["pack_size"]) == (2.5, 10.25, 6)
    assert "by 10.25" in run("levels", "set", "BEY-01", "milk", *by).stdout
    run("levels", "remove", "BEY-01", "milk")
    run("levels", "remove", "BEY-01", "milk")
    assert "none" in run("levels", "list", "BEY-01").stdout


def test_stock_and_log(run: Run, office: Engine) -> None:
    log = BranchLog("BEY-01")
    log.record("PURCHASE_RECEIVED", quantity=2_500, occurred_at=NOON)
    log.record("STOCKTAKE", counted=2_000, expected=2_500, occurred_at=NOON + MINUTE)
    log.ship_now(office)
    table = run("stock").stdout
    assert "BEY-01" in table
    assert "2 " in table
    assert "last contact" in table
    known = run("stock", "--as-of", "2026-01-01T14:00:30+02:00", "--known-at", "2099-01-01T00:00:00Z").stdout
    assert "Stock at 2026-01-01 12:00:30 UTC, as known at 20" in known
    assert "known to" in known
    assert "last contact" not in known
    then = as_json(run, "stock", "--as-of", "2026-01-01T14:00:30+02:00", "--location", "BEY-01")
    assert [(each["item_id"], each["on_hand"]) for each in then["items"]] == [("milk", 2.5)]
    assert then["cut"] == {"BEY-01": 2}
    assert as_json(run, "stock", "--total")["items"][0]["on_hand"] == 2
    run("items", "add", "tea", "--name", "Tea", "--unit", "kg")
    assert as_json(run, "stock", "--item", "tea")["items"] == []
    assert as_json(run, "stock", "--item", "milk", "--location", "BEY-02")["items"] == []
    unknown = as_json(run, "stock", "--item", "mlik", exit_code=1)
    assert (unknown["code"], unknown["status"]) == ("unknown-item", 422)
    assert "nearest: tea\n" in run("stock", "--item", "teaa", exit_code=1).stderr
    assert as_json(run, "stock", "--location", "BEY-1", exit_code=1)["nearest"][0] == "BEY-01"
    run("stock", "--as-of", "yesterday", exit_code=2)
    run("stock", "--as-of", "2026-01-01", "--from", "2026-01-01", exit_code=2)
    run("stock", "--from", "2026-01-02", "--to", "2026-01-01", exit_code=2)
    run("stock", "--from", "2026-01-02T12:00:00Z", "--to", "2026-01-01", exit_code=2)
    day = as_json(run, "stock", "--from", "2026-01-01", "--to", "2026-01-02")
    assert (day["from"], day["items"][0]["period"]) == ("2026-01-01", {"opening": 0, "change": 2, "closing": 2})
    assert as_json(run, "stock", "--as-of", "2025-12-31")["items"] == []
    assert (
        "Stock over the period from 2026-01-01 to 2026-01-02"
        in run("stock", "--from", "2026-01-01", "--to", "2026-01-02").stdout
    )
    assert "unknown-location" in run("stock", "--location", "NO", exit_code=1).stderr
    lines = run("log", "BEY-01", "--json").stdout.splitlines()
    assert [line.encode() for line in lines] == [each.line for each in log.sealed]
    assert "STOCKTAKE" in run("log", "BEY-01", "--after", "1").stdout
    assert len(run("log", "BEY-01", "--limit", "1", "--json").stdout.splitlines()) == 1
    assert "Quarantine: none" in run("quarantine", "list").stdout
    assert as_json(run, "quarantine", "retry")["items"] == []


def test_totals_and_the_log_over_a_period(run: Run, office: Engine) -> None:
    for place in ("BEY-01", "BEY-02"):
        log = BranchLog(place)
        log.record("PURCHASE_RECEIVED", quantity=2_500, occurred_at=NOON)
        log.record("ORDER_DEDUCTION", quantity=500, occurred_at=NOON + 2 * DAY)
        log.record("ORDER_DEDUCTION", quantity=750, occurred_at=NOON + 4 * DAY)
        log.ship_now(office)
    over = ("--from", "2026-01-02", "--to", "2026-01-04")
    (total,) = as_json(run, "stock", "--total", *over)["items"]
    assert (total["on_hand"], total["period"]) == (4, {"opening": 5, "change": -1, "closing": 4})
    table = run("stock", "--total", *over).stdout
    assert "Stock of the group over the period from 2026-01-02 to 2026-01-04" in table
    assert all(word in table for word in ("before", "change"))
    assert "-1" in table
    assert "Stock of the group at the end of 2026-01-02" in run("stock", "--total", "--as-of", "2026-01-02").stdout
    moment = "2026-01-02T12:00:00Z"
    assert "Stock of the group at 2026-01-02 12:00:00 UTC" in run("stock", "--total", "--as-of", moment).stdout
    assert "before" not in run("stock", "--total").stdout

    def listed(*arguments: str) -> list[int]:
        lines = run("log", "BEY-01", "--json", *arguments).stdout.splitlines()
        return [json.loads(line)["sequence"] for line in lines]

    assert listed(*over) == [2]
    assert listed("--from", "2026-01-02") == [2, 3]
    assert listed("--from", "2026-01-02", "--limit", "1") == [3]
    assert listed("--from", "2026-01-02", "--limit", "1", "--oldest") == [2]
    assert listed("--from", "2026-01-01", "--after", "2") == [3]
    assert listed("--to", "2026-01-03T12:00:00Z") == [1]
    assert "ORDER_DEDUCTION" in run("log", "BEY-01", *over).stdout
    run("log", "BEY-01", "--from", "2026-01-04", "--to", "2026-01-02", exit_code=2)
    run("log", "BEY-01", "--from", "yesterday", exit_code=2)


def test_a_code_that_stands_for_an_item_is_answered_with_it(run: Run, office: Engine) -> None:
    run("items", "add", "tomato", "--name", "Tomato", "--unit", "kg")
    log = BranchLog("BEY-01")
    log.record("PURCHASE_RECEIVED", item_id="tomat-hamra", unit="kg", quantity=2_500, occurred_at=NOON)
    log.ship_now(office)
    run("items", "map", "BEY-01", "tomat-hamra", "tomato")
    for arguments in ((), ("--location", "BEY-01")):
        (found,) = json.loads(run("stock", "--item", "tomat-hamra", *arguments, "--json").stdout)["items"]
        assert (found["item_id"], found["recorded_as"], found["on_hand"]) == ("tomato", "tomat-hamra", 2.5)
        assert "tomat-hamra stands for tomato" in run("stock", "--item", "tomat-hamra", *arguments).stderr
    assert as_json(run, "stock", "--item", "tomat-hamra", "--location", "BEY-02")["items"] == []


def test_codes_are_completed(run: Run, office: Engine, office_url: str, tmp_path: Path) -> None:
    for code in ("milk", "mint", "beer"):
        run("items", "add", code, "--name", code.title(), "--unit", "l")
    log = BranchLog("BEY-01")
    log.record("PURCHASE_RECEIVED", item_id="leche", quantity=1_000)
    log.ship_now(office)

    def completed(*words: str, url: str = office_url) -> list[str]:
        first = 2 if words[0] in {"items", "levels", "keys", "locations", "quarantine"} else 1
        line = ["larder", "head-office", *words[:first], "--dir", "office", "--database-url", url, *words[first:]]
        environment = {
            "_LARDER_COMPLETE": "complete_bash", "COMP_WORDS": shlex.join(line), "COMP_CWORD": str(len(line) - 1),
        }  # fmt: skip
        return CliRunner().invoke(larder, [], env=environment, prog_name="larder").stdout.split()

    assert completed("stock", "--item", "mi") == ["milk", "mint"]
    assert completed("stock", "--location", "BEY") == ["BEY-01", "BEY-02"]
    assert completed("log", "W") == ["WH-1"]
    assert completed("levels", "set", "BEY-01", "b") == ["beer"]
    assert completed("items", "map", "BEY-01", "le") == ["leche"]
    assert completed("items", "map", "BEY-02", "le") == []
    assert completed("items", "map", "BEY-01", "leche", "mil") == ["milk"]
    assert completed("items", "add", "oat", "--strict-at", "WH") == ["WH-1"]
    assert completed("keys", "add", "--role", "viewer", "--location", "BEY-02") == ["BEY-02"]
    assert completed("quarantine", "list", "--location", "W") == ["WH-1"]
    # Nobody answers, or nothing is there: nothing is said, and nobody waits for it.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        begin = time.monotonic()
        assert completed("stock", "--item", "m", url=f"postgresql://u:p@127.0.0.1:{silent.getsockname()[1]}/x") == []
        assert time.monotonic() - begin < 10
    assert completed("stock", "--item", "m", url="postgresql://u:p@127.0.0.1:1/x") == []
    assert not (tmp_path / "office" / "postgres").exists()


def test_the_nearest_location_is_named(run: Run) -> None:
    assert as_json(run, "levels", "list", "BEY-1", exit_code=1)["nearest"][0] == "BEY-01"


def test_an_open_count_is_listed_with_the_zone_of_its_time(
    run: Run, office: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    opened = json.dumps([{"count_id": "c-1", "opened_at": NOON, "areas": []}])
    contact = {"location_id": "BEY-01", "contacted_at": NOON, "epoch": 1, "sequence": 0, "verdict": "OK"}
    with office.begin() as connection:
        connection.execute(
            CONTACT.insert().values(**contact, protocol=1, schema=1, software="test", open_counts=opened)
        )
    assert "count c-1 open since 2026-01-01 12:00 UTC" in run("locations", "list").stdout


def test_verify_and_rebuild(run: Run, office: Engine) -> None:
    log = BranchLog("BEY-01")
    for _ in range(5):
        log.record("PURCHASE_RECEIVED", quantity=2_500)
    log.ship_now(office)
    run("items", "add", "milk", "--name", "Milk", "--unit", "l")
    assert "All is well: 5 events" in run("verify").stdout
    tables = (
        "stock",
        "transfer_line",
        "reservation",
        "reservation_line",
        "order_answer",
        "delivered_line",
        "awaited_line",
    )
    assert as_json(run, "rebuild")["corrected"] == dict.fromkeys(tables, 0)
    with office.begin() as connection:
        connection.execute(text("UPDATE stock SET on_hand = on_hand + 1"))
        connection.execute(text("ALTER TABLE catalogue_entry DISABLE TRIGGER ALL"))
        connection.execute(text("UPDATE catalogue_entry SET content = replace(content, 'Milk', 'Silk')"))
    told = as_json(run, "verify", exit_code=1)
    assert not told["ok"]
    assert {"stock-differs", "not-conserved", "catalogue-differs"} == {each["code"] for each in told["findings"]}
    assert "stock-differs" in run("verify", "--location", "BEY-01", exit_code=1).stdout
    assert as_json(run, "rebuild", "--location", "BEY-01")["corrected"]["stock"] > 0
    assert {each["code"] for each in as_json(run, "verify", exit_code=1)["findings"]} == {"catalogue-differs"}
    assert "unknown-location" in run("verify", "--location", "NO", exit_code=1).stderr
    assert "unknown-location" in run("rebuild", "--location", "NO", exit_code=1).stderr


def test_reservations(run: Run, office: Engine) -> None:
    log = BranchLog("BEY-01")
    for number, lines in enumerate((1, 5), start=1):
        for line in range(lines):
            order = Reference(id=f"order-{number}", kind="order", revision=1)
            fields = {"reservation_id": f"r-{number}", "expires_at": 2**52, "reference": order, "source": "web"}
            log.record("STOCK_RESERVED", item_id=f"item-{line}", **fields)
    log.ship_now(office)
    told = as_json(run, "reservations")
    assert [each["reservation_id"] for each in told["items"]] == ["r-2", "r-1"], "the newest first"
    assert (told["items"][1]["location_id"], told["items"][1]["freshness"]["sequence"]) == ("BEY-01", 6)
    assert "item-2 1 l, and 2 more" in run("reservations", "--order", "order-2").stdout
    for chosen, expected in (
        (("--state", "active", "--source", "web", "--location", "BEY-01", "--limit", "1"), ["r-2"]),
        (("--item", "item-0"), ["r-2", "r-1"]),
        (("--item", "item-4"), ["r-2"]),
        (("--state", "RELEASED"), []),
        (("--location", "WH-1"), []),
        (("--source", "till"), []),
    ):
        assert [each["reservation_id"] for each in as_json(run, "reservations", *chosen)["items"]] == expected
    assert "unknown-location" in run("reservations", "--location", "NO", exit_code=1).stderr
    assert "unknown-item" in run("reservations", "--item", "itm-0", exit_code=1).stderr
    run("reservations", "--state", "LOST", exit_code=2)


def test_a_database_of_a_newer_larder(run: Run, office: Engine) -> None:
    with office.begin() as connection:
        connection.execute(text("UPDATE head_office_version SET version_num = '9999'"))
    for arguments in (("stock",), ("serve", "--port", "0")):
        assert "newer Larder" in run(*arguments, exit_code=1).stderr


def test_a_folder_that_is_no_head_office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LARDER_DIR", raising=False)
    for arguments, reason in (
        (["stock"], "which head office"),
        (["stock", "--dir", "nowhere"], "init --dir nowhere"),
        (["serve", "--dir", "nowhere"], "init --dir nowhere"),
        (["serve", "--dir", "nowhere", "--database-url", "sqlite:///x"], "PostgreSQL only"),
        (["serve", "--dir", "nowhere", "--database-url", "postgresql://x/y", "--port", "70000"], "'port' is wrong"),
    ):
        result = CliRunner().invoke(app, arguments)
        assert result.exception is not None
        said = result.output
        assert (result.exit_code, reason in said) == (2, True), said


def test_a_key_is_given_a_scope_and_rotated(run: Run) -> None:
    run("init")
    made = as_json(run, "keys", "add", "--role", "integration", "--scope", "restock")
    assert made["scopes"] == ["restock"]
    assert (
        "can be given no further scope" in run("keys", "add", "--role", "staff", "--scope", "sell", exit_code=1).stderr
    )
    rotated = as_json(run, "keys", "rotate", made["key_id"], "--overlap", "7d")
    assert rotated["key"].startswith(f"lk_{made['key_id']}_")
    (row,) = (each for each in as_json(run, "keys", "list")["items"] if each["key_id"] == made["key_id"])
    assert (row["scopes"], row["previous_until"]) == (["restock"], rotated["previous_until"])
    assert "No text before it is good" in run("keys", "rotate", made["key_id"], "--overlap", "0").stdout
    run("keys", "rotate", made["key_id"], "--overlap", "32d", exit_code=1)
    run("keys", "rotate", made["key_id"], "--overlap", "soon", exit_code=2)
    run("keys", "revoke", made["key_id"])
    assert "keys add" in run("keys", "rotate", made["key_id"], exit_code=1).stderr
