"""The command that adjusts the stock of an item named by its code or barcode, and the answers in shops' words."""

from __future__ import annotations

import msgspec

from branch_node.commands.adjustments.adjust_inputs import AdjustContent
from branch_node.commands.event_commands import RecordEvent
from branch_node.commands.event_inputs import EventContent
from branch_node.commands.keyed_command import KeyedCommand
from branch_node.commands.preconditions import item_with_barcode, no_item_named
from branch_node.database.lookups import standing_then
from branch_node.database.stock.stock_figures import codes_of
from branch_node.database.stock.stock_tags import newest_event, stock_tag
from branch_node.model import Decision, RecordedCommand, View
from branch_node.problems import UNKNOWN_ITEM
from shared.event_record import Number
from shared.events import quantity_json
from shared.runtime.http.entity_tags import IfMatch
from shared.stock import Standing


class AdjustAnswer(msgspec.Struct, kw_only=True):
    """The stock of the item right after the change, the sum over its codes, and the event that records it."""

    sku: str
    on_hand: Number
    reserved: Number
    available_to_sell: Number
    event_id: str


class StockAdjusted(msgspec.Struct, frozen=True):
    """An answer, and the entity tag of the stock that it gives."""

    body: AdjustAnswer
    tag: str


class AdjustStock(KeyedCommand):
    """Record the event of an adjustment. Answered with a StockAdjusted.

    `if_match`: only where the item's stock is as it was, else 412 `stock-changed`. Raises Problem as `RecordEvent`
    does, and 422 `unknown-item`, 409 `ambiguous-barcode`. A repetition is answered as at first, while head office has
    the item by the same codes.
    """

    kind = "adjust"

    def __init__(self, content: AdjustContent, *, key: str, actor: str, if_match: IfMatch | None = None) -> None:
        super().__init__(content, key=key, actor=actor)
        self._content = content
        self._if_match = if_match

    def decide(self, view: View) -> Decision:
        content = self._content
        item_id = content.sku
        if view.item(item_id) is None:
            meant = item_with_barcode(view.items_with_barcode(item_id), item_id)
            if meant is None:
                raise UNKNOWN_ITEM(no_item_named(item_id), item_id=item_id)
            item_id = meant
        kind = content.kind
        entry = EventContent(
            type=kind.type,
            item_id=item_id,
            quantity=abs(content.change) if kind.sign else content.change,
            reason=kind.code,
            note=content.event_note,
        )
        recording = RecordEvent(entry, key=self.key or "", actor=self.actor, if_match=self._if_match)
        return recording.decide(view)

    def answer(self, recorded: RecordedCommand) -> StockAdjusted:
        (sealed,) = recorded.sealed
        event = sealed.event
        item_id, location_id = event.item_id or "", event.location_id
        connection = recorded.look()
        newest: list[bytes] = []
        standings: list[Standing] = []
        for code in codes_of(connection, item_id)[1]:
            if code == item_id:
                newest.append(sealed.hash)
                standings.append(recorded.standings[code])
                continue
            newest.append(newest_event(connection, code, event.sequence))
            known = {"known_through": event.sequence, "moment": event.recorded_at}
            then = standing_then(connection, location_id, code, known_through=event.sequence)
            reserved = standing_then(connection, location_id, code, **known).reserved if then.reserved else 0
            standings.append(Standing(then.on_hand, reserved))
        on_hand, reserved = sum(each.on_hand for each in standings), sum(each.reserved for each in standings)
        body = AdjustAnswer(
            sku=self._content.sku,
            on_hand=quantity_json(on_hand),
            reserved=quantity_json(reserved),
            available_to_sell=quantity_json(on_hand - reserved),
            event_id=event.event_id,
        )
        return StockAdjusted(body, stock_tag(newest, on_hand - reserved))
