"""The command that records one event by hand, or a production with all items it used."""

from __future__ import annotations

from typing import Any

from branch_node.commands.adjustments.unchanged_stock import check_unchanged
from branch_node.commands.counts import stocktake
from branch_node.commands.event_inputs import EventContent, LineContent
from branch_node.commands.keyed_command import KeyedCommand
from branch_node.commands.preconditions import StrictGuard, is_strict, known_item, moment_of
from branch_node.commands.purchases.ordered_lines import names_an_order, supplier_of
from branch_node.model import Decision, RecordedCommand, View, unplaced
from branch_node.records import BranchEventRecord, record_into, record_of
from shared.events import Event, EventType
from shared.runtime.http.entity_tags import IfMatch


class EventAnswer(BranchEventRecord, kw_only=True, gc=False):
    """The recorded event; with a production, the events of what it used."""

    used: tuple[BranchEventRecord, ...] = ()


class RecordEvent(KeyedCommand):
    """Record one event of a type that is recorded by hand. Answered with an `EventAnswer`.

    `if_match`: only where the item's stock is as it was, else 412 `stock-changed`; a repetition is answered as at
    first.
    """

    kind = "event"
    _if_match: IfMatch | None = None
    """A row of an import has none: it is recorded whatever the stock is."""

    def __init__(self, entry: EventContent, *, key: str, actor: str, if_match: IfMatch | None = None) -> None:
        super().__init__(entry, key=key, actor=actor)
        self.entry = entry
        self._if_match = if_match
        self.size = 1 + len(entry.used)

    def decide(self, view: View) -> Decision:
        entry = self.entry
        item = known_item(view, entry.item_id, entry.unit)
        if self._if_match is not None:
            check_unchanged(view, item, self._if_match)
        at = moment_of(view, entry.occurred_at)
        if entry.type is EventType.STOCKTAKE:
            fields: dict[str, Any] = {"reason": entry.reason, "reference": entry.reference}
            count = stocktake(
                view, item, counted=entry.counted or 0, at=at, actor=self.actor, source=entry.source, fields=fields
            )
            add_detail(count, entry)
            return Decision(events=(count,))
        supplier: dict[str, Any] = {}
        reference = entry.reference
        if reference is not None and names_an_order(entry.type, reference):
            supplier_id = supplier_of(view, item, reference)
            # A field that is not there may not be named: it decides the event's schema.
            supplier = {} if supplier_id is None else {"supplier_id": supplier_id}
        event = unplaced(
            view,
            entry.type,
            actor=self.actor,
            source=entry.source,
            occurred_at=at,
            item_id=item.item_id,
            quantity=entry.quantity,
            unit=item.unit,
            reference=reference,
            reason=entry.reason,
            transfer_id=entry.transfer_id,
            **supplier,
        )
        add_detail(event, entry)
        if not entry.used and not is_strict(view, item):
            return Decision(events=(event,))
        guard = StrictGuard(view)
        guard.add(item, event)
        return Decision(events=[event, *(self._used(view, guard, line, at) for line in entry.used)])

    def _used(self, view: View, guard: StrictGuard, line: LineContent, at: int) -> Event:
        item = known_item(view, line.item_id, line.unit)
        event = unplaced(
            view,
            EventType.PRODUCTION_USED,
            actor=self.actor,
            source=self.entry.source,
            occurred_at=at,
            item_id=item.item_id,
            quantity=line.quantity,
            unit=item.unit,
            reference=self.entry.reference,
        )
        add_detail(event, line)
        guard.add(item, event)
        return event

    def answer(self, recorded: RecordedCommand) -> BranchEventRecord:
        first, *used = recorded.sealed
        record = record_into(EventAnswer, first, recorded.standings[first.event.item_id or ""])
        if used:
            record.used = tuple(record_of(each, recorded.standings[each.event.item_id or ""]) for each in used)
        return record


def add_detail(event: Event, line: LineContent) -> None:
    """Set an event's optional fields of a line."""
    event.note, event.cost, event.entered = line.note, line.cost, line.entered
    event.lot, event.area, event.expires_on = line.lot, line.area, line.expires_on
