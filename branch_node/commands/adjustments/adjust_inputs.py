"""The request body of an adjustment in the plain words of shops' software, and what it records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final

import msgspec

from branch_node.commands.input_fields import StrictInput, bad_quantity, codes, names, quantity_of, texts
from shared.checked_fields import Amount, CheckedKey, Note
from shared.events import BadQuantity, EventType, parse_quantity
from shared.runtime.http.body_faults import Fault, FieldRule, faults_of
from shared.runtime.http.scopes import Scope
from shared.runtime.problems import invalid_request
from shared.runtime.text.text_faults import name_fault

MAX_REASON: Final = 200
MAX_NOTE: Final = 1_000


class AdjustReason(msgspec.Struct, frozen=True):
    """What a reason records: a type of event, with a code as its reason, and which sign its change has (0: any)."""

    type: EventType
    sign: int
    code: str | None = None


REASONS: Final = {
    "RESTOCK": AdjustReason(EventType.PURCHASE_RECEIVED, 1),
    "RETURN": AdjustReason(EventType.CUSTOMER_RETURN, 1),
    "SALE": AdjustReason(EventType.ORDER_DEDUCTION, -1),
    "DAMAGE": AdjustReason(EventType.WASTE_RECORDED, -1, "damage"),
    "CORRECTION": AdjustReason(EventType.ADJUSTMENT, 0, "correction"),
}
OTHER: Final = AdjustReason(EventType.ADJUSTMENT, 0, "other")
"""What any other text as a reason records; the text is the event's note."""


def _change_fault(raw: msgspec.Raw) -> str | None:
    try:
        return "it may not be zero" if parse_quantity(bytes(raw)) == 0 else None
    except BadQuantity as error:
        return str(error)


class AdjustInput(StrictInput, kw_only=True):
    """By how much the stock of an item changes, and why.

    `sku` is an item's code, else its barcode. RESTOCK and RETURN take a change above zero, SALE and DAMAGE one below,
    CORRECTION either; any other text as `reason` records an ADJUSTMENT with it as the note.
    """

    sku: CheckedKey
    change: Annotated[Amount, FieldRule(_change_fault)]
    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_REASON), FieldRule(name_fault)]
    note: Note | None = None

    @staticmethod
    def faults_between(given: Mapping[str, Any]) -> Iterator[Fault]:
        if given.keys() >= {"change", "reason"}:
            yield from faults_of(_change, given["change"], given["reason"])
        if given.keys() >= {"reason", "note"}:
            yield from faults_of(_check_note, given["reason"], given["note"])


class AdjustContent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The content of an `AdjustInput`: `change` in thousandths, not zero. Equal contents encode to equal bytes."""

    sku: str
    change: int
    reason: str
    note: str | None = None

    @property
    def kind(self) -> AdjustReason:
        """What the reason records."""
        return REASONS.get(self.reason, OTHER)

    @property
    def scope(self) -> Scope:
        """What a key needs: `correct` for an ADJUSTMENT, else `restock` above zero and `sell` below."""
        if self.kind.type is EventType.ADJUSTMENT:
            return Scope.CORRECT
        return Scope.RESTOCK if self.change > 0 else Scope.SELL

    @property
    def event_note(self) -> str | None:
        """The note of the event: the reason itself, where it is a text of the caller's own, and the note."""
        return _event_note(self.reason, self.note)


def adjustment_of(body: AdjustInput) -> AdjustContent:
    """The content of an adjustment, its fields checked against each other. Raises Problem 422."""
    change = _change(body.change, body.reason)
    names(reason=body.reason)
    texts(note=body.note)
    _check_note(body.reason, body.note)
    codes(sku=body.sku)
    return AdjustContent(sku=body.sku, change=change, reason=body.reason, note=body.note)


def _change(raw: msgspec.Raw, reason: str) -> int:
    change = quantity_of(raw, "change")
    if change == 0:
        raise bad_quantity("change", "it may not be zero")
    sign = REASONS.get(reason, OTHER).sign
    if sign * change < 0:
        invalid_request("change", f"{reason} takes a change {'above' if sign > 0 else 'below'} zero")
    return change


def _event_note(reason: str, note: str | None) -> str | None:
    if reason in REASONS:
        return note
    return reason if note is None else f"{reason}: {note}"


def _check_note(reason: str, note: str | None) -> None:
    if len(_event_note(reason, note) or "") > MAX_NOTE:
        invalid_request("note", f"the reason and it have more than {MAX_NOTE} characters together")
