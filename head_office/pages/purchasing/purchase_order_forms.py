"""The forms of orders to suppliers: reading them into what the API is told, and their faults by field. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from head_office.catalogue.purchases.purchase_order_bodies import (
    PurchaseOrderBody,
    PurchaseOrderChangeBody,
    PurchaseOrderClosingBody,
)
from head_office.pages.purchasing.office_forms import (
    FieldFault,
    OfficeForm,
    OfficeFormRefusal,
    refused_form,
    sentence,
)
from head_office.pages.purchasing.order_item_names import TypedItems
from head_office.problems import UNKNOWN_LOCATION, UNKNOWN_SUPPLIER
from head_office.reports.purchasing.purchasing_records import PurchasingRow
from shared.events import quantity_text
from shared.purchases.purchase_orders import MAX_ORDER_LINES
from shared.runtime.http.strict_json import CheckedDecoder
from shared.runtime.pages.forms import Form
from shared.runtime.problems import Problem
from shared.runtime.text.decimal_comma import CommaFault, decimal_point

FIRST_LINES: Final = 5
MORE_LINES: Final = 10
FIELDS_OF_A_LINE: Final = ("item", "quantity", "cost")
MOST_ORDER_FIELDS: Final = len(FIELDS_OF_A_LINE) * MAX_ORDER_LINES + 20
"""Fields of the form of a new order: those of its lines, and the rest."""

MOST_NAMED: Final = 3
"""How many of the nearest items a fault names."""

ALL_LINES: Final = "all"
_MAX_BYTES: Final = 1024 * 1024
_AMOUNT_HINT: Final = "Write it like 12 or 12.5, with at most three decimals."

T = TypeVar("T")

_new_order: Final = CheckedDecoder(PurchaseOrderBody, max_bytes=_MAX_BYTES)
_change: Final = CheckedDecoder(PurchaseOrderChangeBody, max_bytes=_MAX_BYTES)
_closing: Final = CheckedDecoder(PurchaseOrderClosingBody, max_bytes=_MAX_BYTES)


class TypedLine(NamedTuple):
    """A line in which something was typed; `number` counts the lines of the form from 1."""

    number: int
    item: str
    quantity: str
    cost: str


def typed_lines(form: Mapping[str, str]) -> Iterator[TypedLine]:
    """The lines of a form in which something was typed."""
    for number in range(1, MAX_ORDER_LINES + 1):
        texts = [form[f"{name}-{number}"] for name in FIELDS_OF_A_LINE]
        if any(texts):
            yield TypedLine(number, *texts)


def shown_lines(form: Mapping[str, str]) -> int:
    """How many lines a form shows: those it had or has filled in, and some more where asked for."""
    asked = int(form["lines"]) if form["lines"] in _COUNTS else FIRST_LINES
    filled = max((line.number for line in typed_lines(form)), default=0)
    return min(MAX_ORDER_LINES, max(asked, filled) + (MORE_LINES if form["more"] else 0))


_COUNTS: Final = frozenset(str(number) for number in range(1, MAX_ORDER_LINES + 1))


def prefilled(values: Form, rows: Iterable[PurchasingRow]) -> Form:
    """The form with a line for each row of the report, as many as an order can have."""
    lines: dict[str, str] = {}
    for number, row in zip(range(1, MAX_ORDER_LINES + 1), rows, strict=False):
        lines |= {f"item-{number}": row.item_id, f"quantity-{number}": quantity_text(row.to_order)}
    return Form({**values, **lines})


def read_new_order(form: Form, items: TypedItems) -> PurchaseOrderBody:
    """Read the form of a new order, with the items that were meant in it. Raises OfficeFormRefusal."""
    faults: dict[str, FieldFault] = {}
    for name, question in (("location_id", "For which location?"), ("supplier_id", "From which supplier?")):
        if not form[name]:
            faults[name] = FieldFault(question, "Choose one from the list.")
    fields = {name: name for name in ("location_id", "supplier_id", "due", "note")}
    lines: list[dict[str, Any]] = []
    for line in typed_lines(form):
        place = f"lines[{len(lines)}]"
        fields |= {
            f"{place}.item_id": f"item-{line.number}",
            f"{place}.quantity": f"quantity-{line.number}",
            f"{place}.cost.amount": f"cost-{line.number}",
            f"{place}.cost.currency": "currency",
        }
        lines.append(_line(line, form["currency"].upper(), items, faults))
    if not lines:
        faults["item-1"] = FieldFault("What is to be ordered?", "Type an item's name or code, and how much of it.")
    body = {
        "location_id": form["location_id"],
        "supplier_id": form["supplier_id"],
        "lines": lines,
        "due": form["due"] or None,
        "note": _note(form["note"]),
    }
    if faults:
        raise OfficeFormRefusal(faults)
    return _decoded(_new_order, body, fields)


def _line(line: TypedLine, currency: str, items: TypedItems, faults: dict[str, FieldFault]) -> dict[str, Any]:
    item, quantity, cost = (f"{name}-{line.number}" for name in FIELDS_OF_A_LINE)
    if not line.item:
        faults[item] = FieldFault("Which item?", "Type its name or code, or empty the rest of the line.")
    elif line.item not in items.meant:
        near = " or ".join(items.nearest.get(line.item, ())[:MOST_NAMED])
        faults[item] = FieldFault(
            f"There is no item “{line.item[:100]}”, or several have that name.",
            f"Did you mean {near}?" if near else "Type its code.",
        )
    if not line.quantity:
        faults[quantity] = FieldFault("How much?", _AMOUNT_HINT)
    found: dict[str, Any] = {
        "item_id": items.meant.get(line.item, line.item),
        "quantity": _figure(line.quantity, quantity, faults),
    }
    if line.cost:
        if not currency:
            faults["currency"] = FieldFault("In which currency are the costs?", "Write its three letters, like EUR.")
        found["cost"] = {"amount": _figure(line.cost, cost, faults), "currency": currency}
    return found


def _figure(text: str, name: str, faults: dict[str, FieldFault]) -> str:
    try:
        return decimal_point(text)
    except CommaFault as fault:
        faults[name] = FieldFault(fault.detail, fault.hint)
        return text


def read_change(form: Form) -> PurchaseOrderChangeBody:
    """Read the form that changes an order: both of its fields as they are to be. Raises OfficeFormRefusal."""
    body = {"due": form["due"] or None, "note": _note(form["note"])}
    return _decoded(_change, body, {"due": "due", "note": "note"})


def read_closing(form: Form) -> PurchaseOrderClosingBody:
    """Read the form that closes an order, or a line of it. Raises OfficeFormRefusal."""
    chosen = form["which"]
    if chosen != ALL_LINES and chosen not in _COUNTS:
        raise OfficeFormRefusal({"which": FieldFault("Which lines?", "Choose one from the list.")})
    body = {"lines": None if chosen == ALL_LINES else [int(chosen)], "reason": _note(form["reason"])}
    return _decoded(_closing, body, {"lines": "which", "lines[0]": "which", "reason": "reason"})


def _note(text: str) -> str | None:
    # Browsers send the line breaks of a text area as two characters.
    return text.replace("\r\n", "\n") or None


def _decoded(decode: CheckedDecoder[T], body: Mapping[str, Any], fields: Mapping[str, str]) -> T:
    try:
        return decode(msgspec.json.encode(body))
    except Problem as problem:
        faults = {
            fields[error["field"]]: FieldFault(sentence(error["message"]))
            for error in problem.extras.get("errors", ())
            if error["field"] in fields
        }
        if not faults:
            raise
        raise OfficeFormRefusal(faults) from problem


def refused_order(problem: Problem, form: Form) -> OfficeForm:
    """The form of a new order that head office refused."""
    return refused_form(problem, form, {}, {UNKNOWN_LOCATION.code: "location_id", UNKNOWN_SUPPLIER.code: "supplier_id"})
