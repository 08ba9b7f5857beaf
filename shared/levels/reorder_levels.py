"""Reorder levels: when an item is low at a location, and how much to order then. Pure.

Quantities are thousandths of the item's base unit and every figure is exact. Source: INTERFACES A4 and A5.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from shared.events import MAX_QUANTITY, quantity_text
from shared.runtime.text.text_faults import code_fault

MAX_LEAD_DAYS: Final = 366
MAX_SUPPLIER_ID: Final = 64


class ReorderLevel(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The reorder level of one item at one location. Exactly one of `order_up_to` and `order_quantity` is set.

    At `reorder_point` available or less it is to be ordered: up to `order_up_to`, or `order_quantity` or a multiple of
    it; in whole packs of `pack_size`. `lead_days`: from the order to the delivery; None: what the supplier says.
    """

    reorder_point: int
    order_up_to: int | None = None
    order_quantity: int | None = None
    supplier_id: str | None = None
    pack_size: int | None = None
    lead_days: int | None = None


def level_faults(level: ReorderLevel) -> Iterator[tuple[str, str]]:
    """Find what a reorder level cannot be: the name of the field, and why. The databases hold the same rules."""
    yield from ((name, why) for name, why in _single_faults(level) if why is not None)
    if (level.order_up_to is None) == (level.order_quantity is None):
        yield "order_up_to", "give exactly one of order_up_to and order_quantity"
    elif level.order_up_to is not None and level.order_up_to <= level.reorder_point:
        yield "order_up_to", "it is not above the reorder point"


def _single_faults(level: ReorderLevel) -> Iterator[tuple[str, str | None]]:
    for name, lowest in (("reorder_point", 0), ("order_up_to", 1), ("order_quantity", 1), ("pack_size", 1)):
        quantity = getattr(level, name)
        if quantity is not None and not lowest <= quantity <= MAX_QUANTITY:
            yield name, f"it is not from {quantity_text(lowest)} to {quantity_text(MAX_QUANTITY)}"
    supplier_id = level.supplier_id
    if supplier_id is not None:
        length = 1 <= len(supplier_id) <= MAX_SUPPLIER_ID
        yield "supplier_id", code_fault(supplier_id) if length else f"it has 1 to {MAX_SUPPLIER_ID} characters"
    if level.lead_days is not None and not 0 <= level.lead_days <= MAX_LEAD_DAYS:
        yield "lead_days", f"it is not from 0 to {MAX_LEAD_DAYS}"


def is_low(level: ReorderLevel, projected: int) -> bool:
    """Whether an item with so much available, or on its way, is to be ordered."""
    return projected <= level.reorder_point


def to_order(level: ReorderLevel, projected: int) -> int:
    """Compute how much to order where so much is available or on its way; 0 above the level.

    Up to `order_up_to`, or the smallest multiple of `order_quantity`, at least one, that leads above the level; then
    up to whole packs.
    """
    if not is_low(level, projected):
        return 0
    if level.order_quantity is not None:
        want = ((level.reorder_point - projected) // level.order_quantity + 1) * level.order_quantity
    else:
        want = (level.order_up_to or 0) - projected
    return want if level.pack_size is None else -(-want // level.pack_size) * level.pack_size


def level_from_target(level: int, target: int) -> ReorderLevel | None:
    """Read a level as older versions had it: order at `level` or less, up to `target`; None where both are zero.

    Where both were equal nothing was to be ordered at the level itself, only below it: so the reorder point is the
    quantity below.
    """
    if target <= 0:
        return None
    return ReorderLevel(reorder_point=min(level, target - 1), order_up_to=target)
