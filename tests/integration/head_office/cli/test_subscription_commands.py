"""`larder head-office subscriptions`, on head office's database."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from typer.testing import CliRunner

from deploy.cli import app
from head_office.subscriptions import published_messages
from tests.support.listed_messages import ADDED, ListedMessages

URL = "http://127.0.0.1:9/hooks"


class Commands:
    def __init__(self, folder: Path, url: str) -> None:
        self.hidden = ("--dir", str(folder), "--database-url", url)

    def run(self, *words: str, code: int = 0) -> str:
        command = ["head-office", "subscriptions", *words, *self.hidden]
        done = CliRunner().invoke(app, command, catch_exceptions=False)
        assert done.exit_code == code, done.stdout + done.stderr
        return done.stdout if code == 0 else done.stderr

    def json(self, *words: str) -> Any:
        return json.loads(self.run(*words, "--json"))


@pytest.fixture
def commands(office: Engine, office_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Commands:
    messages = ListedMessages()
    messages.add("BEY-01", ADDED)
    monkeypatch.setattr(published_messages, "message_reader", lambda _engine: messages)
    monkeypatch.setenv("LARDER_WEBHOOK_ALLOW", "127.0.0.1")
    return Commands(tmp_path / "office", office_url)


def test_a_subscription_by_commands_alone(commands: Commands) -> None:
    assert "Nobody subscribes" in commands.run("list")
    shown = commands.run("add", URL, "--type", ADDED, "--location", "BEY-01", "--location", "WH-1", "--label", "Shop")
    assert re.search(r"subscription: [0-9a-f-]{36}\nsecret: whsec_[A-Za-z0-9+/=]{44}\n", shown)
    (found,) = commands.json("list")["items"]
    name = found["subscription_id"]
    assert [each["location_id"] for each in found["cursors"]] == ["BEY-01", "WH-1"]
    assert name in commands.run("list")
    assert "WH-1" in commands.run("show", name)
    assert commands.json("show", name) == found
    assert commands.json("pause", name)["state"] == "PAUSED"
    assert "is active" in commands.run("resume", name)
    assert commands.json("rotate", name, "--overlap", "10")["secret"].startswith("whsec_")
    assert "whsec_" in commands.run("rotate", name)
    replayed = commands.json("replay", name, "--after", "start", "--location", "BEY-01")
    assert [each["behind"] for each in replayed["cursors"]] == [1, 0]
    assert "Deliveries: none" in commands.run("deliveries", name, "--state", "DEAD")
    assert commands.json("deliveries", name)["items"] == []
    assert "is removed" in commands.run("remove", name)
    assert commands.json("list")["items"] == []


def test_refusals_say_what_to_do(commands: Commands) -> None:
    assert "10.0.0.1 is not a public address" in commands.run("add", "https://10.0.0.1/", code=1)
    assert "locations list" in commands.run("add", URL, "--location", "TRI-9", code=1)
    assert "subscriptions list" in commands.run("show", "x", code=1)
    assert "larder.Unheard" not in commands.run("add", URL, "--type", "larder.StockAdded")
    assert "types" in commands.run("add", URL, "--type", "larder.Unheard", code=1)
    commands.run("replay", "x", code=2)
