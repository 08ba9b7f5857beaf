"""Stock events: their types, their envelope, what each type must carry, and the bounds of every field.

Pure: no connection, no clock, no ids made here. Quantities are integers of thousandths of the item's base unit, times
are integers of microseconds since 1970-01-01 UTC, costs are decimal strings. Source: DESIGN section 3.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum
from functools import lru_cache
from operator import attrgetter
from typing import Annotated, Any, Final

import msgspec

SCHEMA_VERSION: Final = 3  # the newest known here
PLAIN_SCHEMA: Final = 1  # of an event that uses nothing newer, so that an older reader understands it
FIELD_SCHEMAS: Final = {"areas": 2, "low": 3, "supplier_id": 3}  # the schema that added a field
MAX_QUANTITY: Final = 10**12
MIN_TIME: Final = 946_684_800_000_000  # 2000-01-01T00:00:00Z
MAX_TIME: Final = 7_258_118_400_000_000  # 2200-01-01T00:00:00Z
MAX_SEQUENCE: Final = 2**53 - 1  # the largest integer every JSON reader keeps exact
MAX_LINES: Final = 1_000
MAX_LINE_BYTES: Final = 16_384
MAX_AREAS_BYTES: Final = 8_000  # of the areas of one count, so that the rest of its line has room beside them

Id = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
Key = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Code = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=1_000)]
HexHash = Annotated[str, msgspec.Meta(min_length=64, max_length=64)]
Uuid = Annotated[str, msgspec.Meta(min_length=36, max_length=36)]
Day = Annotated[str, msgspec.Meta(min_length=10, max_length=10)]
Time = Annotated[int, msgspec.Meta(ge=MIN_TIME, le=MAX_TIME)]
Sequence = Annotated[int, msgspec.Meta(ge=1, le=MAX_SEQUENCE)]
Quantity = Annotated[int, msgspec.Meta(ge=-MAX_QUANTITY, le=MAX_QUANTITY)]
Position = Annotated[int, msgspec.Meta(ge=1, le=MAX_LINES)]


class EventType(StrEnum):
    """What happened. The value is what stands in the canonical line."""

    PURCHASE_RECEIVED = "PURCHASE_RECEIVED"
    PURCHASE_RETURNED = "PURCHASE_RETURNED"
    ORDER_DEDUCTION = "ORDER_DEDUCTION"
    CUSTOMER_RETURN = "CUSTOMER_RETURN"
    INTERNAL_USE = "INTERNAL_USE"
    WASTE_RECORDED = "WASTE_RECORDED"
    PRODUCTION_USED = "PRODUCTION_USED"
    PRODUCTION_MADE = "PRODUCTION_MADE"
    ADJUSTMENT = "ADJUSTMENT"
    STOCKTAKE = "STOCKTAKE"
    TRANSFER_OUT = "TRANSFER_OUT"
    TRANSFER_IN = "TRANSFER_IN"
    TRANSFER_REVERSED = "TRANSFER_REVERSED"
    TRANSFER_REFUSED = "TRANSFER_REFUSED"
    TRANSFER_LOST = "TRANSFER_LOST"
    STOCK_RESERVED = "STOCK_RESERVED"
    RESERVATION_REFUSED = "RESERVATION_REFUSED"
    RESERVATION_RELEASED = "RESERVATION_RELEASED"
    RESERVATION_EXPIRED = "RESERVATION_EXPIRED"
    RESERVATION_CONFIRMED = "RESERVATION_CONFIRMED"
    ORDER_CANCELLED = "ORDER_CANCELLED"
    EVENT_VOIDED = "EVENT_VOIDED"
    EVENT_REVIEWED = "EVENT_REVIEWED"
    ITEM_DEFINED = "ITEM_DEFINED"
    EPOCH_OPENED = "EPOCH_OPENED"


class _Part(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """A nested part of the envelope. Fields stand in alphabetical order: that order is the canonical one."""


class Cost(_Part, frozen=True, kw_only=True, gc=False):
    """What the whole line cost. `amount` is a decimal string, `currency` an ISO 4217 code."""

    amount: Annotated[str, msgspec.Meta(min_length=1, max_length=32)]
    currency: Annotated[str, msgspec.Meta(min_length=3, max_length=3)]


class Entered(_Part, frozen=True, kw_only=True, gc=False):
    """The quantity as a person entered it: `quantity` × `factor` base units, both in thousandths."""

    factor: Quantity
    quantity: Quantity
    unit: Code


class CountedArea(_Part, frozen=True, kw_only=True, gc=False):
    """What was counted in one area (none: the whole), when, by whom, said by which system, and what was noted."""

    actor: Id
    area: Code | None = None
    counted: Quantity
    note: Text | None = None
    occurred_at: Time
    source: Code


class Definition(_Part, frozen=True, kw_only=True, gc=False):
    """An item that a branch defined by itself."""

    barcode: Code | None = None
    category: Text | None = None
    name: Text
    strict: bool | None = None
    unit: Code


class LowStock(_Part, frozen=True, kw_only=True, gc=False):
    """The reorder level that the item's available stock reached or passed from above by the event's command.

    `reorder_quantity`: what to order then, at least. `available`: what the item was judged by, the sum over its codes
    where it has several; None: what is available of the event's own code. All in thousandths of the item's unit.
    """

    available: Annotated[int, msgspec.Meta(ge=-MAX_SEQUENCE, le=MAX_SEQUENCE)] | None = None
    reorder_point: Annotated[int, msgspec.Meta(ge=0, le=MAX_QUANTITY)]
    reorder_quantity: Annotated[int, msgspec.Meta(ge=0, le=MAX_QUANTITY)]


class Parent(_Part, frozen=True, kw_only=True, gc=False):
    """Where an epoch begins: the last event of the epoch before it."""

    epoch: Annotated[int, msgspec.Meta(ge=0, le=MAX_SEQUENCE)]
    hash: HexHash
    sequence: Annotated[int, msgspec.Meta(ge=0, le=MAX_SEQUENCE)]


class Reference(_Part, frozen=True, kw_only=True, gc=False):
    """The paper behind the event: `kind` (order, delivery, count …), its id, its line, the dish sold.

    `revision` is set by the orders' commands alone: which statement of the order the event comes from.
    """

    id: Key
    kind: Code
    line: Position | None = None
    product: Text | None = None
    revision: Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000)] | None = None


class Tail(_Part, frozen=True, kw_only=True, gc=False):
    """What only the forked branch had: how many events, and the last hash of them."""

    digest: HexHash
    size: Annotated[int, msgspec.Meta(ge=0, le=MAX_SEQUENCE)]


class Event(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """One line of a location's log.

    The fields stand in alphabetical order and absent ones are None, so that msgspec's encoding of the struct is the
    canonical line (no field has a default that is itself a legal value). A command builds an event *unplaced*, with
    epoch, sequence and recorded_at still at zero; only `chain.seal` writes those three. No cycle can lead through an
    event, so the garbage collector is spared looking at it (`gc=False`, here and in what else is made by the million).
    """

    actor: Id
    area: Code | None = None
    areas: tuple[CountedArea, ...] | None = None
    business_date: Day
    clock_unconfirmed: bool | None = None
    command_digest: HexHash | None = None
    command_key: Key | None = None
    cost: Cost | None = None
    counted: Quantity | None = None
    definition: Definition | None = None
    entered: Entered | None = None
    epoch: Annotated[int, msgspec.Meta(ge=1, le=MAX_SEQUENCE)]
    event_id: Uuid
    expected: Quantity | None = None
    expires_at: Time | None = None
    expires_on: Day | None = None
    item_id: Id | None = None
    line: Position
    lines: Position
    location_id: Id
    lot: Code | None = None
    low: LowStock | None = None
    note: Text | None = None
    occurred_at: Time
    parent: Parent | None = None
    quantity: Quantity | None = None
    reason: Code | None = None
    recorded_at: Time
    reference: Reference | None = None
    reservation_id: Id | None = None
    reviewed_event_id: Uuid | None = None
    sequence: Sequence
    source: Code
    supplier_id: Id | None = None
    tail: Tail | None = None
    transfer_id: Id | None = None
    transfer_line: Position | None = None
    type: EventType
    unit: Code | None = None
    utc_offset: Annotated[int, msgspec.Meta(ge=-1_080, le=1_080)]  # minutes
    v: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
    voided_event_id: Uuid | None = None
    voided_sequence: Sequence | None = None


class TypeRule(msgspec.Struct, frozen=True, kw_only=True):
    """What one event type does and carries.

    `on_hand`, `reserved`, `in_transit` are the sign that `quantity` takes in each figure (0: no effect). `by_hand` says
    whether a person or an import may record it, and so whether it can be voided.
    """

    on_hand: int = 0
    reserved: int = 0
    in_transit: int = 0
    by_hand: bool = False
    signed: bool = False
    required: frozenset[str] = frozenset()


def _rule(*required: str, **effects: Any) -> TypeRule:
    return TypeRule(required=frozenset(required), **effects)


_MOVE = ("item_id", "quantity", "unit")
_TRANSFER = (*_MOVE, "transfer_id", "transfer_line")
_RESERVATION = (*_MOVE, "reservation_id")

RULES: Final[dict[EventType, TypeRule]] = {
    EventType.PURCHASE_RECEIVED: _rule(*_MOVE, on_hand=1, by_hand=True),
    EventType.PURCHASE_RETURNED: _rule(*_MOVE, on_hand=-1, by_hand=True),
    EventType.ORDER_DEDUCTION: _rule(*_MOVE, on_hand=-1, by_hand=True),
    EventType.CUSTOMER_RETURN: _rule(*_MOVE, on_hand=1, by_hand=True),
    EventType.INTERNAL_USE: _rule(*_MOVE, on_hand=-1, by_hand=True),
    EventType.WASTE_RECORDED: _rule(*_MOVE, "reason", on_hand=-1, by_hand=True),
    EventType.PRODUCTION_USED: _rule(*_MOVE, on_hand=-1, by_hand=True),
    EventType.PRODUCTION_MADE: _rule(*_MOVE, on_hand=1, by_hand=True),
    EventType.ADJUSTMENT: _rule(*_MOVE, "reason", on_hand=1, by_hand=True, signed=True),
    EventType.STOCKTAKE: _rule("item_id", "counted", "expected", "unit", by_hand=True),
    EventType.TRANSFER_OUT: _rule(*_TRANSFER, on_hand=-1, in_transit=1),
    EventType.TRANSFER_IN: _rule(*_TRANSFER, on_hand=1, in_transit=-1),
    EventType.TRANSFER_REVERSED: _rule(*_TRANSFER, "voided_event_id", "voided_sequence"),
    EventType.TRANSFER_REFUSED: _rule("transfer_id", "reason"),
    EventType.TRANSFER_LOST: _rule(*_TRANSFER, "reason", in_transit=-1),
    EventType.STOCK_RESERVED: _rule(*_RESERVATION, "expires_at", reserved=1),
    EventType.RESERVATION_REFUSED: _rule(*_RESERVATION, "reason"),
    EventType.RESERVATION_RELEASED: _rule(*_RESERVATION, reserved=-1),
    EventType.RESERVATION_EXPIRED: _rule(*_RESERVATION, reserved=-1),
    EventType.RESERVATION_CONFIRMED: _rule(*_RESERVATION, reserved=-1, on_hand=-1),
    EventType.ORDER_CANCELLED: _rule("reference"),
    EventType.EVENT_VOIDED: _rule("item_id", "reason", "voided_event_id", "voided_sequence"),
    EventType.EVENT_REVIEWED: _rule("reviewed_event_id"),
    EventType.ITEM_DEFINED: _rule("item_id", "definition"),
    EventType.EPOCH_OPENED: _rule("parent"),
}

TYPE_SCHEMAS: Final = {EventType.ORDER_CANCELLED: 3}  # the schema that added a type

BY_HAND: Final = frozenset(kind for kind, rule in RULES.items() if rule.by_hand)

# Fields that only these types may carry: in another type the fold would ignore them.
_ONLY_WITH: Final[dict[str, frozenset[EventType]]] = {
    field: frozenset(kind for kind, rule in RULES.items() if field in rule.required)
    for field in (
        "counted", "expected", "quantity", "definition", "parent", "reviewed_event_id", "reservation_id",
        "voided_event_id", "voided_sequence", "transfer_line", "expires_at",
    )
} | {
    "transfer_id": frozenset(kind for kind, rule in RULES.items() if "transfer_id" in rule.required)
    | {EventType.ADJUSTMENT},
    "tail": frozenset({EventType.EPOCH_OPENED}),
    "areas": frozenset({EventType.STOCKTAKE}),
    "supplier_id": frozenset({EventType.PURCHASE_RECEIVED, EventType.PURCHASE_RETURNED}),
}  # fmt: skip
_FORBIDDEN: Final = {
    kind: tuple(field for field, kinds in _ONLY_WITH.items() if kind not in kinds) for kind in EventType
}
_REQUIRED: Final = {kind: tuple(sorted(rule.required)) for kind, rule in RULES.items()}
# Reads all of them at once, which is three times as fast. Every type has more than one.
_READ_FORBIDDEN: Final = {kind: attrgetter(*fields) for kind, fields in _FORBIDDEN.items()}


def schema_of(kind: EventType, fields: Iterable[str]) -> int:
    """The lowest schema that has this type with these fields, which an event says so that older readers know."""
    newest = TYPE_SCHEMAS.get(kind, PLAIN_SCHEMA)
    # It is on the path of every append, and hardly any event has one of these.
    if FIELD_SCHEMAS.keys().isdisjoint(fields):
        return newest
    return max([newest, *(FIELD_SCHEMAS[field] for field in FIELD_SCHEMAS.keys() & set(fields))])


class EventNotUnderstood(ValueError):
    """A line that is no event which this version can fold; `reason` is for a person to read."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Effect(msgspec.Struct, frozen=True, gc=False):
    """What one event does to its item at its location, in thousandths; None where it does nothing."""

    on_hand_change: int | None
    counted: int | None
    reserved_change: int | None
    in_transit_change: int | None


_NO_EFFECT: Final = Effect(None, None, None, None)


def effect(event: Event) -> Effect:
    """The effect of `event` taken alone; voids and reversals act through `voided_sequence`."""
    rule = RULES[event.type]
    quantity = event.quantity
    if quantity is None:
        return _NO_EFFECT if event.counted is None else Effect(None, event.counted, None, None)
    return Effect(
        quantity * rule.on_hand if rule.on_hand else None,
        None,
        quantity * rule.reserved if rule.reserved else None,
        quantity * rule.in_transit if rule.in_transit else None,
    )


def check(event: Event) -> None:
    """Refuse an event that carries too little, too much or an impossible figure for its type.

    Raises EventNotUnderstood. The bounds of single fields are the decoder's work; this is what holds between them.
    """
    kind = event.type
    for field in _REQUIRED[kind]:
        if getattr(event, field) is None:
            raise EventNotUnderstood(f"{kind} carries no {field}")
    forbidden = _READ_FORBIDDEN[kind](event)
    if forbidden.count(None) != len(forbidden):
        present = next(field for field in _FORBIDDEN[kind] if getattr(event, field) is not None)
        raise EventNotUnderstood(f"{kind} must not carry {present}")
    quantity = event.quantity
    if quantity is not None and (quantity == 0 or (quantity < 0 and not RULES[kind].signed)):
        raise EventNotUnderstood(f"{kind} carries the quantity {quantity}, which must be above zero")
    if event.counted is not None and event.counted < 0:
        raise EventNotUnderstood(f"{kind} counted {event.counted}, which is below zero")
    if event.areas is not None and sum(each.counted for each in event.areas) != event.counted:
        raise EventNotUnderstood(f"{kind} counted {event.counted}, which is not the sum of its areas")
    if event.line > event.lines:
        raise EventNotUnderstood(f"line {event.line} of {event.lines}")
    if event.voided_sequence is not None and event.voided_sequence >= event.sequence:
        raise EventNotUnderstood(f"voids the event {event.voided_sequence}, which is not before it")
    if event.v > SCHEMA_VERSION:
        raise EventNotUnderstood(f"schema {event.v} is newer than {SCHEMA_VERSION}, the newest known here")


class BadQuantity(ValueError):
    """A text that is no quantity; the message of the error is the reason."""


_DECIMAL: Final = re.compile(rb"(-?)([0-9]{1,40})(?:\.([0-9]{1,40}))?")


def parse_quantity(raw: bytes | str, *, lowest: int = -MAX_QUANTITY, highest: int = MAX_QUANTITY) -> int:
    """Thousandths from a JSON number or a decimal string (with its quotes or without), such as `-12.5` or `"0.125"`.

    ASCII digits, an optional minus, no exponent, at most three decimals; exact. Raises BadQuantity.
    """
    text = raw.encode("utf-8", "surrogatepass") if isinstance(raw, str) else bytes(raw)
    if len(text) > 1 and text[:1] == b'"' == text[-1:]:
        text = text[1:-1]
    match = _DECIMAL.fullmatch(text)
    if match is None:
        raise BadQuantity("not a decimal number in ASCII digits without exponent, such as 12.5")
    minus, whole, decimals = match.groups(b"")
    if len(decimals) > 3:
        raise BadQuantity(f"{len(decimals)} decimals; at most 3 are kept")
    thousandths = int(minus + whole + decimals.ljust(3, b"0"))
    if not lowest <= thousandths <= highest:
        raise BadQuantity(f"outside the range from {quantity_text(lowest)} to {quantity_text(highest)}")
    return thousandths


def quantity_text(thousandths: int) -> str:
    """The shortest decimal text of a quantity, which is a JSON number: 12500 is `12.5`, -3000 is `-3`."""
    whole, rest = divmod(abs(thousandths), 1_000)
    sign = "-" if thousandths < 0 else ""
    return f"{sign}{whole}.{rest:03d}".rstrip("0") if rest else f"{sign}{whole}"


@lru_cache(maxsize=8_192)
def quantity_json(thousandths: int) -> msgspec.Raw:
    """A quantity for an answer encoded by msgspec: a JSON number, exact. Cached, as most are small and come again."""
    return msgspec.Raw(quantity_text(thousandths).encode("ascii"))
