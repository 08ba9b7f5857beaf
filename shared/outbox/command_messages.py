"""The messages of one command, from its events and what they did to the figures. Pure.

A command publishes at most one message of a type, but one each of several reservations or transfers; they are numbered
in the order of `MessageType`. What a line says follows from the log up to the command's last event alone, so that a
branch and head office make the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import quote

import msgspec

from shared.event_record import moment_text
from shared.events import BY_HAND, Event, EventType, quantity_json
from shared.outbox.message_cursor import MessageCursor
from shared.outbox.message_records import (
    DATA_TYPE,
    SPECVERSION,
    CloudEvent,
    ContinuedLog,
    EndedTransfer,
    FigureLine,
    GoodsReceived,
    GoodsSent,
    LowStockItems,
    LowStockLine,
    MessageData,
    MessageType,
    PaperReference,
    ParentPlace,
    ReceiptLine,
    RefusedReservation,
    SettledReservation,
    ShortLine,
    StockChange,
    StockReservation,
)
from shared.outbox.message_source import OutboxMessage
from shared.reservations import UNAVAILABLE
from shared.stock import Standing

_encode: Final = msgspec.json.Encoder().encode

_STOCK: Final = frozenset({MessageType.STOCK_ADDED, MessageType.STOCK_REMOVED})
TYPES_OF: Final[dict[EventType, frozenset[MessageType]]] = {
    **dict.fromkeys([*BY_HAND, EventType.EVENT_VOIDED], _STOCK),
    EventType.STOCK_RESERVED: frozenset({MessageType.INVENTORY_RESERVED}),
    EventType.RESERVATION_REFUSED: frozenset({MessageType.INVENTORY_UNAVAILABLE}),
    EventType.RESERVATION_CONFIRMED: frozenset({MessageType.RESERVATION_CONFIRMED}),
    EventType.RESERVATION_RELEASED: frozenset({MessageType.RESERVATION_RELEASED}),
    EventType.RESERVATION_EXPIRED: frozenset({MessageType.RESERVATION_EXPIRED}),
    EventType.TRANSFER_OUT: frozenset({MessageType.TRANSFER_SENT}),
    EventType.TRANSFER_IN: frozenset({MessageType.TRANSFER_RECEIVED}),
    EventType.TRANSFER_LOST: frozenset({MessageType.TRANSFER_RECEIVED}),
    EventType.TRANSFER_REFUSED: frozenset({MessageType.TRANSFER_ENDED}),
    EventType.TRANSFER_REVERSED: frozenset({MessageType.TRANSFER_ENDED}),
    EventType.EPOCH_OPENED: frozenset({MessageType.LOG_CONTINUED}),
}
"""What an event may publish, besides `LOW_STOCK_DETECTED` if it carries `low`; types without an entry: nothing."""

_PLACE: Final = {kind: place for place, kind in enumerate(MessageType)}
_OF_ITEMS: Final = _STOCK | {MessageType.LOW_STOCK_DETECTED}
_NOTHING: Final[frozenset[MessageType]] = frozenset()


class FoldedEvent(NamedTuple):
    """An event of a command and what it did: by how much the present on hand of its item changed (thousandths).

    `target` is the event that it voids or reverses.
    """

    event: Event
    on_hand_change: int = 0
    target: Event | None = None


def may_publish(event: Event) -> frozenset[MessageType]:
    """The types of which an event may be in a message, whatever it did to the figures."""
    kinds = _types_of(event)
    return kinds | {MessageType.LOW_STOCK_DETECTED} if event.low is not None else kinds


def _types_of(event: Event) -> frozenset[MessageType]:
    if event.type is EventType.RESERVATION_REFUSED and event.reason != UNAVAILABLE:
        return _NOTHING  # it answers who asked; nothing was lacking, so the stock of a checkout has nothing to learn
    return TYPES_OF.get(event.type, _NOTHING)


def command_messages(command: Sequence[FoldedEvent], after: Mapping[str, Standing]) -> list[OutboxMessage]:
    """The messages of a command, all of its events given in order, in the order in which they are published.

    `after` has what stands of its items after it, their reserved before expiry.
    """
    last = command[-1].event
    groups: dict[tuple[MessageType, str], list[FoldedEvent]] = {}
    for each in command:
        for kind in _published(each):
            groups.setdefault((kind, _subject_of(kind, each.event)), []).append(each)
    messages = []
    in_order = sorted(groups, key=lambda group: _PLACE[group[0]]) if len(groups) > 1 else groups
    for part, (kind, subject) in enumerate(in_order):
        events = groups[kind, subject]
        data = _DATA[kind](_MessageParts(last, events, after))
        one_item = events[0].event.item_id if kind in _OF_ITEMS and len(events) == 1 else None
        messages.append(_message(kind, one_item or subject, last, part, data))
    return messages


def _published(folded: FoldedEvent) -> Iterable[MessageType]:
    """The types of the messages that an event is in."""
    event, change = folded.event, folded.on_hand_change
    kinds = _types_of(event)
    if kinds is _STOCK:
        # Not by its type: a delivery before a count changes nothing now, and a void or a count may do either.
        if change:
            yield MessageType.STOCK_ADDED if change > 0 else MessageType.STOCK_REMOVED
    else:
        yield from kinds
    if event.low is not None:
        yield MessageType.LOW_STOCK_DETECTED


def _subject_of(kind: MessageType, event: Event) -> str:
    """What the messages of a type are told apart by within a command: their reservation or transfer."""
    if kind in _OF_ITEMS or kind is MessageType.LOG_CONTINUED:
        return ""
    return event.reservation_id or event.transfer_id or ""


def _message(kind: MessageType, subject: str, last: Event, part: int, data: MessageData) -> OutboxMessage:
    cursor = MessageCursor(last.epoch, last.sequence, part)
    id_ = f"{last.event_id}-{part}"
    body: CloudEvent[MessageData] = CloudEvent(
        specversion=SPECVERSION,
        id=id_,
        source=f"/locations/{quote(last.location_id, safe='')}",
        type=kind,
        subject=subject or None,
        time=moment_text(last.occurred_at),
        datacontenttype=DATA_TYPE,
        cursor=str(cursor),
        data=data,
    )
    return OutboxMessage(id_, kind.value, cursor, last.recorded_at, _encode(body))


class _MessageParts(NamedTuple):
    """What the data of a message is made of: the command's last event, the message's own events, the figures."""

    last: Event
    events: list[FoldedEvent]
    after: Mapping[str, Standing]

    @property
    def common(self) -> dict[str, Any]:
        return {
            "location_id": self.last.location_id,
            "business_date": self.last.business_date,
            "recorded_at": moment_text(self.last.recorded_at),
            "source": self.last.source,
        }

    @property
    def first(self) -> Event:
        return self.events[0].event

    def figures(self, folded: FoldedEvent) -> dict[str, Any]:
        """The members that the lines of most messages have."""
        event = folded.event
        item_id = event.item_id or ""
        now = self.after[item_id]
        return {
            "event_id": event.event_id,
            "event_type": event.type,
            "item_id": item_id,
            "unit": _unit(folded),
            "on_hand": quantity_json(now.on_hand),
            "reserved": quantity_json(now.reserved),
            "available": quantity_json(now.on_hand - now.reserved),
        }

    def lines(self, quantity: Callable[[FoldedEvent], int]) -> tuple[FigureLine, ...]:
        return tuple(
            FigureLine(quantity=quantity_json(quantity(each)), **self.figures(each))
            for each in self.events
            if each.event.item_id is not None
        )

    def order(self) -> dict[str, Any]:
        reference = self.first.reference
        return {"reservation_id": self.first.reservation_id or "", "order_id": reference.id if reference else None}

    def revision(self) -> int | None:
        return self.first.reference.revision if self.first.reference else None

    def available(self, item_id: str | None) -> msgspec.Raw:
        now = self.after[item_id or ""]
        return quantity_json(now.on_hand - now.reserved)


def _unit(folded: FoldedEvent) -> str:
    # A void names no unit of its own.
    return folded.event.unit or (folded.target.unit if folded.target is not None else None) or ""


def _recorded(folded: FoldedEvent) -> int:
    return folded.event.quantity or 0


def _stock_change(parts: _MessageParts) -> StockChange:
    return StockChange(
        **parts.common,
        reference=_reference(parts.events),
        transfer_id=_shared([each.event.transfer_id for each in parts.events]),
        lines=parts.lines(lambda each: abs(each.on_hand_change)),
    )


def _reference(events: Sequence[FoldedEvent]) -> PaperReference | None:
    """The paper of all of these events, if it is one; that of a void is the paper of what it voids."""
    papers = [each.event.reference or (each.target.reference if each.target else None) for each in events]
    first = papers[0]
    if first is None:
        return None
    said = first.kind, first.id, first.revision
    if any(each is None or (each.kind, each.id, each.revision) != said for each in papers[1:]):
        return None
    return PaperReference(kind=first.kind, id=first.id, revision=first.revision)


def _shared(values: list[str | None]) -> str | None:
    """The value that all have, None where they differ."""
    return values[0] if values.count(values[0]) == len(values) else None


def _reserved(parts: _MessageParts) -> StockReservation:
    return StockReservation(
        **parts.common,
        **parts.order(),
        revision=parts.revision(),
        expires_at=moment_text(parts.first.expires_at or 0),
        lines=parts.lines(_recorded),
    )


def _refused(parts: _MessageParts) -> RefusedReservation:
    lines = tuple(
        ShortLine(
            item_id=each.event.item_id or "",
            unit=_unit(each),
            asked=quantity_json(_recorded(each)),
            available=parts.available(each.event.item_id),
        )
        for each in parts.events
    )
    return RefusedReservation(**parts.common, **parts.order(), revision=parts.revision(), lines=lines)


def _settled(parts: _MessageParts) -> SettledReservation:
    reason = _shared([each.event.reason for each in parts.events])
    return SettledReservation(**parts.common, **parts.order(), reason=reason, lines=parts.lines(_recorded))


def _sent(parts: _MessageParts) -> GoodsSent:
    return GoodsSent(**parts.common, transfer_id=parts.first.transfer_id or "", lines=parts.lines(_recorded))


def _received(parts: _MessageParts) -> GoodsReceived:
    def line(folded: FoldedEvent) -> ReceiptLine:
        quantity = _recorded(folded)
        lost = folded.event.type is EventType.TRANSFER_LOST
        return ReceiptLine(
            quantity=quantity_json(0 if lost else quantity),
            lost=quantity_json(quantity if lost else 0),
            **parts.figures(folded),
        )

    lines = tuple(line(each) for each in parts.events)
    return GoodsReceived(**parts.common, transfer_id=parts.first.transfer_id or "", lines=lines)


def _ended(parts: _MessageParts) -> EndedTransfer:
    return EndedTransfer(
        **parts.common,
        transfer_id=parts.first.transfer_id or "",
        outcome="refused" if parts.first.type is EventType.TRANSFER_REFUSED else "reversed",
        reason=parts.first.reason,
        lines=parts.lines(_recorded),
    )


def _low(parts: _MessageParts) -> LowStockItems:
    lines = tuple(
        LowStockLine(
            event_id=each.event.event_id,
            item_id=each.event.item_id or "",
            unit=_unit(each),
            available=parts.available(each.event.item_id),
            reorder_point=quantity_json(each.event.low.reorder_point),
            reorder_quantity=quantity_json(each.event.low.reorder_quantity),
        )
        for each in parts.events
        if each.event.low is not None
    )
    return LowStockItems(**parts.common, lines=lines)


def _continued(parts: _MessageParts) -> ContinuedLog:
    parent = parts.first.parent
    place = ParentPlace(epoch=parent.epoch if parent else 0, sequence=parent.sequence if parent else 0)
    return ContinuedLog(**parts.common, epoch=parts.first.epoch, parent=place)


_DATA: Final[dict[MessageType, Callable[[_MessageParts], MessageData]]] = {
    MessageType.STOCK_ADDED: _stock_change,
    MessageType.STOCK_REMOVED: _stock_change,
    MessageType.INVENTORY_RESERVED: _reserved,
    MessageType.INVENTORY_UNAVAILABLE: _refused,
    MessageType.RESERVATION_CONFIRMED: _settled,
    MessageType.RESERVATION_RELEASED: _settled,
    MessageType.RESERVATION_EXPIRED: _settled,
    MessageType.TRANSFER_SENT: _sent,
    MessageType.TRANSFER_RECEIVED: _received,
    MessageType.TRANSFER_ENDED: _ended,
    MessageType.LOW_STOCK_DETECTED: _low,
    MessageType.LOG_CONTINUED: _continued,
}
