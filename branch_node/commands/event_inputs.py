"""Request bodies of single events and batches, and the content that is read from them.

The `…Input` structs are the documented bodies, the `…Content` structs hold what commands use: thousandths,
microseconds UTC, checked texts. The functions between them raise the Problem that names the wrong field.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, TypeVar

import msgspec

from branch_node.commands.input_fields import (
    DEFAULT_SOURCE,
    Person,
    StrictInput,
    bad_quantity,
    codes,
    key_fault,
    moment,
    quantity_of,
    texts,
)
from branch_node.problems import INVALID_EVENT, TYPE_NOT_BY_HAND
from shared.checked_fields import (
    NO_DAY,
    NO_MONEY,
    Amount,
    CalendarDay,
    CheckedCode,
    CheckedId,
    CheckedKey,
    Currency,
    Moment,
    Money,
    Note,
    Source,
    is_day,
    quantity_rule,
    read_money,
)
from shared.events import (
    MAX_LINES,
    MAX_QUANTITY,
    RULES,
    Cost,
    Entered,
    EventType,
    Key,
    Position,
    Reference,
    quantity_text,
)
from shared.runtime.http.body_faults import Fault, FieldRule, faults_of
from shared.runtime.problems import Problem, invalid_request
from shared.runtime.text.text_faults import code_fault

Expiry = CalendarDay
TYPES_BY_HAND: Final = tuple(kind.value for kind in EventType if RULES[kind].by_hand)
TypeByHand = Annotated[
    EventType,
    msgspec.Meta(extra_json_schema={"enum": list(TYPES_BY_HAND)}),
    FieldRule(lambda kind: None if RULES[kind].by_hand else _not_by_hand(kind), TYPES_BY_HAND),
]


def _not_by_hand(kind: EventType) -> str:
    return f"{kind} is made by a command of its own"


class CostInput(StrictInput, kw_only=True):
    """What the whole line cost."""

    amount: Money
    currency: Currency


class EnteredInput(StrictInput, kw_only=True):
    """The quantity as entered, in another unit; `factor` base units are one of it."""

    quantity: Amount
    unit: CheckedCode
    factor: Annotated[Amount, quantity_rule(lowest=1)]


class ReferenceInput(StrictInput, kw_only=True):
    """The document behind the event, such as a delivery note; `product` is the dish that used the ingredient."""

    kind: CheckedCode
    id: CheckedKey
    line: Position | None = None
    product: Note | None = None


class LineInput(StrictInput, kw_only=True):
    """An item and how much of it, in its base unit or as `entered` (or both, if they agree)."""

    item_id: CheckedId
    quantity: Amount | msgspec.UnsetType = msgspec.UNSET
    unit: CheckedCode | None = None
    entered: EnteredInput | None = None
    note: Note | None = None
    cost: CostInput | None = None
    lot: CheckedCode | None = None
    expires_on: Expiry | None = None
    area: CheckedCode | None = None

    @staticmethod
    def faults_between(given: Mapping[str, Any]) -> Iterator[Fault]:
        if given.keys() >= {"quantity", "entered"}:
            yield from faults_of(amount, given["quantity"], given["entered"], "quantity", lowest=1)


class EventInput(LineInput, kw_only=True):
    """One event recorded by hand. `counted` goes with STOCKTAKE, `used` with PRODUCTION_MADE."""

    type: TypeByHand
    counted: Amount | msgspec.UnsetType = msgspec.UNSET
    occurred_at: Moment | None = None
    reference: ReferenceInput | None = None
    reason: CheckedCode | None = None
    source: Source | None = None
    actor: Person | None = None
    transfer_id: CheckedId | None = None
    used: Annotated[list[LineInput], msgspec.Meta(min_length=1, max_length=MAX_LINES - 1)] | None = None

    @staticmethod
    def faults_between(given: Mapping[str, Any]) -> Iterator[Fault]:
        kind = given.get("type")
        if kind is None:
            return  # it decides what the event carries
        name, other = ("counted", "quantity") if kind is EventType.STOCKTAKE else ("quantity", "counted")
        if given.get(other, msgspec.UNSET) is not msgspec.UNSET:
            yield from _misfit(other, kind).extras["errors"]
        elif given.keys() >= {name, "entered"}:
            yield from faults_of(_moved, kind, given[name], given["entered"])
        if given.get("reason", "") is None and "reason" in RULES[kind].required:
            yield from _misfit("reason", kind).extras["errors"]
        if given.get("transfer_id") is not None and kind is not EventType.ADJUSTMENT:
            yield from _misfit("transfer_id", kind).extras["errors"]
        if given.get("used") and kind is not EventType.PRODUCTION_MADE:
            yield from _misfit("used", kind).extras["errors"]


class BatchEventInput(EventInput, kw_only=True):
    """One event of a batch, with the key that a single one has in its Idempotency-Key header."""

    key: Annotated[Key, FieldRule(key_fault)] | None = None


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
        said = _not_by_hand(kind)
        raise TYPE_NOT_BY_HAND(said, errors=[{"field": "type", "message": said, "allowed": list(TYPES_BY_HAND)}])
    quantity = counted = None
    if kind is EventType.STOCKTAKE:
        if body.quantity is not msgspec.UNSET:
            raise _misfit("quantity", kind)
        counted = _moved(kind, body.counted, body.entered)
    else:
        if body.counted is not msgspec.UNSET:
            raise _misfit("counted", kind)
        quantity = _moved(kind, body.quantity, body.entered)
    if body.reason is None and "reason" in rule.required:
        raise _misfit("reason", kind)
    if body.transfer_id is not None and kind is not EventType.ADJUSTMENT:
        raise _misfit("transfer_id", kind)
    if body.used and kind is not EventType.PRODUCTION_MADE:
        raise _misfit("used", kind)
    codes(reason=body.reason, actor=body.actor, transfer_id=body.transfer_id)
    return EventContent(
        type=kind,
        item_id=body.item_id,
        quantity=quantity,
        counted=counted,
        occurred_at=moment(body.occurred_at),
        reference=None if body.reference is None else reference_of(body.reference),
        reason=body.reason,
        source=body.source or DEFAULT_SOURCE,
        person=body.actor,
        transfer_id=body.transfer_id,
        used=tuple(line_of(each, f"used[{place}].", into=LineContent) for place, each in enumerate(body.used or ())),
        **_details(body),
    )


def _moved(kind: EventType, raw: msgspec.Raw | msgspec.UnsetType, entered: EnteredInput | None) -> int:
    """The quantity of an event of this type in thousandths, or what a STOCKTAKE counted. Raises Problem."""
    if kind is EventType.STOCKTAKE:
        return amount(raw, entered, "counted", lowest=0)
    quantity = amount(raw, entered, "quantity", lowest=-MAX_QUANTITY if RULES[kind].signed else 1)
    if quantity == 0:
        raise bad_quantity("quantity", "it may not be zero")
    return quantity


_MISFITS: Final = {
    "quantity": "a {kind} carries 'counted', not 'quantity'",
    "counted": "{kind} carries 'quantity', not 'counted'",
    "reason": "{kind} needs a 'reason', a code such as spoiled or broken",
    "transfer_id": "{kind} recorded by hand names no transfer; only an ADJUSTMENT may",
    "used": "{kind} has no 'used'; it goes with PRODUCTION_MADE",
}


def _misfit(field: str, kind: EventType) -> Problem:
    """422 `invalid-event` for a field that an event of this type lacks or may not carry."""
    said = _MISFITS[field].format(kind=kind)
    return INVALID_EVENT(said, errors=[{"field": field, "message": said}])


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
        found["entered"] = entered_of(body.entered, f"{path}entered.")
    if body.cost is not None:
        found["cost"] = cost_of(body.cost, path)
    if body.expires_on is not None:
        found["expires_on"] = day_of(body.expires_on, f"{path}expires_on")
    return found


def amount(raw: msgspec.Raw | msgspec.UnsetType, entered: EnteredInput | None, field: str, *, lowest: int) -> int:
    """Thousandths of the base unit, from `raw`, from `entered`, or from both if they agree. Raises Problem."""
    if isinstance(raw, msgspec.UnsetType):
        if entered is None:
            raise bad_quantity(field, "it is missing")
        return _product(entered_of(entered, f"{_place(field)}entered."), field, lowest)
    number = quantity_of(raw, field, lowest=lowest)
    if entered is not None and _product(entered_of(entered, f"{_place(field)}entered."), field, lowest) != number:
        raise bad_quantity(field, f"{quantity_text(number)} is not what 'entered' comes to")
    return number


def _place(field: str) -> str:
    """The line in which a field stands: `lines[0].` of `lines[0].quantity`."""
    return field[: field.rfind(".") + 1]


def entered_of(body: EnteredInput, path: str) -> Entered:
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


def cost_of(body: CostInput, path: str = "") -> Cost:
    """The cost of a line as sent. Raises Problem; `path` is the line's place in the body."""
    amount = read_money(bytes(body.amount))
    if amount is None:
        invalid_request(f"{path}cost.amount", NO_MONEY)
    return Cost(amount=amount, currency=body.currency)


def day_of(text: str, field: str) -> str:
    """A date as sent. Raises Problem."""
    if not is_day(text):
        invalid_request(field, NO_DAY)
    return text


def reference_of(body: ReferenceInput) -> Reference:
    codes(**{"reference.id": body.id, "reference.kind": body.kind})
    texts(**{"reference.product": body.product})
    return Reference(id=body.id, kind=body.kind, line=body.line, product=body.product)
