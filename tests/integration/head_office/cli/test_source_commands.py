"""`larder head-office sources`, on head office's database."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from typer.testing import CliRunner

from deploy.cli import app
from shared.runtime.webhooks.webhook_signatures import secret_of
from tests.support.processes import ROOT

OWN_SECRET = secret_of(bytes(range(32)))


class Commands:
    def __init__(self, folder: Path, url: str) -> None:
        self.hidden = ("--dir", str(folder), "--database-url", url)

    def run(self, *words: str, code: int = 0) -> str:
        done = CliRunner().invoke(app, ["head-office", "sources", *words, *self.hidden], catch_exceptions=False)
        assert done.exit_code == code, done.stdout + done.stderr
        return done.stdout if code == 0 else done.stderr

    def json(self, *words: str) -> Any:
        return json.loads(self.run(*words, "--json"))

    def completed(self, *words: str) -> list[str]:
        line = ["larder", "head-office", "sources", words[0], *self.hidden, *words[1:]]
        environment = {
            "_LARDER_COMPLETE": "complete_bash", "COMP_WORDS": shlex.join(line), "COMP_CWORD": str(len(line) - 1),
        }  # fmt: skip
        return CliRunner().invoke(app, [], env=environment, prog_name="larder").stdout.split()


@pytest.fixture
def commands(office: Engine, office_url: str, tmp_path: Path) -> Commands:
    return Commands(tmp_path / "office", office_url)


def test_a_source_by_commands_alone(commands: Commands) -> None:
    assert "larder head-office sources add" in commands.run("list")
    made = commands.json("add", "webshop", "--hold-days", "7")
    assert made["path"] == "/v1/inbound/orders/webshop"
    assert made["secret"].startswith("whsec_")
    assert OWN_SECRET in commands.run("add", "market", "--secret", OWN_SECRET)
    listed = commands.json("list")
    assert [(each["source"], each["hold_days"]) for each in listed["items"]] == [("market", 14), ("webshop", 7)]
    assert listed["next"] is None
    assert made["secret"] not in json.dumps(listed)
    assert commands.json("rotate", "webshop", "--overlap", "24h")["secret"] != made["secret"]
    assert [len(each["secrets"]) for each in commands.json("list")["items"]] == [1, 2]
    assert "whsec_" in commands.run("rotate", "webshop", "--overlap", "0")
    assert [len(each["secrets"]) for each in commands.json("list")["items"]] == [1, 1]
    assert commands.json("remove", "market") == {"source": "market"}
    assert "Nothing is taken from webshop any more" in commands.run("remove", "webshop")
    assert commands.json("list")["items"] == []


@pytest.mark.parametrize(
    ("words", "code", "hint"),
    [
        (("add", "webshop"), "source-exists", "larder head-office sources rotate"),
        (("remove", "nosuch"), "unknown-source", "larder head-office sources list"),
        (("rotate", "nosuch"), "unknown-source", "larder head-office sources list"),
        (("add", "a:b"), "invalid-request", "source"),
        (("add", "x", "--hold-days", "400"), "invalid-request", "hold_days"),
        (("add", "x", "--secret", "whsec_AAAA"), "invalid-request", "secret"),
    ],
)
def test_refusals_say_what_to_do(commands: Commands, words: tuple[str, ...], code: str, hint: str) -> None:
    commands.run("add", "webshop")
    said = commands.run(*words, code=1)
    assert code in said
    assert hint in " ".join(said.split())


def test_more_secrets_than_can_count(commands: Commands) -> None:
    commands.run("add", "webshop")
    for _ in range(4):
        commands.run("rotate", "webshop")
    said = commands.run("rotate", "webshop", code=1)
    assert "too-many-secrets" in said
    assert "--overlap 0" in " ".join(said.split())


def test_the_commands_of_the_handbook(commands: Commands) -> None:
    page = (ROOT / "deploy" / "handbook" / "order-system.md").read_text(encoding="utf-8")
    section = page.partition("\n## At head office\n")[2].partition("\n## ")[0]
    lines = re.findall(r"^larder head-office sources (.*)$", section, re.M)
    answers = [commands.json(*shlex.split(line)) for line in lines]
    added, listed, rotated, removed = answers
    assert added["path"] == "/v1/inbound/orders/marketplace"
    assert [(each["source"], each["hold_days"]) for each in listed["items"]] == [("marketplace", 14)]
    assert rotated["secret"] != added["secret"]
    assert removed == {"source": "marketplace"}


def test_sources_are_completed(commands: Commands) -> None:
    for source in ("market", "webshop", "wholesale"):
        commands.run("add", source)
    assert commands.completed("rotate", "w") == ["webshop", "wholesale"]
    assert commands.completed("remove", "m") == ["market"]
    assert commands.completed("add", "w") == []
