"""Stock of the branch's items now, low or as of a moment, on a read-only connection.

An item of the group that this log also knows by other codes (head office mapped them) has one figure, the sum over its
codes; a code that stands for another item is answered as that item. Quantities inside are thousandths, times
microseconds UTC; a reservation that has expired never counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, case, func, or_, select, union

from branch_node.database.queries import BY_ITEM
from branch_node.database.reservation_rows import reserved_beyond
from branch_node.database.schema import ITEM, LOG, REORDER_LEVEL, STOCK
from branch_node.database.stock.level_rows import ACTS, LEVEL_FIELDS, acting_on
from branch_node.problems import ITEM_NOT_FOUND
from branch_node.records import Page, PeriodRecord, StockRecord
from shared.code_sums import summed
from shared.event_record import moment_text, stock_flags
from shared.events import parse_quantity, quantity_json
from shared.levels.level_columns import level_of
from shared.levels.reorder_levels import is_low, to_order
from shared.projection import balances, moment_literal
from shared.runtime.http.cursor import page_of
from shared.stock import Place, Standing
from shared.stock_expressions import EventScope


def codes_of(connection: Connection, item_id: str) -> tuple[str, list[str]]:
    """The item that a code stands for, and all codes of it that this log knows it by."""
    meant, others = _mappings_of(connection, item_id)
    if meant is None:
        return item_id, [item_id, *others]
    # The item's own code may stand for yet another item here.
    of_item, others = _mappings_of(connection, meant)
    return meant, others if of_item is not None else [meant, *others]


def _mappings_of(connection: Connection, item_id: str) -> tuple[str | None, list[str]]:
    """What a code stands for, if it is mapped, and the codes that stand for it. Most items have neither."""
    mapped = (ITEM.c.item_id == item_id) & ITEM.c.stands_for.is_not(None)
    query = select(ITEM.c.item_id, ITEM.c.stands_for).where(mapped | (ITEM.c.stands_for == item_id))
    rows = connection.execute(query.order_by(ITEM.c.item_id)).all()
    meant = next((row.stands_for for row in rows if row.item_id == item_id), None)
    return meant, [row.item_id for row in rows if row.item_id != item_id]


_STOCK_QUERY: Final = select(STOCK, ITEM.c.name, ITEM.c.unit, *LEVEL_FIELDS).select_from(
    STOCK.join(ITEM, ITEM.c.item_id == STOCK.c.item_id, isouter=True).join(
        REORDER_LEVEL, acting_on(STOCK.c.item_id), isouter=True
    )
)


def stock(connection: Connection, *, now: int, after: str | None, limit: int) -> Page[StockRecord]:
    """List what stands now of every item that has events, in order of code."""
    query = _STOCK_QUERY.where(ITEM.c.stands_for.is_(None)).order_by(STOCK.c.item_id).limit(limit + 1)
    if after is not None:
        query = query.where(STOCK.c.item_id > after)
    mapped = _mapped(connection, now)
    if mapped:
        listed = list(connection.execute(_items_with_stock(after, list(mapped), limit + 1)).scalars())
        query = query.where(STOCK.c.item_id.in_(listed))
    found = connection.execute(query).all()
    rows: dict[str, Any] = {row.item_id: row for row in found}
    own = _standings(connection, found, now)
    records = [
        stock_record(
            item_id,
            summed([*([own[item_id]] if item_id in own else []), *mapped.get(item_id, [])]),
            now,
            rows[item_id] if item_id in rows else item_row(connection, item_id),
        )
        for item_id in (listed if mapped else list(rows))
    ]
    return _page(records, limit)


def _items_with_stock(after: str | None, mapped: list[str], limit: int) -> Select[Any]:
    """Items that have events under any code, in the order of the database: those of a further code are `mapped`."""
    own = (
        select(STOCK.c.item_id)
        .join_from(STOCK, ITEM, ITEM.c.item_id == STOCK.c.item_id, isouter=True)
        .where(ITEM.c.stands_for.is_(None))
    )
    items = union(own, select(ITEM.c.item_id).where(ITEM.c.item_id.in_(mapped))).subquery("items")
    query = select(items.c.item_id).order_by(items.c.item_id).limit(limit)
    return query if after is None else query.where(items.c.item_id > after)


def low_stock(connection: Connection, *, now: int, after: str | None, limit: int) -> Page[StockRecord]:
    """List the items available at or below their reorder level, in order of code, those without events too."""
    mapped = _mapped(connection, now)
    low: list[StockRecord] = []
    reached, whole = after, False
    while len(low) <= limit and not whole:
        rows = connection.execute(_maybe_low(reached, list(mapped), limit + 1)).all()
        whole = len(rows) <= limit
        own = _standings(connection, [row for row in rows if row.stands_for is None], now)
        for row in rows:
            reached = row.item_id
            standing = summed([own.get(reached, Standing()), *mapped.get(reached, [])])
            if is_low(level_of(row), standing.on_hand - standing.reserved):
                low.append(stock_record(reached, standing, now, row))
    return _page(low[: limit + 1], limit)


def _maybe_low(after: str | None, mapped: list[str], limit: int) -> Select[Any]:
    """Items after a code whose figure may be low: those that their own stock alone does not rule out."""
    on_hand, reserved = func.coalesce(STOCK.c.on_hand, 0), func.coalesce(STOCK.c.reserved, 0)
    # Where something is reserved or further codes count, the figure itself is compared.
    uncertain = or_(reserved > 0, REORDER_LEVEL.c.item_id.in_(mapped), ITEM.c.stands_for.is_not(None))
    query = (
        select(
            REORDER_LEVEL.c.item_id, *LEVEL_FIELDS, ITEM.c.name, ITEM.c.unit, ITEM.c.stands_for,
            on_hand.label("on_hand"), reserved.label("reserved"), STOCK.c.counted_at, STOCK.c.counted_sequence,
            func.coalesce(STOCK.c.recount, False).label("recount"),
        )
        .select_from(
            REORDER_LEVEL.join(ITEM, ITEM.c.item_id == REORDER_LEVEL.c.item_id, isouter=True).join(
                STOCK, STOCK.c.item_id == REORDER_LEVEL.c.item_id, isouter=True
            )
        )
        .where(ACTS, case((uncertain, True), else_=on_hand <= REORDER_LEVEL.c.reorder_point))
        .order_by(REORDER_LEVEL.c.item_id)
        .limit(limit)
    )  # fmt: skip
    return query if after is None else query.where(REORDER_LEVEL.c.item_id > after)


def stock_of(connection: Connection, item_id: str, *, now: int, as_of: int | None) -> StockRecord:
    """Read what stands of one item now, or as of a moment (microseconds UTC). Raises 404 `item-not-found`."""
    meant, codes = codes_of(connection, item_id)
    item: Any = None
    if as_of is None:
        rows = connection.execute(_STOCK_QUERY.where(STOCK.c.item_id.in_(codes))).all()
        standings = _standings(connection, rows, now)
        item = next((row for row in rows if row.item_id == meant), None)
    else:
        standings = _folded(connection, codes, as_of)
    if item is None:
        item = item_row(connection, meant)
    if not standings and item is None:
        raise ITEM_NOT_FOUND(f"there is no item {item_id!r}", item_id=item_id)
    return stock_record(meant, summed(list(standings.values())), now if as_of is None else as_of, item)


def stock_over(connection: Connection, item_id: str, *, now: int, begin: int | None, end: int | None) -> StockRecord:
    """Read what stands of one item at the end of a period [begin, end), and what stood at its beginning.

    An end that is not given is open: from the first event on, until now. Raises 404 `item-not-found`.
    """
    record = stock_of(connection, item_id, now=now, as_of=None if end is None else end - 1)
    opening, closing = 0, parse_quantity(record.on_hand)
    if begin is not None:
        _, codes = codes_of(connection, item_id)
        opening = summed(list(_folded(connection, codes, begin - 1).values())).on_hand
    record.period = PeriodRecord(
        opening=quantity_json(opening), change=quantity_json(closing - opening), closing=record.on_hand
    )
    return record


def item_row(connection: Connection, item_id: str) -> Any:
    """Read name, unit and reorder level of an item; None where the catalogue does not have it."""
    query = (
        select(ITEM.c.name, ITEM.c.unit, *LEVEL_FIELDS)
        .join_from(ITEM, REORDER_LEVEL, acting_on(ITEM.c.item_id), isouter=True)
        .where(ITEM.c.item_id == item_id)
    )
    return connection.execute(query).one_or_none()


def stock_record(item_id: str, standing: Standing, as_of: int, item: Any) -> StockRecord:
    """Make the record of a standing whose `reserved` is without what has expired; `item` is its `item_row`."""
    record = StockRecord(
        item_id=item_id,
        name=None if item is None else item.name,
        unit=None if item is None else item.unit,
        on_hand=quantity_json(standing.on_hand),
        reserved=quantity_json(standing.reserved),
        available=quantity_json(standing.on_hand - standing.reserved),
        as_of=moment_text(as_of),
        counted_at=None if standing.last_count is None else moment_text(standing.last_count.occurred_at),
        flags=stock_flags(standing.on_hand, standing.reserved, recount=standing.recount),
    )
    if item is not None and item.reorder_point is not None:
        level, available = level_of(item), standing.on_hand - standing.reserved
        record.reorder_point = quantity_json(level.reorder_point)
        if level.order_up_to is not None:
            record.order_up_to = quantity_json(level.order_up_to)
        if level.order_quantity is not None:
            record.order_quantity = quantity_json(level.order_quantity)
        if is_low(level, available):
            record.reorder_quantity = quantity_json(to_order(level, available))
    return record


def _page(found: list[StockRecord], limit: int) -> Page[StockRecord]:
    items, following = page_of(found, limit, lambda last: BY_ITEM.write(last.item_id))
    return Page(items=items, next=following)


def _mapped(connection: Connection, now: int) -> dict[str, list[Standing]]:
    """What stands of the further codes of items, by item."""
    query = select(STOCK, ITEM.c.stands_for).join_from(STOCK, ITEM, ITEM.c.item_id == STOCK.c.item_id)
    rows = connection.execute(query.where(ITEM.c.stands_for.is_not(None)).order_by(STOCK.c.item_id)).all()
    standings = _standings(connection, rows, now)
    found: dict[str, list[Standing]] = {}
    for row in rows:
        found.setdefault(row.stands_for, []).append(standings[row.item_id])
    return found


def _standings(connection: Connection, rows: Sequence[Row[Any]], now: int) -> dict[str, Standing]:
    """The standing of each row of the projection by its code, without what has expired."""
    expired = reserved_beyond(connection, now, [row.item_id for row in rows if row.reserved])
    return {
        row.item_id: Standing(
            row.on_hand,
            row.reserved - expired.get(row.item_id, 0),
            None if row.counted_at is None else Place(row.counted_at, row.counted_sequence),
            recount=bool(row.recount),
        )
        for row in rows
    }


def _folded(connection: Connection, codes: Sequence[str], moment: int) -> dict[str, Standing]:
    """Fold what stood of codes as of a moment, by code; those without events are left out."""
    if not codes:
        return {}
    pairs = select(STOCK.c.location_id, STOCK.c.item_id).where(STOCK.c.item_id.in_(codes)).subquery("pairs")
    found: dict[str, Standing] = {}
    for row in connection.execute(balances(LOG, pairs, EventScope(moment=moment_literal(moment)))):
        last_count = None if row.counted_at is None else Place(row.counted_at, row.counted_sequence)
        found[row.item_id] = Standing(row.on_hand, row.reserved, last_count, recount=bool(row.recount))
    return found
