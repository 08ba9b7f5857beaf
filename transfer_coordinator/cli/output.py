"""What commands print: tables for people, JSON for machines, refusals with what to do. Never a traceback."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from typer.core import TyperGroup

from shared.runtime.client import RemoteProblem, Unreachable
from shared.runtime.database.migrations import DatabaseVersionError
from shared.runtime.problems import Problem, ascii_json

REFUSED: Final = 1

Dir = Annotated[
    Path | None,
    typer.Option("--dir", help="The coordinator's folder. Without it LARDER_DIR, else the only one found here."),
]
Json = Annotated[bool, typer.Option("--json", help="JSON for machines instead of a table.")]


class Refused(Exception):
    """A command that did not do what it was asked to. `hint` says what to do."""

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what)
        self.hint = hint


class TellingGroup(TyperGroup):
    """Tells every foreseen error in words and ends with exit code 1; wrong settings are told further up."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (Problem, RemoteProblem, Unreachable, Refused, DatabaseVersionError) as error:
            _tell(error)
            raise typer.Exit(REFUSED) from error


def _tell(error: BaseException) -> None:
    title, detail, hint, members = _parts(error)
    console = Console(stderr=True, highlight=False)
    head = f"[bold red]{escape(title)}[/]"
    console.print(f"{head}: {escape(detail)}" if detail else head, soft_wrap=True)
    for name, value in members.items():
        plain = value if isinstance(value, str) else ascii_json(value).decode("ascii")
        console.print(f"  {escape(name)}: {escape(plain)}", soft_wrap=True)
    if hint:
        console.print(f"[yellow]{escape(hint)}[/]", soft_wrap=True)


def _parts(error: BaseException) -> tuple[str, str, str, Mapping[str, Any]]:
    if isinstance(error, Problem | RemoteProblem):
        members = {name: value for name, value in error.extras.items() if name not in {"errors", "incident"}}
        return error.title or error.code, error.detail, error.hint, {"code": error.code, **members}
    if isinstance(error, Unreachable):
        return "No answer", str(error), "Is the coordinator running, and is this its address?", {}
    return str(error), "", error.hint if isinstance(error, Refused) else "", {}


def print_json(value: Any) -> None:
    typer.echo(msgspec.json.encode(value).decode())


def print_line(markup: str) -> None:
    """One line for a person, with rich's markup."""
    Console(highlight=False).print(markup, soft_wrap=True)


def print_table(
    title: str, columns: list[str], rows: list[list[object]], *, right: frozenset[str] = frozenset()
) -> None:
    """A table on the terminal; where the output is no terminal, as wide as its text."""
    if not rows:
        typer.echo(f"{title}: none")
        return
    console = Console()
    if not console.is_terminal:
        console = Console(width=10_000)
    table = Table(title=title, title_justify="left", header_style="bold")
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*("" if cell is None else escape(str(cell)) for cell in row))
    console.print(table)


def moment(text: str | None) -> str | None:
    """A time as answered, shorter: no seconds' fraction."""
    return None if text is None else text[:19].replace("T", " ") + " UTC"
