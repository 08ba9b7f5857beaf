"""Completion of codes in a shell, from the coordinator's copy of the catalogue, where its database runs."""

from __future__ import annotations

import typer
from sqlalchemy import Table, select

from shared.runtime.cli.code_completion import Completions, as_lines, complete_code
from transfer_coordinator.settings import settings_of


def complete_line(ctx: typer.Context, incomplete: str) -> Completions:
    """The items, for a line ITEM=QUANTITY."""
    from transfer_coordinator.database.schema import KNOWN_ITEM

    return as_lines(lambda: _complete(ctx, KNOWN_ITEM, "item_id", incomplete), incomplete)


def complete_location(ctx: typer.Context, incomplete: str) -> Completions:
    """The locations of the group."""
    from transfer_coordinator.database.schema import KNOWN_LOCATION

    return _complete(ctx, KNOWN_LOCATION, "location_id", incomplete)


def _complete(ctx: typer.Context, table: Table, code: str, incomplete: str) -> Completions:
    # Imported here, as it brings the whole schema along.
    from transfer_coordinator.database.connections import DATABASE

    if ctx.params.get("url") is not None:
        return []  # a coordinator elsewhere, whose API gives no codes
    query = select(table.c[code], table.c.name)
    folder = ctx.params.get("folder")
    return complete_code(lambda: DATABASE.glance(settings_of(folder)), query, table.c[code], incomplete)
