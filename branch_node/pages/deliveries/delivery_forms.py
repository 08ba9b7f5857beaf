"""The form that records a delivery against an order to a supplier: its rows, reading it, its faults in words. Pure.

A row is what came of one line of the order as one lot. Its fields are `quantity-1-2`, `lot-1-2`, `expires-1-2` and
`cost-1-2`: of line 1, the second row.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from branch_node.commands.purchases.receive_inputs import ReceiveContent, ReceiveInput, receive_of
from branch_node.pages.page_forms import (
    MAX_BODY,
    MAX_NOTE,
    SOURCE,
    FormFault,
    FormRefusal,
    FormView,
    occurred_at,
    refused_by,
    sentence,
)
from branch_node.pages.reservation_forms import read_amount
from branch_node.problems import UNIT_DIFFERS, UNKNOWN_ITEM
from shared.events import quantity_text
from shared.runtime.http.body_faults import naming_every_fault
from shared.runtime.http.strict_json import StrictDecoder
from shared.runtime.pages.forms import Form
from shared.runtime.problems import Problem
from shared.runtime.text.decimal_comma import CommaFault, decimal_point

LINES_SHOWN: Final = 40
"""How many lines of an order one form has; an order of more is received in parts."""

MOST_ROWS: Final = 60
"""How many rows one form has: its lines, and what was added for further lots."""

_ROW_FIELDS: Final = ("quantity", "lot", "expires", "cost")
_FORM_FIELDS: Final = ("currency", "note", "when")
MOST_DELIVERY_FIELDS: Final = MOST_ROWS * len(_ROW_FIELDS) + 20

_ROW_FIELD: Final = re.compile(rf"({'|'.join(_ROW_FIELDS)})-([1-9][0-9]{{0,2}})-([1-9][0-9]?)", re.ASCII)
_LINE_NUMBER: Final = re.compile(r"[1-9][0-9]{0,2}", re.ASCII)
_CURRENCY: Final = re.compile(r"[A-Z]{3}", re.ASCII)
_decode: Final = StrictDecoder(ReceiveInput, max_bytes=8 * MAX_BODY)  # a note stands in every line


class RowPlace(NamedTuple):
    """The line of the order that a row is of, and which of the line's rows it is; both from 1."""

    line: int
    part: int

    def field(self, name: str) -> str:
        """The field of this row with a name such as `quantity`."""
        return f"{name}-{self.line}-{self.part}"


def form_rows(form: Mapping[str, str], lines: Iterable[int]) -> list[RowPlace]:
    """The rows that a form shows for these lines: one for each, and those that were typed in or added.

    `again` adds a row to the line that it holds.
    """
    parts = dict.fromkeys(lines, 1)
    for name in form:
        match = _ROW_FIELD.fullmatch(name)
        if match is not None and (line := int(match[2])) in parts:
            parts[line] = max(parts[line], int(match[3]))
    spare = MOST_ROWS - sum(parts.values())
    if spare > 0 and (added := added_to(form)) in parts:
        parts[added] += 1
    rows = [RowPlace(line, part) for line, count in parts.items() for part in range(1, count + 1)]
    return rows[:MOST_ROWS]


def added_to(form: Mapping[str, str]) -> int:
    """The line that a row is to be added to; 0 where none is."""
    return int(form["again"]) if _LINE_NUMBER.fullmatch(form["again"]) else 0


def without_quantities(form: Form) -> Form:
    """The form with every quantity emptied."""
    return Form({name: "" if name.startswith("quantity-") else text for name, text in form.items()})


def read_delivery(purchase_order_id: str, form: Mapping[str, str], zone: ZoneInfo) -> ReceiveContent:
    """The content of the delivery that a form states: its rows with a quantity above zero. Raises FormRefusal."""
    rows = sorted({RowPlace(int(match[2]), int(match[3])) for name in form if (match := _ROW_FIELD.fullmatch(name))})
    faults: dict[str, FormFault] = {}
    fields = {"occurred_at": "when"}
    lines: list[dict[str, Any]] = []
    currency = form["currency"].upper()
    for row in rows:
        details = {name: form[row.field(name)] for name in _ROW_FIELDS if form[row.field(name)]}
        amount = _quantity(row, details, faults)
        if not amount:
            continue
        path = f"lines[{len(lines)}]"
        line: dict[str, Any] = {"line": row.line, "quantity": quantity_text(amount)}
        if "lot" in details:
            line["lot"] = details["lot"]
        if "expires" in details:
            line["expires_on"] = details["expires"]
        if "cost" in details and (cost := _cost(details["cost"], row.field("cost"), faults)) is not None:
            line["cost"] = {"amount": cost, "currency": currency}
        if form["note"]:
            line["note"] = form["note"]
        lines.append(line)
        fields |= {
            f"{path}.line": row.field("quantity"),
            f"{path}.quantity": row.field("quantity"),
            f"{path}.lot": row.field("lot"),
            f"{path}.expires_on": row.field("expires"),
            f"{path}.cost.amount": row.field("cost"),
            f"{path}.cost.currency": "currency",
            f"{path}.note": "note",
        }
    if not lines and not faults:
        first = rows[0].field("quantity") if rows else ""
        faults[first] = FormFault("What came?", "Write how much of a line came.")
    if any("cost" in line for line in lines) and not _CURRENCY.fullmatch(currency):
        detail = f"“{form['currency'][:40]}” is no currency." if currency else "In which currency is the cost?"
        faults["currency"] = FormFault(detail, "Write its three letters, like USD.")
    if len(form["note"]) > MAX_NOTE:
        faults["note"] = FormFault(f"The note has {len(form['note'])} characters.", f"Keep it to {MAX_NOTE}.")
    body: dict[str, Any] = {"lines": lines, "source": SOURCE}
    when = occurred_at(form["when"], zone, faults)
    if when is not None:
        body["occurred_at"] = when
    if faults:
        raise FormRefusal(faults)
    try:
        return naming_every_fault(receive_of, purchase_order_id, _decode(msgspec.json.encode(body)))
    except Problem as problem:
        raise _in_plain_words(refused_by(problem, fields, {})) from problem


def _quantity(row: RowPlace, details: Mapping[str, str], faults: dict[str, FormFault]) -> int:
    """The thousandths that came of a row; 0 where nothing did, and for a fault, which is added."""
    typed = details.get("quantity", "")
    if not typed and not details:
        return 0
    field = row.field("quantity")
    if typed and (amount := read_amount(typed, field, faults, lowest=0)) is None:
        return 0
    if typed and amount:
        return amount
    if details.keys() - {"quantity"}:
        faults[field] = FormFault("How much of it came?", "If nothing did, empty the fields beside it as well.")
    return 0


def _cost(typed: str, field: str, faults: dict[str, FormFault]) -> str | None:
    """The amount of money as typed, with a decimal point; whether it is one is for the command's own rules."""
    try:
        return decimal_point(typed)
    except CommaFault as fault:
        faults[field] = FormFault(fault.detail, fault.hint.replace(", with at most three decimals", ""))
        return None


_PLAIN: Final = {
    "cost": FormFault("That is no amount of money.", "Write it like 12 or 12.50; the currency has its own field."),
    "expires": FormFault("That is no date.", "Write it like 2026-01-31."),
}
"""Faults in words of fields whose fault is told as a rule of JSON."""


def _in_plain_words(refusal: FormRefusal) -> FormRefusal:
    for name in refusal.faults:
        plain = _PLAIN.get(name.partition("-")[0])
        if plain is not None:
            refusal.faults[name] = plain
    return refusal


def delivery_refused(problem: Problem, rows_of: Mapping[str, RowPlace]) -> FormRefusal:
    """A Problem of receiving as faults of the form's fields. `rows_of`: the first row of each item's line, by code."""
    if problem.code in {UNIT_DIFFERS.code, UNKNOWN_ITEM.code}:
        hint = problem.hint if problem.code == UNIT_DIFFERS.code else "Head office adds it, or a manager here."
        fault = FormFault(sentence(problem.detail), hint)
        row = rows_of.get(problem.extras.get("item_id", ""))
        return FormRefusal({}, fault) if row is None else FormRefusal({row.field("quantity"): fault})
    return refused_by(problem, {"occurred_at": "when"}, {"future-date": "when", "invalid-time": "when"})


def refused_view(refusal: FormRefusal, form: Mapping[str, str], rows: Iterable[RowPlace]) -> FormView:
    """The refused form with what was typed; the first field on the page that is wrong has the focus.

    What is wrong of a field that is not on the page is told of the whole form.
    """
    order = [row.field(name) for row in rows for name in _ROW_FIELDS] + list(_FORM_FIELDS)
    faults = {name: refusal.faults[name] for name in order if name in refusal.faults}
    elsewhere = [fault for name, fault in refusal.faults.items() if name not in faults]
    refused = refusal.refused or (elsewhere[0] if elsewhere else None)
    return FormView(form, faults, next(iter(faults), None), refused)
