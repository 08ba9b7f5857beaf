"""Expected errors are printed in words with a hint and end with their exit code; others pass through."""

from __future__ import annotations

import pytest
import typer
from typer.testing import CliRunner

from shared.runtime.cli.errors import CommandRefused, describe, describe_expected, print_error
from shared.runtime.cli.service_app import service_app
from shared.runtime.client import RemoteProblem, Unreachable
from shared.runtime.database.migrations import DatabaseVersionError
from shared.runtime.postgres.binaries import PostgresError
from shared.runtime.problems import CONFLICT, INVALID_REQUEST, named_faults
from shared.runtime.settings import SettingsError


class OwnError(Exception):
    """An error that only one service has."""


REMOTE = RemoteProblem(
    404, "unknown-item", title="No such item", detail="no milc", hint="Try milk.", extras={"left": 2, "incident": "x"}
)
ERRORS: dict[str, tuple[Exception, int, list[str]]] = {
    "problem": (
        CONFLICT("twice", hint="Look first.", nearest=["a", "b"], none=[], nothing=None),
        1,
        ["twice", "code: conflict", "nearest: a, b", "Look first."],
    ),
    "faults": (
        INVALID_REQUEST("a: no (and 52 more, see 'errors')", **named_faults([{"field": "a", "message": "no"}] * 53)),
        1,
        ["a: no (and 52 more", "  and 3 more", "code: invalid-request"],
    ),
    "remote": (REMOTE, 1, ["No such item: no milc", "code: unknown-item", "left: 2", "Try milk."]),
    "refused": (
        CommandRefused("not here [x]", "Go there.", file="[b]f[/b]"),
        1,
        ["not here [x]", "file: [b]f[/b]", "Go there."],
    ),
    "unreachable": (Unreachable("http://h: gone"), 1, ["No answer: http://h: gone", "this is its address"]),
    "settings": (SettingsError("the setting 'port' is wrong"), 2, ["the setting 'port' is wrong"]),
    "version": (DatabaseVersionError("of a newer Larder"), 1, ["of a newer Larder"]),
    "postgres": (PostgresError("no PostgreSQL found"), 1, ["no PostgreSQL found"]),
    "own": (OwnError("the folder is in use"), 1, ["the folder is in use"]),
}


def misuse() -> None:
    raise typer.BadParameter("no column 'a\x1b[2J\r\u202e\x85'", param_hint="--map")


def fail(how: str) -> None:
    raise ERRORS[how][0]


def crash() -> None:
    raise KeyError("surprise")


APP = service_app(
    "Fails.",
    {
        "fail": (f"{__name__}:fail", "Fail."),
        "crash": (f"{__name__}:crash", "Crash."),
        "misuse": (f"{__name__}:misuse", "Misuse."),
    },
    expected_errors=(f"{__name__}:OwnError", "a.module.that.is.not.imported:Error"),
)


@pytest.mark.parametrize("how", ERRORS)
def test_an_expected_error_is_printed(how: str) -> None:
    _, exit_code, parts = ERRORS[how]
    done = CliRunner().invoke(APP, ["fail", how])
    assert (done.exit_code, done.stdout) == (exit_code, "")
    assert [part for part in parts if part not in done.stderr] == []
    assert "incident" not in done.stderr


def test_an_unexpected_error_passes_through() -> None:
    done = CliRunner().invoke(APP, ["crash"])
    assert isinstance(done.exception, KeyError)
    assert describe_expected(done.exception) is None


@pytest.mark.parametrize(
    ("error", "parts"),
    [
        (KeyError("surprise"), ["KeyError", "surprise", "'larder --debug'"]),
        (OSError(28, "No space left on device"), ["The disk is full", "Make room on the disk"]),
        (OwnError("of a service"), ["OwnError: of a service"]),
        (CONFLICT("twice"), ["twice"]),
    ],
)
def test_any_error_can_be_described(error: Exception, parts: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    report = describe(error, debug_command="larder --debug")
    assert report.exit_code == 1
    print_error(report)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert [part for part in parts if part not in printed.err] == []


def test_exits_are_no_errors() -> None:
    assert describe_expected(typer.Exit(3)) is None


def test_what_a_file_or_a_service_says_cannot_act_on_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    report = describe_expected(CommandRefused("no\x1b[2J", "do\x9b1A", file="f\r\udce9"))
    assert report is not None
    print_error(report)
    printed = capsys.readouterr().err
    assert [part for part in (r"no\x1b[2J", r"do\x9b1A", r"file: f\x0d\xe9") if part not in printed] == []
    assert "\x1b[2J" not in printed


def test_wrong_usage_that_names_a_column_of_a_file_cannot_act_on_the_terminal() -> None:
    done = CliRunner().invoke(APP, ["misuse"])
    assert done.exit_code == 2
    assert r"no column 'a\x1b[2J\x0d\u202e\x85'" in done.stderr
    assert done.stderr.count("Invalid value for --map") == 1
    assert {each for each in done.stderr if not each.isprintable()} == {"\n"}
