"""Completion of item codes in a shell, from the catalogue in the node's database."""

from __future__ import annotations

from contextlib import closing
from typing import Final

import typer
from sqlalchemy import select

from branch_node.database.schema import ITEM
from branch_node.database.store import Store
from branch_node.settings import load

MOST: Final = 100


def complete_item(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """The codes that begin so, each with its name; none where they cannot be read: a shell cannot show an error."""
    try:
        settings = load(ctx.params.get("directory"))
        if not settings.has_database:
            return []
        query = (
            select(ITEM.c.item_id, ITEM.c.name)
            .where(ITEM.c.item_id.istartswith(incomplete, autoescape=True))
            .order_by(ITEM.c.item_id)
            .limit(MOST)
        )
        with closing(Store(settings.database_url, settings.dir)) as store, store.reading() as connection:
            return [(row.item_id, row.name) for row in connection.execute(query)]
    except Exception:  # noqa: BLE001 - whatever it is, the person goes on typing
        return []


def complete_line(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """As `complete_item`, for a line ITEM=QUANTITY."""
    return [(f"{item_id}=", name) for item_id, name in complete_item(ctx, incomplete) if "=" not in incomplete]
