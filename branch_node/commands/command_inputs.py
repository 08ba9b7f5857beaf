"""Orders, counts, corrections and items as people and tills send them, read as strictly as single events."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from branch_node.commands.event_inputs import (
    DEFAULT_SOURCE,
    Amount,
    LineContent,
    LineInput,
    Moment,
    OrderId,
    Person,
    Revision,
    Source,
    StrictInput,
    codes,
    line_of,
    moment,
    quantity_of,
    texts,
)
from shared.events import MAX_LINES, Code, Definition, Id, Text
from shared.runtime.problems import invalid_request

MAX_ORDER_LINES: Final = MAX_LINES // 2
"""A revision may void every line of the order and record as many anew, all in one command."""


class OrderLineInput(LineInput, kw_only=True):
    """One line sold; `product` names the dish, where the item is an ingredient of it."""

    product: Text | None = None


class OrderInput(StrictInput, kw_only=True):
    """A whole order. A higher revision states it anew; it is recorded at the time of the first one."""

    order_id: OrderId
    revision: Revision = 1
    occurred_at: Moment | None = None
    source: Source | None = None
    actor: Person | None = None
    lines: Annotated[list[OrderLineInput], msgspec.Meta(min_length=1, max_length=MAX_ORDER_LINES)]


class OrderLine(LineContent, frozen=True, kw_only=True, omit_defaults=True):
    product: str | None = None


class OrderContent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An `OrderInput` read."""

    order_id: str
    revision: int
    occurred_at: int | None = None
    source: str = DEFAULT_SOURCE
    person: str | None = None
    lines: tuple[OrderLine, ...]


def order_of(given: OrderInput) -> OrderContent:
    """Read an order. Raises Problem."""
    codes(order_id=given.order_id, actor=given.actor)
    return OrderContent(
        order_id=given.order_id,
        revision=given.revision,
        occurred_at=moment(given.occurred_at),
        source=given.source or DEFAULT_SOURCE,
        person=given.actor,
        lines=tuple(_order_line(line, f"lines[{place}].") for place, line in enumerate(given.lines)),
    )


def _order_line(given: OrderLineInput, path: str) -> OrderLine:
    if given.product is not None:
        texts(**{f"{path}product": given.product})
    read = line_of(given, path, into=OrderLine)
    return read if given.product is None else msgspec.structs.replace(read, product=given.product)


class CancelInput(StrictInput, kw_only=True):
    """Why an order is taken back whole."""

    reason: Code | None = None
    note: Text | None = None
    source: Source | None = None
    actor: Person | None = None


class CancelContent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A `CancelInput` read, with the order it is about."""

    order_id: str
    reason: str | None = None
    note: str | None = None
    source: str = DEFAULT_SOURCE
    person: str | None = None


def cancel_of(order_id: str, given: CancelInput) -> CancelContent:
    """Read the cancelling of an order. Raises Problem."""
    if not 1 <= len(order_id) <= 100:
        invalid_request("order_id", "an order id has 1 to 100 characters")
    codes(order_id=order_id, actor=given.actor, reason=given.reason)
    texts(note=given.note)
    source = given.source or DEFAULT_SOURCE
    return CancelContent(order_id=order_id, reason=given.reason, note=given.note, source=source, person=given.actor)


class CountLineInput(StrictInput, kw_only=True):
    """What was counted of an item, in one area or altogether; `seen_at` is when the counter saw the book's figure.

    `replace`: it stands instead of what was said of this area before, while that waits for the rest of its count.
    """

    item_id: Id
    area: Code | None = None
    counted: Amount
    unit: Code | None = None
    occurred_at: Moment | None = None
    seen_at: Moment | None = None
    replace: bool = False
    note: Text | None = None


class CountInput(StrictInput, kw_only=True):
    """A count of items. Areas of one item are summed; with `open` they wait for a request of this count without it."""

    count_id: OrderId
    lines: Annotated[list[CountLineInput], msgspec.Meta(min_length=1, max_length=MAX_LINES)]
    open: bool = False
    reason: Code | None = None
    source: Source | None = None
    actor: Person | None = None


class CountLine(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A `CountLineInput` read."""

    item_id: str
    area: str = ""
    counted: int
    unit: str | None = None
    occurred_at: int | None = None
    seen_at: int | None = None
    replace: bool = False
    note: str | None = None


class CountContent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A `CountInput` read."""

    count_id: str
    lines: tuple[CountLine, ...]
    open: bool = False
    reason: str | None = None
    source: str = DEFAULT_SOURCE
    person: str | None = None


def count_of(given: CountInput) -> CountContent:
    """Read a count. Raises Problem, also where one area of an item stands in it twice."""
    codes(count_id=given.count_id, actor=given.actor, reason=given.reason)
    lines = tuple(_count_line(line, f"lines[{place}].") for place, line in enumerate(given.lines))
    seen: set[tuple[str, str]] = set()
    for place, line in enumerate(lines):
        if (line.item_id, line.area) in seen:
            invalid_request(f"lines[{place}]", f"{line.item_id} stands twice in the count; name its areas apart")
        seen.add((line.item_id, line.area))
    return CountContent(
        count_id=given.count_id,
        lines=lines,
        open=given.open,
        reason=given.reason,
        source=given.source or DEFAULT_SOURCE,
        person=given.actor,
    )


def _count_line(given: CountLineInput, path: str) -> CountLine:
    codes(**{f"{path}item_id": given.item_id, f"{path}area": given.area, f"{path}unit": given.unit})
    texts(**{f"{path}note": given.note})
    return CountLine(
        item_id=given.item_id,
        area=given.area or "",
        counted=quantity_of(given.counted, f"{path}counted", lowest=0),
        unit=given.unit,
        occurred_at=moment(given.occurred_at, f"{path}occurred_at"),
        seen_at=moment(given.seen_at, f"{path}seen_at"),
        replace=given.replace,
        note=given.note,
    )


class VoidInput(StrictInput, kw_only=True):
    """Why the event is taken out, as a code such as `mistake`."""

    reason: Code
    note: Text | None = None
    actor: Person | None = None


class ReviewInput(StrictInput, kw_only=True):
    """What the reviewer has to say."""

    comment: Text | None = None
    actor: Person | None = None


class CorrectionContent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A void or a review, read."""

    event_id: str
    reason: str | None = None
    note: str | None = None
    person: str | None = None


def void_of(event_id: str, given: VoidInput) -> CorrectionContent:
    """Read a void. Raises Problem."""
    codes(reason=given.reason, actor=given.actor)
    texts(note=given.note)
    return CorrectionContent(event_id=event_id, reason=given.reason, note=given.note, person=given.actor)


def review_of(event_id: str, given: ReviewInput) -> CorrectionContent:
    """Read a review. Raises Problem."""
    codes(actor=given.actor)
    texts(comment=given.comment)
    return CorrectionContent(event_id=event_id, note=given.comment, person=given.actor)


class ItemInput(StrictInput, kw_only=True):
    """An item of the branch's own, until head office takes it over."""

    name: Text
    unit: Code
    category: Text | None = None
    barcode: Code | None = None
    strict: bool | None = None


class ItemContent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An `ItemInput` read, with its code."""

    item_id: str
    definition: Definition


def item_of(item_id: str, given: ItemInput) -> ItemContent:
    """Read an item's definition. Raises Problem."""
    if not 1 <= len(item_id) <= 64:
        invalid_request("item_id", "an item's code has 1 to 64 characters")
    codes(item_id=item_id, unit=given.unit, barcode=given.barcode)
    texts(name=given.name, category=given.category)
    definition = Definition(
        barcode=given.barcode, category=given.category, name=given.name, strict=given.strict or None, unit=given.unit
    )
    return ItemContent(item_id=item_id, definition=definition)
