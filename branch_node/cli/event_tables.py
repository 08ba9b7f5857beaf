"""Tables of events as the commands of `larder branch` print them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from shared.runtime.cli.output import flags, print_table

RECORDED_COLUMNS: Final = ("sequence#", "type", "item", "quantity#", "unit", "on hand#", "flags")


def print_recorded(title: str, events: Sequence[dict[str, Any]], *, empty: bool = True) -> None:
    """A table of events as they were recorded, with what stood of their items after them."""
    rows = [
        (
            event["sequence"],
            event["type"],
            event.get("item_id"),
            event.get("counted", event.get("quantity")),
            event.get("unit"),
            event.get("on_hand_after"),
            flags(event.get("flags")),
        )
        for event in events
    ]
    print_table(title, RECORDED_COLUMNS, rows, empty="Nothing new." if empty else "")
