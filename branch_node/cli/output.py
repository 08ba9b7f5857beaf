"""What commands print: tables for people, JSON for machines, refusals with what to do. Never a traceback."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text
from typer.core import TyperGroup

from shared.runtime.client import RemoteProblem, Unreachable
from shared.runtime.problems import Problem, ascii_json
from shared.runtime.settings import SettingsError
from shared.runtime.telemetry import configure_logging

PIPE_WIDTH: Final = 160
REFUSED: Final = 1
WRONG_USAGE: Final = 2

Directory = Annotated[Path | None, typer.Option("--dir", help="The node's folder (or LARDER_DIR).", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


class Refused(Exception):
    """A command that did not do what it was asked to. `hint` says what to do."""

    def __init__(self, what: str, hint: str = "", **members: object) -> None:
        super().__init__(what)
        self.hint = hint
        self.members = members


class TellingGroup(TyperGroup):
    """Tells every foreseen error in words and ends with its exit code."""

    def invoke(self, ctx: Any) -> Any:
        # A command says itself what went wrong; `serve` sets its own logging up.
        configure_logging(level="CRITICAL")
        try:
            return super().invoke(ctx)
        except Exception as error:
            if not _foreseen(error):
                raise
            raise typer.Exit(tell(error)) from error


def _foreseen(error: Exception) -> bool:
    if isinstance(error, Problem | RemoteProblem | Unreachable | Refused | SettingsError):
        return True
    # These come from modules that not every command loads: one that is not loaded has raised nothing.
    foreseen = (
        ("branch_node.database.store", ("AlreadyWriting", "LocationDiffers")),
        ("branch_node.database.witness", ("WitnessUnusable",)),
        ("shared.runtime.database.migrations", ("DatabaseVersionError",)),
    )
    kinds = [getattr(sys.modules[name], kind) for name, some in foreseen if name in sys.modules for kind in some]
    return isinstance(error, tuple(kinds))


def tell(error: Exception) -> int:
    """Print what went wrong, and what to do, on standard error; the exit code."""
    code, title, detail, hint, members = _parts(error)
    console = Console(stderr=True, highlight=False)
    head = f"[bold red]{escape(title)}[/]"
    console.print(f"{head}: {escape(detail)}" if detail and detail != title else head, soft_wrap=True)
    for name, value in members.items():
        console.print(f"  {escape(str(name))}: {escape(_plain(value))}", soft_wrap=True)
    if hint:
        console.print(f"[yellow]{escape(hint)}[/]", soft_wrap=True)
    return code


def _parts(error: Exception) -> tuple[int, str, str, str, Mapping[str, object]]:
    if isinstance(error, Problem | RemoteProblem):
        members = {name: value for name, value in error.extras.items() if name not in {"errors", "incident"}}
        return REFUSED, error.title or error.code, error.detail, error.hint, {"code": error.code, **members}
    if isinstance(error, Refused):
        return REFUSED, str(error), "", error.hint, error.members
    if isinstance(error, Unreachable):
        return REFUSED, "No answer", str(error), "", {}
    return (WRONG_USAGE if isinstance(error, SettingsError) else REFUSED), str(error), "", "", {}


def _plain(value: object) -> str:
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return ", ".join(value)
    return value if isinstance(value, str) else ascii_json(value).decode("ascii")


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2))


def print_line(markup: str) -> None:
    """One line for a person, with rich's markup."""
    Console(highlight=False).print(markup, soft_wrap=True)


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str = "") -> None:
    """A table; columns whose name ends in `#` are numbers, to the right. `empty` is said where there is no row."""
    table = Table(title=title or None, title_justify="left", header_style="bold", title_style="bold")
    table.show_header = any(columns)
    for column in columns:
        numeric = column.endswith("#")
        table.add_column(
            column.rstrip("#"),
            justify="right" if numeric else "left",
            no_wrap=numeric,
            overflow="fold",
        )
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    if table.row_count:
        # On a pipe there is no width to be had; a narrow guess would fold what a reader searches for.
        console = Console()
        (console if console.is_terminal else Console(width=PIPE_WIDTH)).print(table)
    elif empty:
        print_line(f"[dim]{escape(empty)}[/]")


def _cell(value: object) -> Text:
    if isinstance(value, Text):
        return value
    return Text("" if value is None else number(value) if isinstance(value, int | float) else str(value))


def number(value: float | str) -> str:
    """A quantity as people write it: no `.0`, no exponent."""
    if isinstance(value, float):
        return f"{value:.3f}".rstrip("0").rstrip(".")
    return str(value)


def flags(names: Sequence[str] | None) -> Text:
    """What a person should look at, in a colour that is seen."""
    return Text(", ".join(names or ()), style="bold red" if names else "")


def moment(text: str | None) -> str:
    """A time as answered, shorter: to the second, and at the branch's offset without saying so (UTC says Z)."""
    if not text:
        return ""
    day, _, rest = text.partition("T")
    return f"{day} {rest[:8]}{'Z' if rest.endswith('Z') else ''}"


def progress(description: str, total: int | None) -> Progress:
    """A progress bar on standard error; `with progress(…) as bar: bar.advance(bar.task_ids[0], n)`."""
    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    bar.add_task(description, total=total)
    return bar
