"""The request body of a delivery that is received against an order to a supplier, and the content read from it."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from branch_node.commands.event_inputs import CostInput, Expiry, cost_of, day_of
from branch_node.commands.input_fields import DEFAULT_SOURCE, Person, StrictInput, codes, moment, quantity_of, texts
from shared.checked_fields import Amount, CheckedCode, Moment, Note, Source, quantity_rule
from shared.events import MAX_LINES, Cost, Position


class ReceivedLineInput(StrictInput, kw_only=True):
    """What came of a line of the order, in the item's base unit; two lots of one line are two of these."""

    line: Annotated[Position, msgspec.Meta(description="The number of the order's line, from 1")]
    quantity: Annotated[Amount, quantity_rule(lowest=1)]
    cost: CostInput | None = None
    lot: CheckedCode | None = None
    expires_on: Expiry | None = None
    note: Note | None = None


class ReceiveInput(StrictInput, kw_only=True):
    """A delivery against an order; a line that did not come is left out, and stays open."""

    lines: Annotated[list[ReceivedLineInput], msgspec.Meta(min_length=1, max_length=MAX_LINES)]
    occurred_at: Moment | None = None
    source: Source | None = None
    actor: Person | None = None


class ReceivedLine(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The content of a `ReceivedLineInput`: quantity in thousandths. Equal contents encode to equal bytes."""

    line: int
    quantity: int
    cost: Cost | None = None
    lot: str | None = None
    expires_on: str | None = None
    note: str | None = None


class ReceiveContent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The content of a `ReceiveInput`, with the id of the order. `occurred_at` in microseconds UTC, None for now."""

    purchase_order_id: str
    lines: tuple[ReceivedLine, ...]
    occurred_at: int | None = None
    source: str = DEFAULT_SOURCE
    person: str | None = None


def receive_of(purchase_order_id: str, body: ReceiveInput) -> ReceiveContent:
    """The content of a delivery. Raises Problem 422."""
    codes(actor=body.actor)
    return ReceiveContent(
        purchase_order_id=purchase_order_id,
        lines=tuple(_line(each, f"lines[{place}].") for place, each in enumerate(body.lines)),
        occurred_at=moment(body.occurred_at),
        source=body.source or DEFAULT_SOURCE,
        person=body.actor,
    )


def _line(body: ReceivedLineInput, path: str) -> ReceivedLine:
    details: dict[str, Any] = {}
    if body.lot is not None:
        codes(**{f"{path}lot": body.lot})
        details["lot"] = body.lot
    if body.note is not None:
        texts(**{f"{path}note": body.note})
        details["note"] = body.note
    if body.cost is not None:
        details["cost"] = cost_of(body.cost, path)
    if body.expires_on is not None:
        details["expires_on"] = day_of(body.expires_on, f"{path}expires_on")
    quantity = quantity_of(body.quantity, f"{path}quantity", lowest=1)
    return ReceivedLine(line=body.line, quantity=quantity, **details)
