"""`larder` itself: quick, lazy, and without tracebacks."""

import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from branch_node.cli import app as branch_app
from deploy.cli import COMMANDS
from head_office.cli import app as head_office_app
from shared.runtime.cli.lazy_group import load_command
from tests.support.processes import ROOT, clean_environment, run_larder
from transfer_coordinator.cli import app as transfer_app


@pytest.mark.parametrize("arguments", [["--help"], ["-h"]])
def test_help_lists_every_command_with_its_line(arguments: list[str]) -> None:
    done = run_larder(*arguments, environment={"COLUMNS": "160"})
    assert done.returncode == 0
    for name, (_, line) in COMMANDS.items():
        assert any(name in each and line in each for each in done.stdout.splitlines()), name


def test_help_imports_no_service() -> None:
    program = (
        "import sys; sys.argv = ['larder', '--help']\n"
        "from deploy.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: assert end.code == 0\n"
        "print('LOADED', *sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = set(done.stdout.rsplit("LOADED", 1)[1].split())
    assert "typer" in loaded
    slow = {"sqlalchemy", "fastapi", "psycopg", "httpx", "pydantic", *(module for module, _ in COMMANDS.values())}
    assert not loaded & slow


def test_every_command_is_where_its_table_says() -> None:
    services = (branch_app.COMMANDS, head_office_app.COMMANDS, transfer_app.COMMANDS)
    for name, (place, line) in (each for table in (COMMANDS, *services) for each in table.items()):
        command = load_command(name, place)
        assert command.help, place
        assert line.endswith("."), place


def test_version() -> None:
    done = run_larder("--version")
    assert (done.returncode, done.stdout) == (0, f"larder {version('larder')}\n")


@pytest.mark.parametrize("arguments", [["--nonsense"], ["brunch"], []])
def test_wrong_usage_is_2(arguments: list[str]) -> None:
    done = run_larder(*arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_a_mistyped_command_is_guessed() -> None:
    assert "'branch'" in run_larder("brunch").stderr


@pytest.mark.parametrize("command", ["stock", "stok"])
def test_a_command_without_its_service_is_guessed(command: str) -> None:
    done = run_larder(command, environment={"COLUMNS": "160"})
    assert done.returncode == 2
    assert "Did you mean 'branch stock' or 'head-office stock'?" in done.stderr


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ("branch stokc", "stock"),
        ("branch items lisst", "list"),
        ("head-office stokc", "stock"),
        ("head-office levels remov", "remove"),
        ("transfer creat", "create"),
    ],
)
def test_a_mistyped_command_is_guessed_at_every_level(words: str, meant: str) -> None:
    done = run_larder(*words.split(), environment={"COLUMNS": "160"})
    assert done.returncode == 2
    assert f"Did you mean '{meant}'?" in done.stderr


# A command of the tests' own, mounted in place of one of ours, that fails as it is told.
FAILING = """
import sys
from pathlib import Path
sys.path.insert(0, {root!r})
import typer
from deploy import cli

app = typer.Typer()

@app.command()
def fail(how: str, as_json: bool = typer.Option(False, "--json")) -> None:
    from shared.runtime import problems, settings
    from shared.runtime.postgres import binaries
    if how == "interrupt":
        raise KeyboardInterrupt
    raise {{
        "problem": problems.CONFLICT("twice", hint="Look first."),
        "setting": settings.SettingsError("the setting 'port' is wrong"),
        "postgres": binaries.PostgresError("no PostgreSQL found"),
        "disk": OSError(28, "No space left on device"),
        "bug": KeyError("surprise"),
    }}[how]

cli.COMMANDS["fail"] = ("failing", "Fails.")
if __name__ == "__main__":
    cli.main()
"""


@pytest.fixture
def failing(tmp_path: Path) -> Path:
    (tmp_path / "failing.py").write_text(FAILING.format(root=str(ROOT)))
    return tmp_path / "failing.py"


def run(program: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(program), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=clean_environment())


@pytest.mark.parametrize(
    ("how", "code", "said"),
    [
        ("problem", 1, ["twice", "conflict", "Look first."]),
        ("setting", 2, ["the setting 'port' is wrong"]),
        ("postgres", 1, ["no PostgreSQL found"]),
        ("disk", 1, ["The disk is full", "Make room on the disk"]),
        ("bug", 1, ["KeyError", "surprise", "larder --debug"]),
        ("interrupt", 130, []),
    ],
)
def test_errors_are_told_without_a_traceback(failing: Path, how: str, code: int, said: list[str]) -> None:
    done = run(failing, "fail", how)
    assert done.returncode == code
    assert [each for each in said if each not in done.stderr] == []
    assert "Traceback" not in done.stderr + done.stdout


@pytest.mark.parametrize(
    ("how", "code", "problem"),
    [
        ("problem", 1, {"code": "conflict", "detail": "twice", "hint": "Look first."}),
        ("setting", 2, {"code": "wrong-settings"}),
        ("disk", 1, {"code": "disk-full"}),
        ("bug", 1, {"code": "internal-error"}),
    ],
)
def test_with_json_an_error_is_a_problem_document(
    failing: Path, how: str, code: int, problem: dict[str, object]
) -> None:
    done = run(failing, "fail", how, "--json")
    document = json.loads(done.stdout)
    assert (done.returncode, done.stderr) == (code, "")
    assert {name: document.get(name) for name in problem} == problem
    assert document["title"]


def test_the_traceback_is_there_for_the_asking(failing: Path) -> None:
    done = run(failing, "--debug", "fail", "bug")
    assert done.returncode == 1
    assert "Traceback" in done.stderr


def test_a_demo_that_stays_has_no_result(tmp_path: Path) -> None:
    done = run_larder("demo", "--json", "--dir", tmp_path / "demo")
    assert done.returncode == 2
    assert "--once" in done.stderr
    assert not (tmp_path / "demo").exists()
