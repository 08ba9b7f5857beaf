"""Suppliers, reorder levels and orders to suppliers as rows of a CSV file. Pure: rows in, what they say and faults out.

A row is held to the rules of the body that states the same by HTTP. Every fault is named with its line. Quantities are
decimal figures in the item's base unit, with a point or a decimal comma.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, Generic, NamedTuple, TypeVar

import msgspec

from head_office.catalogue.item_files import Rejected
from head_office.catalogue.location_levels import LevelChange
from head_office.catalogue.purchases.purchase_order_bodies import PurchaseOrderBody
from head_office.catalogue.purchases.purchase_order_changes import NewPurchaseOrder
from shared.checked_fields import CheckedId
from shared.levels.level_record import ReorderLevelBody
from shared.purchases.suppliers import Supplier, SupplierBody
from shared.runtime.http.body_faults import Fault, body_faults
from shared.runtime.text.csv_table import TableRow
from shared.runtime.text.decimal_comma import CommaFault, decimal_point

MAX_ROWS: Final = 100_000
"""Rows of a file at most: all of it is one transaction, and stands in memory."""

T = TypeVar("T")
_WHOLE: Final = re.compile(r"[0-9]{1,9}")
_FIELD: Final = re.compile(r"lines\[(?P<place>[0-9]+)\]\.?(?P<rest>.*)")


class FileColumns(NamedTuple):
    """The columns of a kind of file, and its first two lines as an example."""

    required: tuple[str, ...]
    optional: tuple[str, ...]
    example: str


SUPPLIER_COLUMNS: Final = FileColumns(
    ("supplier_id", "name"),
    ("email", "lead_days"),
    "supplier_id,name,email,lead_days\nfarm-1,Farm of the North,orders@farm.example,2",
)
LEVEL_COLUMNS_OF_FILE: Final = FileColumns(
    ("location_id", "item_id", "reorder_point"),
    ("order_up_to", "order_quantity", "supplier_id", "pack_size", "lead_days"),
    "location_id,item_id,reorder_point,order_up_to,supplier_id,pack_size\nBEY-01,tomato,5,12.5,farm-1,2.5",
)
ORDER_COLUMNS: Final = FileColumns(
    ("location_id", "supplier_id", "item_id", "quantity"),
    ("purchase_order_id", "cost", "currency", "due", "note"),
    "location_id,supplier_id,item_id,quantity,cost,currency,due\nBEY-01,farm-1,tomato,12.5,30.00,USD,2026-12-01",
)


class ReadValue(NamedTuple, Generic[T]):
    """What one or several rows say, and the lines they end on."""

    lines: tuple[int, ...]
    value: T


class ReadRows(NamedTuple, Generic[T]):
    """What a file says, and its faults in the order of their lines: with any of them nothing of it is recorded."""

    values: list[ReadValue[T]]
    rejected: list[Rejected]


def read_supplier_rows(rows: Iterable[TableRow]) -> ReadRows[Supplier]:
    """Read suppliers, each at most once."""

    def read(cells: dict[str, Any]) -> tuple[str, Callable[[], Supplier], list[Fault]]:
        code = cells.pop("supplier_id", None)
        raw = msgspec.json.encode(_with_whole(cells, "lead_days"))
        faults = [*_code_faults("supplier_id", code), *body_faults(raw, SupplierBody)]
        return (
            f"the supplier {code}",
            lambda: msgspec.json.decode(raw, type=SupplierBody).supplier(str(code)),
            faults,
        )

    return _one_by_one(rows, read)


def read_level_rows(rows: Iterable[TableRow]) -> ReadRows[LevelChange]:
    """Read reorder levels, each item of a location at most once."""

    def read(cells: dict[str, Any]) -> tuple[str, Callable[[], LevelChange], list[Fault]]:
        place, item = cells.pop("location_id", None), cells.pop("item_id", None)
        figures = _with_points(cells, "reorder_point", "order_up_to", "order_quantity", "pack_size")
        raw = msgspec.json.encode(_with_whole(figures, "lead_days"))
        faults = [
            *_code_faults("location_id", place),
            *_code_faults("item_id", item),
            *body_faults(raw, ReorderLevelBody),
        ]
        return (
            f"the level of {item} at {place}",
            lambda: LevelChange(str(place), str(item), msgspec.json.decode(raw, type=ReorderLevelBody).level()),
            faults,
        )

    return _one_by_one(rows, read)


def read_order_rows(rows: Iterable[TableRow], request_key: str | None) -> ReadRows[NewPurchaseOrder]:
    """Read orders, one line of an order a row.

    Rows of one `purchase_order_id` are one order; of those without, the rows of one location and supplier. `due` and
    `note` are the order's: they may stand in any of its rows, and are the same in all where they do. `request_key`
    makes the Idempotency-Keys of orders without an id, None for none.
    """
    rejected: list[Rejected] = []
    orders: dict[tuple[str | None, str, str], list[TableRow]] = {}
    for row in rows:
        if row.fault:
            rejected.append(Rejected(row.line, row.fault))
            continue
        code = row.cells.get("purchase_order_id")
        place, supplier = row.cells.get("location_id", ""), row.cells.get("supplier_id", "")
        orders.setdefault((None, place, supplier) if code is None else (code, "", ""), []).append(row)
    values: list[ReadValue[NewPurchaseOrder]] = []
    for of_one in orders.values():
        lines = tuple(row.line for row in of_one)
        said, faults = _order_said(of_one)
        raw = msgspec.json.encode(said)
        faults += [_at_its_line(fault, lines) for fault in body_faults(raw, PurchaseOrderBody)]
        if faults:
            rejected += faults
            continue
        body = msgspec.json.decode(raw, type=PurchaseOrderBody)
        key = None if request_key is None else f"{request_key} {body.location_id} {body.supplier_id}"
        values.append(ReadValue(lines, body.new_order(key)))
    return ReadRows(values, sorted(rejected))


def _one_by_one(
    rows: Iterable[TableRow], read: Callable[[dict[str, Any]], tuple[str, Callable[[], T], list[Fault]]]
) -> ReadRows[T]:
    """Read rows that say one thing each: `read` gives what it is about, makes it, and names its faults."""
    values: list[ReadValue[T]] = []
    rejected: list[Rejected] = []
    seen: dict[str, int] = {}
    for row in rows:
        if row.fault:
            rejected.append(Rejected(row.line, row.fault))
            continue
        try:
            subject, make, faults = read(dict(row.cells))
        except CommaFault as error:
            rejected.append(Rejected(row.line, str(error)))
            continue
        if faults:
            rejected.append(Rejected(row.line, "; ".join(map(_said, faults))))
        elif subject in seen:
            rejected.append(Rejected(row.line, f"{subject} stands in line {seen[subject]} already"))
        else:
            seen[subject] = row.line
            values.append(ReadValue((row.line,), make()))
    return ReadRows(values, rejected)


def _order_said(rows: list[TableRow]) -> tuple[dict[str, Any], list[Rejected]]:
    """The body that rows of one order make, and the rows that contradict an earlier one or cannot be read."""
    faults: list[Rejected] = []
    said: dict[str, Any] = {}
    first: dict[str, int] = {}
    lines: list[dict[str, Any]] = []
    for row in rows:
        for name in ("purchase_order_id", "location_id", "supplier_id", "due", "note"):
            if name not in row.cells:
                continue
            if said.setdefault(name, row.cells[name]) != row.cells[name]:
                why = f"{name}: it is {said[name]!r} in line {first[name]}, which is of the same order"
                faults.append(Rejected(row.line, why))
            first.setdefault(name, row.line)
        try:
            lines.append(_line_said(row.cells))
        except CommaFault as error:
            faults.append(Rejected(row.line, str(error)))
            lines.append({"item_id": row.cells.get("item_id", "x"), "quantity": "1"})
    return said | {"lines": lines}, faults


def _line_said(cells: Mapping[str, str]) -> dict[str, Any]:
    cells = _with_points(cells, "quantity", "cost")
    line: dict[str, Any] = {name: cells[name] for name in ("item_id", "quantity") if name in cells}
    cost = {name: cells[key] for name, key in (("amount", "cost"), ("currency", "currency")) if key in cells}
    return line | ({"cost": cost} if cost else {})


def _at_its_line(fault: Fault, lines: tuple[int, ...]) -> Rejected:
    """A fault of an order, with the line of the file that it is in; of the order as a whole with its first."""
    match = _FIELD.fullmatch(str(fault["field"]))
    if match is None:
        return Rejected(lines[0], _said(fault))
    rest = match["rest"].replace("cost.amount", "cost").replace("cost.currency", "currency")
    return Rejected(lines[int(match["place"])], _said(fault | {"field": rest or "body"}))


def _said(fault: Fault) -> str:
    """A fault in words of a file."""
    missing = re.fullmatch(r"Object missing required field `(.*)`", fault["message"])
    if missing is not None:
        return f"{ {'amount': 'cost'}.get(missing[1], missing[1]) }: it is empty"
    return f"{fault['field']}: {fault['message']}" if fault["field"] != "body" else str(fault["message"])


def _code_faults(field: str, code: str | None) -> Iterator[Fault]:
    if code is None:
        yield {"field": field, "message": "it is empty"}
        return
    for fault in body_faults(msgspec.json.encode(code), CheckedId):
        yield fault | {"field": field}


def _with_whole(cells: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The cells with a whole number as one; another text stays, and is refused for what it is."""
    text = cells.get(name)
    return {**cells, name: int(text)} if text is not None and _WHOLE.fullmatch(text) else dict(cells)


def _with_points(cells: Mapping[str, str], *names: str) -> dict[str, str]:
    """The cells with a point in the figures of these columns. Raises CommaFault."""
    return {name: decimal_point(text) if name in names else text for name, text in cells.items()}
