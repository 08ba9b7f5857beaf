"""Texts of single cells, checked as the node checks the fields of an event. Pure; a bad cell raises RowRejected.

The rules are read from the annotations of the request bodies, so that what a row reader accepts the node accepts too,
however the row reaches it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Annotated, Any, Final, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from branch_node.commands.event_inputs import CostInput, EventInput, ReferenceInput
from branch_node.commands.item_inputs import ItemInput
from shared.runtime.http.body_faults import FieldRule
from shared.runtime.text.printable import printable_line

Cells = Sequence[str]
Check = Callable[[str], str]
"""Gives a text back that can be recorded. Raises RowRejected."""

_MILLIONTH: Final = Decimal("0.000001")


class RowRejected(ValueError):
    """A row that cannot be recorded; the text says why, and begins with the column where one cell is at fault."""


Read = TypeVar("Read")


def naming_column(column: str | None, read: Callable[[str], Read]) -> Callable[[str], Read]:
    """`read` of a cell, whose errors (ValueError) are RowRejected that name the column."""
    if column is None:
        return read

    def named(text: str) -> Read:
        try:
            return read(text)
        except ValueError as error:
            raise RowRejected(in_column(column, str(error))) from error

    return named


def in_column(column: str | None, why: str) -> str:
    """A reason that begins with the column at fault: `column qty: there is no quantity`."""
    return why if column is None else f"{IN_COLUMN} {printable_line(column)}: {why}"


IN_COLUMN: Final = "column"
"""The first word of reasons that name a column."""


def _said(annotation: Any) -> Iterator[Any]:
    """What the parts of an annotation say about a value, the innermost first."""
    if get_origin(annotation) is Annotated:
        kind, *said = get_args(annotation)
        yield from _said(kind)
        yield from said
    else:
        for part in get_args(annotation):
            yield from _said(part)


def field_check(struct: type[msgspec.Struct], field: str, no_match: str = "") -> Check:
    """The check of a text field of a request body; `no_match` is the reason where its pattern is not matched."""
    said = list(_said(get_type_hints(struct, include_extras=True)[field]))
    metas = [each for each in said if isinstance(each, msgspec.Meta)]
    longest = min(each.max_length for each in metas if each.max_length) if any(m.max_length for m in metas) else 10**6
    patterns = [re.compile(each.pattern) for each in metas if each.pattern]
    rules = [each.fault for each in said if isinstance(each, FieldRule)]

    def check(text: str) -> str:
        if len(text) > longest:
            raise RowRejected(f"{text[:40]!r}… has {len(text)} characters, at most {longest} are kept")
        for pattern in patterns:
            if pattern.search(text) is None:
                raise RowRejected(f"{text[:40]!r}: {no_match}")
        for rule in rules:
            fault = rule(text)
            if fault is not None:
                raise RowRejected(f"{text[:40]!r}: {fault}")
        return text

    return check


good_code: Final = field_check(EventInput, "reason")
good_lot: Final = field_check(EventInput, "lot")
good_area: Final = field_check(EventInput, "area")
good_unit: Final = field_check(EventInput, "unit")
good_person: Final = field_check(EventInput, "actor")
good_text: Final = field_check(EventInput, "note")
good_day: Final = field_check(EventInput, "expires_on")
good_id: Final = field_check(ReferenceInput, "id")
good_kind: Final = field_check(ReferenceInput, "kind")
good_product: Final = field_check(ReferenceInput, "product")
good_currency: Final = field_check(CostInput, "currency", "it is no currency such as USD")
good_name: Final = field_check(ItemInput, "name")
_good_item: Final = field_check(EventInput, "item_id")
_money: Final = get_type_hints(CostInput, include_extras=True)["amount"]
_money_faults: Final = [each.fault for each in _said(_money) if isinstance(each, FieldRule)]


def good_item(text: str) -> str:
    """An item's code. `.` and `..` are none: as parts of an address they are removed on the way."""
    if text in (".", ".."):
        raise RowRejected(f"{text!r} cannot be an item's code")
    return _good_item(text)


def composed(text: str) -> str:
    """The text without outer blanks, in Unicode's composed form (NFC), as codes are kept."""
    text = text.strip()
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def amount_text(amount: Decimal) -> str:
    """The shortest text of a cost, rounded half to even at six decimals, as a price times a weight may have more."""
    if amount.copy_abs() >= 10**15:
        raise RowRejected(f"the cost {amount:f} has more than 15 digits")
    text = format(amount.quantize(_MILLIONTH, ROUND_HALF_EVEN), "f").rstrip("0").rstrip(".")
    for fault_of in _money_faults:
        fault = fault_of(text.encode())
        if fault is not None:
            raise RowRejected(f"the cost {text}: {fault}")
    return text
