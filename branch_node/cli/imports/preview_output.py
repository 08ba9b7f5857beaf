"""What a dry run prints besides its counts, and the table of what rows become."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from zoneinfo import ZoneInfo

from rich.console import Console
from rich.markup import escape

from branch_node.imports.dry_run_preview import LOOK_ALIKES, MOST_TEXTS, DryRunPreview
from branch_node.imports.row_preview import RowPreview
from shared.events import quantity_text
from shared.runtime.cli.output import number_of, print_line, print_table

_LONGEST: Final = 24


def print_rows(
    title: str, rows: Iterable[RowPreview], zone: ZoneInfo, *, empty: str, console: Console | None = None
) -> None:
    """What rows become, in a table that fits 80 columns."""
    print_table(
        f"{title} ({zone.key})",
        ("line", "type", "item", "quantity#", "when", "id"),
        [
            (row.line, row.type, _cut(row.item), quantity_text(row.quantity), row.when_in(zone), _cut(row.own_id, 12))
            for row in rows
        ],
        empty=empty,
        console=console,
    )


def print_preview(preview: DryRunPreview, items_defined: int) -> None:
    """The first rows, the new items and the texts that look alike."""
    print_rows("What the first rows would become", preview.samples, ZoneInfo(preview.zone), empty="")
    items = [(item.item_id, item.name, item.unit) for item in preview.new_items]
    print_table("New items", ("item", "name~", "unit"), items, empty="")
    if items_defined > len(items):
        print_line(f"… and {number_of(items_defined - len(items), 'item')} more.")
    found = preview.look_alikes()
    if found:
        print_line("[bold]Texts of items that look alike[/]")
    for each in found[:LOOK_ALIKES]:
        print_line(f"  {escape(each.in_words)}")
    if len(found) > LOOK_ALIKES:
        print_line(f"  … and {number_of(len(found) - LOOK_ALIKES, 'group')} more.")
    if not preview.is_complete:
        print_line(f"Only the first {MOST_TEXTS} texts of items were compared.")


def _cut(text: str, longest: int = _LONGEST) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
