"""A routed order with all that is kept of it: what was told, what that was answered, and what was asked of whom.

Quantities are thousandths, moments microseconds UTC.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import msgspec

from head_office.orders.order_course import AskedLocation, FinalOutcome, OrderCourse, RoutedEvent
from shared.orders.order_instructions import OrderInstruction, OrderInstructionLine
from shared.orders.order_outcomes import RecordedOutcome

ASKED: Final = "asked"
"""What an event is answered for which a location is asked."""


class OrderName(NamedTuple):
    """An order by its source and the id that it has there."""

    source: str
    order_id: str


class ShortOfItem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An item that an order lacks, in thousandths; `available` is None where a branch said so."""

    item_id: str
    unit: str | None
    asked: int
    available: int | None = None


_short: Final = msgspec.json.Decoder(tuple[ShortOfItem, ...]).decode


def read_short(raw: bytes | None) -> tuple[ShortOfItem, ...]:
    """Short items as a column has them."""
    return () if raw is None else _short(raw)


class ToldContent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a told event holds, its items by the group's codes. `prefer`: the locations that are preferred."""

    lines: tuple[OrderInstructionLine, ...] | None = None
    final: bool = False
    time: int | None = None
    expires_at: int | None = None
    reason: str | None = None
    hold_days: int = 14
    prefer: tuple[str, ...] = ()


class ToldAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What a told event was answered, for ever: `asked` and where, or an outcome."""

    outcome: str
    location_id: str | None = None
    short: tuple[ShortOfItem, ...] = ()


class StoredEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A told event with all that is kept of it. `answered` is None only while it is being told."""

    routed: RoutedEvent
    command_key: str
    event_id: str
    event_source: str
    digest: bytes
    content: ToldContent
    told_at: int
    answered: ToldAnswer | None
    reason: str | None = None
    short: tuple[ShortOfItem, ...] = ()
    settled_at: int | None = None


class StoredAsk(msgspec.Struct, frozen=True, kw_only=True):
    """A location that was asked; `number` is that of its instruction, 0 until it is given."""

    asked: AskedLocation
    number: int
    asked_at: int
    answered_at: int | None = None


@dataclass(slots=True)
class RoutedOrder:
    """An order with its events and asks in their orders; what is new or changed is written by `store_orders`."""

    name: OrderName
    told_at: int
    events: list[StoredEvent] = field(default_factory=list)
    asks: list[StoredAsk] = field(default_factory=list)
    new_events: set[int] = field(default_factory=set)  # numbers
    settled: set[int] = field(default_factory=set)  # numbers
    answered: set[int] = field(default_factory=set)  # places in `asks`

    @property
    def course(self) -> OrderCourse:
        return OrderCourse(
            told=tuple(each.routed for each in self.events), asked=tuple(each.asked for each in self.asks)
        )

    def event(self, number: int) -> StoredEvent:
        return self.events[number - 1]

    def settle(self, final: FinalOutcome, now: int, short: Sequence[ShortOfItem] = ()) -> None:
        """Note the outcome of an event."""
        event = self.event(final.event)
        self.events[final.event - 1] = msgspec.structs.replace(
            event,
            routed=msgspec.structs.replace(event.routed, outcome=final.outcome),
            reason=final.reason,
            short=tuple(short),
            settled_at=now,
        )
        self.settled.add(final.event)

    def ask(self, event: int, location_id: str, now: int, *, aside: bool = False) -> None:
        """Ask a location to take an event."""
        asked = AskedLocation(event=event, location_id=location_id, aside=aside)
        self.asks.append(StoredAsk(asked=asked, number=0, asked_at=now))

    def take_answer(self, place: int, answer: RecordedOutcome, now: int) -> None:
        """Note what the log of a location says became of what it was asked."""
        ask = self.asks[place]
        asked = msgspec.structs.replace(ask.asked, answer=answer)
        self.asks[place] = msgspec.structs.replace(ask, asked=asked, answered_at=now)
        self.answered.add(place)

    def instruction(self, ask: StoredAsk) -> OrderInstruction:
        """What the location of an ask is asked."""
        event = self.event(ask.asked.event)
        content = event.content
        return OrderInstruction(
            location_id=ask.asked.location_id,
            key=event.command_key,
            kind=event.routed.kind,
            source=self.name.source,
            order_id=self.name.order_id,
            revision=event.routed.revision,
            lines=content.lines,
            final=content.final,
            time=content.time,
            expires_at=content.expires_at,
            reason=content.reason,
            hold_days=content.hold_days,
        )
