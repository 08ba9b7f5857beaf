"""The validation of an import map: rules between its keys. A valid map can be applied to a file with its columns."""

from __future__ import annotations

import re
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from branch_node.imports.cells import cell_readers as cell
from branch_node.imports.cells.cell_readers import RowRejected
from branch_node.imports.cells.timestamps import FormatError, TimeFormat
from branch_node.imports.files.text_encoding import encoding_fault
from branch_node.imports.mapping.import_map import Condition, Constants, ImportMap, MapFault, Path
from shared.events import BY_HAND, RULES, EventType


def check_map(found: ImportMap) -> None:
    """Check the rules between the keys of a map. Raises MapFault."""
    _check_top(found)
    _check_time(found)
    _check_rules(found)
    _check_items(found)
    columns, constants = found.columns, found.constants
    if columns.quantity is None:
        raise MapFault(("columns", "quantity"), "is missing: which column says how many")
    for one, other in (("product", "reference"), ("reference_line", "reference")):
        if getattr(columns, one) is not None and getattr(columns, other) is None:
            raise MapFault(("columns", one), f"is part of the reference: columns.{other} must be there too")
    if columns.cost is not None and columns.unit_cost is not None:
        raise MapFault(("columns", "unit_cost"), "is given as well as columns.cost: which one is it")
    if (columns.cost or columns.unit_cost) and not (columns.currency or constants.currency):
        raise MapFault(("constants", "currency"), "is missing: a cost has a currency, such as USD")
    for field in msgspec.structs.fields(Constants):
        _check_text(("constants", field.name), getattr(constants, field.name))
        if getattr(constants, field.name) is not None and getattr(columns, field.name, None) is not None:
            raise MapFault(("constants", field.name), f"is also a column: remove it or columns.{field.name}")


_GOOD = {
    "item": cell.good_item,
    "reference_kind": cell.good_code,
    "product": cell.good_text,
    "reason": cell.good_code,
    "note": cell.good_text,
    "currency": cell.good_currency,
    "area": cell.good_code,
    "unit": cell.good_code,
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
    if found.decimal == delimiter == ",":
        # Valid CSV where numbers are quoted, but "1,5" could not be distinguished from two cells of a malformed row.
        raise MapFault(("decimal",), "is also the delimiter")
    if found.id_scope != "source" and found.columns.id is None:
        raise MapFault(("id_scope",), "says where an id is unique, but there is no columns.id")
    if found.header is not None and (not found.header or len(set(found.header)) != len(found.header)):
        raise MapFault(("header",), "must name each column once")


def _check_time(found: ImportMap) -> None:
    columns, formats, constants = found.columns, found.formats, found.constants
    if (columns.occurred_at is None) == (columns.date is None):
        raise MapFault(("columns", "occurred_at"), "is missing: give either it, or date with time")
    if columns.occurred_at is not None:
        if columns.time is not None or constants.time is not None:
            raise MapFault(("columns", "occurred_at"), "has the time of day in it: remove time")
        zoned = _format(formats.occurred_at, "occurred_at", date=True, time=True).zoned
    else:
        if (columns.time is None) == (constants.time is None):
            raise MapFault(("columns", "time"), "is missing: give it, or constants.time such as 12:00:00")
        date = _format(formats.date, "date", date=True, time=False)
        time = _format(formats.time, "time", date=False, time=True)
        zoned = date.zoned or time.zoned
        if constants.time is not None:
            try:
                time.read(constants.time)
            except ValueError as error:
                raise MapFault(("constants", "time"), str(error)) from error
    for name in ("occurred_at", "date", "time"):
        if getattr(formats, name) is not None and not (getattr(columns, name) or getattr(constants, name, None)):
            raise MapFault(("formats", name), f"has no column: there is no columns.{name}")
    _check_zone(found, zoned=zoned)


def _check_zone(found: ImportMap, *, zoned: bool) -> None:
    if zoned and found.time_zone is not None:
        raise MapFault(("time_zone",), "is not needed: the file's times carry their offset")
    if not zoned and found.time_zone is None:
        raise MapFault(("time_zone",), "is missing: an IANA name such as Asia/Beirut")
    if found.time_zone is not None:
        try:
            ZoneInfo(found.time_zone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise MapFault(("time_zone",), f"{found.time_zone!r} is no IANA name such as Asia/Beirut") from error
    elif found.fold is not None:
        raise MapFault(("fold",), "is not needed: the file's times carry their offset")


def _format(format_text: str | None, name: str, *, date: bool, time: bool) -> TimeFormat:
    if format_text is None:
        raise MapFault(("formats", name), "is missing: how is it written, such as %Y-%m-%d %H:%M:%S")
    try:
        made = TimeFormat(format_text)
    except FormatError as error:
        raise MapFault(("formats", name), str(error)) from error
    if made.has_date != date or made.has_time != time:
        wanted = " and ".join(word for word, needed in (("the date", date), ("the time of day", time)) if needed)
        raise MapFault(("formats", name), f"must give {wanted}, and nothing else")
    return made


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
    if found.type is not None:
        _check_type(found, found.type, ("type",), reason=None)
    elif not any(rule.type for rule in found.rules):
        raise MapFault(("type",), "is missing: what are the rows, such as ORDER_DEDUCTION")


def _check_type(found: ImportMap, kind: EventType, path: Path, *, reason: str | None) -> None:
    if kind not in BY_HAND:
        raise MapFault(path, f"{kind} is not recorded by import; these are: {', '.join(sorted(BY_HAND))}")
    if "reason" in RULES[kind].required and not (reason or found.constants.reason or found.columns.reason):
        raise MapFault(path, f"{kind} needs a reason: in the rule, in constants or in columns")


def _check_items(found: ImportMap) -> None:
    if (found.columns.item is None) == (found.constants.item is None):
        raise MapFault(("columns", "item"), "is missing: which column is the item's code")
    if found.unknown_items == "reject":
        if found.new_items is not None:
            raise MapFault(("new_items",), 'is for unknown_items = "create" only')
        return
    new = found.new_items
    if new is None:
        raise MapFault(("new_items",), 'is missing: unknown_items = "create" needs the unit of a new item')
    if (new.unit is None) == (new.unit_column is None):
        raise MapFault(("new_items", "unit"), "is missing: give it, or unit_column")
    _check_text(("new_items", "unit"), new.unit)
