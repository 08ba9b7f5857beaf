"""Checks that commands make before they record: item and unit, time, and the balance of strict items."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from branch_node.model import Item, View
from branch_node.problems import AMBIGUOUS_BARCODE, FUTURE_DATE, STRICT_ITEM, UNIT_DIFFERS, UNKNOWN_ITEM
from shared.code_sums import summed_breach
from shared.events import Event, quantity_text
from shared.runtime.clock import MINUTE, format_rfc3339
from shared.runtime.problems import named_faults
from shared.stock import Movement, Place, movement, strict_breach

AHEAD: Final = 5 * MINUTE
"""How far ahead of the node's clock a time may be, in microseconds."""

MOST_NAMED: Final = 10
"""How many of the items that share a barcode are named."""


def moment_of(view: View, occurred_at: int | None, field: str = "occurred_at") -> int:
    """The given time, else now (microseconds UTC). Raises 422 `future-date`, unless the clock is unconfirmed."""
    if occurred_at is None:
        return view.now
    if occurred_at > view.now + AHEAD and not view.clock_unconfirmed:
        given, now = format_rfc3339(occurred_at), format_rfc3339(view.now)
        raise FUTURE_DATE(f"{field}: {given} is ahead of this node's {now}", now=now)
    return occurred_at


def known_item(view: View, item_id: str, unit: str | None) -> Item:
    """The item with this code and, if given, this unit. Raises 422 `unknown-item` or `unit-differs`."""
    item = view.item(item_id)
    if item is None:
        raise UNKNOWN_ITEM(f"there is no item {item_id!r}", item_id=item_id)
    if unit is not None and unit != item.unit:
        raise UNIT_DIFFERS(f"{item_id} is kept in {item.unit}, not in {unit}", item_id=item_id, unit=item.unit)
    return item


def known_items(view: View, named: Sequence[tuple[str, str, str | None]]) -> dict[str, Item]:
    """The items of lines given as (path of the line, item code, unit). The Problem names every unknown item."""
    unknown = [(path, item_id) for path, item_id, _ in named if view.item(item_id) is None]
    if unknown:
        item_id, others = unknown[0][1], len(unknown) - 1
        more = f", nor {others} other{'s' if others > 1 else ''}" if others else ""
        raise UNKNOWN_ITEM(
            f"there is no item {item_id!r}{more}",
            item_id=item_id,
            errors=[{"field": f"{path}.item_id", "message": f"there is no item {name!r}"} for path, name in unknown],
        )
    return {item_id: known_item(view, item_id, unit) for _, item_id, unit in named}


def items_named(view: View, named: Sequence[tuple[str, str]]) -> dict[str, Item]:
    """The items of (path of the field, what it says): an item's code, else its barcode. The Problem names all unknown.

    Raises 422 `unknown-item`, 409 `ambiguous-barcode` for one that several items have.
    """
    found: dict[str, Item] = {}
    errors: list[dict[str, str]] = []
    for path, name in named:
        item = view.item(name)
        if item is None:
            alike = view.items_with_barcode(name)
            meant = item_with_barcode(alike, name, path)
            item = None if meant is None else view.item(meant) or alike[0]
        if item is None:
            errors.append({"field": path, "message": no_item_named(name)})
        else:
            found[name] = item
    if errors:
        unknown = next(name for path, name in named if path == errors[0]["field"])
        more = f" (and {len(errors) - 1} more, see 'errors')" if len(errors) > 1 else ""
        raise UNKNOWN_ITEM(errors[0]["message"] + more, item_id=unknown, **named_faults(errors))
    return found


def item_with_barcode(alike: Iterable[Item], barcode: str, path: str | None = None) -> str | None:
    """The item that a barcode means, of those that have it; codes that stand for one item are that item. Pure.

    None where there is none. Raises 409 `ambiguous-barcode`, which names the field at `path`, if any.
    """
    meant = sorted({each.stands_for or each.item_id for each in alike})
    if len(meant) > 1:
        where = "" if path is None else f"{path}: "
        named = meant[:MOST_NAMED]
        raise AMBIGUOUS_BARCODE(f"{where}{barcode!r} is the barcode of {', '.join(named)}", items=named)
    return meant[0] if meant else None


def no_item_named(name: str) -> str:
    """What is said of a text that names no item."""
    return f"there is no item with the code or the barcode {name!r}"


def is_strict(view: View, item: Item) -> bool:
    """Whether the item may not fall below zero: one of the codes that it has here is strict."""
    if item.strict:
        return True
    codes = view.codes(item.stands_for or item.item_id)
    return len(codes) > 1 and any(known is not None and known.strict for known in map(view.item, codes))


class StrictGuard:
    """Refuses an event that would take a strict item below zero, after the earlier events of its command.

    Of an item with several codes it is the sum over them that may not fall below zero.
    """

    def __init__(self, view: View) -> None:
        self._view = view
        self._sequence = view.head.sequence
        self._own: dict[str, list[Movement]] = {}

    def add(self, item: Item, event: Event) -> None:
        """Check the command's next event. Raises 409 `strict-item-below-zero`."""
        self._sequence += 1
        if not is_strict(self._view, item):
            return
        event.sequence = self._sequence
        new = movement(event)
        event.sequence = 0
        own = self._own.setdefault(item.item_id, [])
        if new.on_hand_change is not None and new.on_hand_change < 0:
            breach = self._breach(item, new, own)
            if breach is not None:
                self._refuse(item, new, breach)
        own.append(new)

    def pass_over(self, item: Item, event: Event) -> None:
        """Take the command's next event into account without a check: it is one that is always recorded."""
        self._sequence += 1
        event.sequence = self._sequence
        self._own.setdefault(item.item_id, []).append(movement(event))
        event.sequence = 0

    def _breach(self, item: Item, new: Movement, own: list[Movement]) -> Place | None:
        codes = self._view.codes(item.stands_for or item.item_id)
        if len(codes) > 1:
            by_code = {code: [*self._view.movements(code), *self._own.get(code, ())] for code in codes}
            return summed_breach(by_code, item.item_id, new)
        # For speed: nothing can follow the newest event. `shared.stock` names the test.
        standing = self._view.standing(item.item_id)
        if not own and new.place > standing.latest:
            return new.place if standing.on_hand + (new.on_hand_change or 0) < 0 else None
        return strict_breach([*self._view.movements(item.item_id), *own], new)

    def _refuse(self, item: Item, new: Movement, breach: Place) -> None:
        at = format_rfc3339(breach.occurred_at)
        recorded = breach.sequence <= self._view.head.sequence
        raise STRICT_ITEM(
            f"{item.item_id} would be below zero at {at}, after taking {quantity_text(-(new.on_hand_change or 0))}",
            item_id=item.item_id,
            below_zero_at={"occurred_at": at, "sequence": breach.sequence if recorded else None},
        )
