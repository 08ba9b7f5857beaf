"""`larder branch …` as real processes: first start, recording with and without a node, refusals, exit codes."""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from sqlalchemy import update
from typer.testing import CliRunner

from branch_node.database.keys.api_keys import LOCAL
from branch_node.database.schema import ITEM
from branch_node.database.store import Store
from branch_node.settings import load
from deploy.cli import app
from shared.runtime.client import RemoteProblem, ServiceClient
from shared.runtime.http import running_file
from tests.support.forked import larder, run_larder
from tests.support.http_servers import problem_server
from tests.support.lossy_proxy import FAULTS, Fault, LossyProxy, lossy_proxy
from tests.support.processes import RunningProcess

REFUSED, WRONG_USAGE = 1, 2


class Branch:
    """One --dir and the commands on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = ""

    def init(self, *arguments: str) -> dict[str, Any]:
        made: dict[str, Any] = self.json("init", "--location", "BEY-01", "--timezone", "Asia/Beirut", *arguments)
        self.key = made["key"] or self.key
        return made

    def process(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """The command as a process of its own."""
        done = run_larder("branch", *arguments, "--dir", self.folder)
        assert "Traceback" not in done.stdout + done.stderr
        return done

    def run(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """The same command line, its parts imported only once: a process takes a second to begin."""
        command = ["branch", *map(str, arguments), "--dir", str(self.folder)]
        result = CliRunner().invoke(app, command, catch_exceptions=False)
        return subprocess.CompletedProcess(command, result.exit_code, result.stdout, result.stderr)

    def json(self, *arguments: str | Path) -> Any:
        done = self.run(*arguments, "--json")
        assert done.returncode == 0, done.stderr + done.stdout
        return json.loads(done.stdout)

    def refused(self, *arguments: str | Path, code: int = REFUSED) -> str:
        done = self.run(*arguments)
        assert done.returncode == code, done.stdout + done.stderr
        assert done.stdout == ""
        return done.stderr

    def serve(self, *arguments: str) -> RunningProcess:
        node = larder(
            "branch", "serve", "--dir", self.folder, "--port", "0", *arguments, output=self.folder.parent / "serve.log"
        )
        node.wait_for(r"larder branch ready on http://127\.0\.0\.1:\d+")
        return node

    def with_milk(self) -> Branch:
        self.init()
        self.json("items", "add", "milk", "--name", "Milk", "--unit", "l")
        return self


@pytest.fixture
def branch(tmp_path: Path) -> Branch:
    return Branch(tmp_path / "d 2#é")


def test_first_start_by_hand(branch: Branch) -> None:
    made = branch.init()
    assert made["key"].startswith("lk_")
    assert made["location"] == "BEY-01"
    assert any("serve" in step for step in made["next"])
    again = branch.init()
    assert again["key"] is None, "a key is shown once"
    assert branch.init("--new-key")["key"] not in {None, made["key"]}
    assert branch.json("status")["shipping"]["state"] == "NO_HEAD_OFFICE"
    assert (branch.folder.stat().st_mode & 0o077) == 0
    assert ((branch.folder / "settings.toml").stat().st_mode & 0o077) == 0
    told = run_larder("branch", "init", "--dir", branch.folder.parent / "d3", "--location", "TRI-01")
    assert told.returncode == 0
    assert told.stderr == ""
    for command, code in ((("status",), 0), (("record", "delivery", "milc", "1"), REFUSED), (("stocks",), WRONG_USAGE)):
        assert branch.process(*command).returncode == code
    assert "lk_" in told.stdout
    assert "larder branch serve" in told.stdout


def test_a_new_key_is_issued_while_the_node_serves(branch: Branch) -> None:
    branch.with_milk()
    with branch.serve():
        first = running_file.read(branch.folder)
        assert first is not None
        key = branch.init("--new-key")["key"]
        assert key.startswith("lk_")
        with ServiceClient(first.url, key=key) as client:
            assert client.get("/v1/status")["location_id"] == "BEY-01"
            # A manager's key issues none; the commands of the node's own machine do.
            with pytest.raises(RemoteProblem, match="takes the scope keys"):
                client.post("/v1/keys", {})
        assert branch.init()["key"] != key
        told = branch.run("init", "--location", "BEY-01", "--timezone", "Europe/Paris")
        assert (told.returncode, "already writes" in told.stderr) == (REFUSED, True)
    assert branch.init("--new-key")["key"] != key


def test_keys_of_the_node_with_and_without_it_serving(branch: Branch) -> None:
    branch.init()

    def all_of_it() -> None:
        made = branch.json("keys", "add", "--role", "integration", "--scope", "restock", "--label", "shop")
        assert made["scopes"] == ["restock"]
        rotated = branch.json("keys", "rotate", made["key_id"], "--overlap", "30m")
        assert rotated["key"] != made["key"]
        assert rotated["previous_until"]
        assert "No text before it is good" in branch.run("keys", "rotate", made["key_id"], "--overlap", "0").stdout
        assert branch.json("keys", "revoke", made["key_id"])["revoked_at"]
        told = branch.run("keys", "rotate", made["key_id"])
        assert (told.returncode, "key-revoked" in told.stderr or "was revoked" in told.stderr) == (REFUSED, True)
        listed = {each["key_id"]: each for each in branch.json("keys", "list")["items"]}
        assert listed[made["key_id"]]["revoked_at"]

    all_of_it()
    with branch.serve():
        all_of_it()
    assert len(branch.json("keys", "list")["items"]) == 3
    for words in (("keys", "add", "--role", "admin"), ("keys", "rotate", "x", "--overlap", "a day")):
        assert branch.run(*words).returncode == WRONG_USAGE


def test_an_area_that_is_missing_in_a_count_is_named(branch: Branch) -> None:
    branch.with_milk()
    branch.run("count", "milk=1", "--count-id", "c1", "--area", "fridge", "--more")
    assert branch.json("count", "milk=4", "--count-id", "c1", "--area", "cellar")["missing"] == []
    told = branch.run("count", "milk=1", "--count-id", "c2", "--area", "fridge", "--more")
    assert "Missing: cellar of milk, where it was counted last." in told.stdout
    waiting = branch.json("status")["open_counts"]
    assert [(each["count_id"], each["areas"][0]["area"]) for each in waiting] == [("c2", "fridge")]


def test_one_day_without_a_node_and_then_with_one(branch: Branch) -> None:
    branch.with_milk()
    branch.json("record", "delivery", "milk", "12.5", "--cost", "30 USD", "--reference", "delivery:4711")
    waste = branch.json("record", "waste", "milk", "0.5", "--reason", "spoiled", "--note", "left out")
    assert (waste["type"], waste["quantity"], waste["actor"]) == ("WASTE_RECORDED", 0.5, LOCAL)
    with branch.serve():
        assert branch.json("order", "o-1", "milk=2")["recorded"][0]["on_hand_after"] == 10
        assert branch.json("order", "o-1", "milk=3", "--revision", "2")["voided"]
        assert branch.json("order", "o-1", "milk=3", "--revision", "2")["recorded"], "the same answer again"
        counted = branch.json("count", "milk=8.5")
        assert counted["items"][0]["variance"] == -0.5
        assert branch.json("stock", "milk")["on_hand"] == 8.5
        verified = branch.json("verify", "--deep")
        assert verified["true"]
        assert verified["events"] == branch.json("status")["head"]["sequence"] == 7
    assert branch.json("stock")["items"][0]["available"] == 8.5
    log = branch.json("log", "--limit", "3", "--item", "milk", "--oldest")["items"]
    assert [event["sequence"] for event in log] == [1, 2, 3]
    assert [event["sequence"] for event in branch.json("log", "--limit", "3")["items"]] == [7, 6, 5]
    assert [event["sequence"] for event in branch.json("log", "--after", "2", "--limit", "3")["items"]] == [3, 4, 5]
    assert branch.json("log", "--type", "stocktake")["items"][0]["counted"] == 8.5
    explained = branch.json("explain", "milk")
    assert explained["start"]["event"]["type"] == "STOCKTAKE"
    past = branch.json("stock", "milk", "--as-of", waste["occurred_at"])
    assert past["on_hand"] == 12
    over = branch.json("stock", "milk", "--from", waste["occurred_at"])["period"]
    assert "Over the period from " in branch.run("stock", "milk", "--from", waste["occurred_at"]).stdout
    said = branch.run("explain", "milk", "--from", waste["business_date"]).stdout
    assert f"Over the period from {waste['business_date']}: before it 0 l" in said
    assert over["opening"] + over["change"] == over["closing"] == 8.5
    assert branch.json("log", "--to", waste["business_date"])["items"] == []
    assert branch.json("stock", "milk", "--as-of", waste["business_date"])["on_hand"] == 8.5
    done = branch.process("stock", "milk", "--json")
    assert (json.loads(done.stdout)["on_hand"], done.stderr, done.returncode) == (8.5, "", 0)


def test_corrections_of_a_manager(branch: Branch) -> None:
    branch.with_milk()
    branch.json("items", "add", "bread", "--name", "Bread", "--unit", "pc")
    order = branch.json("order", "o-1", "milk=2", "bread=1")["recorded"]
    missing = branch.refused("void", order[0]["event_id"], code=WRONG_USAGE)
    assert "--reason" in missing
    shown = branch.run("void", order[0]["event_id"], "--reason", "mistake")
    assert shown.returncode == 0
    assert "Of the same command this still stands" in shown.stdout
    assert "--whole" in shown.stdout
    with branch.serve():
        rest = branch.json("void", str(order[0]["sequence"]), "--whole", "--reason", "mistake", "--note", "all of it")
    assert (rest["still_stands"], [each["voided_event_id"] for each in rest["voided"]]) == ([], [order[1]["event_id"]])
    assert [each["note"] for each in rest["voided"]] == ["all of it"]
    assert [each["on_hand"] for each in branch.json("stock")["items"]] == [0, 0]
    branch.json("record", "delivery", "milk", "5")
    both = branch.json("order", "o-2", "milk=2", "bread=1")["recorded"]
    whole = branch.run("void", both[0]["event_id"], "--whole", "--reason", "mistake").stdout
    stock = {words[2]: words[-1] for line in whole.splitlines() if "EVENT_VOIDED" in (words := line.split())}
    assert stock == {"milk": "5", "bread": "0"}, "of every item that the void touched"
    assert "already-voided" in branch.refused("void", order[1]["event_id"], "--reason", "mistake")
    assert "larder branch log" in branch.refused("void", "99", "--reason", "mistake")
    assert "unknown-event" in branch.refused("void", "x", "--reason", "mistake")
    assert branch.json("review", "1", "--comment", "right")["reviewed_event_id"]
    assert branch.json("status")["head"]["sequence"] == 12


def test_tables_for_people(branch: Branch) -> None:
    branch.with_milk()
    branch.run("record", "delivery", "milk", "2.5")
    for command, words in {
        ("stock",): ("milk", "2.5", "available", "Asia/Beirut"),
        ("stock", "--low"): ("Nothing is low",),
        ("log",): ("PURCHASE_RECEIVED", LOCAL),
        ("explain", "milk"): ("How it came about", "PURCHASE_RECEIVED", "on hand 2.5 l"),
        ("status",): ("BEY-01", "no head office is set"),
        ("items",): ("Milk", "here"),
        ("verify",): ("no discrepancy; 2 events verified, and the figures of 1 item computed",),
    }.items():
        done = branch.run(*command)
        assert done.returncode == 0, done.stderr
        for word in words:
            assert word in done.stdout, done.stdout


def test_refusals_say_what_to_do(branch: Branch) -> None:
    nowhere = run_larder("branch", "stock")
    assert nowhere.returncode == WRONG_USAGE
    assert nowhere.stderr == "which node? Give its folder with --dir, or set LARDER_DIR\n"
    assert "larder branch init" in branch.refused("stock", code=WRONG_USAGE)
    assert "location" in branch.refused("init", code=WRONG_USAGE)
    branch.with_milk()
    unknown = branch.refused("record", "delivery", "milc", "1")
    assert "unknown-item" in unknown
    assert "milk" in unknown
    assert "invalid-quantity" in branch.refused("record", "delivery", "milk", "1.2345")
    assert "invalid-quantity" in branch.refused("record", "delivery", "milk", "NaN")
    assert "unknown-order" in branch.refused("order", "o-9", "--cancel")
    assert "BEY-01" in branch.refused("init", "--location", "TRI-01")
    assert "--key" in branch.refused("init", "--location", "BEY-01", "--head-office", "http://127.0.0.1:1")
    assert "larder branch init" in branch.refused("sync")
    for wrong in (
        ("record", "theft", "milk", "1"),
        ("record", "delivery", "milk", "1", "--cost", "30"),
        ("record", "delivery", "milk", "1", "--reference", "4711"),
        ("order", "o-1"),
        ("order", "o-1", "milk"),
        ("order", "o-1", "milk=1", "--cancel"),
        ("count", "milk"),
        ("stock", "--as-of", "2026-01-01T00:00:00Z"),
        ("stock", "milk", "--as-of", "yesterday"),
        ("explain", "milk", "--as-of", "2026-02-30"),
        ("log", "--from", "2026-01-01T12:00:00"),
        ("stock", "milk", "--as-of", "2026-01-01", "--from", "2026-01-01"),
        ("explain", "milk", "--from", "2026-01-02", "--to", "2026-01-01"),
        ("log", "--from", "2026-01-01T12:00:00Z", "--to", "2026-01-01T11:00:00Z"),
        ("stock", "milk", "--from", "2026-01-02T12:00:00Z", "--to", "2026-01-01"),
        ("init", "--location", "BEY-01", "--timezone", "Mars/Base"),
        ("init", "--location", "BEY-01", "--day-start", "4 o'clock"),
        ("init", "--location", "BEY-01", "--head-office", "ftp://x", "--key", "k"),
        ("init", "--location", "BEY-01", "--port", "99999"),
        ("frobnicate",),
    ):
        branch.refused(*wrong, code=WRONG_USAGE)
    assert branch.json("status")["head"]["sequence"] == 1, "nothing of it was recorded"


def test_items_from_a_file(branch: Branch, tmp_path: Path) -> None:
    branch.init()
    file = tmp_path / "items.csv"
    file.write_text("item_id,name,unit,strict\nmilk,Milk,l,\ngin,Gin,l,yes\nbad ,Bad,,\n", encoding="utf-8")
    done = branch.run("items", "import", file, "--json")
    assert done.returncode == REFUSED
    told = json.loads(done.stdout)
    assert told["defined"] == 2
    assert [each["line"] for each in told["refused"]] == [4]
    assert {item["item_id"]: item.get("strict", False) for item in branch.json("items")["items"]} == {
        "milk": False,
        "gin": True,
    }
    file.write_text("code;name\n", encoding="utf-8")
    assert "item_id, name, unit" in branch.refused("items", "import", file)


@pytest.mark.parametrize("serving", [False, True])
def test_reorder_levels_of_the_branch(branch: Branch, serving: bool) -> None:
    branch.with_milk()
    node = branch.serve() if serving else nullcontext()
    with node:
        made = branch.json(
            "levels", "set", "milk", "--reorder-point", "2,5", "--order-up-to", "10", "--supplier", "farm"
        )
        shown = {"item_id": "milk", "reorder_point": 2.5, "order_up_to": 10, "supplier_id": "farm", "set_here": True}
        assert made == shown
        assert branch.json("levels", "list") == {"items": [shown]}
        refused = branch.refused("levels", "set", "mlik", "--reorder-point", "1", "--order-quantity", "2")
        assert "unknown-item" in refused
        assert "larder branch items" in refused
        assert "order_up_to" in branch.refused("levels", "set", "milk", "--reorder-point", "1")
        branch.refused("levels", "set", "milk", "--reorder-point", "much", "--order-up-to", "2")
        (low,) = branch.json("stock", "--low")["items"]
        assert (low["item_id"], low["reorder_quantity"]) == ("milk", 10)
        branch.run("levels", "remove", "milk")
        assert "branch levels set" in branch.run("levels", "list").stdout


def test_a_key_of_ones_own_acts_once(branch: Branch) -> None:
    branch.with_milk()
    first = branch.json("record", "delivery", "milk", "1", "--key", "till-1:77")
    assert branch.json("record", "delivery", "milk", "1", "--key", "till-1:77")["event_id"] == first["event_id"]
    assert "key-reused" in branch.refused("record", "delivery", "milk", "2", "--key", "till-1:77")
    assert branch.json("record", "delivery", "milk", "1")["event_id"] != first["event_id"]
    assert branch.json("record", "delivery", "milk", "1")["on_hand_after"] == 3, "equal content is no duplicate"


def test_a_command_whose_answer_was_lost_is_known_again(branch: Branch) -> None:
    from shared.runtime.cli.pending_commands import FILE_NAME

    branch.with_milk()
    before = branch.json("record", "delivery", "milk", "1")
    # What a process leaves that was killed between the answer of the node and the end of the command.
    kept = {"made": before["command_key"], "since": 4_000_000_000.0}
    digest = _digest_of("/v1/events", {"type": "PURCHASE_RECEIVED", "item_id": "milk", "quantity": "1"})
    (branch.folder / FILE_NAME).write_text(json.dumps({digest: kept}))
    again = branch.json("record", "delivery", "milk", "1")
    assert again["event_id"] == before["event_id"]
    assert json.loads((branch.folder / FILE_NAME).read_text()) == {}
    assert branch.json("record", "delivery", "milk", "1")["event_id"] != before["event_id"]


def _digest_of(path: str, body: dict[str, Any]) -> str:
    from hashlib import sha256

    import msgspec

    return sha256(msgspec.json.encode([path, body], order="sorted")).hexdigest()


def test_only_one_process_writes(branch: Branch) -> None:
    branch.with_milk()
    with branch.serve() as node:
        assert "serves" in branch.refused("serve", "--port", "0")
        assert node.stop() == 0
    assert not (branch.folder / "running.json").exists()
    assert not list(branch.folder.glob("branch.db-*")), "stopping checkpointed the log"


def test_commands_side_by_side_wait_for_each_other(branch: Branch) -> None:
    branch.with_milk()
    running = [
        larder(
            *("branch", "record", "delivery", "milk", "1", "--dir", branch.folder),
            output=branch.folder.parent / f"{number}.log",
        )
        for number in range(4)
    ]
    assert [each.wait(60) for each in running] == [0, 0, 0, 0]
    assert branch.json("stock", "milk")["on_hand"] == 4


def test_a_node_that_was_killed_leaves_nothing_that_misleads(branch: Branch) -> None:
    branch.with_milk()
    node = branch.serve()
    node.kill()
    assert (branch.folder / "running.json").exists()
    assert branch.json("record", "delivery", "milk", "1")["on_hand_after"] == 1
    with branch.serve():
        assert branch.json("record", "delivery", "milk", "1")["on_hand_after"] == 2


def test_a_broken_log_is_not_true(branch: Branch) -> None:
    import sqlite3

    branch.with_milk()
    branch.json("record", "delivery", "milk", "1")
    with sqlite3.connect(branch.folder / "branch.db") as connection:
        connection.execute("UPDATE stock SET on_hand = 7000")
    connection.close()
    done = branch.run("verify", "--json")
    assert done.returncode == REFUSED
    told = json.loads(done.stdout)
    assert not told["true"]
    assert told["findings"][0]["item_id"] == "milk"
    shown = branch.run("verify")
    assert shown.returncode == REFUSED
    assert "discrepancies" in shown.stdout


@pytest.fixture
def rolled_back(branch: Branch) -> Branch:
    branch.with_milk()
    database = branch.folder / "branch.db"
    backup = database.read_bytes()
    branch.json("record", "delivery", "milk", "1")
    database.write_bytes(backup)
    return branch


def test_a_restored_database_records_nothing(rolled_back: Branch) -> None:
    refusal = rolled_back.refused("record", "delivery", "milk", "5")
    assert "rolled-back" in refusal
    assert "witness" in refusal
    status = rolled_back.json("status")
    assert status["shipping"]["state"] == "ROLLED_BACK"
    assert not status["recording"]
    assert "NO: nothing is recorded" in rolled_back.run("status").stdout
    assert [item["item_id"] for item in rolled_back.json("items")["items"]] == ["milk"], "reads go on"
    with rolled_back.serve() as node:
        assert "rolled-back" in rolled_back.refused("record", "delivery", "milk", "5")
        assert rolled_back.json("status")["shipping"]["state"] == "ROLLED_BACK"
        assert node.stop() == 0
    assert rolled_back.json("status")["head"]["sequence"] == 1
    (rolled_back.folder.parent / "d 2#é.witness").unlink()
    assert rolled_back.json("record", "delivery", "milk", "5")["sequence"] == 2


def test_a_witness_of_another_location_is_refused(branch: Branch) -> None:
    branch.with_milk()
    other = Branch(branch.folder.parent / "d3")
    run_larder("branch", "init", "--dir", other.folder, "--location", "TRI-01", "--witness", f"{branch.folder}.witness")
    assert "witness of BEY-01" in other.refused("status", code=WRONG_USAGE)


def test_strict_in_a_file_of_items_is_a_word_that_is_known_or_a_refused_row(branch: Branch, tmp_path: Path) -> None:
    branch.init()
    words = {"a": "on", "b": "T", "c": "maybe", "d": "oui", "e": "no", "f": ""}
    rows = [f"{item},{item},kg,{word}" for item, word in words.items()]
    file = tmp_path / "items.csv"
    file.write_text("\n".join(["item_id,name,unit,strict", *rows, "g,g"]) + "\n")
    done = branch.run("items", "import", file, "--json")
    assert done.returncode == REFUSED
    answer = json.loads(done.stdout)
    assert [(each["line"], each["item_id"]) for each in answer["refused"]] == [(4, "c"), (5, "d"), (8, "")]
    assert "true, yes" in answer["refused"][0]["detail"]
    defined = {item["item_id"]: item.get("strict", False) for item in branch.json("items")["items"]}
    assert defined == {"a": True, "b": True, "e": False, "f": False}


@pytest.fixture
def no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients of this process try again at once."""
    monkeypatch.setitem(ServiceClient.__init__.__kwdefaults__, "sleep", lambda _seconds: None)  # type: ignore[arg-type]


@contextmanager
def served_through_a_lossy_proxy(branch: Branch) -> Iterator[LossyProxy]:
    """The commands reach the node through the proxy."""
    with branch.serve():
        announced = running_file.read(branch.folder)
        assert announced is not None
        with lossy_proxy(announced.url) as proxy:
            running_file.write(branch.folder, proxy.url, announced.key)
            yield proxy


def give_until_answered(branch: Branch, *command: str) -> None:
    given = 1
    while branch.run(*command).returncode != 0:
        given += 1
        assert given <= 10


@pytest.mark.usefixtures("no_waits")
def test_a_command_given_until_it_is_answered_records_once(branch: Branch) -> None:
    """Whatever becomes of its answers; and the same command given after that is another one."""
    branch.with_milk()
    with served_through_a_lossy_proxy(branch) as proxy:

        @settings(max_examples=20, deadline=None)
        @given(FAULTS)
        def once(faults: list[Fault]) -> None:
            for more in (faults, []):
                before = branch.json("stock", "milk")["on_hand"]
                proxy.plan(more)
                give_until_answered(branch, "record", "delivery", "milk", "7")
                assert branch.json("stock", "milk")["on_hand"] == before + 7

        once()


@pytest.mark.usefixtures("no_waits")
def test_a_correction_given_until_it_is_answered_is_recorded_once(branch: Branch) -> None:
    branch.with_milk()
    branch.json("record", "delivery", "milk", "7")
    with served_through_a_lossy_proxy(branch) as proxy:
        for command in (("review", "2"), ("void", "2", "--reason", "mistake")):
            proxy.plan([Fault.ANSWER_LOST, Fault.DOUBT, Fault.NOT_SENT])
            give_until_answered(branch, *command)
            assert proxy.faults == []
        kinds = [each["type"] for each in branch.json("log", "--oldest")["items"]]
    assert kinds == ["ITEM_DEFINED", "PURCHASE_RECEIVED", "EVENT_REVIEWED", "EVENT_VOIDED"]


def test_with_json_a_refusal_is_its_problem_document(branch: Branch) -> None:
    branch.with_milk()
    no_event: dict[str, object] = {"code": "unknown-event", "status": 404, "type": "/problems/unknown-event",
                                   "detail": "there is no event 9999 in this log", "recorded": "no"}  # fmt: skip
    for arguments, code, expected in (
        (("record", "delivery", "milc", "1"), REFUSED, {"code": "unknown-item", "status": 422, "nearest": ["milk"]}),
        (("stock", "milc"), REFUSED, {"code": "item-not-found", "status": 404, "type": "/problems/item-not-found"}),
        (("void", "9999", "--reason", "mistake"), REFUSED, no_event),
        (("review", "9999", "--comment", "seen"), REFUSED, no_event),
        (("sync",), REFUSED, {"code": "refused", "title": "no head office is set"}),
        (("record", "theft", "milk", "1"), WRONG_USAGE, {"code": "wrong-usage"}),
        (("stocks",), WRONG_USAGE, {"code": "wrong-usage"}),
        (("init", "--location", "BEY-01", "--port", "99999"), WRONG_USAGE, {"code": "wrong-settings"}),
    ):  # fmt: skip
        done = branch.run(*arguments, "--json")
        document = json.loads(done.stdout)
        assert (done.returncode, done.stderr) == (code, "")
        assert {name: document.get(name) for name in expected} == expected
        assert document["title"]


def test_a_filter_with_a_typo_is_refused_with_the_nearest(branch: Branch) -> None:
    branch.with_milk()
    branch.json("items", "add", "tomato", "--name", "Tomatoes", "--unit", "kg")
    assert "nearest: tomato\n" in branch.refused("log", "--item", "tomatoe")
    assert "WASTE_RECORDED" in branch.refused("log", "--type", "waste", code=WRONG_USAGE)
    assert "nearest: tomato\n" in branch.refused("stock", "tomatoe")
    assert "nearest: tomato\n" in branch.refused("explain", "tomatoe")
    assert "nearest: tomato\n" in branch.refused("record", "delivery", "tomatoe", "1")
    assert "delivery" in branch.refused("record", "delivry", "milk", "1", code=WRONG_USAGE)
    assert branch.json("log", "--type", "waste-recorded", "--item", "tomato")["items"] == []


def test_a_decimal_comma_is_taken(branch: Branch) -> None:
    branch.with_milk()
    assert branch.json("record", "delivery", "milk", "12,5", "--cost", "30,50 USD")["cost"]["amount"] == "30.50"
    assert branch.json("order", "o", "milk=1,25")["recorded"][0]["quantity"] == 1.25
    assert branch.json("count", "milk=11,5")["items"][0]["counted"] == 11.5
    assert "can be read in two ways" in branch.refused("record", "delivery", "milk", "1,500", code=WRONG_USAGE)


def test_item_codes_are_completed(branch: Branch, tmp_path: Path) -> None:
    branch.with_milk()
    for item in ("mint", "beer"):
        branch.json("items", "add", item, "--name", item.title(), "--unit", "pc")

    def completed(*words: str, folder: Path = branch.folder) -> list[str]:
        line = ["larder", "branch", words[0], "--dir", str(folder), *words[1:]]
        # The words as a shell gives them: quoted, and where the cursor is.
        environment = {
            "_LARDER_COMPLETE": "complete_bash", "COMP_WORDS": shlex.join(line), "COMP_CWORD": str(len(line) - 1),
        }  # fmt: skip
        result = CliRunner().invoke(app, [], env=environment, prog_name="larder")
        return result.stdout.split()

    assert completed("stock", "mi") == ["milk", "mint"]
    assert completed("explain", "be") == ["beer"]
    assert completed("record", "sale", "b") == ["beer"]
    assert completed("order", "4711", "mi") == ["milk=", "mint="]
    assert completed("count", "milk=2", "be") == ["beer="]
    with branch.serve():
        assert completed("log", "--item", "m") == ["milk", "mint"]
    assert completed("stock", "m", folder=tmp_path / "nowhere") == []


def test_a_key_that_head_office_refuses_is_said_at_once_and_the_node_works(branch: Branch) -> None:
    refusal = {"status": 401, "code": "unauthenticated", "title": "No valid key", "detail": "the key is unknown"}
    with problem_server(refusal) as url:
        told = branch.run("init", "--location", "BEY-01", "--head-office", url, "--key", "lk_no")
        assert told.returncode == 0
        assert "does not take the key" in told.stdout
        assert "--key KEY" in told.stdout
        assert "the key is unknown" in branch.json("init", "--new-key")["key_refused"]
    branch.json("items", "add", "milk", "--name", "Milk", "--unit", "l")
    assert branch.json("record", "delivery", "milk", "1")["on_hand_after"] == 1
    assert branch.json("init")["key_refused"] is None, "nobody answers: nothing is known of the key"


def test_a_count_goes_on_is_corrected_and_says_what_it_did_not_count(branch: Branch) -> None:
    branch.init()
    for code in ("milk", "leche"):
        branch.json("items", "add", code, "--name", code, "--unit", "l")
        branch.json("record", "delivery", code, "5")
    said = branch.run("count", "milk=1", "--area", "bar", "--more").stdout
    count_id = said.split("--count-id ")[1].split(".")[0].strip()
    again = ("count", "milk=2", "--area", "bar", "--more", "--count-id", count_id)
    assert "area-already-counted" in branch.refused(*again)
    corrected = branch.json(*again, "--replace")
    assert [each["counted"] for each in corrected["waiting"]] == [2]
    with closing(Store(load(branch.folder).database_url, branch.folder)) as store:
        engine = store.writing_engine()
        with engine.begin() as connection:
            connection.execute(update(ITEM).where(ITEM.c.item_id == "leche").values(stands_for="milk"))
        engine.dispose()
    listed = branch.run("items").stdout.splitlines()
    assert [line.split()[:4] for line in listed if line.split()[:1] in (["leche"], ["milk"])] == [
        ["leche", "milk", "leche", "l"],
        ["milk", "milk", "l", "here"],
    ]
    assert {each["item_id"]: each.get("stands_for") for each in branch.json("items")["items"]} == {
        "leche": "milk",
        "milk": None,
    }
    said = " ".join(branch.run("count", "milk=3", "--area", "cellar", "--count-id", count_id).stdout.split())
    assert "milk has 10 on hand over all its codes" in said
    branch.json("record", "sale", "milk", "1")
    said = branch.run("count", "milk=3", "--area", "cellar", "--count-id", count_id).stdout
    assert "over all its codes" not in said, "the same count again: other events came after it"
    explained = branch.run("explain", "milk").stdout
    assert "as leche" in explained
    assert "as milk" not in explained


def test_the_flags_of_a_count_are_shown(branch: Branch) -> None:
    branch.with_milk()
    branch.json("items", "add", "bread", "--name", "Bread", "--unit", "pc")
    branch.json("record", "sale", "milk", "3")
    # What was sold after the count is taken from it, so the book is below zero; bread was counted right.
    counted = ("count", "milk=1", "bread=2", "--occurred-at", "2026-01-02T08:00:00Z", "--count-id", "c1")
    shown = [line.strip() for line in branch.run(*counted).stdout.splitlines()]
    assert "negative" in shown
    assert [each["event"].get("flags", []) for each in branch.json(*counted)["items"]] == [[], ["negative"]]
    assert "negative" not in branch.run("count", "milk=2").stdout
    with branch.serve():
        assert "negative" in branch.run(*counted).stdout, "the same answer from a node that serves"
