"""Events of orders as another system tells them, through a branch's writer; and what the log says of told orders."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any

from branch_node.commands.inbound.order_event_commands import order_event_command
from branch_node.commands.inbound.told_events import OrderEventAnswer
from branch_node.model import Command
from shared.events import Event
from shared.orders.cloud_events import InboundEvent
from shared.orders.inbound_orders import InboundOrder, told_by, told_order_of
from shared.orders.order_event_inputs import key_of, kind_of, order_event_of
from tests.support.branch import Branch

SHOP = "shop"
HOLD_DAYS = 14


def lines_of(quantities: Mapping[str, object]) -> list[dict[str, object]]:
    """Lines of an event's data, of quantities by item."""
    return [{"item_id": item_id, "quantity": quantity} for item_id, quantity in quantities.items()]


class Shop:
    """A source that tells a branch of its orders. Each event has an id of its own unless one is given."""

    def __init__(self, branch: Branch, source: str = SHOP) -> None:
        self.branch = branch
        self.source = source
        self.told = 0

    def tell(self, told: str, order_id: str, **more: Any) -> Any:
        """Tell `order.<told>` of an order; the answer. `more` as of `command`."""
        answer = self.branch.run(self.command(told, order_id, **more))
        assert isinstance(answer, OrderEventAnswer)
        return answer

    def command(
        self, told: str, order_id: str, *, id: str | None = None, time: int | None = None, **data: Any
    ) -> Command:
        """The command of an event; `data` is its data, in which a mapping for `lines` is quantities by item."""
        self.told += 1
        if isinstance(data.get("lines"), Mapping):
            data["lines"] = lines_of(data["lines"])
        event = InboundEvent(
            id=id or f"new-{self.told}",
            source="https://shop.example",
            type=f"com.shop.order.{told}",
            time=time,
            data=json.dumps({"order_id": order_id, **data}).encode(),
        )
        kind = kind_of(event.type)
        assert kind is not None
        return order_event_command(
            order_event_of(kind, self.source, event),
            key=key_of(self.source, event),
            actor=f"inbound/{self.source}",
            hold_days=HOLD_DAYS,
        )

    def outcome(self, told: str, order_id: str, **more: Any) -> str:
        """Tell of an order; what became of it."""
        answer: OrderEventAnswer = self.tell(told, order_id, **more)
        return answer.outcome.value


def told_orders(events: Iterable[Event]) -> dict[tuple[str, str], InboundOrder]:
    """What a whole log, in order, says of every told order: what the table is compared with."""
    found: dict[tuple[str, str], InboundOrder] = {}
    for _, command in groupby(events, key=lambda event: event.sequence - event.line):
        recorded = list(command)
        order = told_order_of(recorded)
        if order is not None and (after := told_by(found.get(order), recorded)) is not None:
            found[order] = after
    return found
