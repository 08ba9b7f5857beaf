"""What the reading of rows asks of the branch's catalogue."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from sqlalchemy import Connection, select

from branch_node.database.schema import ITEM
from branch_node.model import Item


class ImportCatalogue(Protocol):
    """The items that rows may name. Lists are of item codes, in order; empty where there is none."""

    def unit_of(self, item_id: str) -> str | None:
        """The base unit of an item, None where there is no such item."""

    def by_barcode(self, barcode: str) -> Sequence[str]: ...

    def by_alias(self, code: str) -> Sequence[str]:
        """The items that a code of this branch stands for, as head office mapped it."""

    def by_folded_code(self, folded: str) -> Sequence[str]:
        """The items whose codes are this text but for the case of letters; `folded` is casefolded."""


class ItemsCatalogue:
    """An ImportCatalogue of items as they are when it is made."""

    def __init__(self, items: Iterable[Item] = ()) -> None:
        self._units: dict[str, str] = {}
        self._barcodes: dict[str, list[str]] = {}
        self._aliases: dict[str, list[str]] = {}
        self._folded: dict[str, list[str]] = {}
        for item in sorted(items, key=lambda each: each.item_id):
            self._units[item.item_id] = item.unit
            self._folded.setdefault(item.item_id.casefold(), []).append(item.item_id)
            if item.barcode is not None:
                self._barcodes.setdefault(item.barcode, []).append(item.item_id)
            if item.stands_for is not None:
                self._aliases.setdefault(item.item_id, []).append(item.stands_for)

    @classmethod
    def stored(cls, connection: Connection) -> ItemsCatalogue:
        """Of the items in a branch's database."""
        return cls(Item(**row._mapping) for row in connection.execute(select(ITEM)))

    def unit_of(self, item_id: str) -> str | None:
        return self._units.get(item_id)

    def by_barcode(self, barcode: str) -> Sequence[str]:
        return self._barcodes.get(barcode, ())

    def by_alias(self, code: str) -> Sequence[str]:
        return self._aliases.get(code, ())

    def by_folded_code(self, folded: str) -> Sequence[str]:
        return self._folded.get(folded, ())
