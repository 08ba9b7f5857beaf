"""What the events of orders carry, and the content that is read from them.

Of the data of an event only the members named here are read; other systems add theirs.
"""

from __future__ import annotations

from enum import StrEnum
from hashlib import sha256
from typing import Annotated, Final

import msgspec

from shared.checked_fields import Amount, CheckedId, Moment, Note, OrderId, Revision, quantity_rule
from shared.events import MAX_LINES, MAX_QUANTITY, parse_quantity, quantity_text
from shared.orders.cloud_events import InboundEvent, moment_of, tolerant
from shared.orders.inbound_orders import ASKED_KEYS, INBOUND_KEYS
from shared.runtime.problems import invalid_request

MAX_EVENT_LINES: Final = MAX_LINES // 4
"""A shipment may confirm a part of every line, deduct the rest of it, and give back what no line names."""


class OrderEventKind(StrEnum):
    """What is told of an order. The type of its event may have a prefix, as in `com.shop.order.placed`."""

    PLACED = "order.placed"
    SHIPPED = "order.shipped"
    CANCELLED = "order.cancelled"
    RETURNED = "order.returned"


class OrderEventLine(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A quantity of an item, above zero, in its base unit. `item_id` is the item's code, else its barcode."""

    item_id: CheckedId
    quantity: Annotated[Amount, quantity_rule(lowest=1)]


EventLines = Annotated[list[OrderEventLine], msgspec.Meta(min_length=1, max_length=MAX_EVENT_LINES)]


class OrderPlacedData(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The whole order. A higher revision states it anew."""

    order_id: OrderId
    revision: Revision = 1
    lines: EventLines
    expires_at: Moment | None = None


class OrderShippedData(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A parcel; without `lines` all that is left of the order. After the `final` one nothing stays reserved."""

    order_id: OrderId
    lines: EventLines | msgspec.UnsetType = msgspec.UNSET  # null is refused: it may be meant as an empty parcel
    final: bool = False


class OrderCancelledData(msgspec.Struct, kw_only=True, omit_defaults=True):
    """An order of which nothing more is to be sent."""

    order_id: OrderId
    reason: Note | None = None


class OrderReturnedData(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What came back of an order."""

    order_id: OrderId
    lines: EventLines


OrderEventData = OrderPlacedData | OrderShippedData | OrderCancelledData | OrderReturnedData
_DATA: Final[dict[OrderEventKind, type[OrderEventData]]] = {
    OrderEventKind.PLACED: OrderPlacedData,
    OrderEventKind.SHIPPED: OrderShippedData,
    OrderEventKind.CANCELLED: OrderCancelledData,
    OrderEventKind.RETURNED: OrderReturnedData,
}


class ToldLine(msgspec.Struct, frozen=True, kw_only=True):
    """What is told of one item, in thousandths, under the name that was sent."""

    item_id: str
    quantity: int


class OrderEventContent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an event says happened: equal contents under one id are one event, whatever else differs.

    A sender that makes its event anew for each try may give it another time, expiry, order of lines or members of its
    own. Lines are one for each name of an item, in order of name; None: none were sent.
    """

    kind: OrderEventKind
    source: str
    order_id: str
    revision: int = 1
    lines: tuple[ToldLine, ...] | None = None
    final: bool = False


class OrderEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A told event: its content, and what is not part of it. Times are microseconds UTC.

    `places` are the places of the lines that name each item first.
    """

    content: OrderEventContent
    time: int | None = None
    expires_at: int | None = None
    reason: str | None = None
    places: dict[str, int]


def kind_of(event_type: str) -> OrderEventKind | None:
    """What an event of this type tells; None where it is nothing of an order that is known here."""
    return next((kind for kind in OrderEventKind if f".{event_type}".endswith(f".{kind}")), None)


def key_of(source: str, event: InboundEvent) -> str:
    """The key of a source's event: it has one effect and one answer, however often it is sent."""
    return f"{INBOUND_KEYS}{source}:{_digest(event)}"


def asked_key_of(source: str, event: InboundEvent) -> str:
    """The key of the same event where head office asks a branch to take it."""
    return f"{INBOUND_KEYS}{source}{ASKED_KEYS}{_digest(event)}"


def _digest(event: InboundEvent) -> str:
    return sha256(msgspec.json.encode((event.source, event.id))).hexdigest()


def order_event_of(kind: OrderEventKind, source: str, event: InboundEvent) -> OrderEvent:
    """The told event of a source. Raises Problem 422 naming every faulty member of its data."""
    if event.data is None:
        invalid_request("data", "the event has no data in JSON")
    data = tolerant(event.data, _DATA[kind], "data.")
    lines = getattr(data, "lines", msgspec.UNSET)
    places: dict[str, int] = {}
    told = None if lines is msgspec.UNSET else _lines(lines, places)
    return OrderEvent(
        content=OrderEventContent(
            kind=kind,
            source=source,
            order_id=data.order_id,
            revision=data.revision if isinstance(data, OrderPlacedData) else 1,
            lines=told,
            final=isinstance(data, OrderShippedData) and (data.final or told is None),
        ),
        time=event.time,
        expires_at=moment_of(data.expires_at) if isinstance(data, OrderPlacedData) else None,
        reason=data.reason if isinstance(data, OrderCancelledData) else None,
        places=places,
    )


def _lines(lines: list[OrderEventLine], places: dict[str, int]) -> tuple[ToldLine, ...]:
    total: dict[str, int] = {}
    for place, line in enumerate(lines):
        places.setdefault(line.item_id, place)
        total[line.item_id] = total.get(line.item_id, 0) + parse_quantity(bytes(line.quantity), lowest=1)
        if total[line.item_id] > MAX_QUANTITY:
            most = quantity_text(MAX_QUANTITY)
            invalid_request(f"data.lines[{place}].quantity", f"the lines of {line.item_id} come to more than {most}")
    return tuple(ToldLine(item_id=item_id, quantity=total[item_id]) for item_id in sorted(total))
