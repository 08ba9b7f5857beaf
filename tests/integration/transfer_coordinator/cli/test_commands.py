"""`larder transfer …` as real processes, over HTTP to a head office that is a model."""

from __future__ import annotations

import json
import shlex
import socket
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from click.testing import Result
from hypothesis import given, settings
from typer.testing import CliRunner

from deploy.cli import app
from shared.runtime.client import ServiceClient
from shared.runtime.http import running_file
from shared.runtime.http.auth import generate_key
from tests.integration.transfer_coordinator.office_model import OfficeModel
from tests.support.forked import larder, run_larder
from tests.support.lossy_proxy import FAULTS, Fault, lossy_proxy
from tests.support.processes import RunningProcess
from tests.support.waiting import wait_until

LINES = ("--source", "A", "--destination", "B", "--line", "milk=2.5")


@pytest.fixture
def served(folder: Path, tmp_path: Path) -> Iterator[RunningProcess]:
    with larder("transfer", "serve", "--dir", folder, "--port", "0", output=tmp_path / "serve.log") as process:
        process.wait_for(r"larder transfer ready on http://127\.0\.0\.1:\d+")
        yield process


def run(*arguments: str | Path, code: int = 0) -> Any:
    done = run_larder("transfer", *arguments, "--json")
    assert done.returncode == code, (done.stdout, done.stderr)
    return json.loads(done.stdout) if done.stdout else done.stderr


@pytest.mark.parametrize("serving", [True, False], ids=["served", "nobody serves"])
def test_create_show_list_cancel(folder: Path, serving: bool, request: pytest.FixtureRequest) -> None:
    if serving:
        request.getfixturevalue("served")
    made = run("create", "--dir", folder, *LINES, "--wait")
    assert (made["state"], made["lines"][0]["received"]) == ("COMPLETED", 2.5)
    shown = run("show", made["transfer_id"], "--dir", folder)
    assert [each["state"] for each in shown["journal"]] == ["REQUESTED", "OUT_PENDING", "IN_PENDING", "COMPLETED"]
    refused = run(
        "create", "--dir", folder, *LINES[:4], "--line", "milk=1000", "--wait", "--transfer-id", "big", code=1
    )
    assert (refused["state"], refused["end_reason"]) == ("REJECTED", "insufficient-stock")
    listed = run("list", "--dir", folder)
    assert [each["state"] for each in listed["items"]] == ["REJECTED", "COMPLETED"]
    assert run("cancel", "big", "--dir", folder, code=1)["code"] == "transfer-ended"
    assert run("show", "nobody", "--dir", folder, code=1)["code"] == "unknown-transfer"
    unknown = run("list", "--location", "BB", "--dir", folder, code=1)
    assert (unknown["code"], unknown["nearest"]) == ("unknown-location", ["B"])
    assert "COMPLETED" in run("list", "--state", "COMPLETE", "--dir", folder, code=2)["title"]
    assert run("list", "--state", "completed", "--location", "B", "--dir", folder)["items"][0]["state"] == "COMPLETED"


def completed(*words: str | Path) -> list[str]:
    line = ["larder", "transfer", *map(str, words)]
    environment = {
        "_LARDER_COMPLETE": "complete_bash", "COMP_WORDS": shlex.join(line), "COMP_CWORD": str(len(line) - 1),
    }  # fmt: skip
    return CliRunner().invoke(app, [], env=environment, prog_name="larder").stdout.split()


def test_codes_are_completed(folder: Path, served: RunningProcess, tmp_path: Path) -> None:
    run("create", "--dir", folder, *LINES, "--wait")
    assert completed("create", "--dir", folder, "--source", "") == ["A", "B"]
    assert completed("create", "--dir", folder, "--source", "A", "--destination", "B") == ["B"]
    assert completed("create", "--dir", folder, "--line", "mi") == ["milk="]
    assert completed("create", "--dir", folder, "--line", "milk=") == []
    assert completed("list", "--dir", folder, "--location", "A") == ["A"]
    for elsewhere in (("--url", "http://127.0.0.1:1"), ("--dir", tmp_path / "nowhere")):
        assert completed("create", *elsewhere, "--line", "mi") == []


def test_for_people(folder: Path, served: RunningProcess) -> None:
    del served
    run("create", "--dir", folder, *LINES, "--wait", "--transfer-id", "t1")
    shown = run_larder("transfer", "show", "t1", "--dir", folder).stdout
    for part in ("COMPLETED", "TRANSFER_OUT", "Journal", "2.5", "IN_PENDING"):
        assert part in shown
    assert "t1" in run_larder("transfer", "list", "--dir", folder, "--state", "COMPLETED").stdout
    wrong = run_larder("transfer", "create", "--dir", folder, *LINES[:4], "--line", "mlik=1")
    assert wrong.returncode == 1
    assert "unknown-item" in wrong.stderr
    assert "milk" in wrong.stderr
    assert "Traceback" not in wrong.stderr


def test_wrong_usage(tmp_path: Path, folder: Path) -> None:
    for arguments in (
        ("create", "--dir", folder, *LINES[:4], "--line", "milk"),
        ("create", "--dir", folder, *LINES[:4]),
        ("show", "--dir", folder),
        ("show", "t1", "--dir", tmp_path / "nowhere"),
        ("init", "--dir", tmp_path / "x", "--head-office", "http://o", "--key", "secret"),
    ):
        done = run_larder("transfer", *arguments)
        assert done.returncode == 2, (arguments, done.stdout, done.stderr)
        assert "Traceback" not in done.stderr
    assert not (tmp_path / "x").exists()


def test_the_answer_got_lost_and_the_command_is_given_again(folder: Path, served: RunningProcess) -> None:
    """The id is kept before the first try: the second command names the same transfer."""
    served.kill()
    # A server that was killed leaves its announcement behind; the command sees that nobody answers and does it itself.
    (folder / "pending.json").write_text("{}")
    first = run("create", "--dir", folder, *LINES)
    assert json.loads((folder / "pending.json").read_text()) == {}
    second = run("create", "--dir", folder, *LINES)
    assert first["transfer_id"] != second["transfer_id"]


def test_a_transfer_that_an_older_version_left_pending_is_created_under_its_id(folder: Path) -> None:
    body = {"source": "A", "destination": "B", "mode": "immediate", "lines": [{"item_id": "milk", "quantity": "2.5"}]}
    digest = sha256(msgspec.json.encode(body, order="sorted")).hexdigest()
    (folder / "pending.json").write_text(json.dumps({digest: {"transfer_id": "t-1", "since": time.time()}}))
    assert run("create", "--dir", folder, *LINES)["transfer_id"] == "t-1"
    assert json.loads((folder / "pending.json").read_text()) == {}


def test_a_command_with_head_office_away_warns_on_standard_error(folder: Path) -> None:
    run("create", "--dir", folder, *LINES, "--transfer-id", "t1", "--wait")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        moved = run(
            "init", "--dir", folder, "--key", generate_key().text,
            "--head-office", f"http://127.0.0.1:{unused.getsockname()[1]}",
        )  # fmt: skip
        assert moved["reached"] is False
        for arguments in (
            ("create", *LINES, "--wait", "--timeout", "0.5"),
            ("list",),
            ("show", "t1"),
            ("cancel", "t2"),
        ):
            if arguments[0] == "cancel":
                run("create", "--dir", folder, *LINES, "--transfer-id", "t2")
            done = run_larder("transfer", *arguments, "--dir", folder, "--json")
            assert done.stderr == "Head office cannot be reached; transfers wait until it can.\n", arguments
            answer = json.loads(done.stdout)
            if arguments[0] == "create":
                assert answer["why"].startswith("Recorded; as far as is known here, nothing was asked of A yet.")
        shown = run_larder("transfer", "create", *LINES, "--dir", folder, "--transfer-id", "t3").stdout
        assert "nothing was asked of A yet. Head office cannot be reached now" in shown


def test_a_command_whose_key_head_office_refuses_warns_on_standard_error(
    folder: Path, office: tuple[OfficeModel, str]
) -> None:
    office[0]._answer = lambda _request, _path: httpx.Response(  # type: ignore[assignment, method-assign]
        401, json={"code": "unauthenticated", "title": "No valid key"}
    )
    done = run_larder("transfer", "list", "--dir", folder, "--json")
    assert done.stderr.startswith("Head office refuses the coordinator's requests;"), done.stderr
    assert "unauthenticated" in done.stderr
    assert json.loads(done.stdout)["items"] == []


def test_a_key_that_head_office_refuses(tmp_path: Path, office: tuple[OfficeModel, str], pg_database: str) -> None:
    model, url = office
    model._answer = lambda _request, _path: httpx.Response(  # type: ignore[assignment, method-assign]
        401, json={"code": "unauthenticated", "title": "No valid key"}
    )
    done = run_larder(
        "transfer", "init", "--dir", tmp_path / "t", "--head-office", url, "--key", generate_key().text,
        "--database-url", pg_database,
    )  # fmt: skip
    assert done.returncode == 1
    assert "keys add --role coordinator" in done.stderr
    assert not (tmp_path / "t").exists()


def test_killed_and_started_again_it_goes_on(
    folder: Path, tmp_path: Path, office: tuple[OfficeModel, str], served: RunningProcess
) -> None:
    model, _ = office
    model.sites["B"].away = True
    run("create", "--dir", folder, *LINES, "--transfer-id", "t1")
    served.kill()
    model.sites["B"].away = False
    output = tmp_path / "again.log"
    with larder("transfer", "serve", "--dir", folder, "--port", "0", "--lease-seconds", "1", output=output) as process:
        process.wait_for("ready on")
        wait_until(lambda: run("show", "t1", "--dir", folder)["state"] == "COMPLETED", 60, what="the end")
        assert process.stop() == 0
    assert not (folder / "running.json").exists()
    assert model.log("A") == ["OUT"]
    assert model.log("B") == ["IN"]


def test_a_transfer_asked_for_until_it_is_answered_is_one(
    folder: Path, served: RunningProcess, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Whatever becomes of the answers, at an address too, where no --dir keeps what was asked."""
    del served
    monkeypatch.setitem(ServiceClient.__init__.__kwdefaults__, "sleep", lambda _seconds: None)  # type: ignore[arg-type]
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    running = running_file.read(folder)
    assert running is not None
    with lossy_proxy(running.url) as proxy:
        place = ("--url", proxy.url, "--key", running.key)

        def command(*arguments: str) -> Result:
            return CliRunner().invoke(app, ["transfer", *arguments, *place, "--json"], catch_exceptions=False)  # type: ignore[return-value]

        def created() -> set[str]:
            return {each["transfer_id"] for each in json.loads(command("list").stdout)["items"]}

        def create() -> str:
            for _ in range(10):
                done = command("create", *LINES[:4], "--line", "milk=0.001")
                if done.exit_code == 0:
                    return str(json.loads(done.stdout)["transfer_id"])
            raise AssertionError("never answered")

        @settings(max_examples=15, deadline=None)
        @given(FAULTS)
        def once(faults: list[Fault]) -> None:
            for more in (faults, []):
                before = created()
                proxy.plan(more)
                made = create()
                assert created() - before == {made}

        once()
