"""Events of orders as another system tells them, through a branch's writer; and what the log says of told orders."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any

from branch_node.commands.inbound.asked_orders import OrderInstructionTaken, TakeOrderInstruction
from branch_node.commands.inbound.order_event_commands import order_event_command
from branch_node.commands.inbound.told_events import OrderEventAnswer
from branch_node.model import Command
from shared.events import Event
from shared.orders.cloud_events import InboundEvent
from shared.orders.inbound_orders import INBOUND_KEYS, InboundOrder, told_by, told_order_of
from shared.orders.order_event_inputs import OrderEvent, OrderEventKind, asked_key_of, key_of, kind_of, order_event_of
from shared.orders.order_instructions import OrderInstruction, OrderInstructionLine
from shared.orders.order_outcomes import RecordedOutcome, recorded_outcome
from tests.support.branch import ITEMS, PLACE, Branch

SHOP = "shop"
HOLD_DAYS = 14
UNITS = {item.item_id: item.unit for item in ITEMS}


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

    def command(self, told: str, order_id: str, **more: Any) -> Command:
        """The command of an event; `more` as of `event`."""
        event, order_event = self.event(told, order_id, **more)
        return order_event_command(
            order_event, key=key_of(self.source, event), actor=f"inbound/{self.source}", hold_days=HOLD_DAYS
        )

    def event(
        self, told: str, order_id: str, *, id: str | None = None, time: int | None = None, **data: Any
    ) -> tuple[InboundEvent, OrderEvent]:
        """An event as it is sent, and as it is read; in its data a mapping for `lines` is quantities by item."""
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
        return event, order_event_of(kind, self.source, event)

    def instruction(self, told: str, order_id: str, **more: Any) -> OrderInstruction:
        """The event as head office asks this branch to take it; `more` as of `event`."""
        return instruction_of(self.source, *self.event(told, order_id, **more))

    def ask(self, told: str, order_id: str, **more: Any) -> RecordedOutcome:
        """Ask the branch to take an event, and what it answers."""
        taken = self.branch.run(TakeOrderInstruction(self.instruction(told, order_id, **more)))
        assert isinstance(taken, OrderInstructionTaken)
        return taken.outcome

    def outcome(self, told: str, order_id: str, **more: Any) -> str:
        """Tell of an order; what became of it."""
        answer: OrderEventAnswer = self.tell(told, order_id, **more)
        return answer.outcome.value


def instruction_of(source: str, event: InboundEvent, told: OrderEvent, location_id: str = PLACE) -> OrderInstruction:
    """A told event as head office asks a branch to take it."""
    content = told.content
    lines = None
    if content.lines is not None:
        lines = tuple(OrderInstructionLine(each.item_id, each.quantity, UNITS[each.item_id]) for each in content.lines)
    return OrderInstruction(
        location_id=location_id,
        key=asked_key_of(source, event),
        kind=content.kind,
        source=source,
        order_id=content.order_id,
        revision=content.revision,
        lines=lines,
        final=content.final,
        time=told.time,
        expires_at=told.expires_at,
        reason=told.reason,
        hold_days=HOLD_DAYS,
    )


def order_instruction(
    kind: str, order_id: str, event_id: str, lines: Mapping[str, int] | None, unit: str = "l", **fields: Any
) -> OrderInstruction:
    """What head office asks, of thousandths by item."""
    event = InboundEvent(id=event_id, source="https://shop.example", type=f"order.{kind}", time=None, data=None)
    made: dict[str, Any] = {
        "location_id": PLACE,
        "key": asked_key_of(SHOP, event),
        "kind": OrderEventKind(f"order.{kind}"),
        "source": SHOP,
        "order_id": order_id,
        "lines": None if lines is None else tuple(OrderInstructionLine(each, lines[each], unit) for each in lines),
    }
    return OrderInstruction(**{**made, **fields})


def answers_in(events: Iterable[Event]) -> dict[str, RecordedOutcome]:
    """What a whole log, in order, answers to each told event, by command key; each by one command."""
    found: dict[str, RecordedOutcome] = {}
    for command in commands_of(events):
        key = command[0].command_key or ""
        if key.startswith(INBOUND_KEYS):
            assert key not in found
            found[key] = recorded_outcome(command)
    return found


def commands_of(events: Iterable[Event]) -> list[list[Event]]:
    """The events of each command of a log that is given in order."""
    return [list(command) for _, command in groupby(events, key=lambda event: event.sequence - event.line)]


def told_orders(events: Iterable[Event]) -> dict[tuple[str, str], InboundOrder]:
    """What a whole log, in order, says of every told order: what the table is compared with."""
    found: dict[tuple[str, str], InboundOrder] = {}
    for recorded in commands_of(events):
        order = told_order_of(recorded)
        if order is not None and (after := told_by(found.get(order), recorded)) is not None:
            found[order] = after
    return found
