"""Types of the fields of request bodies, with the rules that `shared.events` has for their texts and quantities."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from typing import Annotated, Any, Final

import msgspec

from shared.events import MAX_QUANTITY, BadQuantity, Code, Id, Key, Text, parse_quantity
from shared.runtime.clock import parse_rfc3339
from shared.runtime.http.body_faults import FieldRule
from shared.runtime.text.text_faults import code_fault, name_fault, text_fault

CheckedId = Annotated[Id, FieldRule(code_fault)]
CheckedCode = Annotated[Code, FieldRule(code_fault)]
CheckedKey = Annotated[Key, FieldRule(code_fault)]
Name = Annotated[Text, FieldRule(name_fault)]
Note = Annotated[Text, FieldRule(text_fault)]


def quantity_rule(lowest: int = -MAX_QUANTITY) -> FieldRule:
    """The rule of a quantity sent as a JSON number or a decimal string; `lowest` in thousandths."""
    return FieldRule(_fault(lambda raw: parse_quantity(bytes(raw), lowest=lowest), BadQuantity))


def _fault(read: Callable[[Any], Any], refusal: type[ValueError] = ValueError) -> Callable[[Any], str | None]:
    def fault(value: Any) -> str | None:
        try:
            read(value)
        except refusal as error:
            return str(error)
        return None

    return fault


MOMENT_RULE = FieldRule(_fault(parse_rfc3339))
"""The rule of a moment: RFC 3339 with its offset from UTC."""

Moment = Annotated[str, msgspec.Meta(max_length=40, description="RFC 3339 with offset; now if left out"), MOMENT_RULE]
Amount = Annotated[
    msgspec.Raw,
    msgspec.Meta(
        description="JSON number or decimal string, at most three decimals",
        extra_json_schema={"type": ["number", "string"]},
    ),
    quantity_rule(),
]
OrderId = Annotated[str, msgspec.Meta(min_length=1, max_length=100), FieldRule(code_fault)]
Source = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._-]{1,40}\Z", description="The system that it comes from")]
Revision = Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000)]

FIRST_YEAR: Final = 2000
NO_DAY: Final = "not a date such as 2026-01-31"
NO_MONEY: Final = "not a decimal amount of at most 15 digits and 6 decimals"
_MONEY: Final = re.compile(rb'"?([0-9]{1,15}(?:\.[0-9]{1,6})?)"?')


def is_day(text: str) -> bool:
    """Whether a text is a date since 2000, written as 2026-01-31."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return False
    return day.isoformat() == text and day.year >= FIRST_YEAR  # 20260131 and 2026-W05-6 are dates elsewhere


def read_money(raw: bytes) -> str | None:
    """The decimal text of an amount that was sent as a JSON number or a decimal string; None where it is none."""
    match = _MONEY.fullmatch(raw)
    return None if match is None else match[1].decode("ascii")


Money = Annotated[
    msgspec.Raw,
    msgspec.Meta(
        description="JSON number or decimal string, at most 15 digits and six decimals",
        extra_json_schema={"type": ["number", "string"]},
    ),
    FieldRule(lambda raw: NO_MONEY if read_money(bytes(raw)) is None else None),
]
Currency = Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{3}\Z", description="ISO 4217")]
CalendarDay = Annotated[str, msgspec.Meta(max_length=10), FieldRule(lambda text: None if is_day(text) else NO_DAY)]
"""A date such as 2026-01-31."""
