"""Quantities that a file gives in other units than the items are kept in."""

from __future__ import annotations

from decimal import Context, Decimal, Inexact
from typing import Final

from branch_node.imports.cells.cell_readers import RowRejected, good_unit
from branch_node.imports.mapping.import_map import ImportMap
from branch_node.imports.rows.import_catalogue import ImportCatalogue
from shared.events import MAX_QUANTITY, Entered

# Wide enough for every product of what is read here; anything that is not exact is an error.
_EXACT: Final = Context(prec=200, traps=[Inexact])
_SHOWN: Final = 30


class RowUnits:
    """Converts quantities into the base units of their items, by the factors of the map.

    A new item's unit is the one of new_items, else that of the first row that is read of it.
    """

    def __init__(self, import_map: ImportMap, catalogue: ImportCatalogue) -> None:
        self._catalogue = catalogue
        self._units = import_map.units
        self._item_units = import_map.item_units
        new = import_map.new_items
        self._creates = new is not None
        self._new_unit = new.unit if new is not None else None
        self._defined: dict[str, str] = {}
        self._factors: dict[tuple[str, str], Decimal] = {}
        self._last: str | None = None

    def base_unit(self, item_id: str, unit: str) -> str:
        """The unit that the item is, or would be, kept in; `unit` is the row's. Raises RowRejected."""
        known = self._catalogue.unit_of(item_id) or self._defined.get(item_id)
        if known is not None:
            return known
        if not self._creates:
            raise RowRejected(f"there is no item {item_id!r}, so that its unit is not known (unknown-item)")
        if self._new_unit is None and not unit:
            raise RowRejected(f"the item {item_id!r} is not known, and the row gives no unit to define it with")
        return self._new_unit or good_unit(unit)

    def factor(self, item_id: str, unit: str) -> Decimal:
        """How many base units of the item are one `unit`. Raises RowRejected where the map does not say it."""
        found = self._factors.get((item_id, unit))
        if found is None:
            base = self.base_unit(item_id, unit)
            found = self._declared(item_id, base, unit)
            if item_id in self._defined or self._catalogue.unit_of(item_id) is not None:
                self._factors[item_id, unit] = found
        return found

    def define(self, item_id: str, unit: str) -> None:
        """Keep the unit of an item that the catalogue lacks, from the first of its rows."""
        self._last = None
        if self._creates and item_id not in self._defined and self._catalogue.unit_of(item_id) is None:
            self._defined[item_id] = self.base_unit(item_id, unit)
            self._last = item_id

    def discard(self) -> None:
        """The row that was last given to `define` is no event after all, and says nothing of its item's unit."""
        if self._last is not None:
            # Factors are kept for items of known units only, so there is none of this row.
            del self._defined[self._last]
            self._last = None

    def defined(self, item_id: str) -> str | None:
        """The unit of a new item, None where no row of it was read."""
        return self._defined.get(item_id) or self._new_unit

    def _declared(self, item_id: str, base: str, unit: str) -> Decimal:
        own = self._item_units.get(item_id, {}).get(unit)
        if own is not None:
            return Decimal(own)
        if unit == base:
            return Decimal(1)
        of_base = self._units.get(base, {}).get(unit)
        if of_base is not None:
            return Decimal(of_base)
        if not unit:
            raise RowRejected(f"the row gives no unit; {item_id} is kept in {base}")
        raise RowRejected(
            f"{item_id} is kept in {base}, and the map does not say how many {base} one {unit[:_SHOWN]!r} is: "
            f"give it in [units.{base}] or [item_units.{item_id}]"
        )


def converted(number: Decimal, factor: Decimal, unit: str) -> tuple[int, Entered | None]:
    """`number` of `unit` in thousandths of the base unit, and as it was entered, where an event can hold that.

    Raises RowRejected for what is no whole number of thousandths, or too much.
    """
    try:
        thousandths = _EXACT.multiply(_EXACT.multiply(number, factor), Decimal(1_000))
    except Inexact:
        raise RowRejected(f"{number} {unit[:_SHOWN]} come to more digits than are kept") from None
    if thousandths != thousandths.to_integral_value():
        come = format(thousandths.scaleb(-3).normalize(), "f")
        raise RowRejected(f"{number} {unit[:_SHOWN]} come to {come[:40]} base units; at most 3 decimals are kept")
    quantity = int(thousandths)
    if abs(quantity) > MAX_QUANTITY:
        raise RowRejected(f"{number} {unit[:_SHOWN]} come to a quantity out of range")
    entered, by = number.scaleb(3), factor.scaleb(3)
    if entered != entered.to_integral_value() or by != by.to_integral_value() or abs(entered) > MAX_QUANTITY:
        return quantity, None
    return quantity, Entered(factor=int(by), quantity=int(entered), unit=unit)
