"""Completion of item codes, sources of orders and orders to suppliers in a shell, from the node's database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import typer
from sqlalchemy import Connection, literal, select

from branch_node.database.schema import ITEM, PURCHASES, SOURCES
from branch_node.database.store import Store
from branch_node.settings import load
from shared.runtime.cli.code_completion import Completions, as_lines, complete_code


def complete_item(ctx: typer.Context, incomplete: str) -> Completions:
    """The items of the branch."""
    query = select(ITEM.c.item_id, ITEM.c.name)
    return complete_code(partial(_catalogue, ctx.params.get("directory")), query, ITEM.c.item_id, incomplete)


def complete_source(ctx: typer.Context, incomplete: str) -> Completions:
    """The systems that may tell the branch of orders."""
    source = SOURCES.source.c.source
    query = select(source, literal(""))
    return complete_code(partial(_catalogue, ctx.params.get("directory")), query, source, incomplete)


def complete_purchase_order(ctx: typer.Context, incomplete: str) -> Completions:
    """The orders to suppliers that were pulled, each with its supplier."""
    order = PURCHASES.order.c
    query = select(order.purchase_order_id, order.supplier_id)
    return complete_code(partial(_catalogue, ctx.params.get("directory")), query, order.purchase_order_id, incomplete)


def complete_line(ctx: typer.Context, incomplete: str) -> Completions:
    """As `complete_item`, for a line ITEM=QUANTITY."""
    return as_lines(partial(complete_item, ctx, incomplete), incomplete)


@contextmanager
def _catalogue(directory: Path | None) -> Iterator[Connection | None]:
    settings = load(directory)
    if not settings.has_database:
        yield None
        return
    with closing(Store(settings.database_url, settings.dir)) as store, store.reading() as connection:
        yield connection
