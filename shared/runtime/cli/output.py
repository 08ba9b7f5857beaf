"""What commands print on standard output: tables and lines for people, JSON for machines, next steps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Final

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

AsJson = Annotated[bool, typer.Option("--json", help="JSON for machines instead of text.")]

# Columns where the output is no terminal: a table is as wide as its text, so that nothing a reader searches is folded.
UNBOUNDED_WIDTH: Final = 10_000


def print_json(value: Any) -> None:
    """One JSON document, on one line."""
    typer.echo(msgspec.json.encode(value).decode())


def print_line(markup: str) -> None:
    """One line with rich's markup; any other text must be escaped."""
    Console(highlight=False).print(markup, soft_wrap=True)


def print_next(*steps: str) -> None:
    """The steps to take next, each on a line that can be copied."""
    typer.echo("\nNext:")
    for step in steps:
        typer.echo(f"  {step}")


def print_table(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str | None = None
) -> None:
    """A table. A column whose name ends in `#` holds numbers and is aligned to the right.

    Without rows the line `empty` is printed, by default "TITLE: none"; an empty text prints nothing.
    """
    table = Table(title=title or None, title_justify="left", header_style="bold", title_style="bold")
    table.show_header = any(columns)
    for column in columns:
        numeric = column.endswith("#")
        table.add_column(column.rstrip("#"), justify="right" if numeric else "left", no_wrap=numeric, overflow="fold")
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    if not table.row_count:
        text = f"{title}: none" if empty is None else empty
        if text:
            print_line(f"[dim]{escape(text)}[/]")
        return
    console = Console()
    (console if console.is_terminal else Console(width=UNBOUNDED_WIDTH)).print(table)


def _cell(value: object) -> Text:
    if isinstance(value, Text):
        return value
    return Text("" if value is None else number(value) if isinstance(value, int | float) else str(value))


def number(value: float | str) -> str:
    """A quantity without trailing zeros and without exponent, at most three decimals."""
    if isinstance(value, float):
        return f"{value:.3f}".rstrip("0").rstrip(".")
    return str(value)


def number_of(count: int, noun: str) -> str:
    """A count with its noun: `1 item`, `2 items`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def flags(names: Sequence[str] | None) -> Text:
    """Flags that need attention, in red."""
    return Text(", ".join(names or ()), style="bold red" if names else "")


def short_time(text: str | None) -> str:
    """An RFC 3339 time to the second, as `2026-01-31 23:59:59`; `Z` is kept, another offset is left out."""
    if not text:
        return ""
    day, _, rest = text.partition("T")
    return f"{day} {rest[:8]}{'Z' if rest.endswith('Z') else ''}"
