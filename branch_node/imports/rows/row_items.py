"""Which item a row names: by its code, by a barcode, or by a code that stands for it."""

from __future__ import annotations

from collections.abc import Sequence

from branch_node.imports.cells.cell_readers import RowRejected, composed, good_item
from branch_node.imports.mapping.import_map import ImportMap, ItemKey
from branch_node.imports.rows.import_catalogue import ImportCatalogue


class RowItems:
    """Finds the code of the item that a cell names. Codes that the catalogue lacks stay as they are written.

    Where the map folds case, new codes that differ in case alone are one item, under the first of them in the file.
    """

    def __init__(self, import_map: ImportMap, catalogue: ImportCatalogue) -> None:
        self._catalogue = catalogue
        self._keys: Sequence[ItemKey] = import_map.item_keys
        self._fold = import_map.item_case == "fold"
        self._new: dict[str, str] | None = {} if import_map.unknown_items == "create" else None

    def code(self, text: str) -> str:
        """The item's code. Raises RowRejected: no such item, several of them, or a text that cannot be a code."""
        written = composed(text)
        for key in self._keys:
            found = self._found(key, written)
            if len(found) > 1:
                raise RowRejected(f"the {key} {written[:64]!r} is of several items: {', '.join(found[:5])}")
            if found:
                return found[0]
        if "code" not in self._keys:
            raise RowRejected(f"there is no item with the {' or '.join(self._keys)} {written[:64]!r}")
        code = good_item(written)
        return self._new.setdefault(code.casefold(), code) if self._fold and self._new is not None else code

    def _found(self, key: ItemKey, text: str) -> Sequence[str]:
        if key == "barcode":
            return self._catalogue.by_barcode(text)
        if key == "alias":
            return self._catalogue.by_alias(text)
        if self._catalogue.unit_of(text) is not None:
            return (text,)
        return self._catalogue.by_folded_code(text.casefold()) if self._fold else ()
