"""What a log publishes, worked out the slow way by the fold alone, and random logs of many kinds of commands."""

from __future__ import annotations

import json
import uuid
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from hypothesis import strategies as st

from shared.chain import EMPTY, Head, Sealed
from shared.event_record import moment_text
from shared.events import BY_HAND, Definition, Event, EventType, LowStock, Reference
from shared.outbox.message_cursor import BEFORE_ALL, MessageCursor
from shared.outbox.message_records import MessageType
from shared.outbox.message_source import MessagePage, OutboxMessage
from shared.outbox.outbox_reader import OutboxReader
from shared.outbox.recorded_commands import LoggedEvent
from shared.stock import BEGINNING, Movement, Place, Standing, fold, history, movement
from tests.support.events import an_event
from tests.support.histories import histories

PLACE = "BEY-01"


@st.composite
def logs(draw: st.DrawFn, max_size: int = 12) -> list[Event]:
    """Unplaced events of two items, in commands of one to four lines; some carry `low`, some are refusals."""
    stories = {item: draw(histories(max_size=max_size)) for item in ("milk", "bread")}
    left = [item for item, story in stories.items() for _ in story]
    order = draw(st.permutations(left))
    taken: dict[str, int] = defaultdict(int)
    placed: dict[tuple[str, int], int] = {}
    events: list[Event] = []
    for item in order:
        index = taken[item]
        taken[item] += 1
        event = stories[item][index]
        event.item_id = item
        if event.reservation_id is not None:
            event.reservation_id += item
            event.reference = Reference(id=f"order of {event.reservation_id}", kind="order", revision=1)
        if event.transfer_id is not None:
            event.transfer_id += item
        if event.voided_sequence is not None:
            event.voided_sequence = placed[item, event.voided_sequence - 1]
            event.voided_event_id = events[event.voided_sequence - 1].event_id
        if event.counted is None and draw(st.booleans()):
            event.low = LowStock(reorder_point=4_000, reorder_quantity=6_500)
        events.append(event)
        placed[item, index] = len(events)
        if draw(st.integers(0, 5)) == 0:
            kind = draw(st.sampled_from(["RESERVATION_REFUSED", "TRANSFER_REFUSED", "ITEM_DEFINED", "EVENT_REVIEWED"]))
            events.append(_aside(kind, item, len(events)))
    for sequence, event in enumerate(events, start=1):
        event.event_id = str(uuid.UUID(int=(0x0190_0000_0000_7000_8000 << 48) + sequence))
    for event in events:
        if event.voided_sequence is not None:
            event.voided_event_id = events[event.voided_sequence - 1].event_id
    return in_commands(events, draw(st.lists(st.integers(1, 4), min_size=1, max_size=len(events) or 1)))


_WHY = ("unavailable", "superseded")  # the second is no message


def _aside(kind: str, item: str, number: int) -> Event:
    kinds: dict[str, dict[str, Any]] = {
        "RESERVATION_REFUSED": {"item_id": item, "reservation_id": f"refused {number}", "reason": _WHY[number % 2]},
        "TRANSFER_REFUSED": {"transfer_id": f"refused {number}", "reason": "cancelled"},
        "ITEM_DEFINED": {"item_id": item, "definition": Definition(name="Anew", unit="l")},
        "EVENT_REVIEWED": {"reviewed_event_id": str(uuid.UUID(int=7))},
    }
    fields = kinds[kind]
    return an_event(kind, seed=1, **fields)


def in_commands(events: list[Event], sizes: Sequence[int]) -> list[Event]:
    """The events as lines of commands of these sizes, which are repeated as often as needed."""
    start = turn = 0
    while start < len(events):
        command = events[start : start + sizes[turn % len(sizes)]]
        for line, event in enumerate(command, start=1):
            event.line, event.lines = line, len(command)
        start += len(command)
        turn += 1
    return events


class MemoryLog:
    """An OutboxLog over sealed events in memory, by the fold. `unfolded`: sequence to reason."""

    def __init__(self, sealed: Sequence[Sealed], unfolded: Mapping[int, str] | None = None) -> None:
        self._sealed = sealed
        self._unfolded = dict(unfolded or {})
        self.refolds = 0

    @property
    def head(self) -> Head:
        if not self._sealed:
            return EMPTY
        last = self._sealed[-1]
        return Head(last.event.epoch, last.event.sequence, last.hash)

    def entry(self, sequence: int) -> LoggedEvent:
        each = self._sealed[sequence - 1]
        return LoggedEvent(sequence, each.hash, each.event, self._unfolded.get(sequence))

    def entries(self, after: int, limit: int) -> list[LoggedEvent]:
        return [self.entry(sequence) for sequence in range(after + 1, min(after + limit, len(self._sealed)) + 1)]

    def events_at(self, sequences: Sequence[int]) -> Mapping[int, Event]:
        return {each: self._sealed[each - 1].event for each in sequences}

    def epoch_at(self, sequence: int) -> int:
        return self._sealed[sequence - 1].event.epoch

    def incomplete(self, through: int) -> set[str | None]:
        return {self._sealed[each - 1].event.item_id for each in self._unfolded if each <= through}

    def standings(self, item_ids: Sequence[str], known_through: int) -> dict[str, Standing]:
        self.refolds += 1
        folded = [each.event for each in self._sealed if each.event.sequence not in self._unfolded]
        return {item: _standing(folded, item, known_through) for item in item_ids}


def _standing(events: Sequence[Event], item_id: str, known_through: int) -> Standing:
    story = [movement(each) for each in events if each.item_id == item_id and each.sequence <= known_through]
    told = fold(story)
    latest = max((each.place for each in story), default=BEGINNING)
    # A bound on both parts of a place, as the projection keeps it.
    latest = Place(latest.occurred_at, latest.sequence)
    return Standing(told.on_hand, reserved(story), told.last_count, latest, told.recount)


def reserved(story: Sequence[Movement]) -> int:
    """The raw sum, before expiry."""
    return sum(each.reserved_change or 0 for each in history(story, as_of=None, known_through=None).standing)


def reader_of(log: Any) -> OutboxReader:
    @contextmanager
    def opened(location_id: str) -> Iterator[Any]:
        assert location_id == PLACE
        yield log

    return OutboxReader(opened)


def read_all(
    reader: OutboxReader, *, limits: Sequence[int] = (100,), types: frozenset[str] | None = None,
    after: MessageCursor = BEFORE_ALL, from_messages: bool = False,
) -> list[OutboxMessage]:  # fmt: skip
    """Every message, in pages of these limits in turn; `from_messages`: going on from messages, not from `next`."""
    found: list[OutboxMessage] = []
    for turn in range(10_000):
        page: MessagePage = reader.read(PLACE, after, types, limits[turn % len(limits)])
        assert len(page.messages) <= limits[turn % len(limits)]
        assert page.next >= after
        assert page.next > after or page.is_last
        found += page.messages
        onward = page.messages[-1].cursor if from_messages and page.messages else page.next
        if onward == after:
            assert not page.messages
            return found
        after = onward
    raise AssertionError("the log has no end")


def expected(sealed: Sequence[Sealed]) -> list[dict[str, Any]]:
    """The messages of a log of whole commands, by the table of INTERFACES and the fold of all that was known then."""
    events = [each.event for each in sealed]
    found: list[dict[str, Any]] = []
    for last in (each for each in events if each.line == each.lines):
        command = events[last.sequence - last.lines : last.sequence]
        groups: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
        for event in command:
            for kind, subject, line in _lines(events, event, last):
                groups[kind, subject] += [] if line is None else [line]
        order = [kind.value for kind in MessageType]
        for part, key in enumerate(sorted(groups, key=lambda key: order.index(key[0]))):
            lines = groups[key]
            of_items = key[0] in {"larder.StockAdded", "larder.StockRemoved", "larder.LowStockDetected"}
            one_item = lines[0]["item_id"] if of_items and len(lines) == 1 else None
            found.append(
                {
                    "id": f"{last.event_id}-{part}",
                    "type": key[0],
                    "subject": one_item or key[1] or None,
                    "cursor": f"{last.epoch:08d}-{last.sequence:016d}-{part:03d}",
                    "time": moment_text(last.occurred_at),
                    "lines": lines,
                }
            )
    return found


_RESERVATIONS = {
    EventType.STOCK_RESERVED: "larder.InventoryReserved",
    EventType.RESERVATION_CONFIRMED: "larder.ReservationConfirmed",
    EventType.RESERVATION_RELEASED: "larder.ReservationReleased",
    EventType.RESERVATION_EXPIRED: "larder.ReservationExpired",
}
_TRANSFERS = {
    EventType.TRANSFER_OUT: "larder.TransferSent",
    EventType.TRANSFER_IN: "larder.TransferReceived",
    EventType.TRANSFER_LOST: "larder.TransferReceived",
    EventType.TRANSFER_REVERSED: "larder.TransferEnded",
    EventType.TRANSFER_REFUSED: "larder.TransferEnded",
}


def _lines(events: Sequence[Event], event: Event, last: Event) -> Iterator[tuple[str, str, dict[str, Any] | None]]:
    """(type, what its message is about, line) of an event."""
    if event.type is EventType.TRANSFER_REFUSED:
        yield _TRANSFERS[event.type], event.transfer_id or "", None
        return
    if event.item_id is None:
        return
    was, now, after = (
        _standing(events, event.item_id, through) for through in (event.sequence - 1, event.sequence, last.sequence)
    )
    unit = event.unit
    if event.voided_sequence is not None:
        unit = events[event.voided_sequence - 1].unit
    available = _number(after.on_hand - after.reserved)
    named = {"item_id": event.item_id, "unit": unit, "event_id": event.event_id, "available": available}
    line = named | {
        "event_type": event.type.value,
        "on_hand": _number(after.on_hand),
        "reserved": _number(after.reserved),
    }
    quantity = _number(event.quantity or 0)
    if event.type in BY_HAND or event.type is EventType.EVENT_VOIDED:
        change = now.on_hand - was.on_hand
        if change:
            kind = "larder.StockAdded" if change > 0 else "larder.StockRemoved"
            yield kind, "", line | {"quantity": _number(abs(change))}
    elif event.type in _RESERVATIONS:
        yield _RESERVATIONS[event.type], event.reservation_id or "", line | {"quantity": quantity}
    elif event.type is EventType.RESERVATION_REFUSED:
        if event.reason != "unavailable":
            return
        short = {"item_id": event.item_id, "unit": unit, "asked": quantity, "available": available}
        yield "larder.InventoryUnavailable", event.reservation_id or "", short
    elif event.type in _TRANSFERS:
        split: dict[str, Any] = {"quantity": quantity}
        if event.type is EventType.TRANSFER_IN:
            split["lost"] = 0
        elif event.type is EventType.TRANSFER_LOST:
            split = {"quantity": 0, "lost": quantity}
        yield _TRANSFERS[event.type], event.transfer_id or "", line | split
    if event.low is not None:
        yield "larder.LowStockDetected", "", named | {"reorder_point": 4, "reorder_quantity": 6.5}


def _number(thousandths: int) -> float:
    return thousandths / 1_000


def told(message: OutboxMessage) -> dict[str, Any]:
    """A message in the form of `expected`, checked for what it says twice."""
    body = json.loads(message.body)
    assert (body["id"], body["type"], body["cursor"]) == (message.id, message.type, str(message.cursor))
    data = body["data"]
    return {
        **{name: body.get(name) for name in ("id", "type", "subject", "cursor", "time")},
        "lines": data.get("lines"),
    }
