"""Which item a `sku` of other systems is, where it is no item's code: the one with that barcode."""

from __future__ import annotations

from sqlalchemy import Connection, func, select

from branch_node.database.schema import ITEM
from branch_node.problems import AMBIGUOUS_BARCODE, UNKNOWN_ITEM

MOST_NAMED = 10


def item_with_barcode(connection: Connection, barcode: str) -> str:
    """The item of the group, else the branch's own, with a barcode; codes that stand for one item are that item.

    Raises Problem: 422 `unknown-item`, 409 `ambiguous-barcode`.
    """
    meant = func.coalesce(ITEM.c.stands_for, ITEM.c.item_id)
    query = select(meant).where(ITEM.c.barcode == barcode).distinct().order_by(meant).limit(MOST_NAMED)
    found = list(connection.execute(query).scalars())
    if not found:
        raise UNKNOWN_ITEM(f"there is no item with the code or the barcode {barcode!r}", item_id=barcode)
    if len(found) > 1:
        raise AMBIGUOUS_BARCODE(f"{barcode!r} is the barcode of {', '.join(found)}", items=found)
    return str(found[0])
