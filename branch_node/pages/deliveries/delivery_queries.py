"""Reads what the pages of orders to suppliers show, on the read-only connection of a page."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, select

from branch_node.commands.corrections import command_span
from branch_node.database.lookups import event_by_id, sealed_where, voids_of
from branch_node.database.purchases.pulled_order_lists import read_purchase_order
from branch_node.database.purchases.pulled_order_rows import supplier_names
from branch_node.database.schema import DELIVERED_LINE, LOG
from branch_node.model import Item
from branch_node.pages.deliveries.delivery_views import (
    DeliveredRow,
    OrderedLineView,
    SupplierOrderView,
    delivered_row,
    supplier_order_view,
)
from branch_node.pages.recorded_notice import MOST_TOUCHED, StockNow, stock_now
from shared.events import Event
from shared.purchases.delivered_lines import delivered_line_of
from shared.purchases.purchase_order_record import PurchaseOrderRecord

DELIVERIES_SHOWN: Final = 100
"""How many deliveries of one order its page lists, the newest in front."""


def order_views(
    connection: Connection, records: Sequence[PurchaseOrderRecord], items: Mapping[str, Item], today: datetime.date
) -> list[SupplierOrderView]:
    """The views of orders, with the names of their suppliers."""
    names = supplier_names(connection, [each.supplier_id for each in records]) if records else {}
    return [supplier_order_view(each, items, names, today) for each in records]


def order_view(
    connection: Connection, purchase_order_id: str, items: Mapping[str, Item], today: datetime.date
) -> SupplierOrderView | None:
    """The view of one order; None for one that was not pulled."""
    record = read_purchase_order(connection, purchase_order_id)
    return None if record is None else order_views(connection, [record], items, today)[0]


def deliveries_of(connection: Connection, purchase_order_id: str, items: Mapping[str, Item]) -> list[DeliveredRow]:
    """The newest events that received of an order, or returned of it, the last one in front; those voided as well."""
    row = DELIVERED_LINE.c
    newest = (
        select(row.sequence)
        .where(row.purchase_order_id == purchase_order_id)
        .order_by(row.sequence.desc())
        .limit(DELIVERIES_SHOWN)
    )
    sequences = list(connection.execute(newest).scalars())
    found = sealed_where(connection, LOG.event.c.sequence.in_(sequences)) if sequences else []
    return _rows(connection, [each.event for each in reversed(found)], items)


def _rows(connection: Connection, events: Sequence[Event], items: Mapping[str, Item]) -> list[DeliveredRow]:
    voids = voids_of(connection, [each.sequence for each in events])
    return [delivered_row(each, items, voids.get(each.sequence)) for each in events]


def refers_to_order(connection: Connection, event_id: str) -> bool:
    """Whether an event received of an order's line, or returned of it."""
    found = event_by_id(connection, event_id)
    return found is not None and delivered_line_of(found.event) is not None


@dataclass(frozen=True)
class DeliveryNotice:
    """What is told of a delivery that was just recorded: what of it stands, and what stands now of the order.

    `order` is None for one that was not pulled yet. `lines`: those of the order that the command was of. `voided`: the
    event that was named is voided; then `received` is what still counts of its command. Of `stock` the first
    MOST_TOUCHED items are here, and `more_stock` says how many are not.
    """

    purchase_order_id: str
    order: SupplierOrderView | None
    voided: bool
    received: Sequence[DeliveredRow]
    lines: Sequence[OrderedLineView]
    stock: Sequence[StockNow]
    more_stock: int


def delivery_notice(
    connection: Connection, event_id: str, items: Mapping[str, Item], *, now: int, today: datetime.date
) -> DeliveryNotice | None:
    """The notice of the command that recorded an event; None where there is none, or it refers to no order."""
    found = event_by_id(connection, event_id) if event_id else None
    if found is None or (named := delivered_line_of(found.event)) is None:
        return None
    command = sealed_where(connection, LOG.event.c.sequence.between(*command_span(found.event)))
    events = [
        each.event
        for each in command
        if (other := delivered_line_of(each.event)) is not None and other.purchase_order_id == named.purchase_order_id
    ]
    # What the command touched is told of all of it, also of what is voided: that changed the figures as well.
    rows = _rows(connection, events, items)
    order = order_view(connection, named.purchase_order_id, items, today)
    numbers = {each.line for each in rows}
    codes = _meant((each.item_id or "" for each in events), items)
    return DeliveryNotice(
        purchase_order_id=named.purchase_order_id,
        order=order,
        voided=any(each.voided_by and each.sequence == found.event.sequence for each in rows),
        received=[each for each in rows if not each.voided_by],
        lines=[] if order is None else [line for line in order.lines if line.line in numbers],
        stock=[stock_now(connection, code, items, now) for code in codes[:MOST_TOUCHED]],
        more_stock=max(0, len(codes) - MOST_TOUCHED),
    )


def _meant(codes: Iterable[str], items: Mapping[str, Item]) -> list[str]:
    """The items of these codes, each once, by the code that stands for it."""
    found = dict.fromkeys(codes)
    return list(dict.fromkeys((items[code].stands_for if code in items else None) or code for code in found))
