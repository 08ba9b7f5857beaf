"""What was delivered of orders to suppliers, and what is on order by that: now, or within a cut as of a moment.

Quantities are thousandths of the item's base unit. An order's lines name items of the group; a delivery is recorded
under whatever code stands for the item at its location (`head_office.database.awaited_lines` says which ones count).
The rules are `shared.purchases.purchase_orders`'; the property in
`tests/integration/head_office/reports/purchasing/test_delivered_quantities.py` holds these statements to them.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from sqlalchemy import (
    BigInteger,
    Boolean,
    Connection,
    FromClause,
    Integer,
    Text,
    and_,
    cast,
    column,
    func,
    literal,
    not_,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import JSONB

from head_office.catalogue.catalogue_history import entries_at
from head_office.catalogue.item_codes import mappings
from head_office.database.arrays import array
from head_office.database.awaited_lines import open_sum, standing_deliveries
from head_office.database.office_schema import CATALOGUE_ENTRY, ITEM_ALIAS
from head_office.database.purchase_tables import AWAITED, PURCHASE_ORDER, PURCHASE_ORDER_LINE
from head_office.reports.known_at import AsOf, Cut, moment_at
from shared.purchases.purchase_orders import Delivered
from shared.stock_expressions import EVERYTHING, EventScope


class OnOrder(NamedTuple):
    """What is open of all orders of an item for a location, above zero, and the earliest due date of those orders."""

    quantity: int
    next_due: str | None


def delivered_now(connection: Connection, purchase_order_ids: Collection[str]) -> dict[str, dict[int, Delivered]]:
    """What stands of orders, by order and line. Every order asked for is there; lines without a delivery are not."""
    found: dict[str, dict[int, Delivered]] = {each: {} for each in purchase_order_ids}
    line = (
        select(PURCHASE_ORDER_LINE)
        .where(PURCHASE_ORDER_LINE.c.purchase_order_id == func.any(array(sorted(found))))
        .subquery("line")
    )
    for row in connection.execute(standing_deliveries(line, ITEM_ALIAS)):
        found[row.purchase_order_id][row.line] = Delivered(received=row.received, returned=row.returned)
    return found


def on_order_now(connection: Connection, location_ids: Collection[str] | None) -> dict[tuple[str, str], OnOrder]:
    """What is on order, by (location, item of the group), at the given locations (None: all). Reads awaited lines."""
    order, each = PURCHASE_ORDER, PURCHASE_ORDER_LINE
    line = (
        select(each.c.purchase_order_id, each.c.line, each.c.location_id, each.c.item_id, each.c.quantity, order.c.due)
        .select_from(each.join(order, order.c.purchase_order_id == each.c.purchase_order_id))
        .where(AWAITED)
    )
    if location_ids is not None:
        line = line.where(each.c.location_id == func.any(array(sorted(location_ids))))
    return _on_order(connection, line.subquery("line"), ITEM_ALIAS, EVERYTHING)


def on_order_at(
    connection: Connection, cut: Cut, as_of: AsOf | None, location_ids: Collection[str] | None
) -> dict[tuple[str, str], OnOrder]:
    """What was on order, by (location, item of the group), at the given locations (None: those of the cut).

    By the orders and mappings known at the cut's moment, and by the deliveries within the cut that occurred by `as_of`
    (None: ever) and are not voided in it. The answer for a cut never changes.
    """
    known_at = None if cut.known_at is None else literal(cut.known_at, BigInteger)
    heads = cut.table()
    moment = None if as_of is None else moment_at(heads.c.location_id, as_of)
    scope = EventScope(moment, heads.c.sequence, cut.unknown())
    wanted = sorted(cut.sequences if location_ids is None else location_ids)
    line = _lines_now(wanted) if known_at is None else _lines_at(wanted, cut.known_at or 0)
    return _on_order(connection, line, mappings(known_at), scope, heads)


def _on_order(
    connection: Connection, line: FromClause, mapping: FromClause, scope: EventScope, heads: FromClause | None = None
) -> dict[tuple[str, str], OnOrder]:
    standing = standing_deliveries(line, mapping, scope, heads).subquery("standing")
    still_open = open_sum(line.c.quantity, standing.c.received)
    of_line = and_(standing.c.purchase_order_id == line.c.purchase_order_id, standing.c.line == line.c.line)
    # A due date is written as 2026-01-31, whatever the database's collation: "C" orders such texts by date.
    next_due = func.min(line.c.due.collate("C"))
    query = (
        select(
            line.c.location_id,
            line.c.item_id,
            cast(func.sum(still_open), BigInteger).label("quantity"),
            next_due.label("next_due"),
        )
        .select_from(line.outerjoin(standing, of_line))
        .where(still_open > 0)
        .group_by(line.c.location_id, line.c.item_id)
    )
    rows = connection.execute(query)
    return {(row.location_id, row.item_id): OnOrder(row.quantity, row.next_due) for row in rows}


def _lines_now(location_ids: Collection[str]) -> FromClause:
    """The lines that are not closed, awaited or not: as of an earlier moment more of them was open."""
    order, each = PURCHASE_ORDER, PURCHASE_ORDER_LINE
    return (
        select(each.c.purchase_order_id, each.c.line, each.c.location_id, each.c.item_id, each.c.quantity, order.c.due)
        .select_from(each.join(order, order.c.purchase_order_id == each.c.purchase_order_id))
        .where(each.c.location_id == func.any(array(list(location_ids))), not_(each.c.closed))
        .subquery("line")
    )


def _lines_at(location_ids: Collection[str], known_at: int) -> FromClause:
    """The lines that were not closed, as the newest entries of their orders known at a moment have them."""
    entry = (
        entries_at("purchase_order", literal(known_at, BigInteger))
        .where(CATALOGUE_ENTRY.c.location_id == func.any(array(list(location_ids))))
        .subquery("entry")
    )
    order = select(
        entry.c.location_id,
        entry.c.subject.label("purchase_order_id"),
        cast(entry.c.content, JSONB)["order"].label("content"),
    ).subquery("known_order")
    stated = (
        func.jsonb_to_recordset(order.c.content["lines"])
        .table_valued(
            column("line", Integer),
            column("item_id", Text),
            column("quantity", BigInteger),
            column("closed", Boolean(create_constraint=False)),
            name="stated",
        )
        .render_derived(with_types=True)
    )
    return (
        select(
            order.c.purchase_order_id,
            stated.c.line,
            order.c.location_id,
            stated.c.item_id,
            stated.c.quantity,
            order.c.content["due"].astext.label("due"),
        )
        .select_from(order.join(stated, true()))
        # A line that is not closed says nothing of it.
        .where(not_(func.coalesce(stated.c.closed, False)))
        .subquery("line")
    )
