"""The items as one transaction of the writer has them: what is committed, and what the group has changed."""

from __future__ import annotations

from branch_node.model import Item
from branch_node.writer.committed_state import CommittedState, codes_of_items, mapped_codes


class GroupItems:
    """Valid for one transaction. `changed`: the items that the group has changed, by code."""

    def __init__(self, committed: CommittedState) -> None:
        self._committed = committed
        self.changed: dict[str, Item] = {}

    def item(self, item_id: str) -> Item | None:
        return self.changed.get(item_id) or self._committed.items.get(item_id)

    def with_barcode(self, barcode: str) -> list[Item]:
        """The items that have this barcode, in order of code."""
        found = {each.item_id: each for each in self._committed.items_with_barcode(barcode)} | self.changed
        return [found[code] for code in sorted(found) if found[code].barcode == barcode]

    def codes(self, item_id: str) -> list[str]:
        """The codes under which this log has an item: its own, unless that stands for another item, and its aliases."""
        known = codes_of_items(self.mapped()) if self.changed else self._committed.codes
        return known.get(item_id, [item_id])

    def mapped(self) -> dict[str, str]:
        """The item of the group that each mapped code stands for."""
        kept = {code: meant for code, meant in self._committed.mapped.items() if code not in self.changed}
        return kept | mapped_codes(self.changed.values())

    def publish(self) -> None:
        """Put the group's changes into the committed state; called after the commit."""
        if self.changed:
            # A new dict: other threads iterate the old one.
            self._committed.items = {**self._committed.items, **self.changed}
            self._committed.change_mapped(self.mapped())
