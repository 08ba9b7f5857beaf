"""The request body of an item definition, and the content that is read from it."""

from __future__ import annotations

import msgspec

from branch_node.commands.input_fields import StrictInput, codes, names
from shared.checked_fields import CheckedCode, Name
from shared.events import Definition
from shared.runtime.problems import invalid_request


class ItemInput(StrictInput, kw_only=True):
    """An item of the branch's own, until head office takes it over."""

    name: Name
    unit: CheckedCode
    category: Name | None = None
    barcode: CheckedCode | None = None
    strict: bool | None = None


class ItemContent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The content of an `ItemInput`, with the item's code."""

    item_id: str
    definition: Definition


def item_of(item_id: str, body: ItemInput) -> ItemContent:
    """The content of an item definition. Raises Problem."""
    if not 1 <= len(item_id) <= 64:
        invalid_request("item_id", "an item's code has 1 to 64 characters")
    codes(item_id=item_id, unit=body.unit, barcode=body.barcode)
    names(name=body.name, category=body.category)
    definition = Definition(
        barcode=body.barcode, category=body.category, name=body.name, strict=body.strict or None, unit=body.unit
    )
    return ItemContent(item_id=item_id, definition=definition)
