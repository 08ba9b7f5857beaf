"""What commands print on standard output: tables and lines for people, JSON for machines, next steps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.text import Text

from shared.runtime.cli.table_layout import ColumnKind, TableColumn, column_of, lay_out
from shared.runtime.text.printable import printable, printable_json

AsJson = Annotated[bool, typer.Option("--json", help="JSON for machines instead of text.")]

UTC: Final = ZoneInfo("UTC")

# Columns where the output is no terminal: a table is as wide as its text, so that nothing a reader searches is folded.
UNBOUNDED_WIDTH: Final = 10_000


def print_json(value: Any) -> None:
    """One JSON document, on one line."""
    typer.echo(printable_json(msgspec.json.encode(value).decode()))


def print_line(markup: str) -> None:
    """One line with rich's markup; any other text must be escaped."""
    Console(highlight=False).print(printable(markup), soft_wrap=True)


def print_text(text: str, *, err: bool = False) -> None:
    """Text as it is, without markup, on standard output or standard error; nothing in it acts on the terminal."""
    typer.echo(printable(text), err=err)


def print_next(*steps: str) -> None:
    """The steps to take next, each on a line that can be copied."""
    typer.echo("\nNext:")
    for step in steps:
        print_text(f"  {step}")


def print_table(
    title: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    empty: str | None = None,
    console: Console | None = None,
) -> None:
    """A table, within the width of the terminal. Columns that are empty in every row are left out.

    A mark at the end of a column's name says what it holds: `#` figures and `+` changes (both aligned at their decimal
    points, changes with a sign), `~` text that may be broken over lines; without a mark a code, which never is.
    Without rows the line `empty` is printed, by default "TITLE: none"; an empty text prints nothing.
    """
    kinds = [column_of(name) for name in columns]
    cells = [[_cell(value, column) for value, column in zip(row, kinds, strict=True)] for row in rows]
    if not cells:
        text = f"{title}: none" if empty is None else empty
        if text:
            print_line(f"[dim]{escape(text)}[/]")
        return
    console = console or Console(highlight=False)
    if title:
        console.print(Text(printable(title), style="bold"), soft_wrap=True)
    width = console.width if console.is_terminal else UNBOUNDED_WIDTH
    for line in lay_out(console, kinds, cells, width):
        console.print(line, soft_wrap=True)


def _cell(value: object, column: TableColumn) -> Text:
    if isinstance(value, Text):
        return value if value.plain.isprintable() else Text(printable(value.plain), style=value.style)
    if value is None:
        return Text("")
    if isinstance(value, int | float):
        return Text(signed(value) if column.kind is ColumnKind.CHANGE else number(value))
    return Text(printable(" ".join(str(value).splitlines())))


def number(value: float | str) -> str:
    """A quantity without trailing zeros and without exponent, at most three decimals."""
    if isinstance(value, float):
        return f"{value:.3f}".rstrip("0").rstrip(".")
    return str(value)


def signed(value: float) -> str:
    """A change with its sign, as `+2.5` or `-3`; zero has none."""
    return f"+{number(value)}" if value > 0 else number(value)


def number_of(count: int, noun: str) -> str:
    """A count with its noun: `1 item`, `2 items`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def flags(names: Sequence[str] | None) -> Text:
    """Flags that need attention, in red."""
    return Text(", ".join(names or ()), style="bold red" if names else "")


def short_time(text: str | None, zone: ZoneInfo) -> str:
    """An RFC 3339 time on the wall clock of a zone, to the minute: `2026-01-31 23:59`. The zone stands in the title."""
    return _local(text, zone, "%Y-%m-%d %H:%M") if text else ""


def local_time(text: str | None, zone: ZoneInfo) -> str:
    """An RFC 3339 time to the second with the name of the zone: `2026-01-31 23:59:59 Asia/Beirut`."""
    return f"{_local(text, zone, '%Y-%m-%d %H:%M:%S')} {zone.key}" if text else ""


def _local(text: str, zone: ZoneInfo, form: str) -> str:
    return datetime.fromisoformat(text).astimezone(zone).strftime(form)
