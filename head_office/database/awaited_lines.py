"""What stands of the deliveries against orders' lines, as a statement; and which lines are still awaited.

`awaited` of a line may be true in vain, but is never false while something of it is open. What changes that: a delivery
or a void of one (`head_office.log`), a mapping (`head_office.catalogue`). Each of them renews the lines that it touches
once it holds them, so that the last one to do so has seen what the others did. Works inside the transaction of the
Connection it is given.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    FromClause,
    Select,
    and_,
    cast,
    func,
    not_,
    select,
    tuple_,
    update,
)

from head_office.database.arrays import BIGINT, TEXT, array, unnest
from head_office.database.office_schema import ITEM_ALIAS
from head_office.database.purchase_tables import AWAITED, DELIVERED_LINE, PURCHASE_ORDER, PURCHASE_ORDER_LINE
from head_office.database.schema import VOIDED
from shared.stock_expressions import EVERYTHING, EventScope, known, stands

LINES_AT_ONCE: Final = 2_000
ORDERS_AT_ONCE: Final = 500
"""How many lines, or orders of a location, are held and renewed by one pair of statements."""

_LINE: Final = PURCHASE_ORDER_LINE


def standing_deliveries(
    line: FromClause, mapping: FromClause, scope: EventScope = EVERYTHING, heads: FromClause | None = None
) -> Select[Any]:
    """Select what stands of orders' lines within a scope: (purchase_order_id, line, received, returned).

    `line` is a table of lines (purchase_order_id, line, location_id, item_id); those without a delivery are left out.
    A delivery counts at the order's location alone, and where its code means the line's item there by `mapping`
    (location_id, alias, item_id). `heads` is the table by which the scope knows its sequences.
    """
    each, key = DELIVERED_LINE, (line.c.purchase_order_id, line.c.line)
    of_line = and_(
        each.c.location_id == line.c.location_id,
        each.c.purchase_order_id == line.c.purchase_order_id,
        each.c.line == line.c.line,
    )
    mapped = and_(mapping.c.location_id == each.c.location_id, mapping.c.alias == each.c.item_id)
    joined = line.join(each, of_line).outerjoin(mapping, mapped)
    outer: tuple[FromClause, ...] = ()
    if heads is not None:
        joined, outer = joined.join(heads, heads.c.location_id == each.c.location_id), (heads,)
    return (
        select(*key, _sum(each.c.received).label("received"), _sum(each.c.returned).label("returned"))
        .select_from(joined)
        .where(
            func.coalesce(mapping.c.item_id, each.c.item_id) == line.c.item_id,
            *known(each, scope),
            stands(each, VOIDED, scope, *outer),
        )
        .group_by(*key)
    )


def open_sum(quantity: ColumnElement[int], received: ColumnElement[int]) -> ColumnElement[int]:
    """What is open of a line that is not closed: `shared.purchases.purchase_orders.open_quantity` in SQL.

    `received` is null where nothing was delivered (an outer join).
    """
    return func.greatest(quantity - func.coalesce(received, 0), 0)


def renew_lines(connection: Connection, lines: Collection[tuple[str, int]], location_id: str) -> None:
    """Renew `awaited` of lines, given as (purchase order, line), as far as they are of this location and not closed.

    Holds these lines, in the order of the pairs, until the transaction ends.
    """
    pairs = sorted(set(lines))
    for first in range(0, len(pairs), LINES_AT_ONCE):
        some = unnest("touched", (("purchase_order_id", TEXT), ("line", BIGINT)), pairs[first : first + LINES_AT_ONCE])
        _renew(connection, location_id, tuple_(_LINE.c.purchase_order_id, _LINE.c.line).in_(select(some)))


def renew_lines_of_items(connection: Connection, location_id: str, item_ids: Collection[str]) -> None:
    """Renew `awaited` of the location's lines of these items, after a mapping changed. Holds them as `renew_lines`."""
    _renew(connection, location_id, _LINE.c.item_id.in_(sorted(set(item_ids))))


def renew_location(connection: Connection, location_id: str) -> int:
    """Renew `awaited` of all lines of a location; how many were not awaited though something was open."""
    corrected, order = 0, PURCHASE_ORDER.c.purchase_order_id
    page = select(order).where(PURCHASE_ORDER.c.location_id == location_id).order_by(order).limit(ORDERS_AT_ONCE)
    after = ""
    while orders := connection.execute(page.where(order > after)).scalars().all():
        after = orders[-1]
        corrected += _renew(connection, location_id, _LINE.c.purchase_order_id == func.any(array(orders)))
    return corrected


def wrongly_settled(connection: Connection, location_id: str, limit: int) -> list[tuple[str, int]]:
    """Lines of a location, as (purchase order, line), of which something is open though they are not awaited."""
    standing = standing_deliveries(_LINE, ITEM_ALIAS).where(_LINE.c.location_id == location_id).subquery("standing")
    query = (
        select(_LINE.c.purchase_order_id, _LINE.c.line)
        .select_from(_LINE.outerjoin(standing, _same_line(standing)))
        .where(
            _LINE.c.location_id == location_id,
            not_(_LINE.c.closed),
            not_(_LINE.c.awaited),
            open_sum(_LINE.c.quantity, standing.c.received) > 0,
        )
        .order_by(_LINE.c.purchase_order_id, _LINE.c.line)
        .limit(limit)
    )
    return [(row.purchase_order_id, row.line) for row in connection.execute(query)]


def _renew(connection: Connection, location_id: str, *where: ColumnElement[bool]) -> int:
    wanted = (_LINE.c.location_id == location_id, not_(_LINE.c.closed), *where)
    # In the order of the key, and all of them, whether they will change or not: who waits for one sees, in the next
    # statement, everything that its holder did.
    hold = select(_LINE.c.line).where(*wanted).order_by(_LINE.c.purchase_order_id, _LINE.c.line).with_for_update()
    if not connection.execute(select(func.count()).select_from(hold.subquery("held"))).scalar_one():
        return 0
    line = select(_LINE).where(*wanted).subquery("wanted")
    standing = standing_deliveries(line, ITEM_ALIAS).subquery("standing")
    open_line = (
        select(line.c.purchase_order_id, line.c.line, (open_sum(line.c.quantity, standing.c.received) > 0).label("is"))
        .select_from(
            line.outerjoin(
                standing,
                and_(standing.c.purchase_order_id == line.c.purchase_order_id, standing.c.line == line.c.line),
            )
        )
        .subquery("open_line")
    )
    changed = connection.execute(
        update(_LINE)
        .values(awaited=open_line.c["is"])
        .where(_same_line(open_line), _LINE.c.awaited != open_line.c["is"])
        .returning(_LINE.c.awaited)
    )
    return sum(changed.scalars())


def count_awaited(connection: Connection, location_id: str) -> int:
    """How many lines of a location are awaited."""
    query = select(func.count()).where(_LINE.c.location_id == location_id, AWAITED)
    return int(connection.execute(query).scalar_one())


def _same_line(other: FromClause) -> ColumnElement[bool]:
    return and_(other.c.purchase_order_id == _LINE.c.purchase_order_id, other.c.line == _LINE.c.line)


def _sum(column: ColumnElement[int]) -> ColumnElement[int]:
    return cast(func.sum(column), BigInteger)
