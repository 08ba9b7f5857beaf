"""How a command fails: exit code 1 or 2, and never a traceback.

The error is printed in words with a hint on standard error; with --json its problem document, on standard output. A
hint of a service names its addresses; at a command line it names commands: COMMAND_HINTS and those of each service.
"""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

import typer
from rich.console import Console
from rich.markup import escape

from shared.runtime.client import RemoteProblem, Unreachable
from shared.runtime.problems import Problem, ascii_json
from shared.runtime.settings import SettingsError
from shared.runtime.text.printable import printable

REFUSED: Final = 1
WRONG_USAGE: Final = 2

_MOMENTS: Final = frozenset({"as_of", "from", "to", "known_at"})

GIVE_AGAIN: Final = "Give the very same command again: it is recorded once, however often it is given."

# `module:class` of expected errors whose modules not every command imports. Their text is all there is to print.
EXPECTED: Final = (
    "shared.runtime.database.migrations:DatabaseVersionError",
    "shared.runtime.postgres.binaries:PostgresError",
)


COMMAND_HINTS: Final[Mapping[str, str]] = {
    "bad-cursor": "Give the command again from the beginning.",
    "bad-request": "See --help of the command.",
    "body-too-large": "Give less at a time.",
    "database-busy": GIVE_AGAIN,
    "database-unavailable": f"Once the database is back: {GIVE_AGAIN[0].lower()}{GIVE_AGAIN[1:]}",
    "disk-full": f"Make room on the disk. {GIVE_AGAIN}",
    "headers-too-large": "Give shorter words.",
    "internal-error": "Report the incident's id, which the service's log has too.",
    "invalid-request": "Correct what is named above; see --help of the command.",
    "invalid-idempotency-key": "Give another --key, such as a UUID.",
    "malformed-json": "See --help of the command.",
    "method-not-allowed": "Command and service are of different versions: upgrade the older one.",
    "not-found": "Command and service are of different versions, or the address is of another service.",
    "overloaded": GIVE_AGAIN,
    "request-timeout": GIVE_AGAIN,
    "too-many-attempts": "Check the key, and try again in a minute.",
    "too-many-requests": "Give the very same command again in a moment; many rows go faster in one import.",
    "unauthenticated": "Check the key: it is unknown here, or it was revoked.",
    "unsupported-media-type": "Command and service are of different versions: upgrade the older one.",
}
"""What to do at a command line, by the codes of the problems that every service has."""


class CommandRefused(Exception):
    """A command that was not carried out (exit code 1). `hint` says what to do; `members` are printed line by line."""

    def __init__(self, reason: str, hint: str = "", *, code: str = "refused", **members: object) -> None:
        super().__init__(reason)
        self.hint = hint
        self.code = code
        self.members = members


@dataclass(frozen=True)
class ErrorReport:
    """What is printed of an error, and the exit code. `about`: members of the document that people are not shown."""

    title: str
    detail: str = ""
    hint: str = ""
    code: str = "refused"
    members: Mapping[str, object] = field(default_factory=dict)
    about: Mapping[str, object] = field(default_factory=dict)
    exit_code: int = REFUSED

    def document(self) -> dict[str, object]:
        """The problem document that --json prints."""
        found: dict[str, object] = {"title": self.title, "code": self.code, "detail": self.detail, "hint": self.hint}
        return {name: value for name, value in found.items() if value} | dict(self.about) | dict(self.members)


def describe_expected(
    error: Exception, expected: Iterable[str] = (), hints: Mapping[str, str] | None = None
) -> ErrorReport | None:
    """The report of an error that a command may end with; None for any other, which is a defect.

    `expected` names the service's own errors as `module:class`, in addition to those of all services. `hints` are the
    service's own hints at a command line, by the codes of its problems.
    """
    if isinstance(error, Problem | RemoteProblem):
        return _of_problem(error, {**COMMAND_HINTS, **(hints or {})})
    if isinstance(error, CommandRefused):
        return ErrorReport(str(error), hint=error.hint, code=error.code, members=error.members)
    if isinstance(error, Unreachable):
        hint = "Check that the service runs, and that this is its address."
        return ErrorReport("No answer", str(error), hint, "no-answer")
    if isinstance(error, SettingsError):
        return ErrorReport(str(error), code="wrong-settings", exit_code=WRONG_USAGE)
    if isinstance(error, _loaded((*EXPECTED, *expected))):
        return ErrorReport(str(error))
    return None


def describe_usage(error: Exception) -> ErrorReport | None:
    """The report of a command line that is wrong, which Typer would print in its own way; None for any other error."""
    # BadParameter stands for them: Typer does not publish their common base.
    kind = next(each for each in typer.BadParameter.__mro__ if each.__name__ == "UsageError")
    if not isinstance(error, kind):
        return None
    said = error.format_message()  # type: ignore[attr-defined]
    return ErrorReport(str(said), code="wrong-usage", exit_code=WRONG_USAGE)


def _of_problem(error: Problem | RemoteProblem, hints: Mapping[str, str]) -> ErrorReport:
    recorded = None if error.recorded is None else str(error.recorded)
    hint = hints.get(error.code, error.hint)
    if isinstance(error, RemoteProblem) and error.may_be_recorded:
        recorded, hint = "unknown", f"It is not known whether this was recorded. {GIVE_AGAIN}"
    members = dict(error.extras)
    about: dict[str, object] = {"type": f"/problems/{error.code}", "status": error.status}
    about |= {name: members.pop(name) for name in ("errors", "errors_omitted", "incident") if name in members}
    if recorded is not None:
        about["recorded"] = recorded
    # A period whose end is a date and its beginning a moment is compared where the location's zone is known.
    fields = (
        {str(each.get("field")) for each in error.extras.get("errors", ())}
        if error.code == "invalid-request"
        else set()
    )
    exit_code = WRONG_USAGE if fields and fields <= _MOMENTS else REFUSED
    return ErrorReport(error.title or error.code, error.detail, hint, error.code, members, about, exit_code)


def describe(error: Exception, *, debug_command: str) -> ErrorReport:
    """The report of any error; `debug_command` is the command that shows the traceback of an unexpected one."""
    report = describe_expected(error)
    if report is not None:
        return report
    if isinstance(error, OSError):
        return _of_system(error)
    return ErrorReport(
        "an error inside Larder",
        f"{type(error).__name__}: {error}",
        f"Please report it with the output of the same command after '{debug_command}'.",
        "internal-error",
    )


def _of_system(error: OSError) -> ErrorReport:
    """The report of what the operating system refused."""
    where = f"{error.filename}: " if error.filename else ""
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return ErrorReport("The disk is full", where.removesuffix(": "), COMMAND_HINTS["disk-full"], "disk-full")
    reason = error.strerror or str(error) or type(error).__name__
    return ErrorReport(f"{where}{reason}", hint="The operating system refused it.", code="system-error")


def print_error(report: ErrorReport, *, as_json: bool = False) -> None:
    """Print a report on standard error, without members that are empty; with `as_json` its document on the output."""
    if as_json:
        sys.stdout.write(ascii_json(report.document()).decode("ascii") + "\n")
        sys.stdout.flush()
        return
    console = Console(stderr=True, highlight=False)
    head = f"[bold red]{_shown(report.title)}[/]"
    console.print(f"{head}: {_shown(report.detail)}" if report.detail else head, soft_wrap=True)
    for fault in _further_faults(report):
        console.print(f"  {_shown(fault)}", soft_wrap=True)
    members = {"code": report.code} if report.about else {}
    for name, value in {**members, **report.members}.items():
        if value in (None, "", [], {}):
            continue
        console.print(f"  {_shown(str(name))}: {_shown(_text(value))}", soft_wrap=True)
    if report.hint:
        console.print(f"[yellow]{_shown(report.hint)}[/]", soft_wrap=True)


def _shown(text: str) -> str:
    """Text of an error as it is printed: it may hold what a file or a service says."""
    return escape(printable(text))


def _further_faults(report: ErrorReport) -> list[str]:
    """The faults of a problem with several, of which its detail names the first alone."""
    errors = report.about.get("errors")
    if not isinstance(errors, list) or len(errors) < 2:
        return []
    said = [f"{each['field']}: {each['message']}" for each in errors if isinstance(each, dict) and "field" in each]
    omitted = report.about.get("errors_omitted")
    return [*said, f"and {omitted} more"] if omitted else said


def _text(value: object) -> str:
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return ", ".join(value)
    return value if isinstance(value, str) else ascii_json(value).decode("ascii")


def _loaded(names: Iterable[str]) -> tuple[type[Exception], ...]:
    """The classes of modules that are imported: a module that is not imported has raised nothing."""
    places = [name.partition(":") for name in names]
    return tuple(getattr(sys.modules[module], name) for module, _, name in places if module in sys.modules)
