"""How a command fails: an error in words with a hint on standard error, and exit code 1 or 2. Never a traceback."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from rich.console import Console
from rich.markup import escape

from shared.runtime.client import RemoteProblem, Unreachable
from shared.runtime.problems import Problem, ascii_json
from shared.runtime.settings import SettingsError

REFUSED: Final = 1
WRONG_USAGE: Final = 2

GIVE_AGAIN: Final = "Give the very same command again: it is recorded once, however often it is given."

# `module:class` of expected errors whose modules not every command imports. Their text is all there is to print.
EXPECTED: Final = (
    "shared.runtime.database.migrations:DatabaseVersionError",
    "shared.runtime.postgres.binaries:PostgresError",
)


class CommandRefused(Exception):
    """A command that was not carried out (exit code 1). `hint` says what to do; `members` are printed line by line."""

    def __init__(self, reason: str, hint: str = "", **members: object) -> None:
        super().__init__(reason)
        self.hint = hint
        self.members = members


@dataclass(frozen=True)
class ErrorReport:
    """What is printed of an error, and the exit code."""

    title: str
    detail: str = ""
    hint: str = ""
    members: Mapping[str, object] = field(default_factory=dict)
    exit_code: int = REFUSED


def describe_expected(error: Exception, expected: Iterable[str] = ()) -> ErrorReport | None:
    """The report of an error that a command may end with; None for any other, which is a defect.

    `expected` names the service's own errors as `module:class`, in addition to those of all services.
    """
    if isinstance(error, Problem | RemoteProblem):
        members = {name: value for name, value in error.extras.items() if name not in {"errors", "incident"}}
        hint = error.hint
        if isinstance(error, RemoteProblem) and error.may_be_recorded:
            hint = f"It is not known whether this was recorded. {GIVE_AGAIN}"
        return ErrorReport(error.title or error.code, error.detail, hint, {"code": error.code, **members})
    if isinstance(error, CommandRefused):
        return ErrorReport(str(error), hint=error.hint, members=error.members)
    if isinstance(error, Unreachable):
        return ErrorReport("No answer", str(error), "Check that the service runs, and that this is its address.")
    if isinstance(error, SettingsError):
        return ErrorReport(str(error), exit_code=WRONG_USAGE)
    if isinstance(error, _loaded((*EXPECTED, *expected))):
        return ErrorReport(str(error))
    return None


def describe(error: Exception, *, debug_command: str) -> ErrorReport:
    """The report of any error; `debug_command` is the command that shows the traceback of an unexpected one."""
    report = describe_expected(error)
    if report is not None:
        return report
    if isinstance(error, OSError):
        return ErrorReport(f"{error} ({type(error).__name__})")
    return ErrorReport(
        "an error inside Larder",
        f"{type(error).__name__}: {error}",
        f"Please report it with the output of the same command after '{debug_command}'.",
    )


def print_error(report: ErrorReport) -> None:
    """Print a report on standard error, without members that are empty."""
    console = Console(stderr=True, highlight=False)
    head = f"[bold red]{escape(report.title)}[/]"
    console.print(f"{head}: {escape(report.detail)}" if report.detail else head, soft_wrap=True)
    for name, value in report.members.items():
        if value in (None, "", [], {}):
            continue
        console.print(f"  {escape(str(name))}: {escape(_text(value))}", soft_wrap=True)
    if report.hint:
        console.print(f"[yellow]{escape(report.hint)}[/]", soft_wrap=True)


def _text(value: object) -> str:
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return ", ".join(value)
    return value if isinstance(value, str) else ascii_json(value).decode("ascii")


def _loaded(names: Iterable[str]) -> tuple[type[Exception], ...]:
    """The classes of modules that are imported: a module that is not imported has raised nothing."""
    places = [name.partition(":") for name in names]
    return tuple(getattr(sys.modules[module], name) for module, _, name in places if module in sys.modules)
