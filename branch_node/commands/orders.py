"""The commands that record an order, all lines or none, revise it, and cancel it.

An order is identified by its id and source. A higher revision has all its lines and records the difference. Each event
of an order refers to it with its revision, so the state of all orders follows from the log.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final

import msgspec

from branch_node.commands.corrections import void_event
from branch_node.commands.event_commands import add_detail
from branch_node.commands.keyed_command import KeyedCommand
from branch_node.commands.order_inputs import CancelContent, OrderContent, OrderLine
from branch_node.commands.preconditions import StrictGuard, known_item, known_items, moment_of
from branch_node.model import Decision, OrderState, RecordedCommand, View, unplaced
from branch_node.order_states import CANCEL
from branch_node.problems import ORDER_CANCELLED, ORDER_SUPERSEDED, TOO_MANY_LINES, UNKNOWN_ORDER
from branch_node.records import BranchEventRecord, record_of
from branch_node.reservation_events import reservation_event
from shared.events import MAX_LINES, Event, EventType, Reference
from shared.reservations import ORDER_REFERENCE

ORDER: Final = ORDER_REFERENCE
"""The kinds of reference in the events of orders are this and CANCEL; only these references have a revision."""
REVISED: Final = "order-revised"
CANCELLED: Final = "order-cancelled"
UNCHANGED: Final = "order-unchanged"
RECORDED: Final = "order-recorded"
"""The reason by which what was reserved for an order is given back once the order itself is recorded."""


_RAISE: Final = (
    "Raise `revision` above {revision} (--revision at the command line) to change the order: a higher revision states "
    "all its lines anew."
)


class OrderAnswer(msgspec.Struct, kw_only=True):
    """The events that a revision or cancellation recorded: new lines, and voids of those that no longer apply."""

    order_id: str
    source: str
    revision: int
    cancelled: bool
    recorded: list[BranchEventRecord]
    voided: list[BranchEventRecord]


class _OrderCommand(KeyedCommand):
    content: OrderContent | CancelContent
    reference_kind = ORDER

    def _reference(self, revision: int, line: int | None = None, product: str | None = None) -> Reference:
        return Reference(
            id=self.content.order_id, kind=self.reference_kind, line=line, product=product, revision=revision
        )

    def answer(self, recorded: RecordedCommand) -> OrderAnswer:
        records = [record_of(each, recorded.standings.get(each.event.item_id or "")) for each in recorded.sealed]
        lines = [each for each in records if each.type is EventType.ORDER_DEDUCTION]
        voids = [each for each in records if each.type is EventType.EVENT_VOIDED]
        first = recorded.sealed[0].event
        return OrderAnswer(
            order_id=self.content.order_id,
            source=self.content.source,
            revision=1 if first.reference is None else first.reference.revision or 1,
            cancelled=isinstance(self.content, CancelContent),
            recorded=lines,
            voided=voids,
        )

    def _current_lines(self, view: View, state: OrderState) -> list[Event]:
        gone = view.voided_by(state.sequences)
        return view.events_at([sequence for sequence in state.sequences if sequence not in gone])

    def _voids(self, view: View, lines: Iterable[Event], revision: int, reason: str, note: str | None) -> list[Event]:
        voids = []
        for line in lines:
            void = void_event(view, line, actor=self.actor, source=self.content.source, reason=reason, note=note)
            void.reference = self._reference(revision, line.reference.line if line.reference else None)
            voids.append(void)
        return voids

    def _given_back(self, view: View, so_far: int) -> list[Event]:
        """The release of what is reserved for the order: what it takes is in its lines from here on.

        `so_far`: how many events the command records without it.
        """
        reservation = view.active_reservation(self.content.order_id, self.content.source)
        if reservation is None:
            return []
        lines = reservation.open_lines
        if so_far + len(lines) > MAX_LINES:
            raise TOO_MANY_LINES(
                f"with the {len(lines)} lines of the reservation {reservation.reservation_id} it is more than "
                f"{MAX_LINES} events",
                reservation_id=reservation.reservation_id,
            )
        return [
            reservation_event(
                view, EventType.RESERVATION_RELEASED, reservation, line, line.open, actor=self.actor, reason=RECORDED
            )
            for line in lines
        ]

    def _unchanged(self, view: View, state: OrderState, revision: int, reason: str, note: str | None) -> Event:
        """The event of a command that changes no line, so that the log has its revision."""
        (first,) = view.events_at(state.sequences[:1])
        return unplaced(
            view,
            EventType.EVENT_REVIEWED,
            actor=self.actor,
            source=self.content.source,
            item_id=first.item_id,
            reason=reason,
            note=note,
            reviewed_event_id=first.event_id,
            reference=self._reference(revision),
        )


class RecordOrder(_OrderCommand):
    """Record an order or its next revision. Answered with an `OrderAnswer`."""

    kind = "order"

    def __init__(self, content: OrderContent, *, key: str | None, actor: str) -> None:
        made = f"larder:order:{content.source}:{content.order_id}:{content.revision}"
        super().__init__(content, key=key or made, actor=actor)
        self._own_key = key is None
        self.content: OrderContent = content
        self.order = (content.order_id, content.source)
        self.size = len(content.lines)

    @property
    def reused_hint(self) -> str | None:
        return _RAISE.format(revision=self.content.revision) if self._own_key else None

    def decide(self, view: View) -> Decision:
        content = self.content
        state = view.order(content.order_id, content.source)
        if state is None:
            at = moment_of(view, content.occurred_at)
            events = self._lines(view, enumerate(content.lines, start=1), at, StrictGuard(view))
            return self._decision(view, events, kept=(), at=at)
        if state.cancelled:
            raise ORDER_CANCELLED(f"the order {content.order_id} of {content.source} was cancelled")
        if content.revision <= state.revision:
            return self._repeated(view, state)
        return self._revise(view, state)

    def _repeated(self, view: View, state: OrderState) -> Decision:
        """The answer to the newest revision sent again under another key; anything else is refused."""
        if self.content.revision == state.revision:
            before = view.recorded_at(state.stated_at)
            if before.sealed[0].event.command_digest == self.digest:
                answer = self.answer(before)
                return Decision(answer=answer, kept=msgspec.json.encode(answer))
        raise ORDER_SUPERSEDED(
            f"revision {state.revision} of the order {self.content.order_id} is recorded, with other content",
            hint=_RAISE.format(revision=state.revision),
            revision=state.revision,
        )

    def _revise(self, view: View, state: OrderState) -> Decision:
        content = self.content
        missing = Counter(_line_identity(line) for line in content.lines)
        kept, dropped = [], []
        for event in self._current_lines(view, state):
            identity = _event_identity(event)
            if missing[identity] > 0:
                missing[identity] -= 1
                kept.append(event.sequence)
            else:
                dropped.append(event)
        new: list[tuple[int, OrderLine]] = []
        for place, line in enumerate(content.lines, start=1):
            identity = _line_identity(line)
            if missing[identity] > 0:
                missing[identity] -= 1
                new.append((place, line))
        voids = self._voids(view, dropped, content.revision, REVISED, None)
        guard = StrictGuard(view)
        for void in voids:
            guard.add(known_item(view, void.item_id or "", None), void)
        events = [*voids, *self._lines(view, new, state.occurred_at, guard)]
        events = events or [self._unchanged(view, state, content.revision, UNCHANGED, None)]
        return self._decision(view, events, kept=tuple(kept), at=state.occurred_at)

    def _lines(self, view: View, lines: Iterable[tuple[int, OrderLine]], at: int, guard: StrictGuard) -> list[Event]:
        content, numbered = self.content, list(lines)
        items = known_items(view, [(f"lines[{place - 1}]", line.item_id, line.unit) for place, line in numbered])
        events = []
        for place, line in numbered:
            item = items[line.item_id]
            event = unplaced(
                view,
                EventType.ORDER_DEDUCTION,
                actor=self.actor,
                source=content.source,
                occurred_at=at,
                item_id=item.item_id,
                quantity=line.quantity,
                unit=item.unit,
                reference=self._reference(content.revision, place, line.product),
            )
            add_detail(event, line)
            guard.add(item, event)
            events.append(event)
        return events

    def _decision(self, view: View, events: list[Event], *, kept: tuple[int, ...], at: int) -> Decision:
        events += self._given_back(view, len(events))
        content, first = self.content, view.head.sequence + 1
        new = tuple(first + place for place, event in enumerate(events) if event.type is EventType.ORDER_DEDUCTION)
        state = OrderState(
            order_id=content.order_id,
            source=content.source,
            revision=content.revision,
            cancelled=False,
            occurred_at=at,
            stated_at=first,
            sequences=(*kept, *new),
        )
        return Decision(events=events, order=state)


class CancelOrder(_OrderCommand):
    """Cancel a whole order. Answered with an `OrderAnswer`."""

    kind = "order-cancel"
    reference_kind = CANCEL

    def __init__(self, content: CancelContent, *, key: str | None, actor: str) -> None:
        super().__init__(content, key=key or f"larder:order:{content.source}:{content.order_id}:cancel", actor=actor)
        self.content: CancelContent = content
        self.order = (content.order_id, content.source)

    def decide(self, view: View) -> Decision:
        content = self.content
        state = view.order(content.order_id, content.source)
        if state is None:
            raise UNKNOWN_ORDER(f"there is no order {content.order_id!r} of {content.source}")
        if state.cancelled:
            raise ORDER_CANCELLED(f"the order {content.order_id} of {content.source} was cancelled before")
        reason = content.reason or CANCELLED
        events = self._voids(view, self._current_lines(view, state), state.revision, reason, content.note)
        events = events or [self._unchanged(view, state, state.revision, reason, content.note)]
        events += self._given_back(view, len(events))
        ended = msgspec.structs.replace(state, cancelled=True, stated_at=view.head.sequence + 1)
        return Decision(events=events, order=ended)


def _line_identity(line: OrderLine) -> tuple[object, ...]:
    """The fields in which equal lines of two revisions agree; the position in the list is not among them."""
    money = (line.cost, line.entered, line.lot, line.area, line.expires_on)
    return (line.item_id, line.quantity, line.product, line.note, *money)


def _event_identity(event: Event) -> tuple[object, ...]:
    product = None if event.reference is None else event.reference.product
    money = (event.cost, event.entered, event.lot, event.area, event.expires_on)
    return (event.item_id, event.quantity, product, event.note, *money)
