"""`larder branch subscriptions`, over a node in this process."""

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import branch_node.main
from deploy.cli import app
from tests.support.listed_messages import ADDED, ListedMessages

URL = "http://127.0.0.1:9/hooks"


class Commands:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, *words: str, code: int = 0) -> str:
        done = CliRunner().invoke(app, ["branch", *words, "--dir", str(self.folder)], catch_exceptions=False)
        assert done.exit_code == code, done.stdout + done.stderr
        return done.stdout if code == 0 else done.stderr

    def json(self, *words: str) -> Any:
        return json.loads(self.run("subscriptions", *words, "--json"))


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Commands:
    messages = ListedMessages()
    messages.add("BEY-01", ADDED)
    build = branch_node.main.build
    monkeypatch.setattr(branch_node.main, "build", partial(build, messages=lambda *_: messages))
    monkeypatch.setenv("LARDER_WEBHOOK_ALLOW", "127.0.0.1")
    made = Commands(tmp_path / "node")
    made.run("init", "--location", "BEY-01")
    return made


def test_a_subscription_by_commands_alone(commands: Commands) -> None:
    assert "Nobody subscribes" in commands.run("subscriptions", "list")
    shown = commands.run("subscriptions", "add", URL, "--type", ADDED, "--label", "Shop", "--after", "start")
    assert re.search(r"subscription: [0-9a-f-]{36}\nsecret: whsec_[A-Za-z0-9+/=]{44}\n", shown)
    (found,) = commands.json("list")["items"]
    name = found["subscription_id"]
    assert (found["url"], found["types"], found["label"], found["state"]) == (URL, [ADDED], "Shop", "ACTIVE")
    assert name in commands.run("subscriptions", "list")
    assert "BEY-01" in commands.run("subscriptions", "show", name)
    assert commands.json("pause", name)["state"] == "PAUSED"
    assert "is paused" in commands.run("subscriptions", "pause", name)
    assert commands.json("resume", name)["state"] == "ACTIVE"
    assert commands.json("rotate", name, "--overlap", "10")["secret"].startswith("whsec_")
    assert "whsec_" in commands.run("subscriptions", "rotate", name)
    commands.run("subscriptions", "pause", name)
    assert commands.json("replay", name, "--after", "end")["cursors"][0]["behind"] == 0
    assert "Deliveries" in commands.run("subscriptions", "deliveries", name)
    assert isinstance(commands.json("deliveries", name, "--state", "DEAD")["items"], list)
    assert "is removed" in commands.run("subscriptions", "remove", name)
    assert commands.json("list")["items"] == []


def test_refusals_say_what_to_do(commands: Commands) -> None:
    refused = commands.run("subscriptions", "add", "https://10.0.0.1/", code=1)
    assert "10.0.0.1 is not a public address" in refused
    assert "webhook_allow" in refused
    assert "subscriptions list" in commands.run("subscriptions", "show", "x", code=1)
    commands.run("subscriptions", "replay", "x", code=2)
    name = commands.json("add", URL)["subscription_id"]
    missing = "00000001-0000-7000-8000-000000000000-0"
    assert "subscriptions deliveries" in commands.run("subscriptions", "replay", name, "--message", missing, code=1)


def test_tables_fit_a_terminal_of_80_columns(commands: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    from rich.console import Console

    from shared.runtime.cli import output

    long_url = URL + "/" + "way/" * 10
    name = commands.json("add", long_url, "--label", "The shop of the whole group, with a long name")["subscription_id"]
    monkeypatch.setattr(output, "Console", partial(Console, width=80, force_terminal=True, no_color=True))
    for words in (("list",), ("show", name), ("deliveries", name)):
        plain = re.sub(r"\x1b\[[0-9;]*m", "", commands.run("subscriptions", *words))
        assert [line for line in plain.splitlines() if len(line) > 80] == [], plain
