"""The command that records a delivery against the lines of an order to a supplier."""

from __future__ import annotations

import msgspec

from branch_node.commands.keyed_command import KeyedCommand
from branch_node.commands.preconditions import moment_of
from branch_node.commands.purchases.ordered_lines import item_delivered, line_of_order, no_such_lines
from branch_node.commands.purchases.receive_inputs import ReceiveContent, ReceivedLine
from branch_node.model import Decision, RecordedCommand, View, unplaced
from branch_node.problems import PURCHASE_ORDER_NOT_FOUND
from branch_node.records import BranchEventRecord, record_of
from shared.events import Event, EventType, Reference
from shared.purchases.delivered_lines import PURCHASE_ORDER
from shared.purchases.purchase_orders import PurchaseOrder, PurchaseOrderLine


class ReceiveAnswer(msgspec.Struct, kw_only=True):
    """The deliveries as recorded, one for each line of the request, in that order."""

    recorded: list[BranchEventRecord]


class ReceiveOrder(KeyedCommand):
    """Record what came of an order, all of it in one command. Answered with a `ReceiveAnswer`.

    More than was ordered is recorded as it came, and so is what comes of a closed line: it is what happened. Raises 404
    `purchase-order-not-found` for an order that was not pulled, 422 for a line that it has not.
    """

    kind = "receive"

    def __init__(self, content: ReceiveContent, *, key: str, actor: str) -> None:
        super().__init__(content, key=key, actor=actor)
        self._content = content
        self.size = len(content.lines)

    def decide(self, view: View) -> Decision:
        content = self._content
        order = view.purchase_order(content.purchase_order_id)
        if order is None:
            raise PURCHASE_ORDER_NOT_FOUND(
                f"the order {content.purchase_order_id!r} was not pulled from head office",
                purchase_order_id=content.purchase_order_id,
            )
        lines = [line_of_order(order, each.line) for each in content.lines]
        if missing := [place for place, line in enumerate(lines) if line is None]:
            raise no_such_lines(order, [(f"lines[{place}].line", content.lines[place].line) for place in missing])
        at = moment_of(view, content.occurred_at)
        return Decision(
            events=[
                self._event(view, order, line, received, at)
                for line, received in zip(lines, content.lines, strict=True)
                if line is not None
            ]
        )

    def _event(
        self, view: View, order: PurchaseOrder, line: PurchaseOrderLine, received: ReceivedLine, at: int
    ) -> Event:
        item = item_delivered(view, line)
        event = unplaced(
            view,
            EventType.PURCHASE_RECEIVED,
            actor=self.actor,
            source=self._content.source,
            occurred_at=at,
            item_id=item.item_id,
            quantity=received.quantity,
            unit=item.unit,
            reference=Reference(id=order.purchase_order_id, kind=PURCHASE_ORDER, line=line.line),
            supplier_id=order.supplier_id,
        )
        event.cost, event.lot = received.cost, received.lot
        event.expires_on, event.note = received.expires_on, received.note
        return event

    def answer(self, recorded: RecordedCommand) -> ReceiveAnswer:
        return ReceiveAnswer(
            recorded=[record_of(each, recorded.standings[each.event.item_id or ""]) for each in recorded.sealed]
        )
