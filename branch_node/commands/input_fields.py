"""Types and readers of the single fields of request bodies, shared by the bodies of all commands.

A reader turns a field into thousandths, microseconds UTC or a checked text, or raises the Problem that names the field.
None of them looks at the stock or the clock.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from branch_node.problems import INVALID_QUANTITY, INVALID_TIME
from shared.events import MAX_QUANTITY, BadQuantity, parse_quantity
from shared.runtime.business_days import Asked, read_asked
from shared.runtime.clock import parse_rfc3339
from shared.runtime.http.body_faults import FieldRule
from shared.runtime.problems import invalid_request
from shared.runtime.text.text_faults import code_fault, name_fault, text_fault

DEFAULT_SOURCE: Final = "api"

Person = Annotated[
    str, msgspec.Meta(min_length=1, max_length=31, description="An opaque id of who did it"), FieldRule(code_fault)
]
MAX_KEY: Final = 200
RESERVED_KEYS: Final = ("transfer:", "larder:")
"""Prefixes of keys that the node makes itself."""


def key_fault(text: str) -> str | None:
    """Why a caller may not use `text` as an Idempotency-Key, or None where it may."""
    if not 1 <= len(text) <= MAX_KEY or not text.isascii() or code_fault(text) is not None:
        return f"it is not 1 to {MAX_KEY} printable ASCII characters"
    if text.startswith(RESERVED_KEYS):
        return f"keys that begin with {' or '.join(RESERVED_KEYS)} are made by the node itself"
    return None


class StrictInput(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """Base of request bodies. Unknown fields are refused, so that a misspelt one is not ignored."""


def quantity_of(raw: msgspec.Raw, field: str, *, lowest: int = -MAX_QUANTITY) -> int:
    """A quantity as sent, in thousandths. Raises Problem `invalid-quantity` naming the field."""
    try:
        return parse_quantity(bytes(raw), lowest=lowest)
    except BadQuantity as error:
        raise bad_quantity(field, str(error)) from error


def bad_quantity(field: str, message: str) -> Exception:
    return INVALID_QUANTITY(f"{field}: {message}", errors=[{"field": field, "message": message}])


def asked(text: str | None, field: str) -> Asked | None:
    """A moment or a business date as asked for; None where none was. Raises Problem `invalid-time`."""
    if text is None:
        return None
    try:
        return read_asked(text)
    except ValueError as error:
        raise INVALID_TIME(f"{field}: {error}", errors=[{"field": field, "message": str(error)}]) from error


def moment(text: str | None, field: str = "occurred_at") -> int | None:
    """A time as sent, in microseconds UTC; None where none was. Raises Problem `invalid-time`."""
    if text is None:
        return None
    try:
        return parse_rfc3339(text)[0]
    except ValueError as error:
        raise INVALID_TIME(f"{field}: {error}", errors=[{"field": field, "message": str(error)}]) from error


def codes(**named: str | None) -> None:
    """Check codes and ids, given by path of the field. Raises Problem `invalid-request`."""
    for field, text in named.items():
        if text is not None and (fault := code_fault(text)) is not None:
            invalid_request(field, fault)


def names(**named: str | None) -> None:
    """Check names, given by path of the field. Raises Problem `invalid-request`."""
    for field, text in named.items():
        if text is not None and (fault := name_fault(text)) is not None:
            invalid_request(field, fault)


def texts(**named: str | None) -> None:
    """Check notes, given by path of the field. Raises Problem `invalid-request`."""
    for field, text in named.items():
        if text is not None and (fault := text_fault(text)) is not None:
            invalid_request(field, fault)
