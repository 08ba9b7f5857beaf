"""The command that defines an item of the branch's own, until head office's catalogue has it."""

from __future__ import annotations

import msgspec

from branch_node.commands.input_fields import DEFAULT_SOURCE
from branch_node.commands.item_inputs import ItemContent
from branch_node.commands.keyed_command import KeyedCommand
from branch_node.database.lookups import item_used
from branch_node.model import Decision, Item, RecordedCommand, View, unplaced
from branch_node.problems import ITEM_OF_GROUP, UNIT_FIXED
from branch_node.records import ItemRecord
from shared.events import Definition, EventType


class DefineItem(KeyedCommand):
    """Define an item, or change the branch's own definition of it. Answered with an `ItemRecord`."""

    kind = "item"

    def __init__(self, content: ItemContent, *, key: str, actor: str, keeps: bool = False) -> None:
        """`keeps`: the key is a caller's, and stands for its answer for ever, also where nothing was recorded."""
        super().__init__(content, key=key, actor=actor)
        self.content = content
        self._keeps = keeps

    def decide(self, view: View) -> Decision:
        item_id, definition = self.content.item_id, self.content.definition
        item = _item(item_id, definition)
        known = view.item(item_id)
        if known is not None:
            item = msgspec.structs.replace(item, stands_for=known.stands_for)
            if known == msgspec.structs.replace(item, defined_here=known.defined_here):
                answer = item_record(known)
                return Decision(answer=answer, kept=msgspec.json.encode(answer) if self._keeps else None)
            if not known.defined_here:
                raise ITEM_OF_GROUP(f"{item_id} is head office's item {known.name!r}", item_id=item_id)
            if known.unit != item.unit and item_used(view.connection, item_id):
                raise UNIT_FIXED(f"events of {item_id} are recorded in {known.unit}", item_id=item_id, unit=known.unit)
        event = unplaced(
            view,
            EventType.ITEM_DEFINED,
            actor=self.actor,
            source=DEFAULT_SOURCE,
            item_id=item_id,
            definition=definition,
        )
        return Decision(events=[event], items=[item])

    def answer(self, recorded: RecordedCommand) -> ItemRecord:
        event = recorded.sealed[0].event
        return item_record(_item(event.item_id or "", event.definition or self.content.definition))


def _item(item_id: str, definition: Definition) -> Item:
    return Item(
        item_id=item_id,
        name=definition.name,
        unit=definition.unit,
        category=definition.category,
        barcode=definition.barcode,
        strict=bool(definition.strict),
        defined_here=True,
    )


def item_record(item: Item) -> ItemRecord:
    """The answered record of a definition, without reorder level and without what its code stands for.

    Head office says these, not the log, so that a repeated request could not be answered alike.
    """
    return ItemRecord(**msgspec.structs.asdict(msgspec.structs.replace(item, stands_for=None)))
