"""Reading rows of the file by the map: each is filtered, skipped, rejected, or an event to be recorded.

Pure. A RowReader is built once from a map and a header, with columns resolved and caches prepared, as a till's year has
a million rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Final

from branch_node.commands.event_inputs import EventContent
from branch_node.commands.item_inputs import ItemContent
from branch_node.imports.cells import cell_readers as cell
from branch_node.imports.cells.cell_readers import Cells, RowRejected, in_column, naming_column
from branch_node.imports.cells.memo import Memo
from branch_node.imports.cells.number_reader import NumberReader
from branch_node.imports.cells.timestamps import YearOf
from branch_node.imports.files.cell_texts import MOMENT
from branch_node.imports.mapping.import_map import Condition, IdColumn, ImportMap
from branch_node.imports.mapping.time_columns import column_times
from branch_node.imports.rows.import_catalogue import ImportCatalogue, ItemsCatalogue
from branch_node.imports.rows.row_columns import HeaderError, LeftOutCells, LookupTable, RowColumns, Text
from branch_node.imports.rows.row_conditions import CellTest, cell_tests
from branch_node.imports.rows.row_costs import CostOf, CostReader
from branch_node.imports.rows.row_items import RowItems
from branch_node.imports.rows.row_kinds import RowKind, RowKinds
from branch_node.imports.rows.row_times import moment_reader, year_of_rows
from branch_node.imports.rows.row_units import RowUnits, converted
from shared.events import MAX_LINES, Definition, Entered, Reference, quantity_text
from shared.runtime.clock import format_rfc3339

__all__ = ["FILTERED", "SKIPPED", "HeaderError", "LookupTable", "RowReader"]

FILTERED: Final = "filtered"
SKIPPED: Final = "skipped"

_NO_ITEMS: Final = ItemsCatalogue()


class RowReader:
    """Reads rows of one header by one map. Raises HeaderError where the map names a column that is not there.

    `catalogue` is asked for units, barcodes and the like; `now` (microseconds UTC) is the import's, for a year of
    "latest". `left_out` counts the cells that the map lets be left out, by column. `id_place` is the place of the
    rows' own ids, if the map names one; `nothing` are the texts that are empty cells.
    """

    def __init__(
        self,
        import_map: ImportMap,
        header: Sequence[str],
        lookups: Mapping[str, LookupTable] | None = None,
        *,
        catalogue: ImportCatalogue = _NO_ITEMS,
        now: int | None = None,
    ) -> None:
        self._map = import_map
        self._columns = RowColumns(header, import_map.null)
        # Rows that are left out are found before their lookups, in which other stores' rows may not be.
        self._where = self._tests_where(lambda column: not self._of_a_lookup(column))
        self._lookup_places = [
            self._columns.add_lookup(name, given.on, (lookups or {})[name]) for name, given in import_map.lookup.items()
        ]
        self._where_looked_up = self._tests_where(self._of_a_lookup)
        self._numbers = NumberReader(import_map.decimal, import_map.thousands, import_map.currencies)
        self._amounts: Memo[str, Decimal] = Memo(self._numbers.amount)
        self._left = LeftOutCells()
        self.left_out = self._left.cells
        try:
            self._year_of = year_of_rows(import_map, now)
        except ValueError as error:
            raise HeaderError(f"year: {error}") from error
        columns, new = import_map.columns, import_map.new_items
        text = self._columns.text
        self._items = RowItems(import_map, catalogue)
        self._units = RowUnits(import_map, catalogue)
        self._id = text("columns.id", columns.id)
        self.id_place = 0 if columns.id is None else self._columns.place(columns.id, "columns.id")
        self.nothing = self._columns.nothing
        scope = import_map.id_scope
        self._good_id = naming_column(columns.id, cell.good_id)
        self._scope = text("id_scope.column", scope.column if isinstance(scope, IdColumn) else None)
        self._unit = text(
            "columns.unit" if columns.unit else "new_items.unit_column", import_map.unit_column, cell.composed
        )
        self._name = text("new_items.name_column", new.name_column, cell.good_name) if new else None
        self._category = text("new_items.category_column", new.category_column, cell.good_name) if new else None
        self._new_unit = new.unit if new else None
        self.read: Callable[[Cells], EventContent | str] = self._reader()
        """The event to record, or FILTERED or SKIPPED; cells come from `add_lookups`. Raises RowRejected."""

    def add_lookups(self, cells: list[str]) -> list[str]:
        """The row with the columns of its lookups. Raises RowRejected where a lookup has no such key.

        A row that [where] leaves out comes back as it is.
        """
        if not self._lookup_places or any(not test(cells) for test in self._where):
            return cells
        for place, lookup in self._lookup_places:
            key = cells[place].strip()
            lookup_row = lookup.rows.get(key)
            if lookup_row is None:
                raise RowRejected(f"there is no {key[:64]!r} in {lookup.file}")
            cells = [*cells, *lookup_row]
        return cells

    def discard(self) -> None:
        """Forget what the row that was read last said of its item and of cells left out: it is rejected after all."""
        self._left.discard()
        self._units.discard()

    def own_id(self, cells: Cells) -> str | None:
        """The row's own id; None where the map names none. Raises RowRejected where it is empty or cannot be an id."""
        if self._id is None:
            return None
        own_id = self._id(cells)
        if own_id is None:
            raise RowRejected(in_column(self._map.columns.id, "the row's own id is empty"))
        return self._good_id(cell.composed(own_id))

    def scope_value(self, cells: Cells) -> str:
        """The value within which the row's own id is unique. Raises RowRejected where its cell is empty."""
        value = self._scope(cells) if self._scope else None
        if value is None:
            raise RowRejected("the column within which the row's own id is unique is empty")
        return cell.good_id(cell.composed(value))

    def new_item(self, item_id: str, cells: Cells) -> ItemContent:
        """The item definition in a row, for `unknown_items = "create"`. Raises RowRejected."""
        unit = self._units.defined(item_id) or (self._unit(cells) if self._unit else None) or self._new_unit
        if unit is None:
            raise RowRejected(f"the item {item_id!r} is not known, and the row gives no unit to define it with")
        name = self._name(cells) if self._name else None
        category = self._category(cells) if self._category else None
        definition = Definition(category=category, name=name or item_id, unit=cell.good_unit(unit))
        return ItemContent(item_id=cell.good_item(item_id), definition=definition)

    # Built once from the map

    def _of_a_lookup(self, column: str) -> bool:
        return any(column.startswith(f"{name}.") for name in self._map.lookup)

    def _tests_where(self, wanted: Callable[[str], bool]) -> list[CellTest]:
        return self._tests({name: each for name, each in self._map.where.items() if wanted(name)}, "where")

    def _tests(self, conditions: Mapping[str, Condition], key: str) -> list[CellTest]:
        return [
            test
            for column, each in conditions.items()
            for test in cell_tests(
                self._columns.place(column, f"{key}.{column}"),
                each,
                naming_column(column, lambda text: self._amounts[text]),
                self._columns.nothing,
            )
        ]

    def _reader(self) -> Callable[[Cells], EventContent | str]:
        """The reading of a row as one function, whose names are local: it runs a million times."""
        import_map, columns = self._map, self._map.columns
        constants, text = import_map.constants, self._columns.text
        where = [*self._where, *self._where_looked_up]
        fold = import_map.item_case == "fold"
        skip = frozenset(each.casefold() if fold else each for each in map(cell.composed, import_map.skip_items))
        kind_of = RowKinds(import_map, self._tests, self._columns.place).kind_of
        item = text("columns.item", columns.item, cell.composed, constants.item)
        codes: Memo[str, str] = Memo(naming_column(columns.item, self._items.code))
        quantity_of = self._quantity_reader()
        moment = moment_reader(import_map, self._time_place, self._year_of)
        reference = self._reference_reader()
        reason_of = text("columns.reason", columns.reason, cell.good_code, constants.reason)
        note = self._optional("note", cell.good_text, constants.note)
        cost = self._cost_reader()
        person = self._optional("actor", cell.good_person)
        lot = self._optional("lot", cell.good_lot)
        expires_on = self._expiry_reader(self._year_of)
        area = text("columns.area", columns.area, cell.good_area, constants.area)
        source, left = import_map.source, self._left
        define = self._units.define if self._unit is not None else None
        unit_of = self._unit

        def read(cells: Cells) -> EventContent | str:
            for test in where:
                if not test(cells):
                    return FILTERED
            item_text = item(cells) if item else None
            if skip and item_text is not None and (item_text.casefold() if fold else item_text) in skip:
                return SKIPPED
            kind = kind_of(cells)
            if kind is None:
                return SKIPPED
            if item_text is None:
                raise RowRejected(in_column(columns.item, "there is no item"))
            left.begin()
            item_id = codes[item_text]
            quantity, in_row, entered = quantity_of(kind, item_id, cells)
            reason = kind.reason or (reason_of(cells) if reason_of else None)
            if reason is None and kind.needs_reason:
                raise RowRejected(in_column(columns.reason, f"{kind.type} needs a reason"))
            entry = EventContent(
                type=kind.type,
                item_id=item_id,
                quantity=None if kind.counts else quantity,
                counted=quantity if kind.counts else None,
                entered=entered,
                occurred_at=moment(cells),
                reference=reference(cells, kind.reference_kind) if reference else None,
                reason=reason,
                note=kind.note or (note(cells) if note else None),
                cost=cost(cells, kind.sign, in_row) if cost else None,
                source=source,
                person=person(cells) if person else None,
                lot=lot(cells) if lot else None,
                expires_on=expires_on(cells) if expires_on else None,
                area=area(cells) if area else None,
            )
            if define is not None:
                define(item_id, (unit_of(cells) if unit_of else None) or "")
            left.keep()
            return entry

        return read

    def _time_place(self, name: str) -> int:
        return self._columns.place(getattr(self._map.columns, name), f"columns.{name}")

    def _optional(self, field: str, check: cell.Check, constant: str | None = None) -> Text | None:
        """The reader of a field of the same name in columns and in bad_cells."""
        column = getattr(self._map.columns, field)
        read = self._columns.text(f"columns.{field}", column, check, constant)
        if read is None or column is None or getattr(self._map.bad_cells, field) == "reject":
            return read
        return self._left.wrap(read, column)

    def _quantity_reader(self) -> Callable[[RowKind, str, Cells], tuple[int, int | Decimal, Entered | None]]:
        """A reader of a row's quantity: in thousandths of the base unit, of the row's own unit, and as entered."""
        place = self._columns.place(self._map.columns.quantity or "", "columns.quantity")
        numbers, nothing, units, unit_of = self._numbers, self._columns.nothing, self._units, self._unit
        column = self._map.columns.quantity
        number_of = naming_column(column, numbers.number)
        quantities: Memo[str, int] = Memo(
            naming_column(column, lambda text: numbers.quantity("" if text.strip() in nothing else text))
        )

        def plain(kind: RowKind, _item_id: str, cells: Cells) -> tuple[int, int, None]:
            quantity = quantities[cells[place]]
            if kind.sign != "as-written":
                quantity = abs(quantity) if kind.sign == "absolute" else -quantity
            if quantity <= 0:
                _refuse_quantity(kind, quantity, column)
            return quantity, quantity, None

        if unit_of is None:
            return plain

        def in_units(kind: RowKind, item_id: str, cells: Cells) -> tuple[int, int | Decimal, Entered | None]:
            unit = unit_of(cells) or ""
            factor = units.factor(item_id, unit)
            if factor == 1:
                return plain(kind, item_id, cells)
            text = cells[place]
            if text.strip() in nothing:
                raise RowRejected(in_column(column, "there is no quantity"))
            number = number_of(text)
            if kind.sign != "as-written":
                number = abs(number) if kind.sign == "absolute" else -number
            quantity, entered = converted(number, factor, unit)
            if quantity <= 0:
                _refuse_quantity(kind, quantity, column)
            return quantity, number.scaleb(3), entered

        return in_units

    def _reference_reader(self) -> Callable[[Cells, str], Reference | None] | None:
        reference_id = self._optional("reference", cell.good_id)
        if reference_id is None:
            return None
        line_of = self._optional("reference_line", _good_line)
        product = self._optional("product", cell.good_product, self._map.constants.product)

        def reference(cells: Cells, kind: str) -> Reference | None:
            found = reference_id(cells)
            if found is None:
                return None
            line = line_of(cells) if line_of else None
            return Reference(
                id=found,
                kind=kind,
                line=None if line is None else int(line),
                product=product(cells) if product else None,
            )

        return reference

    def _cost_reader(self) -> CostOf | None:
        columns = self._map.columns
        column = self._map.cost_column
        if column is None:
            return None
        currency = self._columns.text(
            "columns.currency", columns.currency, cell.good_currency, self._map.constants.currency
        )
        place = self._columns.place(column, "columns.cost" if columns.cost else "columns.unit_cost")
        nothing = self._columns.nothing
        of_unit = columns.cost is None
        read = CostReader(column, place, self._numbers, currency, nothing, of_unit=of_unit).read
        return read if self._map.bad_cells.cost == "reject" else self._left.wrap(read, column)

    def _expiry_reader(self, year_of: YearOf | None) -> Text | None:
        column = self._map.columns.expires_on
        if column is None:
            return None
        times = column_times(self._map, "expires_on", year_of)
        any_format = self._map.formats.expires_on is not None

        def day(text: str) -> str:
            if not any_format and text[:1] != MOMENT:
                return cell.good_day(text.strip())
            return cell.good_day(_day_text(times.read(text), text))

        read = self._columns.raw("columns.expires_on", column, day)
        return read if self._map.bad_cells.expires_on == "reject" else self._left.wrap(read, column)


def _day_text(reading: int, text: str) -> str:
    try:
        return format_rfc3339(reading)[:10]
    except OverflowError:
        raise RowRejected(f"{text.strip()[:40]!r} is no day of a calendar") from None


def _good_line(text: str) -> str:
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:5]) <= MAX_LINES):
        raise RowRejected(f"the line {text[:20]!r} is no number from 1 to {MAX_LINES}")
    return str(int(text))


def _refuse_quantity(kind: RowKind, quantity: int, column: str | None) -> None:
    """Refuse a quantity of zero or below, unless an event of this kind may have it. Raises RowRejected."""
    if quantity == 0 and not kind.counts:
        raise RowRejected(in_column(column, f"{kind.type} of nothing: the quantity is 0"))
    if quantity < 0 and not kind.signed:
        why = f"{kind.type} of {quantity_text(quantity)}: below zero, and no rule of the map says what it is"
        raise RowRejected(in_column(column, why))
