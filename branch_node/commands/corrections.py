"""The commands of managers that void an event or review it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection

from branch_node.commands.correction_inputs import CorrectionContent
from branch_node.commands.count_inputs import keyless
from branch_node.commands.input_fields import DEFAULT_SOURCE
from branch_node.commands.keyed_command import KeyedCommand
from branch_node.database.lookups import sealed_where, voids_of
from branch_node.database.schema import LOG
from branch_node.model import Decision, RecordedCommand, View, unplaced
from branch_node.problems import ALREADY_VOIDED, NOT_VOIDABLE, UNKNOWN_EVENT
from branch_node.records import BranchEventRecord, record_into, record_of
from shared.chain import Sealed
from shared.events import BY_HAND, MAX_LINES, Event, EventType, effect
from shared.stock import Standing

REDATED: Final = "clock-repair"
"""The source of voids whose events are recorded again, at the right moment."""
_TRANSFER: Final = "A transfer is undone by cancelling it at the coordinator, or by a transfer back."
_RESERVATION: Final = "A reservation is released, not voided."
ALTERNATIVES: Final = {
    EventType.TRANSFER_OUT: _TRANSFER,
    EventType.TRANSFER_IN: "Send back what was not meant to come, by a transfer; a wrong figure is an ADJUSTMENT.",
    EventType.TRANSFER_LOST: "What turned up after all is an ADJUSTMENT that names the transfer.",
    EventType.TRANSFER_REVERSED: "Send the goods by a new transfer.",
    EventType.TRANSFER_REFUSED: "Request the goods by a new transfer.",
    EventType.STOCK_RESERVED: _RESERVATION,
    EventType.RESERVATION_REFUSED: "Reserve again.",
    EventType.RESERVATION_RELEASED: "Reserve again.",
    EventType.RESERVATION_EXPIRED: "Reserve again.",
    EventType.RESERVATION_CONFIRMED: "What came back is a CUSTOMER_RETURN.",
    EventType.ORDER_CANCELLED: "Take the order under a new order id.",
    EventType.EVENT_VOIDED: "A void is not voided: record the event again.",
    EventType.EVENT_REVIEWED: "Review the event again, with another comment.",
    EventType.ITEM_DEFINED: "Define the item again, with what is right.",
    EventType.EPOCH_OPENED: "An epoch cannot be undone.",
}
"""What to do instead, by type of event that cannot be voided."""


def void_event(view: View, target: Event, *, actor: str, source: str, reason: str, note: str | None = None) -> Event:
    """The event that voids `target`, whose type the caller has checked."""
    return unplaced(
        view,
        EventType.EVENT_VOIDED,
        actor=actor,
        source=source,
        item_id=target.item_id,
        reason=reason,
        note=note,
        voided_event_id=target.event_id,
        voided_sequence=target.sequence,
    )


def standing_now(view: View, sequences: Sequence[int]) -> list[int] | None:
    """The events by which these count now: themselves, or those that a repair of the clock recorded in their place.

    None where one was voided and counts at no other moment since.
    """
    standing: list[int] = []
    while sequences:
        by = view.voided_by(sequences)
        standing += [sequence for sequence in sequences if sequence not in by]
        voids = view.events_at(sorted(by.values()))
        if any(void.source != REDATED for void in voids):
            return None
        # A repair of the clock has a line for each void, then one for each event recorded again.
        sequences = [void.sequence + void.lines // 2 for void in voids]
    return sorted(standing)


def decided_at(connection: Connection, sequence: int, line: int, lines: int) -> int:
    """The first sequence of the command that recorded an event, of one that was dated anew: at the wrong moment."""
    while line > 1:
        (earlier,) = sealed_where(connection, LOG.event.c.sequence == sequence - lines // 2)
        if earlier.event.source != REDATED or earlier.event.voided_sequence is None:
            break
        (before,) = sealed_where(connection, LOG.event.c.sequence == earlier.event.voided_sequence)
        sequence, line, lines = before.event.sequence, before.event.line, before.event.lines
    return sequence - line + 1


def still_standing(connection: Connection, event: Event, *, known_through: int | None = None) -> list[Sealed]:
    """The events that were recorded by the same command as `event`, act on stock, and are not voided.

    With `known_through`: as of when that sequence had just been recorded.
    """
    command = sealed_where(connection, LOG.event.c.sequence.between(*command_span(event)))
    acting = [each for each in command if _acts(each.event)]
    voids = voids_of(connection, [each.event.sequence for each in acting])
    if known_through is not None:
        voids = {sequence: by for sequence, by in voids.items() if by <= known_through}
    return [each for each in acting if each.event.sequence not in voids]


def command_span(event: Event) -> tuple[int, int]:
    """The first and the last sequence of the command that recorded an event."""
    first = event.sequence - event.line + 1
    return first, first + event.lines - 1


def _acts(event: Event) -> bool:
    found = effect(event)
    changes = (found.on_hand_change, found.counted, found.reserved_change, found.in_transit_change)
    return any(change is not None for change in changes)


class VoidAnswer(BranchEventRecord, kw_only=True):
    """The void. `still_stands`: the events of the same command as the voided one that still count.

    `voided`: every void that this request recorded, where `whole` was asked for.
    """

    still_stands: tuple[BranchEventRecord, ...]
    voided: tuple[BranchEventRecord, ...] = ()


class _Correction(KeyedCommand):
    def __init__(self, content: CorrectionContent, *, key: str, actor: str) -> None:
        super().__init__(content, key=key, actor=actor)
        self.content = content

    def target(self, view: View) -> Event:
        event = view.event(self.content.event_id)
        if event is None:
            raise UNKNOWN_EVENT(f"there is no event {self.content.event_id!r}")
        return event


class VoidEvent(_Correction):
    """Void one event, or with `whole` every event of its command that can be voided. Answered with a `VoidAnswer`."""

    kind = "void"

    def __init__(self, content: CorrectionContent, *, key: str, actor: str) -> None:
        super().__init__(content, key=key, actor=actor)
        self.size = MAX_LINES if content.whole else 1

    def decide(self, view: View) -> Decision:
        event = self.target(view)
        if event.type not in BY_HAND:
            raise NOT_VOIDABLE(f"{event.type} cannot be voided", hint=ALTERNATIVES[event.type], event_type=event.type)
        first, last = command_span(event)
        command = [event] if first == last else view.events_at(range(first, last + 1))
        by = view.voided_by([each.sequence for each in command])
        standing = [each for each in command if each.type in BY_HAND and each.sequence not in by]
        wanted = standing if self.content.whole else [event]
        if not wanted or (wanted == [event] and event.sequence in by):
            raise ALREADY_VOIDED(
                f"the event {by[event.sequence]} voids it",
                hint=_WHOLE if standing else None,
                voided_by=by[event.sequence],
                standing=len(standing),
            )
        # The event that was named comes first: the answer is the record of its void.
        wanted = sorted(wanted, key=lambda each: (each.sequence != event.sequence, each.sequence))
        # What was said of a count that is voided is said anew, in the same words too.
        counts = {each.reference.id for each in wanted if each.reference is not None and each.reference.kind == "count"}
        return Decision(events=[self._void(view, each) for each in wanted], forget=[keyless(each) for each in counts])

    def _void(self, view: View, event: Event) -> Event:
        content = self.content
        reason = content.reason or "mistake"
        return void_event(view, event, actor=self.actor, source=DEFAULT_SOURCE, reason=reason, note=content.note)

    def answer(self, recorded: RecordedCommand) -> VoidAnswer:
        connection, sealed = recorded.look(), recorded.sealed
        (target,) = sealed_where(connection, LOG.event.c.sequence == sealed[0].event.voided_sequence)
        last = sealed[-1].event.sequence
        record = record_into(
            VoidAnswer,
            sealed[0],
            _standing(recorded, sealed[0]),
            still_stands=_records(still_standing(connection, target.event, known_through=last)),
        )
        if self.content.whole:
            record.voided = tuple(record_of(each, _standing(recorded, each)) for each in sealed)
        return record


def voided_together(connection: Connection, sequence: int, by: int) -> list[Sealed]:
    """The other events that the command of the void `by` voided, beside that of `sequence`."""
    (void,) = sealed_where(connection, LOG.event.c.sequence == by)
    voids = sealed_where(connection, LOG.event.c.sequence.between(*command_span(void.event)))
    targets = {each.event.voided_sequence for each in voids if each.event.voided_sequence is not None} - {sequence}
    return sealed_where(connection, LOG.event.c.sequence.in_(targets)) if targets else []


def _standing(recorded: RecordedCommand, sealed: Sealed) -> Standing | None:
    return recorded.standings.get(sealed.event.item_id or "")


def _records(found: Sequence[Sealed]) -> tuple[BranchEventRecord, ...]:
    return tuple(record_of(each) for each in found)


_WHOLE: Final = "Others of its command still stand; void the whole of it: `whole`, or --whole at the command line."


class ReviewEvent(_Correction):
    """Record that an event was reviewed. Answered with the record of the review."""

    kind = "review"

    def decide(self, view: View) -> Decision:
        event = self.target(view)
        review = unplaced(
            view,
            EventType.EVENT_REVIEWED,
            actor=self.actor,
            source=DEFAULT_SOURCE,
            item_id=event.item_id,
            note=self.content.note,
            reviewed_event_id=event.event_id,
        )
        return Decision(events=[review])

    def answer(self, recorded: RecordedCommand) -> BranchEventRecord:
        sealed = recorded.sealed[0]
        return record_of(sealed, _standing(recorded, sealed))
