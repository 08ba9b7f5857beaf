"""What a dry run shows besides its counts: the first rows as events, the new items, and texts of items that look alike.

Memory is bounded: by MOST_TEXTS different texts of items.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from branch_node.commands.event_inputs import EventContent
from branch_node.commands.item_inputs import ItemContent
from branch_node.imports.row_preview import RowPreview
from branch_node.imports.rows.import_catalogue import ImportCatalogue
from branch_node.imports.rows.row_columns import HeaderError, RowColumns

SAMPLES: Final = 5
NEW_ITEMS: Final = 20
LOOK_ALIKES: Final = 20
MOST_TEXTS: Final = 50_000

# Blanks of all kinds, and what is not seen at all.
_UNSEEN: Final = re.compile("[\\s\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u2060-\u2064\ufeff]+")


class NewItem(msgspec.Struct, frozen=True, kw_only=True):
    """An item that the import would define."""

    item_id: str
    name: str
    unit: str


class LookAlike(msgspec.Struct, frozen=True, kw_only=True):
    """Texts of items that are equal but for case, blanks, unseen characters and the form of their letters.

    `texts` are as the file writes them. `items` are the codes that they become, and those of the node's items that
    look so too: one where the texts are one item, several where they are several. `rejected`: some are no code at all.
    """

    texts: list[str]
    items: list[str]
    rejected: bool

    @property
    def are_one(self) -> bool:
        return len(self.items) == 1 and not self.rejected

    @property
    def in_words(self) -> str:
        """The texts, with what cannot be seen written out, and what becomes of them."""
        texts = ", ".join(ascii(text) if not text.isprintable() else repr(text) for text in self.texts[:5])
        items = ", ".join(self.items[:5])
        if not self.items:
            return f"{texts}: rejected"
        told = f"{len(self.items)} items, {items}" if len(self.items) > 1 else f"one item, {items}"
        return f"{texts}: {told}{'; some are rejected' if self.rejected else ''}"


class DryRunPreview:
    """Collects it row by row; `begin` says where a row has its item. `zone` is the location's."""

    def __init__(self, catalogue: ImportCatalogue) -> None:
        self._catalogue = catalogue
        self._place: int | None = None
        self._codes: dict[str, str | None] = {}
        self.is_complete = True
        self.zone = "UTC"
        self.samples: list[RowPreview] = []
        self.new_items: list[NewItem] = []

    def begin(self, header: Sequence[str], item: str | None, zone: str) -> None:
        """The columns of the file; `item` is the one of items, where it has one."""
        self.zone = zone
        try:
            self._place = None if item is None else RowColumns(header).place(item, "columns.item")
        except HeaderError:
            # A column of a lookup, whose texts another file holds.
            self._place = None

    def add(self, line: int, cells: Sequence[str], entry: EventContent, own_id: str | None) -> None:
        """A row that would be recorded."""
        if len(self.samples) < SAMPLES:
            self.samples.append(RowPreview.of(line, entry, own_id))
        self._add_text(cells, entry.item_id)

    def add_rejected(self, cells: Sequence[str]) -> None:
        self._add_text(cells, None)

    def add_item(self, item: ItemContent) -> None:
        """An item that would be defined."""
        if len(self.new_items) < NEW_ITEMS:
            definition = item.definition
            self.new_items.append(
                NewItem(item_id=item.item_id, name=definition.name or item.item_id, unit=definition.unit or "")
            )

    def look_alikes(self) -> list[LookAlike]:
        """The groups of texts that look alike and differ, those that become several items first."""
        groups: dict[str, list[str]] = {}
        for text in self._codes:
            groups.setdefault(_looks(text), []).append(text)
        found = []
        for look, texts in groups.items():
            items = {code for text in texts if (code := self._codes[text]) is not None}
            # The node's items are asked for by the folded text, which finds all that differ in case alone.
            for text in (look, *(unicodedata.normalize("NFC", each.strip()).casefold() for each in texts)):
                items.update(self._catalogue.by_folded_code(text))
            rejected = any(self._codes[text] is None for text in texts)
            if len(texts) > 1 or len(items) > 1 or (rejected and items):
                found.append(LookAlike(texts=texts, items=sorted(items), rejected=rejected))
        return sorted(found, key=lambda each: (each.are_one, -len(each.items)))

    def document(self) -> dict[str, Any]:
        """The members of a dry run's document."""
        return {
            "samples": [each.document() for each in self.samples],
            "new_items": [msgspec.structs.asdict(each) for each in self.new_items],
            "look_alikes": [
                {**msgspec.structs.asdict(each), "are_one": each.are_one} for each in self.look_alikes()[:LOOK_ALIKES]
            ],
        }

    def _add_text(self, cells: Sequence[str], code: str | None) -> None:
        if self._place is None or self._place >= len(cells):
            return
        text = cells[self._place]
        if text in self._codes:
            if code is not None and self._codes[text] is None:
                self._codes[text] = code
        elif not text.strip():
            return
        elif len(self._codes) < MOST_TEXTS:
            self._codes[text] = code
        else:
            self.is_complete = False


def _looks(text: str) -> str:
    """What texts that look alike have in common; empty texts have none."""
    return _UNSEEN.sub("", unicodedata.normalize("NFKC", text)).casefold()
