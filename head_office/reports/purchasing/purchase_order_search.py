"""The orders to suppliers as they are answered: lists and single ones, with what the logs say was delivered.

Works inside the transaction of the Connection it is given.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
from sqlalchemy import ColumnElement, Connection, exists, func, select

from head_office.catalogue.item_codes import items_meant
from head_office.catalogue.purchases.purchase_order_rows import orders_with_ids
from head_office.database.arrays import array
from head_office.database.purchase_tables import AWAITED, PURCHASE_ORDER, PURCHASE_ORDER_LINE
from head_office.reports.purchasing.delivered_quantities import delivered_now
from shared.purchases.purchase_order_record import PurchaseOrderRecord, purchase_order_record
from shared.purchases.purchase_orders import PurchaseOrder, PurchaseOrderState

_READ_AT_ONCE: Final = 200


class GroupOrderFilter(msgspec.Struct, frozen=True, kw_only=True):
    """What the listed orders have in common; None: any. `item_id` is any code of an item of any line."""

    location_id: str | None = None
    supplier_id: str | None = None
    item_id: str | None = None
    state: PurchaseOrderState | None = None


def search_purchase_orders(
    connection: Connection, wanted: GroupOrderFilter, *, after: str = "", limit: int = 100
) -> list[PurchaseOrderRecord]:
    """List orders in the order of their ids."""
    found: list[PurchaseOrderRecord] = []
    conditions = _conditions(connection, wanted)
    order = PURCHASE_ORDER.c.purchase_order_id
    # The state follows from the logs. The conditions leave few that have another one, so few reads fill a page.
    at_once = min(_READ_AT_ONCE, limit)
    is_last = False
    while len(found) < limit and not is_last:
        query = select(order).where(order > after, *conditions).order_by(order).limit(at_once)
        ids = list(connection.execute(query).scalars())
        is_last = len(ids) < at_once
        after = ids[-1] if ids else after
        orders = orders_with_ids(connection, ids)
        records = purchase_order_records(connection, [orders[each] for each in ids])
        found += [each for each in records if wanted.state in (None, each.state)]
    return found[:limit]


def purchase_order_records(connection: Connection, orders: Sequence[PurchaseOrder]) -> list[PurchaseOrderRecord]:
    """Make the records of these orders, in the same order."""
    delivered = delivered_now(connection, {each.purchase_order_id for each in orders})
    return [purchase_order_record(each, delivered.get(each.purchase_order_id, {})) for each in orders]


def _conditions(connection: Connection, wanted: GroupOrderFilter) -> list[ColumnElement[bool]]:
    """What can be said before the deliveries are summed; the state only in part."""
    row, line = PURCHASE_ORDER.c, PURCHASE_ORDER_LINE.c
    of_it = line.purchase_order_id == row.purchase_order_id
    found: list[ColumnElement[bool]] = []
    if wanted.location_id is not None:
        found.append(row.location_id == wanted.location_id)
    if wanted.supplier_id is not None:
        found.append(row.supplier_id == wanted.supplier_id)
    if wanted.item_id is not None:
        places = None if wanted.location_id is None else [wanted.location_id]
        meant = items_meant(connection, wanted.item_id, places)
        found.append(exists().where(of_it, line.item_id == func.any(array(meant))))
    if wanted.state is PurchaseOrderState.OPEN:
        awaited = select(line.purchase_order_id).where(AWAITED)
        if wanted.location_id is not None:
            awaited = awaited.where(line.location_id == wanted.location_id)
        found.append(row.purchase_order_id.in_(awaited))
    elif wanted.state is PurchaseOrderState.CLOSED:
        found.append(exists().where(of_it, line.closed))
    return found
