"""Orders to suppliers are made, changed and closed; each change is one of the catalogue, in the same transaction.

Works inside the transaction of the Connection it is given. Everything that changes an order holds the catalogue first
(`catalogue_history.lock`), so no two of them meet. An ingest meanwhile sets `awaited` of lines: it has its moment of
receipt before it locks them, and so has a change here, as it publishes before it writes; both lock lines in their
order. So neither waits for the other in a circle. Quantities are thousandths.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from itertools import count
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import UNSET, UnsetType, structs
from sqlalchemy import Connection, func, or_, select, update

from head_office.catalogue.catalogue_history import Change, lock, publish
from head_office.catalogue.items import known_items
from head_office.catalogue.locations import check_locations
from head_office.catalogue.purchases.group_suppliers import check_suppliers
from head_office.catalogue.purchases.purchase_order_rows import insert_orders, orders_with_ids
from head_office.database.arrays import array
from head_office.database.purchase_tables import PURCHASE_ORDER, PURCHASE_ORDER_LINE, PURCHASE_ORDER_NUMBER
from head_office.database.schema import now
from head_office.problems import KEY_REUSED, PURCHASE_ORDER_EXISTS, PURCHASE_ORDER_NOT_FOUND
from shared.catalogue_messages import CataloguePurchaseOrder
from shared.events import Cost
from shared.purchases.purchase_orders import NUMBERED, PurchaseOrder, PurchaseOrderLine, closed_order
from shared.runtime.database.row_writes import upsert
from shared.runtime.problems import invalid_request

_DIGITS: Final = 6
_TRIED_AT_ONCE: Final = 100


class NewOrderLine(msgspec.Struct, frozen=True, kw_only=True):
    """An item to be ordered: `quantity` above zero, `cost` that of the whole line."""

    item_id: str
    quantity: int
    cost: Cost | None = None


class NewPurchaseOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order to be made. Without an id it is given one, once for each `request_key`, the caller's Idempotency-Key."""

    location_id: str
    supplier_id: str
    lines: tuple[NewOrderLine, ...]
    due: str | None = None
    note: str | None = None
    purchase_order_id: str | None = None
    request_key: str | None = None

    def digest(self) -> str:
        """SHA-256 of what is ordered, hex; of everything but the id and the key."""
        content = structs.replace(self, purchase_order_id=None, request_key=None)
        return sha256(msgspec.json.encode(content, order="sorted")).hexdigest()


class MadeOrder(NamedTuple):
    """The order of a request, and whether this request made it; else an earlier one like it had."""

    order: PurchaseOrder
    is_new: bool


def make_orders(connection: Connection, new: Sequence[NewPurchaseOrder]) -> list[MadeOrder]:
    """Make orders, all or none, of at most some thousand lines; one that was made before alike is answered as it is.

    Raises Problem: 409 `purchase-order-exists`, `key-reused`, 422 `unknown-location`, `unknown-supplier`,
    `unknown-item`.
    """
    lock(connection)
    before = _made_before(connection, new)
    wanted = [each for each, old in zip(new, before, strict=True) if old is None]
    _check_ids(wanted)
    check_locations(connection, (each.location_id for each in wanted))
    check_suppliers(connection, (each.supplier_id for each in wanted))
    units = {
        item_id: item.unit
        for item_id, item in known_items(connection, (line.item_id for each in wanted for line in each.lines)).items()
    }
    numbers = _numbers(connection, sum(each.purchase_order_id is None for each in wanted), wanted)
    moment = now(connection)
    made: list[PurchaseOrder] = []
    about: dict[str, dict[str, Any]] = {}
    for each in wanted:
        order = PurchaseOrder(
            purchase_order_id=each.purchase_order_id or next(numbers),
            location_id=each.location_id,
            supplier_id=each.supplier_id,
            lines=tuple(
                PurchaseOrderLine(
                    line=place, item_id=line.item_id, unit=units[line.item_id], quantity=line.quantity, cost=line.cost
                )
                for place, line in enumerate(each.lines, 1)
            ),
            created_at=moment,
            due=each.due,
            note=each.note,
        )
        made.append(order)
        key = each.request_key if each.purchase_order_id is None else None
        about[order.purchase_order_id] = {"content_digest": each.digest(), "request_key": key}
    _publish(connection, made)
    insert_orders(connection, made, about)
    fresh = iter(made)
    return [MadeOrder(next(fresh), True) if old is None else MadeOrder(old, False) for old in before]


def locked_order(connection: Connection, purchase_order_id: str) -> PurchaseOrder:
    """Hold the catalogue, and read an order that is to be changed. Raises Problem 404 `purchase-order-not-found`."""
    lock(connection)
    return read_order(connection, purchase_order_id)


def read_order(connection: Connection, purchase_order_id: str) -> PurchaseOrder:
    """Read one order. Raises Problem 404 `purchase-order-not-found`."""
    found = orders_with_ids(connection, [purchase_order_id])
    if not found:
        raise PURCHASE_ORDER_NOT_FOUND(
            f"there is no purchase order {purchase_order_id}", purchase_order_id=purchase_order_id
        )
    return found[purchase_order_id]


def change_order(
    connection: Connection,
    order: PurchaseOrder,
    *,
    due: str | UnsetType | None = UNSET,
    note: str | UnsetType | None = UNSET,
) -> PurchaseOrder:
    """Change what is said of an order that `locked_order` gave; what is not set stays. It may be ended."""
    said = {name: value for name, value in (("due", due), ("note", note)) if value is not UNSET}
    changed = structs.replace(order, **said)
    if changed != order:
        _publish(connection, [changed])
        connection.execute(update(PURCHASE_ORDER).where(_is(order)).values(due=changed.due, note=changed.note))
    return changed


def close_order(
    connection: Connection, order: PurchaseOrder, lines: Sequence[int] | None, reason: str | None
) -> PurchaseOrder:
    """Wait for nothing more of these lines (None: all) of an order that `locked_order` gave.

    Lines that are closed stay so, and where all of them are, the reason given first. Raises Problem 422
    `invalid-request` for a line that the order lacks.
    """
    numbers = [line.line for line in order.lines]
    for place, line in enumerate(lines or ()):
        if line not in numbers:
            invalid_request(f"lines[{place}]", f"{order.purchase_order_id} has the lines 1 to {numbers[-1]}")
    changed = closed_order(order, lines, reason)
    if changed == order:
        return order
    _publish(connection, [changed])
    row = PURCHASE_ORDER_LINE.c
    mine = row.purchase_order_id == order.purchase_order_id
    connection.execute(select(row.line).where(mine).order_by(row.line).with_for_update())
    closed = [each.line for each in changed.lines if each.closed]
    connection.execute(update(PURCHASE_ORDER_LINE).where(mine, row.line.in_(closed)).values(closed=True, awaited=False))
    connection.execute(update(PURCHASE_ORDER).where(_is(order)).values(close_reason=changed.close_reason))
    return changed


def _is(order: PurchaseOrder) -> Any:
    return PURCHASE_ORDER.c.purchase_order_id == order.purchase_order_id


def _publish(connection: Connection, orders: Iterable[PurchaseOrder]) -> None:
    changes = [
        Change(CataloguePurchaseOrder(purchase_order_id=each.purchase_order_id, order=each), each.location_id)
        for each in orders
    ]
    if changes:
        publish(connection, changes)


def _made_before(connection: Connection, new: Sequence[NewPurchaseOrder]) -> list[PurchaseOrder | None]:
    """The orders that earlier requests like these made. Raises Problem 409 where one of them was of other content."""
    row = PURCHASE_ORDER.c
    ids = [each.purchase_order_id for each in new if each.purchase_order_id is not None]
    keys = [each.request_key for each in new if each.purchase_order_id is None and each.request_key is not None]
    query = select(row.purchase_order_id, row.request_key, row.content_digest).where(
        or_(row.purchase_order_id == func.any(array(ids)), row.request_key == func.any(array(keys)))
    )
    rows = connection.execute(query).all()
    by_id = {each.purchase_order_id: each for each in rows}
    by_key = {each.request_key: each for each in rows if each.request_key is not None}
    orders = orders_with_ids(connection, by_id)
    found: list[PurchaseOrder | None] = []
    for each in new:
        named = each.purchase_order_id is not None
        there = by_id.get(each.purchase_order_id) if named else by_key.get(each.request_key)
        if there is not None and there.content_digest != each.digest():
            if not named:
                raise KEY_REUSED(f"the key {each.request_key!r} was used for a purchase order with other content")
            raise PURCHASE_ORDER_EXISTS(
                f"{there.purchase_order_id} was made with other content", purchase_order_id=there.purchase_order_id
            )
        found.append(None if there is None else orders[there.purchase_order_id])
    return found


def _check_ids(new: Sequence[NewPurchaseOrder]) -> None:
    seen: set[str] = set()
    for each in new:
        if each.purchase_order_id in seen:
            raise PURCHASE_ORDER_EXISTS(
                f"{each.purchase_order_id} is to be made twice", purchase_order_id=each.purchase_order_id
            )
        if each.purchase_order_id is not None:
            seen.add(each.purchase_order_id)


def _numbers(connection: Connection, wanted: int, new: Sequence[NewPurchaseOrder]) -> Iterator[str]:
    """Give so many ids that nobody has, as PO-000001; the last number is kept, so that none is given twice."""
    if not wanted:
        return iter(())
    kept = connection.execute(select(PURCHASE_ORDER_NUMBER.c.number)).scalar_one_or_none() or 0
    taken = {each.purchase_order_id for each in new}
    numbers = count(kept + 1)
    found: list[str] = []
    last = kept
    while len(found) < wanted:
        tried = [next(numbers) for _ in range(max(wanted - len(found), _TRIED_AT_ONCE))]
        ids = {number: f"{NUMBERED}{number:0{_DIGITS}}" for number in tried}
        order = PURCHASE_ORDER.c.purchase_order_id
        there = set(connection.execute(select(order).where(order == func.any(array(list(ids.values()))))).scalars())
        for number, code in ids.items():
            if len(found) < wanted and code not in there and code not in taken:
                found.append(code)
                last = number
    upsert(connection, PURCHASE_ORDER_NUMBER, [{"single": True, "number": last}])
    return iter(found)
