"""Sources of orders as commands print them, from the records that routes answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from zoneinfo import ZoneInfo

from rich.markup import escape

from shared.runtime.cli.output import print_line, print_table, print_text, short_time

Record = Mapping[str, Any]

OWN_SECRET: Final = "whsec_ and the base64 of 24 to 64 random bytes; made for you if not given."  # noqa: S105 - help
"""The help of the option that gives a secret."""


def print_sources(found: Sequence[Record], zone: ZoneInfo, service: str) -> None:
    """A table of sources, times in `zone`. `service` is the word of its commands, `branch` or `head-office`."""
    rows = [
        (
            each["source"],
            each["path"],
            each["hold_days"],
            len(each["secrets"]),
            short_time(each["secrets"][0]["created_at"], zone),
        )
        for each in found
    ]
    print_table(
        f"Sources of orders, times in {zone.key}", ("source", "path", "hold days#", "secrets#", "newest@"), rows,
        empty=f"No system may tell of orders yet: 'larder {service} sources add' adds one.",
    )  # fmt: skip


def print_source_secret(made: Record, where: str) -> None:
    """A secret just made, and where the source sends what it signs: the path of `where`."""
    print_text(f"The secret of {made['source']}, shown this once:\n\n  {made['secret']}\n")
    print_text(f"It sends its events to {made['path']} of {where}, each signed with the secret.")


def print_removed_source(removed: Record) -> None:
    """That a source was removed."""
    print_line(f"Nothing is taken from [bold]{escape(removed['source'])}[/] any more.")
