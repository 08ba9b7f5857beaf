"""Reading rows of the file by the map: each is filtered, skipped, rejected, or an event to be recorded.

Pure. A RowReader is built once from a map and a header, with columns resolved and caches prepared, as a till's year has
a million rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Final

import msgspec

from branch_node.commands.event_inputs import EventContent
from branch_node.commands.item_inputs import ItemContent
from branch_node.imports.cells import cell_readers as cell
from branch_node.imports.cells.cell_readers import Cells, CellTest, NumberReader, RowRejected, cell_tests
from branch_node.imports.cells.memo import Memo
from branch_node.imports.cells.timestamps import MOMENTS, TimeFormat, WallClock
from branch_node.imports.mapping.import_map import Condition, IdColumn, ImportMap, Rule, Sign
from shared.events import MAX_LINES, RULES, Cost, Definition, EventType, Reference, quantity_text

FILTERED: Final = "filtered"
SKIPPED: Final = "skipped"


class HeaderError(ValueError):
    """The file lacks a column that the map names; the text lists the columns."""


class LookupTable(msgspec.Struct, frozen=True):
    """A lookup file in memory: its columns, and its rows by key."""

    columns: Sequence[str]
    rows: Mapping[str, Sequence[str]]
    file: str


class _RowKind(msgspec.Struct, frozen=True):
    """The kind of event that a rule, or the map's default, makes of a row."""

    type: EventType
    sign: Sign
    signed: bool
    counts: bool
    reason: str | None
    note: str | None
    reference_kind: str


Read = Callable[[Cells], str | None]


class RowReader:
    """Reads rows of one header by one map. Raises HeaderError where the map names a column that is not there."""

    def __init__(
        self, import_map: ImportMap, header: Sequence[str], lookups: Mapping[str, LookupTable] | None = None
    ) -> None:
        self._places = {name: index for index, name in enumerate(header)}
        if len(self._places) != len(header):
            twice = next(name for index, name in enumerate(header) if name in header[:index])
            raise HeaderError(f"the file has the column {twice!r} twice")
        self._lookup_places = [
            self._add_lookup(name, given.on, (lookups or {})[name]) for name, given in import_map.lookup.items()
        ]
        numbers = NumberReader(decimal_comma=import_map.decimal == ",")
        self._quantities: Memo[str, int] = Memo(numbers.quantity)
        self._numbers: Memo[str, Decimal] = Memo(numbers.number)
        # Texts repeat: each is checked once.
        self._codes, self._texts = Memo(cell.good_code), Memo(cell.good_text)
        self._item_codes, self._names = Memo(cell.good_item), Memo(cell.good_name)
        self._source = import_map.source
        self._where = self._tests(import_map.where)
        self._skip = frozenset(import_map.skip_items)
        columns, constants = import_map.columns, import_map.constants
        self._reference_kind = constants.reference_kind or "order"
        self._rules = [(self._tests(rule.when), rule, self._kind_of(rule)) for rule in import_map.rules]
        self._default = None if import_map.type is None else self._kind(import_map.type, import_map.sign)
        self._item = self._text(columns.item, constants.item)
        self._quantity = self._place(columns.quantity or "")
        self._moment = self._moments(import_map)
        self._id = self._text(columns.id)
        scope = import_map.id_scope
        self._scope = self._text(scope.column) if isinstance(scope, IdColumn) else None
        self._reference_id = self._text(columns.reference)
        self._reference_ids = Memo(cell.good_id)
        self._reference_line = self._text(columns.reference_line)
        self._product = self._text(columns.product, constants.product)
        self._reason = self._checked(self._codes, columns.reason, constants.reason)
        self._note = self._checked(self._texts, columns.note, constants.note)
        self._cost = self._text(columns.cost or columns.unit_cost)
        self._cost_of_unit = columns.unit_cost is not None
        self._currency = self._checked(Memo(cell.good_currency), columns.currency, constants.currency)
        self._person = self._checked(Memo(cell.good_person), columns.actor)
        self._lot = self._checked(self._codes, columns.lot)
        self._expires_on = self._checked(Memo(cell.good_day), columns.expires_on)
        self._area = self._checked(self._codes, columns.area, constants.area)
        new = import_map.new_items
        self._unit = self._checked(self._codes, new.unit_column, new.unit) if new else None
        self._name = self._checked(self._names, new.name_column) if new else None
        self._category = self._checked(self._names, new.category_column) if new else None

    def add_lookups(self, cells: list[str]) -> list[str]:
        """The row with the columns of its lookups. Raises RowRejected where a lookup has no such key."""
        for place, lookup in self._lookup_places:
            key = cells[place].strip()
            lookup_row = lookup.rows.get(key)
            if lookup_row is None:
                raise RowRejected(f"there is no {key[:64]!r} in {lookup.file}")
            cells = [*cells, *lookup_row]
        return cells

    def read(self, cells: Cells) -> EventContent | str:
        """The event to record, or FILTERED or SKIPPED; `cells` come from `add_lookups`. Raises RowRejected."""
        for test in self._where:
            if not test(cells):
                return FILTERED
        item_id = self._item(cells) if self._item else None
        if item_id in self._skip:
            return SKIPPED
        kind = self._default
        for tests, rule, rule_kind in self._rules:
            for test in tests:
                if not test(cells):
                    break
            else:
                if rule.skip:
                    return SKIPPED
                if rule.reject is not None:
                    raise RowRejected(rule.reject)
                kind = rule_kind
                break
        if kind is None:
            raise RowRejected("no rule of the map says what this row is")
        if item_id is None:
            raise RowRejected("there is no item")
        quantity = self._signed(kind, cells[self._quantity])
        reason = kind.reason or (self._reason(cells) if self._reason else None)
        if reason is None and "reason" in RULES[kind.type].required:
            raise RowRejected(f"{kind.type} needs a reason")
        return EventContent(
            type=kind.type,
            item_id=self._item_codes[item_id],
            quantity=None if kind.counts else quantity,
            counted=quantity if kind.counts else None,
            occurred_at=self._moment(cells),
            reference=self._read_reference(kind, cells) if self._reference_id else None,
            reason=reason,
            note=kind.note or (self._note(cells) if self._note else None),
            cost=self._read_cost(kind, cells, quantity) if self._cost else None,
            source=self._source,
            person=self._person(cells) if self._person else None,
            lot=self._lot(cells) if self._lot else None,
            expires_on=self._expires_on(cells) if self._expires_on else None,
            area=self._area(cells) if self._area else None,
        )

    def own_id(self, cells: Cells) -> str | None:
        """The row's own id; None where the map names none. Raises RowRejected where it is empty or cannot be an id."""
        if self._id is None:
            return None
        own_id = self._id(cells)
        if own_id is None:
            raise RowRejected("the row's own id is empty")
        return cell.good_id(own_id)

    def scope_value(self, cells: Cells) -> str:
        """The value within which the row's own id is unique. Raises RowRejected where its cell is empty."""
        value = self._scope(cells) if self._scope else None
        if value is None:
            raise RowRejected("the column within which the row's own id is unique is empty")
        return cell.good_id(value)

    def new_item(self, item_id: str, cells: Cells) -> ItemContent:
        """The item definition in a row, for `unknown_items = "create"`. Raises RowRejected."""
        unit = self._unit(cells) if self._unit else None
        if unit is None:
            raise RowRejected(f"the item {item_id!r} is not known, and the row gives no unit to define it with")
        name = self._name(cells) if self._name else None
        category = self._category(cells) if self._category else None
        definition = Definition(category=category, name=name or item_id, unit=unit)
        return ItemContent(item_id=item_id, definition=definition)

    # Built once from the map

    def _add_lookup(self, name: str, on: str, lookup: LookupTable) -> tuple[int, LookupTable]:
        place = self._place(on)
        width = max(self._places.values()) + 1
        for index, column in enumerate(lookup.columns):
            self._places.setdefault(f"{name}.{column}", width + index)
        return place, lookup

    def _place(self, column: str) -> int:
        if column not in self._places:
            raise HeaderError(f"the file has no column {column!r}; it has {', '.join(self._places)}")
        return self._places[column]

    def _text(self, column: str | None, constant: str | None = None) -> Read | None:
        """A reader of a column, stripped, None for an empty cell; no reader where the map names none."""
        if column is None:
            return None if constant is None else lambda _: constant
        place = self._place(column)
        return lambda cells: cells[place].strip() or None

    def _checked(self, good: Memo[str, str], column: str | None, constant: str | None = None) -> Read | None:
        if column is None:
            return None if constant is None else lambda _: constant
        place = self._place(column)

        def read(cells: Cells) -> str | None:
            text = cells[place].strip()
            return good[text] if text else None

        return read

    def _moments(self, import_map: ImportMap) -> Callable[[Cells], int]:
        columns, formats = import_map.columns, import_map.formats
        clock = WallClock(import_map.time_zone, import_map.fold)
        if columns.occurred_at is not None:
            place = self._place(columns.occurred_at)
            whole = TimeFormat(formats.occurred_at or "")
            moments: Memo[str, int] = Memo(lambda text: clock.moment(whole.read(text)), MOMENTS)
            return _rejecting_bad_times(lambda cells: moments[cells[place].strip()])
        date_place = self._place(columns.date or "")
        dates: Memo[str, int] = Memo(TimeFormat(formats.date or "").read)
        times: Memo[str, int] = Memo(TimeFormat(formats.time or "").read, MOMENTS)
        constant = import_map.constants.time
        if constant is not None:
            fixed = times[constant]
            return _rejecting_bad_times(lambda cells: clock.moment(dates[cells[date_place].strip()] + fixed))
        time_place = self._place(columns.time or "")
        return _rejecting_bad_times(
            lambda cells: clock.moment(dates[cells[date_place].strip()] + times[cells[time_place].strip()])
        )

    def _kind_of(self, rule: Rule) -> _RowKind | None:
        return None if rule.type is None else self._kind(rule.type, rule.sign, rule)

    def _kind(self, kind: EventType, sign: Sign, rule: Rule | None = None) -> _RowKind:
        return _RowKind(
            type=kind,
            sign=sign,
            signed=RULES[kind].signed,
            counts=kind == EventType.STOCKTAKE,
            reason=rule.reason if rule else None,
            note=rule.note if rule else None,
            reference_kind=(rule.reference_kind if rule else None) or self._reference_kind,
        )

    def _tests(self, conditions: Mapping[str, Condition]) -> list[CellTest]:
        number = self._numbers.__getitem__
        return [test for column, each in conditions.items() for test in cell_tests(self._place(column), each, number)]

    # For each row

    def _signed(self, kind: _RowKind, text: str) -> int:
        quantity = self._quantities[text]
        if kind.sign != "as-written":
            quantity = abs(quantity) if kind.sign == "absolute" else -quantity
        if quantity > 0 or (quantity == 0 and kind.counts) or (quantity < 0 and kind.signed):
            return quantity
        if quantity == 0:
            raise RowRejected(f"{kind.type} of nothing: the quantity is 0")
        raise RowRejected(
            f"{kind.type} of {quantity_text(quantity)}: below zero, and no rule of the map says what it is"
        )

    def _read_reference(self, kind: _RowKind, cells: Cells) -> Reference | None:
        reference_id = self._reference_id(cells) if self._reference_id else None
        if reference_id is None:
            return None
        line = self._reference_line(cells) if self._reference_line else None
        if line is not None and not (line.isascii() and line.isdigit() and 1 <= int(line[:5]) <= MAX_LINES):
            raise RowRejected(f"the line {line[:20]!r} is no number from 1 to {MAX_LINES}")
        product = self._product(cells) if self._product else None
        return Reference(
            id=self._reference_ids[reference_id],
            kind=kind.reference_kind,
            line=None if line is None else int(line),
            product=None if product is None else self._texts[product],
        )

    def _read_cost(self, kind: _RowKind, cells: Cells, quantity: int) -> Cost | None:
        text = self._cost(cells) if self._cost else None
        if text is None:
            return None
        currency = self._currency(cells) if self._currency else None
        if currency is None:
            raise RowRejected("the cost has no currency")
        amount = self._numbers[text]
        if self._cost_of_unit:
            amount *= Decimal(abs(quantity)) / 1_000
        elif kind.sign != "as-written":
            amount = abs(amount) if kind.sign == "absolute" else -amount
        if amount < 0:
            raise RowRejected(f"the cost {text[:40]} is below zero")
        return Cost(amount=cell.amount_text(amount), currency=currency)


def _rejecting_bad_times(read: Callable[[Cells], int]) -> Callable[[Cells], int]:
    def moment(cells: Cells) -> int:
        try:
            return read(cells)
        except RowRejected:
            raise
        except ValueError as error:
            raise RowRejected(str(error)) from error

    return moment
