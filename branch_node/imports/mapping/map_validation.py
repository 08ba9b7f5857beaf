"""The validation of an import map: rules between its keys. A valid map can be applied to a file with its columns."""

from __future__ import annotations

import re
from decimal import Decimal

import msgspec

from branch_node.imports.cells import cell_readers as cell
from branch_node.imports.cells.cell_readers import RowRejected
from branch_node.imports.files.text_encoding import encoding_fault
from branch_node.imports.mapping.import_map import BadCells, Condition, Constants, ImportMap, MapFault, Path
from branch_node.imports.mapping.map_words import nearest
from branch_node.imports.mapping.time_columns import check_times
from shared.events import BY_HAND, MAX_QUANTITY, RULES, EventType


def check_map(found: ImportMap) -> None:
    """Check the rules between the keys of a map. Raises MapFault."""
    _check_top(found)
    check_times(found)
    _check_rules(found)
    _check_items(found)
    _check_units(found)
    _check_cells(found)
    columns, constants = found.columns, found.constants
    if columns.quantity is None:
        raise MapFault(("columns", "quantity"), "is missing: which column says how many")
    for one, other in (("product", "reference"), ("reference_line", "reference")):
        if getattr(columns, one) is not None and getattr(columns, other) is None:
            raise MapFault(("columns", one), f"is part of the reference: columns.{other} must be there too")
    if columns.cost is not None and columns.unit_cost is not None:
        raise MapFault(("columns", "unit_cost"), "is given as well as columns.cost: which one is it")
    if found.cost_column and not (columns.currency or constants.currency or found.currencies):
        raise MapFault(("constants", "currency"), "is missing: a cost has a currency, such as USD")
    for name, lookup in found.lookup.items():
        if not lookup.file.strip() or not lookup.file.isprintable():
            raise MapFault(("lookup", name, "file"), "must be the name of a file beside the imported one")
    for field in msgspec.structs.fields(Constants):
        _check_text(("constants", field.name), getattr(constants, field.name))
        if getattr(constants, field.name) is not None and getattr(columns, field.name, None) is not None:
            raise MapFault(("constants", field.name), f"is also a column: remove it or columns.{field.name}")


_GOOD = {
    "item": cell.good_item,
    "reference_kind": cell.good_kind,
    "product": cell.good_product,
    "reason": cell.good_code,
    "note": cell.good_text,
    "currency": cell.good_currency,
    "area": cell.good_area,
    "unit": cell.good_unit,
}


def _check_text(path: Path, text: str | None) -> None:
    """Check a text of the map that is recorded in events, like the texts of the file. Raises MapFault."""
    good = _GOOD.get(str(path[-1]))
    if text is None or good is None:
        return
    try:
        good(text)
    except RowRejected as error:
        raise MapFault(path, str(error)) from error


def _check_top(found: ImportMap) -> None:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}", found.source):
        raise MapFault(("source",), "must be 1 to 40 letters, digits, dots, dashes or underscores, as in till-7")
    delimiter = found.delimiter or ","
    if len(delimiter) != 1 or delimiter in '"\r\n\0' or not delimiter.isascii() or found.delimiter == "":
        raise MapFault(("delimiter",), "must be one ASCII character, such as ',' ';' '|' or a tab")
    fault = None if found.encoding is None else encoding_fault(found.encoding)
    if fault is not None:
        raise MapFault(("encoding",), fault)
    if found.header_line is not None and (found.header is not None or not 1 <= found.header_line <= 1_000):
        raise MapFault(("header_line",), "must be from 1 to 1000, the line of a header row; with header there is none")
    if found.id_scope != "source" and found.columns.id is None:
        raise MapFault(("id_scope",), "says where an id is unique, but there is no columns.id")
    if found.thousands == found.decimal:
        raise MapFault(("thousands",), f"is also what decimals come after: decimal = {found.decimal!r}")
    if found.header is not None and (not found.header or len(set(found.header)) != len(found.header)):
        raise MapFault(("header",), "must name each column once")


def _check_rules(found: ImportMap) -> None:
    for path, conditions in (
        (("where",), found.where),
        *((("rules", index, "when"), rule.when) for index, rule in enumerate(found.rules)),
    ):
        for column, condition in conditions.items():
            values = [getattr(condition, field.name) for field in msgspec.structs.fields(Condition)]
            if all(each is None for each in values):
                raise MapFault((*path, column), "says nothing: give equals, starts, ends, empty, below or above")
            if any(each in ([], "") and each is not None for each in values):
                raise MapFault((*path, column), 'holds an empty text or list; for an empty cell say "empty = true"')
    for index, rule in enumerate(found.rules):
        path = ("rules", index)
        if not rule.when:
            raise MapFault((*path, "when"), "is missing: under which conditions does the rule apply")
        if (rule.type is not None) + rule.skip + (rule.reject is not None) != 1:
            raise MapFault(path, 'must say one of: type = "...", skip = true, reject = "why"')
        for name in ("reason", "note", "reference_kind"):
            _check_text((*path, name), getattr(rule, name))
        if rule.type is not None:
            _check_type(found, rule.type, (*path, "type"), reason=rule.reason)
        elif rule.sign != "as-written" or rule.reason or rule.note or rule.reference_kind:
            raise MapFault(path, "records nothing: sign, reason, note and reference_kind belong to a rule with a type")
    _check_default(found)


def _check_default(found: ImportMap) -> None:
    """Check what the map says of rows that no rule matches."""
    if found.type is not None:
        _check_type(found, found.type, ("type",), reason=None)
    elif found.otherwise == "type":
        raise MapFault(("type",), 'is missing: otherwise = "type" records rows that no rule matches as it')
    elif not any(rule.type for rule in found.rules):
        raise MapFault(("type",), "is missing: what are the rows, such as ORDER_DEDUCTION")
    if found.otherwise is not None and not found.rules:
        raise MapFault(("otherwise",), "is for rows that no rule matches, and there are no rules")


def _check_type(found: ImportMap, kind: EventType, path: Path, *, reason: str | None) -> None:
    if kind not in BY_HAND:
        raise MapFault(
            path,
            f"{kind} is not recorded by import{nearest(kind, BY_HAND)}; these are: {', '.join(sorted(BY_HAND))}",
        )
    if "reason" in RULES[kind].required and not (reason or found.constants.reason or found.columns.reason):
        raise MapFault(path, f"{kind} needs a reason: in the rule, in constants or in columns")


def _check_items(found: ImportMap) -> None:
    if (found.columns.item is None) == (found.constants.item is None):
        raise MapFault(("columns", "item"), "is missing: which column is the item's code")
    if not found.item_keys or len(set(found.item_keys)) != len(found.item_keys):
        raise MapFault(("item_by",), "must name each way once: code, barcode or alias")
    if found.item_case == "fold" and "code" not in found.item_keys:
        raise MapFault(("item_case",), "is about codes: item_by must name code")
    if found.unknown_items == "reject":
        if found.new_items is not None:
            raise MapFault(("new_items",), 'is for unknown_items = "create" only')
        return
    if "code" not in found.item_keys:
        raise MapFault(("unknown_items",), 'of "create" defines items by their code: item_by must name code')
    new = found.new_items
    if new is None:
        raise MapFault(("new_items",), 'is missing: unknown_items = "create" needs the unit of a new item')
    column = found.unit_column
    if new.unit is None and column is None:
        raise MapFault(("new_items", "unit"), "is missing: give it, or unit_column")
    if new.unit is not None and new.unit_column is not None:
        raise MapFault(("new_items", "unit"), "is given as well as unit_column: remove one of them")
    if new.unit_column not in (None, column):
        raise MapFault(("new_items", "unit_column"), f"is not columns.unit, which is {column!r}: rows have one unit")
    _check_text(("new_items", "unit"), new.unit)


def _check_units(found: ImportMap) -> None:
    for key, tables in (("units", found.units), ("item_units", found.item_units)):
        if tables and found.unit_column is None:
            raise MapFault((key,), "has no column: columns.unit says in which unit a row counts")
        for name, factors in tables.items():
            _check_text((key, "unit" if key == "units" else "item"), name)
            for unit, factor in factors.items():
                if not 0 < factor <= MAX_QUANTITY // 1_000 or not Decimal(factor).is_finite():
                    raise MapFault((key, name, unit), "must be above zero: how many base units are one of it")
                if key == "units" and unit == name and factor != 1:
                    raise MapFault((key, name, unit), f"must be 1, as items here are kept in {name}")
                if unit:  # an empty one says what a row without a unit is in
                    _check_text((key, "unit"), unit)


def _check_cells(found: ImportMap) -> None:
    for sign, code in found.currencies.items():
        try:
            cell.good_currency(code)
        except RowRejected as error:
            raise MapFault(("currencies", sign), str(error)) from error
        if not sign.strip() or any(character.isdigit() for character in sign):
            raise MapFault(("currencies", sign), "must be what stands beside an amount, such as a currency's sign")
    if found.currencies and found.cost_column is None:
        raise MapFault(("currencies",), "has no column: there is no columns.cost and no columns.unit_cost")
    for field in msgspec.structs.fields(BadCells):
        if getattr(found.bad_cells, field.name) == "leave-out":
            column = found.cost_column if field.name == "cost" else getattr(found.columns, field.name)
            if column is None:
                raise MapFault(("bad_cells", field.name), f"has no column: there is no columns.{field.name}")
