"""The commands of managers that void an event or review it."""

from __future__ import annotations

from typing import Final

from branch_node.commands.correction_inputs import CorrectionContent
from branch_node.commands.input_fields import DEFAULT_SOURCE
from branch_node.commands.keyed_command import KeyedCommand
from branch_node.model import Decision, RecordedCommand, View, unplaced
from branch_node.problems import ALREADY_VOIDED, NOT_VOIDABLE, UNKNOWN_EVENT
from branch_node.records import BranchEventRecord, record_of
from shared.events import BY_HAND, Event, EventType

_TRANSFER: Final = "A transfer is undone by cancelling it at the coordinator, or by a transfer back."
_RESERVATION: Final = "A reservation is released, not voided: POST /v1/reservations/{id}/release."
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
    EventType.EVENT_VOIDED: "A void is not voided: record the event again.",
    EventType.EVENT_REVIEWED: "Review the event again, with another comment.",
    EventType.ITEM_DEFINED: "Define the item again: PUT /v1/items/{item_id}.",
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


class _Correction(KeyedCommand):
    def __init__(self, content: CorrectionContent, *, key: str, actor: str) -> None:
        super().__init__(content, key=key, actor=actor)
        self.content = content

    def target(self, view: View) -> Event:
        event = view.event(self.content.event_id)
        if event is None:
            raise UNKNOWN_EVENT(f"there is no event {self.content.event_id!r}")
        return event

    def answer(self, recorded: RecordedCommand) -> BranchEventRecord:
        sealed = recorded.sealed[0]
        return record_of(sealed, recorded.standings.get(sealed.event.item_id or ""))


class VoidEvent(_Correction):
    """Void one event. Answered with the record of the void."""

    kind = "void"

    def decide(self, view: View) -> Decision:
        event = self.target(view)
        if event.type not in BY_HAND:
            raise NOT_VOIDABLE(f"{event.type} cannot be voided", hint=ALTERNATIVES[event.type], event_type=event.type)
        by = view.voided_by([event.sequence]).get(event.sequence)
        if by is not None:
            raise ALREADY_VOIDED(f"the event {by} voids it", voided_by=by)
        content = self.content
        reason = content.reason or "mistake"
        void = void_event(view, event, actor=self.actor, source=DEFAULT_SOURCE, reason=reason, note=content.note)
        return Decision(events=[void])


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
