"""Reading messages: every paging gives what the fold says; cursors across epochs, restores and quarantine."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.chain import EMPTY, Head, Sealed
from shared.events import Event, Parent
from shared.outbox.kept_figures import KeptFigures, LogPlace
from shared.outbox.message_cursor import BEFORE_ALL, MAX_PART, MessageCursor
from shared.outbox.message_records import MessageType
from shared.outbox.message_source import MessagePage, WaitsFor
from shared.outbox.outbox_reader import MOST_BYTES, MOST_EVENTS, OutboxReader
from shared.outbox.recent_pages import PageRequest, RecentPages
from shared.outbox.recorded_commands import LoggedEvent
from shared.runtime.problems import Problem
from shared.stock import Standing
from tests.support.events import MINUTE, NOON, an_event, seal_all
from tests.support.published import PLACE, MemoryLog, expected, in_commands, logs, read_all, reader_of, told

LIMITS = st.lists(st.integers(1, 5), min_size=1, max_size=3)
TYPES = st.sets(st.sampled_from([each.value for each in MessageType]), min_size=1, max_size=4)


@given(logs(), LIMITS, st.booleans())
def test_any_paging_publishes_what_the_fold_says(events: list[Event], limits: list[int], from_messages: bool) -> None:
    sealed = seal_all(events)
    found = read_all(reader_of(MemoryLog(sealed)), limits=limits, from_messages=from_messages)
    assert [told(each) for each in found] == expected(sealed)


@given(logs(), LIMITS, TYPES)
def test_a_choice_of_types_leaves_out_the_others_and_nothing_else(
    events: list[Event], limits: list[int], types: set[str]
) -> None:
    log = MemoryLog(seal_all(events))
    every = read_all(reader_of(log))
    assert read_all(reader_of(log), limits=limits, types=frozenset(types)) == [
        each for each in every if each.type in types
    ]


@given(logs(), st.data())
def test_from_any_cursor_come_the_messages_after_it(events: list[Event], data: st.DataObject) -> None:
    log = MemoryLog(seal_all(events))
    every = read_all(reader_of(log))
    numbers = st.tuples(st.integers(0, log.head.sequence), st.sampled_from([0, 1, 2, MAX_PART]))
    after = MessageCursor(1, *data.draw(numbers))
    assert read_all(reader_of(log), after=after) == [each for each in every if each.cursor > after]
    assert reader_of(log).count_behind(PLACE, after) == log.head.sequence - after.sequence


def _sales(count: int) -> list[Event]:
    return [an_event(seed=seed, occurred_at=NOON + seed) for seed in range(1, count + 1)]


def test_a_reader_that_follows_reads_an_item_once() -> None:
    log = MemoryLog(seal_all(_sales(500)))
    reader = reader_of(log)
    assert len(read_all(reader, limits=[7])) == 500
    assert log.refolds == 1
    # Nor does it matter whether it goes on from the last message or from `next`.
    assert len(read_all(reader, limits=[7], from_messages=True)) == 500
    assert log.refolds == 2


def test_nothing_kept_is_taken_for_that_of_another_log() -> None:
    one, other = (
        seal_all([an_event("PURCHASE_RECEIVED", quantity=quantity), *_sales(2)]) for quantity in (9_000, 5_000)
    )
    kept = KeptFigures()
    for sealed, on_hand in ((one, 8), (other, 4)):
        log = MemoryLog(sealed)
        reader = OutboxReader(reader_of(log)._open_log, kept)
        pages = [reader.read(PLACE, after, None, 1) for after in (BEFORE_ALL, MessageCursor(1, 1, MAX_PART))]
        assert json.loads(pages[1].messages[0].body)["data"]["lines"][0]["on_hand"] == on_hand


def test_what_is_kept_is_bounded_and_adds_up() -> None:
    kept = KeptFigures(most_standings=5, most_places=3)
    places = [LogPlace(PLACE, sequence, b"") for sequence in range(6)]
    kept.keep(places[0], {"a": Standing(1), "b": Standing(2)})
    kept.keep(places[0], {"c": Standing(3)})
    assert kept.at(places[0]) == {"a": Standing(1), "b": Standing(2), "c": Standing(3)}
    kept.keep(places[1], {"a": Standing(1), "b": Standing(2), "c": Standing(3)})
    assert not kept.at(places[0])
    for place in places[2:5]:
        kept.keep(place, {})
    assert not kept.at(places[1])
    kept.keep(places[5], {str(number): Standing() for number in range(6)})
    assert not kept.at(places[5])


def test_a_page_ends_at_a_size() -> None:
    lines = [an_event(seed=seed, item_id=f"item {seed:03d}", unit="l") for seed in range(1, 901)]
    events = in_commands([*lines, *lines[:0]], [900])
    later = in_commands([an_event(seed=1_000 + seed, item_id=f"item {seed:03d}") for seed in range(1, 5_401)], [900])
    log = MemoryLog(seal_all([*events, *later]))
    page = reader_of(log).read(PLACE, BEFORE_ALL, None, 1_000)
    assert len(page.messages) == 1  # the second command does not fit into what a page reads
    found = read_all(reader_of(log))
    assert len(found) == 7
    assert max(len(each.body) for each in found) < MOST_BYTES


def test_the_largest_command_is_read_and_published() -> None:
    events = in_commands(
        [
            an_event(
                "STOCK_RESERVED", seed=seed, reservation_id=f"r{seed}", expires_at=NOON + MINUTE, item_id=f"item {seed}"
            )
            for seed in range(1, MOST_EVENTS + 1)
        ],
        [MOST_EVENTS],
    )
    log = MemoryLog(seal_all(events))
    found = read_all(reader_of(log), limits=[300, 7])
    assert [each.cursor.part for each in found] == list(range(MOST_EVENTS))
    assert log.refolds <= len(found) / 7 + 4


# Cursors


def test_a_cursor_ahead_of_the_log() -> None:
    log = MemoryLog(seal_all(_sales(3)))
    reader = reader_of(log)
    for after in (MessageCursor(1, 4, 0), MessageCursor(2, 1, 0)):
        with pytest.raises(Problem) as refusal:
            reader.read(PLACE, after, None, 10)
        assert (refusal.value.code, refusal.value.status) == ("cursor-ahead", 409)
        assert reader.count_behind(PLACE, after) == 0
    end = reader.end(PLACE)
    assert reader.read(PLACE, end, None, 10).next == end == read_to_the_end(reader)


def read_to_the_end(reader: OutboxReader) -> MessageCursor:
    return reader.read(PLACE, BEFORE_ALL, None, 1_000).next


def test_an_empty_log() -> None:
    reader = reader_of(MemoryLog([]))
    end = reader.end(PLACE)
    assert end == MessageCursor(1, 0, MAX_PART)
    assert reader.read(PLACE, BEFORE_ALL, None, 10).messages == []
    assert reader.read(PLACE, end, None, 10).next == end


def _another_epoch(parent_events: list[Event], later: list[Event], epoch: int = 2) -> list[Sealed]:
    parent = seal_all(parent_events)
    last = parent[-1]
    opened = an_event(
        "EPOCH_OPENED", seed=90, parent=Parent(epoch=1, sequence=last.event.sequence, hash=last.hash.hex())
    )
    return [*parent, *seal_all([opened, *later], Head(epoch, last.event.sequence, last.hash))]


def test_a_cursor_of_what_the_parent_lost_goes_on_with_the_new_epoch() -> None:
    sealed = _another_epoch(_sales(3), [an_event(seed=91), an_event(seed=92)])
    reader = reader_of(MemoryLog(sealed))
    every = read_all(reader)
    assert [each.type for each in every][3] == "larder.LogContinued"
    body = json.loads(every[3].body)
    assert "subject" not in body
    assert body["data"]["epoch"] == 2
    assert body["data"]["parent"] == {"epoch": 1, "sequence": 3}
    for lost in (4, 5, 6, 60):
        after = MessageCursor(1, lost, 0)
        assert [each.cursor for each in read_all(reader, after=after)] == [each.cursor for each in every[3:]]
        assert reader.count_behind(PLACE, after) == 3
    assert read_all(reader, after=MessageCursor(1, 2, MAX_PART)) == every[2:]
    assert read_all(reader, after=MessageCursor(2, 4, 0)) == every[4:]


def test_a_command_that_an_epoch_has_cut_is_published_as_far_as_it_stands() -> None:
    cut = in_commands([an_event(seed=seed) for seed in (1, 2, 3)], [3])[:2]
    waiting = reader_of(MemoryLog(seal_all(cut)))
    assert read_all(waiting) == []
    assert waiting.read(PLACE, BEFORE_ALL, None, 10).next == BEFORE_ALL
    found = read_all(reader_of(MemoryLog(_another_epoch(cut, []))))
    assert [(each.type, each.cursor) for each in found] == [
        ("larder.StockRemoved", MessageCursor(1, 2, 0)),
        ("larder.LogContinued", MessageCursor(2, 3, 0)),
    ]


# What head office cannot fold


def _sale_of(seed: int, item_id: str) -> Event:
    return an_event(seed=seed, item_id=item_id)


def test_a_reader_waits_before_an_event_that_is_not_folded_and_is_told() -> None:
    sealed = seal_all(in_commands([_sale_of(seed, "milk") for seed in range(1, 8)], [1, 2]))
    whole = read_all(reader_of(MemoryLog(sealed)))
    held = reader_of(MemoryLog(sealed, {5: "not known yet"}))
    page = held.read(PLACE, BEFORE_ALL, None, 100)
    assert page.messages == whole[:3]  # the command of events 5 and 6 waits
    assert page.waits_for == WaitsFor(5, "not known yet")
    assert held.read(PLACE, page.next, None, 100) == type(page)([], page.next, True, page.waits_for)
    assert held.read(PLACE, BEFORE_ALL, None, 3).waits_for is None  # that the page is full is reason enough
    # Once it is folded everything comes, as at the branch.
    assert read_all(reader_of(MemoryLog(sealed)), after=page.next) == whole[3:]


def test_behind_an_event_that_is_not_folded_nothing_of_its_item_is_published() -> None:
    sealed = seal_all([_sale_of(seed, item) for seed, item in enumerate(["milk", "bread", "milk", "bread"], start=1)])
    whole = read_all(reader_of(MemoryLog(sealed)))
    reader = reader_of(MemoryLog(sealed, {1: "not known yet"}))
    assert read_all(reader) == []
    after = MessageCursor(1, 1, MAX_PART)
    assert read_all(reader, after=after) == [whole[1], whole[3]]
    assert reader.read(PLACE, after, None, 10).next == MessageCursor(1, 4, MAX_PART)


def test_lines_that_are_not_understood_belong_to_the_command_around_them() -> None:
    sealed = seal_all(in_commands([_sale_of(seed, f"item {seed}") for seed in range(1, 7)], [1, 3, 2]))

    class Unreadable(MemoryLog):
        def entry(self, sequence: int):
            entry = super().entry(sequence)
            return entry._replace(event=None) if entry.unfolded is not None else entry

    reader = reader_of(Unreadable(sealed, {3: "garbage"}))
    page = reader.read(PLACE, BEFORE_ALL, None, 10)
    assert [each.cursor.sequence for each in page.messages] == [1]
    assert page.next == MessageCursor(1, 1, MAX_PART)
    # Of the rest of that command nothing is published either, of the next one everything.
    for passed in (3, 4):
        after = MessageCursor(1, passed, MAX_PART)
        assert [each.cursor.sequence for each in read_all(reader, after=after)] == [6]
    # Nor does a reader wait without saying so for the rest of a command of which the log has no more yet.
    assert (
        page.waits_for == reader_of(Unreadable(sealed[:3], {3: "garbage"})).read(PLACE, page.next, None, 10).waits_for
    )
    many = seal_all(_sales(1_200))
    garbage = dict.fromkeys(range(2, 1_101), "garbage")
    endless = reader_of(Unreadable(many, garbage))
    assert endless.read(PLACE, BEFORE_ALL, None, 10).waits_for == WaitsFor(2, "garbage")
    assert endless.read(PLACE, MessageCursor(1, 1_100, 0), None, 10).next > MessageCursor(1, 1_100, 0)


def test_the_head_of_an_empty_log_is_the_beginning() -> None:
    assert MemoryLog([]).head == EMPTY


@given(logs(), st.data())
def test_what_is_kept_behind_an_event_that_is_not_folded_is_right_once_it_is(
    events: list[Event], data: st.DataObject
) -> None:
    sealed = seal_all(events)
    plain = [each.sequence for each in events if each.voided_sequence is None and each.reservation_id is None]
    targets = {each.voided_sequence for each in events}
    choice = [sequence for sequence in plain if sequence not in targets]
    unfolded = dict.fromkeys(data.draw(st.sets(st.sampled_from(choice), max_size=2)) if choice else set(), "not known")
    kept = KeptFigures()
    before = OutboxReader(reader_of(MemoryLog(sealed, unfolded))._open_log, kept)
    read_all(before)
    places = st.integers(0, len(events))
    for passed in data.draw(st.lists(places, max_size=3)):
        read_all(before, after=MessageCursor(1, passed, data.draw(st.sampled_from([0, MAX_PART]))), limits=[2])
    after = OutboxReader(reader_of(MemoryLog(sealed))._open_log, kept)
    whole = read_all(reader_of(MemoryLog(sealed)))
    for sequence in range(len(events), -1, -1):  # from the end, so that nothing kept is replaced before it is used
        cursor = MessageCursor(1, sequence, MAX_PART)
        assert read_all(after, after=cursor, limits=[2]) == [each for each in whole if each.cursor > cursor]


class CountingLog(MemoryLog):
    """Counts how many events were read for pages."""

    read = 0

    def entries(self, after: int, limit: int) -> list[LoggedEvent]:
        found = super().entries(after, limit)
        self.read += len(found)
        return found


def test_several_readers_of_one_log_get_a_page_that_is_made_once() -> None:
    log = CountingLog(seal_all(_sales(200)))
    reader = reader_of(log)
    first = read_all(reader, limits=[50])
    read = log.read
    assert read_all(reader, limits=[50]) == first
    assert log.read == read
    # The page that was the last one is given again only to those who said that it will do.
    last = reader.read(PLACE, MessageCursor(1, 150, MAX_PART), None, 60)
    assert last.is_last
    log._sealed = seal_all(_sales(201))
    again = reader.read(PLACE, MessageCursor(1, 150, MAX_PART), None, 60, shorter=True)
    assert (again.messages, again.is_last) == (last.messages, False)
    fresh = reader.read(PLACE, MessageCursor(1, 150, MAX_PART), None, 60)
    assert (len(fresh.messages), fresh.is_last) == (51, True)


def test_no_page_of_another_log_is_given() -> None:
    one = CountingLog(seal_all(_sales(3)))
    reader = reader_of(one)
    before = reader.read(PLACE, BEFORE_ALL, None, 10)
    # It was restored, and goes on with something else, or is shorter.
    one._sealed = seal_all([*_sales(2), an_event(seed=9)])
    changed = reader.read(PLACE, BEFORE_ALL, None, 10)
    assert [each.id for each in changed.messages][:2] == [each.id for each in before.messages][:2]
    assert changed.messages[2].id != before.messages[2].id
    one._sealed = seal_all(_sales(1))
    assert len(reader.read(PLACE, BEFORE_ALL, None, 10).messages) == 1


def test_a_page_without_what_is_withheld_is_not_kept() -> None:
    sealed = seal_all([_sale_of(seed, item) for seed, item in enumerate(["milk", "bread", "milk"], start=1)])
    log = MemoryLog(sealed, {1: "not known yet"})
    reader, after = reader_of(log), MessageCursor(1, 1, MAX_PART)
    assert len(reader.read(PLACE, after, None, 10).messages) == 1
    log._unfolded = {}
    assert len(reader.read(PLACE, after, None, 10).messages) == 2


def test_recent_pages_are_bounded() -> None:
    pages = RecentPages(2)
    requests = [PageRequest(PLACE, MessageCursor(1, sequence, 0), None, 10) for sequence in range(3)]
    end = LogPlace(PLACE, 1, b"")
    for request in requests:
        pages.keep(request, None, MessagePage([], request.after), end)
    assert pages.find(requests[0], None) is None
    assert pages.find(requests[2], None) == (MessagePage([], requests[2].after), end)
    assert pages.find(requests[2], end) is None
