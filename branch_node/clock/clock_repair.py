"""The command that voids what a wrong clock dated, and records it again at the right moment."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from itertools import groupby
from typing import Final

import msgspec
from sqlalchemy import Connection, update

from branch_node.clock.clock_runs import TOLERANCE
from branch_node.clock.misdated_events import MisdatedEvent
from branch_node.commands.corrections import REDATED, void_event
from branch_node.commands.keyed_command import KeyedCommand
from branch_node.commands.orders import ORDER
from branch_node.commands.preconditions import StrictGuard, known_item
from branch_node.database.schema import COUNT_AREA
from branch_node.model import Decision, OrderState, RecordedCommand, View, Write
from shared.events import MAX_LINES, CountedArea, Event, EventType
from shared.orders.inbound_orders import REDATING_KEYS

REASON: Final = "clock"
"""The reason of the voids."""
MOST_EVENTS: Final = MAX_LINES // 2
"""How many events one command dates anew: each is voided and recorded again."""


class Redating(msgspec.Struct, frozen=True, kw_only=True):
    """The content of a `RedateEvents`: which events of one command, and the correction in microseconds."""

    sequences: tuple[int, ...]
    correction: int


class RedateEvents(KeyedCommand):
    """Void events of one command and record them again, dated right. Answered with how many were."""

    kind = "clock-repair"

    def __init__(self, first: Event, content: Redating, *, actor: str) -> None:
        super().__init__(content, key=f"{REDATING_KEYS}{first.event_id}", actor=actor)
        self.content = content
        self.size = 2 * len(content.sequences)

    def decide(self, view: View) -> Decision:
        voided = view.voided_by(self.content.sequences)
        standing = [event for event in view.events_at(self.content.sequences) if event.sequence not in voided]
        if not standing:
            return Decision(answer=0)
        guard = StrictGuard(view)
        events: list[Event] = []
        for event in standing:
            void = void_event(view, event, actor=self.actor, source=REDATED, reason=REASON)
            guard.add(known_item(view, event.item_id or "", None), void)
            events.append(void)
        order = self._order(view, standing)
        again: dict[int, int] = {}
        for event in standing:
            new = self._redated(view, event, order)
            guard.add(known_item(view, event.item_id or "", None), new)
            events.append(new)
            again[event.sequence] = view.head.sequence + len(events)
        if order is not None:
            order = _moved(order, view, again, standing[0].occurred_at + self.content.correction)
        return Decision(events=events, writes=list(_moved_counts(standing, again)), order=order)

    def _order(self, view: View, events: list[Event]) -> OrderState | None:
        """The order whose lines the events are; None where they are no order's."""
        reference = events[0].reference
        if reference is None or reference.revision is None or reference.kind != ORDER:
            return None
        return view.order(reference.id, events[0].source)

    def _redated(self, view: View, event: Event, order: OrderState | None) -> Event:
        moment = event.occurred_at + self.content.correction
        day, offset = view.location.day(moment)
        reference = event.reference
        if reference is not None and order is not None:
            reference = msgspec.structs.replace(reference, revision=order.revision)
        return msgspec.structs.replace(
            event,
            areas=_redated_areas(event, self.content.correction),
            business_date=day,
            clock_unconfirmed=None,
            command_digest=None,
            command_key=None,
            epoch=0,
            event_id=view.new_id(),
            occurred_at=moment,
            recorded_at=0,
            reference=reference,
            sequence=0,
            utc_offset=offset,
        )

    def answer(self, recorded: RecordedCommand) -> int:
        return len(recorded.sealed) // 2


def redating_commands(found: Iterable[MisdatedEvent], actor: str) -> Iterator[RedateEvents]:
    """The commands that repair these events, one for each command that recorded them, in the order given."""
    for _, group in groupby(found, key=lambda each: each.command):
        of_command = sorted(group, key=lambda each: each.event.sequence)
        for start in range(0, len(of_command), MOST_EVENTS):
            part = of_command[start : start + MOST_EVENTS]
            content = Redating(sequences=tuple(each.event.sequence for each in part), correction=part[0].correction)
            yield RedateEvents(part[0].event, content, actor=actor)


def _redated_areas(event: Event, correction: int) -> tuple[CountedArea, ...] | None:
    """The areas of a count, each at the right moment: those that a clock ahead dated lie behind the count's."""
    if event.areas is None:
        return None
    latest = event.recorded_at + correction + TOLERANCE
    return tuple(
        msgspec.structs.replace(area, occurred_at=area.occurred_at + correction)
        if area.occurred_at == event.occurred_at or area.occurred_at > latest
        else area
        for area in event.areas
    )


def _moved(order: OrderState, view: View, again: dict[int, int], occurred_at: int) -> OrderState:
    """The state of the order with its lines recorded again."""
    voided = view.voided_by(order.sequences)
    kept = [each for each in order.sequences if each not in voided and each not in again]
    moved = [again[each] for each in order.sequences if each in again]
    return msgspec.structs.replace(order, occurred_at=occurred_at, sequences=(*kept, *moved))


def _moved_counts(events: list[Event], again: dict[int, int]) -> Iterator[Write]:
    """The writes by which the areas of posted counts name the counts recorded again."""
    for event in events:
        if event.type is EventType.STOCKTAKE:
            yield partial(_move_count, event.sequence, again[event.sequence])


def _move_count(before: int, after: int, connection: Connection) -> None:
    posted = COUNT_AREA.c.posted_sequence
    connection.execute(update(COUNT_AREA).where(posted == before).values(posted_sequence=after))
