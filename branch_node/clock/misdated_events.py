"""Which events a wrong clock dated, and the right moments of them. Reads on the connection it is given."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec
from sqlalchemy import Connection, select

from branch_node.clock.clock_runs import TOLERANCE, WrongStretch
from branch_node.clock.clock_settlement import read_stretches
from branch_node.database.schema import LOG
from shared.chain import understand
from shared.event_record import moment_text
from shared.events import BY_HAND, Event, EventType

PAGE: Final = 1_000


class RedatingRecord(msgspec.Struct, kw_only=True, omit_defaults=True):
    """An event dated by a wrong clock: when it was said to have occurred, and when it did.

    `repairable` is false where it cannot be voided; `why_not` then says what can be done.
    """

    event_id: str
    sequence: int
    type: EventType
    item_id: str | None
    was: str
    is_: str = msgspec.field(name="is")
    repairable: bool
    why_not: str | None = None


class MisdatedEvent(msgspec.Struct, frozen=True):
    """An event and the correction of its date, in microseconds."""

    event: Event
    correction: int

    @property
    def command(self) -> tuple[int, int]:
        """The sequences of the first and last event of its command."""
        first = self.event.sequence - self.event.line + 1
        return first, first + self.event.lines - 1


NOT_REPAIRABLE: Final = "An event of this kind is not voided, so its date stays. The stock now is right all the same."
_MOVES_STOCK: Final = BY_HAND | {EventType.TRANSFER_OUT, EventType.TRANSFER_IN, EventType.TRANSFER_LOST}


def redating_record(found: MisdatedEvent) -> RedatingRecord:
    """The event as it is answered."""
    event = found.event
    by_hand = event.type in BY_HAND
    return RedatingRecord(
        event_id=event.event_id,
        sequence=event.sequence,
        type=event.type,
        item_id=event.item_id,
        was=moment_text(event.occurred_at),
        is_=moment_text(event.occurred_at + found.correction),
        repairable=by_hand,
        why_not=None if by_hand else NOT_REPAIRABLE,
    )


def misdated_events(
    connection: Connection, *, after: int = 0, newest_first: bool = False, by_hand: bool = False
) -> Iterator[MisdatedEvent]:
    """The events after a sequence that a wrong clock dated and nobody has voided; with `by_hand` those of BY_HAND only.

    In the order in which they are to be recorded again: of a clock that was ahead the oldest first, of one that was
    behind the newest first, where `newest_first` is given; else in order of sequence.
    """
    types = BY_HAND if by_hand else _MOVES_STOCK
    for stretch in read_stretches(connection):
        if stretch.last_sequence > after:
            backwards = newest_first and stretch.correction > 0
            yield from _in_stretch(connection, stretch, after, sorted(types), backwards=backwards)


def _in_stretch(
    connection: Connection, stretch: WrongStretch, after: int, types: Sequence[str], *, backwards: bool
) -> Iterator[MisdatedEvent]:
    event, voided = LOG.event.c, select(LOG.voided.c.sequence)
    low, high = max(after + 1, stretch.first_sequence), stretch.last_sequence
    while low <= high:
        query = (
            select(event.line)
            .where(event.sequence.between(low, high), event.type.in_(types), event.sequence.not_in(voided))
            .order_by(event.sequence.desc() if backwards else event.sequence)
            .limit(PAGE)
        )
        page = [understand(bytes(line)) for line in connection.execute(query).scalars()]
        for each in page:
            if _dated_by_clock(each, stretch):
                yield MisdatedEvent(each, stretch.correction)
        if len(page) < PAGE:
            return
        if backwards:
            high = page[-1].sequence - 1
        else:
            low = page[-1].sequence + 1


def _dated_by_clock(event: Event, stretch: WrongStretch) -> bool:
    """Whether the node's clock dated the event, or misled who did: later than it was recorded nothing can have been."""
    if event.occurred_at == event.recorded_at:
        return True
    recorded = event.recorded_at + stretch.correction
    return stretch.correction < 0 and event.occurred_at > recorded + TOLERANCE
