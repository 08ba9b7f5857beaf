"""Request bodies of orders and cancellations, and the content that is read from them."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from branch_node.commands.event_inputs import LineContent, LineInput, line_of
from branch_node.commands.input_fields import DEFAULT_SOURCE, Person, StrictInput, codes, moment, texts
from shared.checked_fields import CheckedCode, Moment, Note, OrderId, Revision, Source
from shared.events import MAX_LINES
from shared.runtime.problems import invalid_request

MAX_ORDER_LINES: Final = MAX_LINES // 2
"""A revision may void every line of the order and record as many again, all in one command."""


class OrderLineInput(LineInput, kw_only=True):
    """One line sold; `product` names the dish, where the item is an ingredient of it."""

    product: Note | None = None


class OrderInput(StrictInput, kw_only=True):
    """A whole order. A higher revision replaces it; it is recorded at the time of the first one."""

    order_id: OrderId
    revision: Revision = 1
    occurred_at: Moment | None = None
    source: Source | None = None
    actor: Person | None = None
    lines: Annotated[list[OrderLineInput], msgspec.Meta(min_length=1, max_length=MAX_ORDER_LINES)]


class OrderLine(LineContent, frozen=True, kw_only=True, omit_defaults=True):
    product: str | None = None


class OrderContent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The content of an `OrderInput`: quantities in thousandths, times in microseconds UTC."""

    order_id: str
    revision: int
    occurred_at: int | None = None
    source: str = DEFAULT_SOURCE
    person: str | None = None
    lines: tuple[OrderLine, ...]


def order_of(body: OrderInput) -> OrderContent:
    """The content of an order. Raises Problem."""
    codes(order_id=body.order_id, actor=body.actor)
    return OrderContent(
        order_id=body.order_id,
        revision=body.revision,
        occurred_at=moment(body.occurred_at),
        source=body.source or DEFAULT_SOURCE,
        person=body.actor,
        lines=tuple(_order_line(line, f"lines[{place}].") for place, line in enumerate(body.lines)),
    )


def _order_line(body: OrderLineInput, path: str) -> OrderLine:
    if body.product is not None:
        texts(**{f"{path}product": body.product})
    read = line_of(body, path, into=OrderLine)
    return read if body.product is None else msgspec.structs.replace(read, product=body.product)


class CancelInput(StrictInput, kw_only=True):
    """Why an order is cancelled."""

    reason: CheckedCode | None = None
    note: Note | None = None
    source: Source | None = None
    actor: Person | None = None


class CancelContent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The content of a `CancelInput`, with the id of the order."""

    order_id: str
    reason: str | None = None
    note: str | None = None
    source: str = DEFAULT_SOURCE
    person: str | None = None


def cancel_of(order_id: str, body: CancelInput) -> CancelContent:
    """The content of a cancellation. Raises Problem."""
    if not 1 <= len(order_id) <= 100:
        invalid_request("order_id", "an order id has 1 to 100 characters")
    codes(order_id=order_id, actor=body.actor, reason=body.reason)
    texts(note=body.note)
    source = body.source or DEFAULT_SOURCE
    return CancelContent(order_id=order_id, reason=body.reason, note=body.note, source=source, person=body.actor)
