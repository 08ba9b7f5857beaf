"""What the logs say was delivered against the lines of orders to suppliers, now. Quantities are thousandths.

Works inside the transaction of the Connection it is given.
"""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, and_, exists, func, or_, select

from head_office.database.arrays import array
from head_office.database.office_schema import ITEM_ALIAS
from head_office.database.purchase_tables import DELIVERED_LINE, PURCHASE_ORDER_LINE
from head_office.database.schema import VOIDED
from shared.purchases.purchase_orders import Delivered


def delivered_now(connection: Connection, purchase_order_ids: Collection[str]) -> dict[str, dict[int, Delivered]]:
    """Sum what stands of these orders, by order and line; lines of which nothing was delivered are left out.

    A delivery counts where its code is the line's item, or stands for it at the location.
    """
    row, line, voided, alias = DELIVERED_LINE.c, PURCHASE_ORDER_LINE.c, VOIDED.c, ITEM_ALIAS.c
    mapped = (
        select(alias.item_id)
        .where(alias.location_id == row.location_id, alias.alias == row.item_id)
        .correlate(DELIVERED_LINE)
        .scalar_subquery()
    )
    meant = or_(row.item_id == line.item_id, mapped == line.item_id)
    undone = exists().where(voided.location_id == row.location_id, voided.sequence == row.sequence)
    same = and_(
        row.location_id == line.location_id,
        row.purchase_order_id == line.purchase_order_id,
        row.line == line.line,
    )
    query = (
        select(line.purchase_order_id, line.line, func.sum(row.received), func.sum(row.returned))
        .select_from(PURCHASE_ORDER_LINE.join(DELIVERED_LINE, same))
        .where(line.purchase_order_id == func.any(array(sorted(purchase_order_ids))), meant, ~undone)
        .group_by(line.purchase_order_id, line.line)
    )
    found: dict[str, dict[int, Delivered]] = {}
    for order, number, received, returned in connection.execute(query):
        found.setdefault(order, {})[number] = Delivered(received=int(received), returned=int(returned))
    return found
