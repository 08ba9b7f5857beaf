"""Request bodies of single events and batches, and the content that is read from them.

The `…Input` structs are the documented bodies, the `…Content` structs hold what commands use: thousandths,
microseconds UTC, checked texts. The functions between them raise the Problem that names the wrong field.
"""

from __future__ import annotations

import datetime
import re
from typing import Annotated, Any, Final, TypeVar

import msgspec

from branch_node.commands.input_fields import (
    DEFAULT_SOURCE,
    Amount,
    Moment,
    Person,
    Source,
    StrictInput,
    bad_quantity,
    codes,
    moment,
    quantity_of,
    texts,
)
from branch_node.problems import INVALID_EVENT, TYPE_NOT_BY_HAND
from shared.events import (
    MAX_LINES,
    MAX_QUANTITY,
    RULES,
    Code,
    Cost,
    Entered,
    EventType,
    Id,
    Key,
    Position,
    Reference,
    Text,
    code_fault,
    quantity_text,
)
from shared.runtime.problems import invalid_request


class CostInput(StrictInput, kw_only=True):
    """What the whole line cost."""

    amount: Amount
    currency: Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{3}\Z", description="ISO 4217")]


class EnteredInput(StrictInput, kw_only=True):
    """The quantity as entered, in another unit; `factor` base units are one of it."""

    quantity: Amount
    unit: Code
    factor: Amount


class ReferenceInput(StrictInput, kw_only=True):
    """The document behind the event, such as a delivery note; `product` is the dish that used the ingredient."""

    kind: Code
    id: Key
    line: Position | None = None
    product: Text | None = None


class LineInput(StrictInput, kw_only=True):
    """An item and how much of it, in its base unit or as `entered` (or both, if they agree)."""

    item_id: Id
    quantity: Amount | msgspec.UnsetType = msgspec.UNSET
    unit: Code | None = None
    entered: EnteredInput | None = None
    note: Text | None = None
    cost: CostInput | None = None
    lot: Code | None = None
    expires_on: Annotated[str, msgspec.Meta(max_length=10)] | None = None
    area: Code | None = None


class EventInput(LineInput, kw_only=True):
    """One event recorded by hand. `counted` goes with STOCKTAKE, `used` with PRODUCTION_MADE."""

    type: EventType
    counted: Amount | msgspec.UnsetType = msgspec.UNSET
    occurred_at: Moment | None = None
    reference: ReferenceInput | None = None
    reason: Code | None = None
    source: Source | None = None
    actor: Person | None = None
    transfer_id: Id | None = None
    used: Annotated[list[LineInput], msgspec.Meta(min_length=1, max_length=MAX_LINES - 1)] | None = None


class BatchEventInput(EventInput, kw_only=True):
    """One event of a batch, with the key that a single one has in its Idempotency-Key header."""

    key: Key | None = None


class BatchInput(StrictInput, kw_only=True):
    events: Annotated[list[BatchEventInput], msgspec.Meta(min_length=1, max_length=MAX_LINES)]


class LineContent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The content of a `LineInput`: quantity in thousandths of the base unit. Equal contents encode to equal bytes."""

    item_id: str
    quantity: int | None = None
    unit: str | None = None
    entered: Entered | None = None
    note: str | None = None
    cost: Cost | None = None
    lot: str | None = None
    expires_on: str | None = None
    area: str | None = None


class EventContent(LineContent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The content of an `EventInput`. `occurred_at` is in microseconds UTC, None for the node's now."""

    type: EventType
    counted: int | None = None
    occurred_at: int | None = None
    reference: Reference | None = None
    reason: str | None = None
    source: str = DEFAULT_SOURCE
    person: str | None = None
    transfer_id: str | None = None
    used: tuple[LineContent, ...] = ()


def entry_of(body: EventInput) -> EventContent:
    """The content of one event, its fields checked against each other. Raises Problem."""
    kind = body.type
    rule = RULES[kind]
    if not rule.by_hand:
        raise TYPE_NOT_BY_HAND(f"{kind} is made by a command of its own")
    quantity = counted = None
    if kind is EventType.STOCKTAKE:
        if body.quantity is not msgspec.UNSET:
            raise INVALID_EVENT("a STOCKTAKE carries 'counted', not 'quantity'")
        counted = amount(body.counted, body.entered, "counted", lowest=0)
    else:
        if body.counted is not msgspec.UNSET:
            raise INVALID_EVENT(f"{kind} carries 'quantity', not 'counted'")
        quantity = amount(body.quantity, body.entered, "quantity", lowest=-MAX_QUANTITY if rule.signed else 1)
        if quantity == 0:
            raise bad_quantity("quantity", "it may not be zero")
    if body.reason is None and "reason" in rule.required:
        raise INVALID_EVENT(f"{kind} needs a 'reason', a code such as spoiled or broken")
    if body.transfer_id is not None and kind is not EventType.ADJUSTMENT:
        raise INVALID_EVENT(f"{kind} recorded by hand names no transfer; only an ADJUSTMENT may")
    if body.used and kind is not EventType.PRODUCTION_MADE:
        raise INVALID_EVENT(f"{kind} has no 'used'; it goes with PRODUCTION_MADE")
    codes(reason=body.reason, actor=body.actor, transfer_id=body.transfer_id)
    return EventContent(
        type=kind,
        item_id=body.item_id,
        quantity=quantity,
        counted=counted,
        occurred_at=moment(body.occurred_at),
        reference=None if body.reference is None else _reference(body.reference),
        reason=body.reason,
        source=body.source or DEFAULT_SOURCE,
        person=body.actor,
        transfer_id=body.transfer_id,
        used=tuple(line_of(each, f"used[{place}].", into=LineContent) for place, each in enumerate(body.used or ())),
        **_details(body),
    )


L = TypeVar("L", bound=LineContent)


def line_of(body: LineInput, path: str = "", *, into: type[L]) -> L:
    """The content of a line, its quantity above zero. `path` is its place in the body, for the Problem."""
    quantity = amount(body.quantity, body.entered, f"{path}quantity", lowest=1)
    return into(item_id=body.item_id, quantity=quantity, **_details(body, path))


def _details(body: LineInput, path: str = "") -> dict[str, Any]:
    """The optional fields of a line, checked; only those present."""
    fault = code_fault(body.item_id)
    if fault is not None:
        invalid_request(f"{path}item_id", fault)
    found: dict[str, Any] = {}
    for name in ("unit", "lot", "area"):
        text = getattr(body, name)
        if text is not None:
            codes(**{path + name: text})
            found[name] = text
    if body.note is not None:
        texts(**{f"{path}note": body.note})
        found["note"] = body.note
    if body.entered is not None:
        found["entered"] = _entered(body.entered, f"{path}entered.")
    if body.cost is not None:
        found["cost"] = Cost(amount=_cost(body.cost.amount, path), currency=body.cost.currency)
    if body.expires_on is not None:
        found["expires_on"] = _day(body.expires_on, f"{path}expires_on")
    return found


def amount(raw: msgspec.Raw | msgspec.UnsetType, entered: EnteredInput | None, field: str, *, lowest: int) -> int:
    """Thousandths of the base unit, from `raw`, from `entered`, or from both if they agree. Raises Problem."""
    if isinstance(raw, msgspec.UnsetType):
        if entered is None:
            raise bad_quantity(field, "it is missing")
        return _product(_entered(entered, "entered."), field, lowest)
    number = quantity_of(raw, field, lowest=lowest)
    if entered is not None and _product(_entered(entered, "entered."), field, lowest) != number:
        raise bad_quantity(field, f"{quantity_text(number)} is not what 'entered' comes to")
    return number


def _entered(body: EnteredInput, path: str) -> Entered:
    codes(**{f"{path}unit": body.unit})
    return Entered(
        quantity=quantity_of(body.quantity, f"{path}quantity"),
        unit=body.unit,
        factor=quantity_of(body.factor, f"{path}factor", lowest=1),
    )


def _product(entered: Entered, field: str, lowest: int) -> int:
    product, rest = divmod(entered.quantity * entered.factor, 1_000)
    if rest:
        raise bad_quantity(field, "'entered' does not come to thousandths of the base unit")
    if not lowest <= product <= MAX_QUANTITY:
        raise bad_quantity(field, "'entered' comes to a quantity out of range")
    return product


FIRST_YEAR: Final = 2000
_MONEY: Final = re.compile(rb'"?([0-9]{1,15}(?:\.[0-9]{1,6})?)"?')


def _cost(raw: msgspec.Raw, path: str) -> str:
    match = _MONEY.fullmatch(bytes(raw))
    if match is None:
        invalid_request(f"{path}cost.amount", "not a decimal amount of at most 15 digits and 6 decimals")
    return match[1].decode("ascii")


def _day(text: str, field: str) -> str:
    try:
        day = datetime.date.fromisoformat(text)
    except ValueError:
        invalid_request(field, "not a date such as 2026-01-31")
    if day.isoformat() != text or day.year < FIRST_YEAR:
        invalid_request(field, "not a date such as 2026-01-31")  # 20260131 and 2026-W05-6 are dates elsewhere
    return text


def _reference(body: ReferenceInput) -> Reference:
    codes(**{"reference.id": body.id, "reference.kind": body.kind})
    texts(**{"reference.product": body.product})
    return Reference(id=body.id, kind=body.kind, line=body.line, product=body.product)
