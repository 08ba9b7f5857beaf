"""A lazy group lists its commands without importing them, and imports the one that is called."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from shared.runtime.cli.lazy_group import LazyGroup
from shared.runtime.cli.service_app import service_app

FRUITS = """
import typer
app = typer.Typer(add_completion=False)

@app.command("peel")
def peel(name: str) -> None:
    typer.echo(f"peeled {name}")

@app.command()
def wash() -> None:
    typer.echo("washed")
"""
GREET = """
import typer

def greet(name: str) -> None:
    typer.echo(f"hello {name}")
"""


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> typer.Typer:
    monkeypatch.syspath_prepend(tmp_path)
    for name, text in {"lazy_fruits": FRUITS, "lazy_greet": GREET}.items():
        (tmp_path / f"{name}.py").write_text(text)
        monkeypatch.delitem(sys.modules, name, raising=False)
    commands = {"fruits": ("lazy_fruits", "Fruits of all kinds."), "greet": ("lazy_greet:greet", "Greet somebody.")}
    return service_app("A test's commands.", commands)


def test_help_lists_the_commands_and_imports_none(app: typer.Typer) -> None:
    shown = CliRunner().invoke(app, ["--help"])
    assert shown.exit_code == 0
    for text in ("A test's commands.", "fruits", "Fruits of all kinds.", "greet", "Greet somebody."):
        assert text in shown.output
    assert not {"lazy_fruits", "lazy_greet"} & sys.modules.keys()


@pytest.mark.parametrize(
    ("arguments", "printed", "imported"),
    [
        (["greet", "Rima"], "hello Rima\n", {"lazy_greet"}),
        (["fruits", "peel", "lemon"], "peeled lemon\n", {"lazy_fruits"}),
        (["fruits", "wash"], "washed\n", {"lazy_fruits"}),
    ],
)
def test_a_command_imports_its_own_module(
    app: typer.Typer, arguments: list[str], printed: str, imported: set[str]
) -> None:
    done = CliRunner().invoke(app, arguments)
    assert (done.exit_code, done.output) == (0, printed)
    assert {"lazy_fruits", "lazy_greet"} & sys.modules.keys() == imported


@pytest.mark.parametrize("arguments", [["greed"], ["greet"], ["greet", "a", "b"], ["fruits", "eat"], []])
def test_wrong_usage_ends_with_2(app: typer.Typer, arguments: list[str]) -> None:
    assert CliRunner().invoke(app, arguments).exit_code == 2


def test_a_group_without_a_table_has_no_commands() -> None:
    assert LazyGroup(name="empty").commands == {}
