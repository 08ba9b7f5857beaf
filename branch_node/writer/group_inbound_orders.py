"""The told orders as one transaction of the writer has them: what is committed, and what the group has changed."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from branch_node.database.inbound.inbound_order_rows import inbound_orders, store_inbound_orders
from branch_node.database.reservation_rows import OrderKey
from shared.chain import Sealed
from shared.orders.inbound_orders import INBOUND_KEYS, REDATING_KEYS, InboundOrder, told_by, told_order_of

_SAY_SOMETHING = (INBOUND_KEYS, REDATING_KEYS)


class GroupInboundOrders:
    """Valid for one transaction. `any_told`: whether any order was told of before; else nothing is looked up."""

    def __init__(self, connection: Connection, *, any_told: bool) -> None:
        self._connection = connection
        self._known: dict[OrderKey, InboundOrder | None] = {}
        self._unwritten: dict[OrderKey, InboundOrder] = {}
        self.any_told = any_told

    def preload(self, orders: Sequence[OrderKey]) -> None:
        """Read what was told of these orders."""
        unknown = [order for order in orders if order not in self._known]
        self._known.update(dict.fromkeys(unknown))
        if self.any_told and unknown:
            found = inbound_orders(self._connection, unknown)
            self._known.update({(each.order_id, each.source): each for each in found})

    def get(self, order: OrderKey) -> InboundOrder | None:
        """What was told of an order."""
        self.preload([order])
        return self._known[order]

    def advance(self, sealed: Sequence[Sealed]) -> None:
        """Take over the events of one command, if they say anything of a told order."""
        key = sealed[0].event.command_key
        if key is None or not key.startswith(_SAY_SOMETHING):
            return
        events = [each.event for each in sealed]
        order = told_order_of(events)
        if order is None:
            return
        before = self.get(order)
        after = told_by(before, events)
        if after is not None and after is not before:
            self._known[order] = self._unwritten[order] = after
            self.any_told = True

    def flush(self) -> None:
        """Write what has changed since the last flush."""
        if self._unwritten:
            store_inbound_orders(self._connection, self._unwritten.values())
            self._unwritten.clear()
