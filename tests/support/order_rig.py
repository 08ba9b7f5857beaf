"""Orders told to a head office in this process, and branches without a node whose logs answer what they are asked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Engine

from head_office.catalogue import items
from head_office.log.hello_answer import hello
from head_office.orders.order_intake import tell
from head_office.orders.order_polling import open_order_instructions
from head_office.orders.routed_orders import ToldAnswer
from shared.catalogue_messages import CatalogueItem
from shared.events import Reference
from shared.messages import HeadMessage, Hello
from shared.orders.cloud_events import InboundEvent
from shared.orders.order_event_inputs import kind_of
from shared.orders.order_instructions import OrderInstruction
from shared.orders.order_sources import OrderSource
from shared.runtime.clock import MINUTE
from tests.support.branch_log import BranchLog
from tests.support.events import NOON

SHOP = OrderSource(source="shop", hold_days=14, created_at=0, secrets=())
NOW = NOON + 60 * MINUTE
HEARD_WITHIN = 100 * 365 * 24 * 60 * MINUTE
"""Logs of tests are years old."""


def shop_event(told: str, order_id: str, *, id: str, time: int | None = None, **data: Any) -> InboundEvent:
    """`order.<told>`; a mapping for `lines` is quantities by item."""
    if isinstance(data.get("lines"), Mapping):
        data["lines"] = [{"item_id": item, "quantity": quantity} for item, quantity in data["lines"].items()]
    raw = json.dumps({"order_id": order_id, **data}).encode()
    return InboundEvent(id=id, source="https://shop.example", type=f"com.shop.order.{told}", time=time, data=raw)


class OrderRig:
    """Head office on an engine, and the logs of its branches by location."""

    def __init__(self, engine: Engine, stocked: Mapping[str, int]) -> None:
        self.engine = engine
        self.logs = {place: BranchLog(place) for place in stocked}
        self.told = 0
        with engine.begin() as connection:
            items.put(connection, [CatalogueItem(item_id="milk", name="Milk", unit="l", barcode="4006381333931")])
        for place, quantity in stocked.items():
            if quantity:
                self.logs[place].record("PURCHASE_RECEIVED", quantity=quantity * 1_000)
            self.ship(place)

    def ship(self, place: str, last: int | None = None) -> None:
        """The branch ships and says hello."""
        log = self.logs[place]
        with self.engine.begin() as connection:
            if log.shipped < len(log.sealed):
                log.ship(connection, last)
            head = HeadMessage(1, log.shipped, log._head_at(log.shipped).hash.hex())
            said = Hello(location_id=place, head=head, acknowledged=None, protocol=1, schema=1, software="test")
            hello(connection, said, catalogue_version=0, hello_every_seconds=30)

    def tell(self, told: str, order_id: str, *, id: str | None = None, **data: Any) -> ToldAnswer:
        """Tell of an order in a transaction of its own; `data` as of `shop_event`."""
        self.told += 1
        event = shop_event(told, order_id, id=id or f"event-{self.told}", **data)
        kind = kind_of(event.type)
        assert kind is not None
        with self.engine.begin() as connection:
            return tell(connection, SHOP, event, kind, now=NOW, heard_within=HEARD_WITHIN)

    def outcome(self, told: str, order_id: str, **more: Any) -> tuple[str, str | None]:
        """What it is answered, and where it is asked."""
        answer = self.tell(told, order_id, **more)
        return answer.outcome, answer.location_id

    def open_at(self, place: str, after: int = 0) -> list[OrderInstruction]:
        """What the branch reads in its poll."""
        with self.engine.connect() as connection:
            return open_order_instructions(connection, place, after, 1_000).orders

    def answer(self, place: str, outcome: str = "reserved", *, ship: bool = True, reason: str | None = None) -> None:
        """The branch takes the oldest instruction that its log has not answered, with this outcome."""
        asked = self.unanswered(place)[0]
        log = self.logs[place]
        common: dict[str, Any] = {"command_key": asked.key, "source": asked.source}
        order = Reference(kind="order", id=asked.order_id, revision=asked.revision)
        line = (asked.lines or (None,))[0]
        quantity = 1_000 if line is None else line.quantity
        reservation_id = f"r-{place}-{asked.order_id}"
        match outcome:
            case "reserved":
                log.record(
                    "STOCK_RESERVED", quantity=quantity, reservation_id=reservation_id, reference=order,
                    expires_at=NOW + MINUTE, **common,
                )  # fmt: skip
            case "unavailable" | "refused":
                log.record(
                    "RESERVATION_REFUSED", quantity=quantity, reservation_id=f"{reservation_id}-{len(log.sealed)}",
                    reference=order, reason=reason or ("unavailable" if outcome == "unavailable" else "invalid-time"),
                    **common,
                )  # fmt: skip
            case "shipped":
                log.record("ORDER_DEDUCTION", quantity=quantity, reference=order, **common)
            case "returned":
                log.record("CUSTOMER_RETURN", quantity=quantity, reference=order, **common)
            case "released":
                log.record(
                    "RESERVATION_RELEASED", quantity=quantity, reservation_id=reservation_id, reference=order,
                    reason="cancelled", line=1, lines=2, **common,
                )  # fmt: skip
                log.record("ORDER_CANCELLED", reference=order, source=asked.source, reason="cancelled", line=2, lines=2)
            case _:
                bare = Reference(kind="order", id=asked.order_id)
                log.record("ORDER_CANCELLED", reference=bare, reason=reason or "cancelled", **common)
        if ship:
            self.ship(place)

    def unanswered(self, place: str) -> list[OrderInstruction]:
        """What it was asked and has not recorded yet, whether or not that has arrived."""
        recorded = {each.event.command_key for each in self.logs[place].sealed}
        return [each for each in self.open_at(place) if each.key not in recorded]
