"""Completion of the group's codes and of sources of orders in a shell, from head office's database, where that runs."""

from __future__ import annotations

from typing import Any

import typer
from sqlalchemy import ColumnElement, Select, func, literal, select

from head_office.database.connections import DATABASE
from head_office.database.office_schema import ITEM, SOURCES
from head_office.database.purchase_tables import AWAITED, PURCHASE_ORDER, PURCHASE_ORDER_LINE, SUPPLIER
from head_office.database.schema import LOCATION, STOCK
from head_office.settings import settings_of
from shared.runtime.cli.code_completion import Completions, complete_code


def complete_item(ctx: typer.Context, incomplete: str) -> Completions:
    """The items of the catalogue."""
    return _complete(ctx, select(ITEM.c.item_id, ITEM.c.name), ITEM.c.item_id, incomplete)


def complete_location(ctx: typer.Context, incomplete: str) -> Completions:
    """The locations of the group."""
    return _complete(ctx, select(LOCATION.c.location_id, LOCATION.c.name), LOCATION.c.location_id, incomplete)


def complete_supplier(ctx: typer.Context, incomplete: str) -> Completions:
    """The suppliers of the group."""
    return _complete(ctx, select(SUPPLIER.c.supplier_id, SUPPLIER.c.name), SUPPLIER.c.supplier_id, incomplete)


def complete_purchase_order(ctx: typer.Context, incomplete: str) -> Completions:
    """Orders to suppliers of which something is awaited, with their suppliers."""
    order = PURCHASE_ORDER.c
    awaited = order.purchase_order_id.in_(select(PURCHASE_ORDER_LINE.c.purchase_order_id).where(AWAITED))
    query = select(order.purchase_order_id, order.supplier_id).where(awaited)
    return _complete(ctx, query, order.purchase_order_id, incomplete)


def complete_source(ctx: typer.Context, incomplete: str) -> Completions:
    """The systems that may tell head office of orders."""
    source = SOURCES.source.c.source
    return _complete(ctx, select(source, literal("")), source, incomplete)


def complete_branch_code(ctx: typer.Context, incomplete: str) -> Completions:
    """The codes in the log of the location that stands before them."""
    here = STOCK.c.location_id == ctx.params.get("location_id")
    name = func.coalesce(ITEM.c.name, "")
    query = select(STOCK.c.item_id, name).outerjoin_from(STOCK, ITEM, ITEM.c.item_id == STOCK.c.item_id).where(here)
    return _complete(ctx, query, STOCK.c.item_id, incomplete)


def _complete(ctx: typer.Context, query: Select[Any], code: ColumnElement[Any], incomplete: str) -> Completions:
    given = ctx.params
    return complete_code(
        lambda: DATABASE.glance(settings_of(given.get("folder"), database_url=given.get("database_url"))),
        query,
        code,
        incomplete,
    )
