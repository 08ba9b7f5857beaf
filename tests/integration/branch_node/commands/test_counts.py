"""Counts: a count stands at its moment, areas are summed, what was expected and what moved is told."""

from __future__ import annotations

from contextlib import suppress
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from branch_node.clock.clock_repair import RedateEvents, Redating
from branch_node.commands.count_areas import MOST_COUNTS, open_counts
from branch_node.commands.count_inputs import CountInput, count_of
from branch_node.commands.counts import RecordCount
from branch_node.database.queries import EventsWanted
from branch_node.database.queries import events as event_list
from shared.events import CountedArea, Event
from shared.messages import OpenArea
from shared.runtime.clock import DAY
from shared.runtime.problems import Problem
from tests.support.branch import Branch, read
from tests.support.events import MINUTE, NOON


def number(raw: Any) -> float:
    return float(msgspec.json.decode(raw))


def test_a_first_count_is_an_opening_and_keeps_what_was_expected(any_branch: Branch) -> None:
    any_branch.event("ORDER_DEDUCTION", "milk", 2)
    answer = any_branch.count("c1", [{"item_id": "milk", "counted": "7.5"}])
    event = any_branch.events()[-1]
    assert (event.counted, event.expected, event.reason) == (7_500, -2_000, "opening")
    assert (number(answer.items[0].counted), number(answer.items[0].variance)) == (7.5, 9.5)
    assert any_branch.on_hand() == 7_500
    any_branch.count("c2", [{"item_id": "milk", "counted": 0}])
    event = any_branch.events()[-1]
    assert (event.counted, event.expected, event.reason) == (0, 7_500, None)
    assert any_branch.on_hand() == 0


def test_areas_of_one_item_become_one_event_at_the_last_ones_moment(any_branch: Branch) -> None:
    answer = any_branch.count(
        "c1",
        [
            {"item_id": "milk", "area": "bar", "counted": 2, "occurred_at": "2026-01-01T11:50:00Z"},
            {"item_id": "cup", "counted": 40},
            {"item_id": "milk", "area": "cellar", "counted": "3.5", "occurred_at": "2026-01-01T11:55:00Z"},
        ],
    )
    log = any_branch.events()
    assert [(event.item_id, event.counted) for event in log] == [("cup", 40_000), ("milk", 5_500)]
    assert log[1].occurred_at == NOON - 5 * MINUTE
    assert log[1].note == "bar 2; cellar 3.5"
    assert log[1].reference is not None
    assert (log[1].reference.kind, log[1].reference.id) == ("count", "c1")
    assert [each.item_id for each in answer.items] == ["cup", "milk"]


def test_a_late_count_stands_where_it_was_counted(any_branch: Branch) -> None:
    any_branch.event("PURCHASE_RECEIVED", "milk", 10, occurred_at="2026-01-01T10:00:00Z")
    any_branch.event("ORDER_DEDUCTION", "milk", 4, occurred_at="2026-01-01T11:00:00Z")
    answer = any_branch.count("c1", [{"item_id": "milk", "counted": 9, "occurred_at": "2026-01-01T10:30:00Z"}])
    assert number(answer.items[0].expected) == 10
    assert any_branch.on_hand() == 5_000
    assert number(answer.items[0].event.on_hand_after) == 5


def test_what_moved_since_the_counter_saw_the_figure(any_branch: Branch) -> None:
    any_branch.event("PURCHASE_RECEIVED", "milk", 10)
    any_branch.clock.advance(MINUTE)
    any_branch.event("ORDER_DEDUCTION", "milk", 1)
    sold = any_branch.event("ORDER_DEDUCTION", "milk", 2, occurred_at="2026-01-01T09:00:00Z")
    any_branch.event("ORDER_DEDUCTION", "cup", 2)
    any_branch.void(sold.event_id)
    any_branch.clock.advance(MINUTE)
    lines = [{"item_id": "milk", "counted": 9, "seen_at": "2026-01-01T12:00:30Z"}]
    answer = any_branch.count("c1", lines, key="c")
    item = answer.items[0]
    assert [each.sequence for each in item.moved] == [2, 3, 5]
    assert number(item.moved_quantity) == -1
    any_branch.event("ORDER_DEDUCTION", "milk", 1)
    assert any_branch.count("c1", lines, key="c") == answer
    unseen = any_branch.count("c2", [{"item_id": "milk", "counted": 9}])
    assert unseen.items[0].moved_quantity is None


def test_an_open_count_waits_for_its_last_area(any_branch: Branch) -> None:
    first = [{"item_id": "milk", "area": "bar", "counted": 2, "occurred_at": "2026-01-01T11:00:00Z"}]
    answer = any_branch.count("c1", first, open=True)
    assert answer.items == []
    assert [(each.item_id, each.area) for each in answer.waiting] == [("milk", "bar")]
    assert any_branch.writer.head.sequence == 0
    any_branch.count("c1", first, open=True)
    with pytest.raises(Problem) as caught:
        any_branch.count("c1", [{"item_id": "milk", "area": "bar", "counted": 3}])
    assert caught.value.code == "area-already-counted"
    done = any_branch.count("c1", [{"item_id": "milk", "area": "cellar", "counted": 5}])
    assert [number(each.counted) for each in done.items] == [7]
    assert any_branch.on_hand() == 7_000
    assert any_branch.count("c1", first, open=True) == answer
    assert any_branch.on_hand() == 7_000


@pytest.mark.parametrize("open_", [False, True])
def test_an_area_that_comes_when_the_count_is_posted_is_refused(any_branch: Branch, open_: bool) -> None:
    any_branch.count("c1", [{"item_id": "milk", "area": "cellar", "counted": 10}])
    for counted in (3, 10):
        with pytest.raises(Problem) as caught:
            any_branch.count("c1", [{"item_id": "milk", "area": "bar", "counted": counted}], open=open_)
        assert (caught.value.code, caught.value.extras["sequence"]) == ("count-posted", 1)
    assert any_branch.on_hand() == 10_000
    # The rest of the count goes on, and a count that was taken back is counted anew.
    any_branch.count("c1", [{"item_id": "cup", "counted": 4}])
    any_branch.void(any_branch.events()[0].event_id)
    any_branch.count("c1", [{"item_id": "milk", "area": area, "counted": 4} for area in ("bar", "attic")])
    assert (any_branch.on_hand("cup"), any_branch.on_hand()) == (4_000, 8_000)
    with pytest.raises(Problem):
        any_branch.count("c1", [{"item_id": "milk", "area": "roof", "counted": 1}])


def test_a_request_of_an_open_count_has_one_effect_and_one_answer(any_branch: Branch) -> None:
    def area(name: str, counted: int, key: str, **more: Any) -> Any:
        return any_branch.count("c1", [{"item_id": "milk", "area": name, "counted": counted}], key=key, **more)

    first = area("bar", 10, "a", open=True)
    assert area("bar", 10, "a", open=True) == first
    with pytest.raises(Problem) as caught:
        area("cellar", 5, "a", open=True)
    assert caught.value.code == "key-reused"
    with pytest.raises(Problem) as caught:
        any_branch.event("ORDER_DEDUCTION", "milk", 1, key="a")
    assert caught.value.code == "key-reused"
    assert number(area("cellar", 5, "b").items[0].counted) == 15
    assert area("bar", 10, "a", open=True) == first
    any_branch.count("c1", [{"item_id": "cup", "counted": 1}], key="c")
    assert any_branch.on_hand() == 15_000


def test_repeats_of_an_open_count_are_known_after_a_restart(any_branch: Branch) -> None:
    first = any_branch.count("c1", [{"item_id": "milk", "area": "bar", "counted": 10}], key="a", open=True)
    any_branch.writer.close()
    again = Branch(any_branch.store, any_branch.clock, seed=2)
    again.writer.open()
    try:
        assert again.count("c1", [{"item_id": "milk", "area": "bar", "counted": 10}], key="a", open=True) == first
    finally:
        again.writer.close()


def test_a_waiting_area_can_be_put_right(any_branch: Branch) -> None:
    def area(counted: int, **more: Any) -> Any:
        return any_branch.count("c1", [{"item_id": "milk", "area": "bar", "counted": counted, **more}], open=True)

    area(900_000_000)
    with pytest.raises(Problem) as caught:
        area(9)
    assert "replace" in caught.value.hint
    assert [number(each.counted) for each in area(9, replace=True).waiting] == [9]
    any_branch.count("c1", [{"item_id": "milk", "area": "cellar", "counted": 900_000_000}])
    assert any_branch.on_hand() == 900_000_009_000


@pytest.mark.parametrize("together", [False, True])
def test_a_figure_said_once_more_after_another_is_the_one_that_counts(any_branch: Branch, together: bool) -> None:
    """4, then 3, then 4 again, without a key: an equal request repeats an earlier one only if nothing came between."""

    def area(name: str, counted: int, open_: bool = True) -> RecordCount:
        line = {"item_id": "milk", "area": name, "counted": counted, "replace": True}
        given = read(CountInput, {"count_id": "c-1", "lines": [line], "open": open_})
        return RecordCount(count_of(given), key=None, actor="staff-1")

    said = [area("bar", 4), area("bar", 3), area("cellar", 2), area("bar", 4), area("cellar", 2), area("bar", 4)]
    outcomes = any_branch.writer.commit(said) if together else [any_branch.run(each) for each in said]
    assert [sum(number(each.counted) for each in outcome.waiting) for outcome in outcomes] == [4, 3, 5, 6, 6, 6]
    posted = any_branch.run(area("hall", 1, open_=False))
    assert [number(each.counted) for each in posted.items] == [7]


@pytest.mark.parametrize("together", [False, True])
def test_a_count_that_was_taken_back_takes_the_same_areas_again(any_branch: Branch, together: bool) -> None:
    """Without keys, an equal request repeats an earlier one only if its count was not voided since."""

    def area(name: str, counted: int, *, open_: bool) -> RecordCount:
        line = {"item_id": "milk", "area": name, "counted": counted}
        return RecordCount(
            count_of(read(CountInput, {"count_id": "c1", "lines": [line], "open": open_})), key=None, actor="staff-1"
        )

    fridge, cellar = area("fridge", 4, open_=True), area("cellar", 2, open_=False)
    for sequence in (1, 3):
        said = [fridge, fridge, cellar, cellar, fridge]
        outcomes = any_branch.writer.commit(said) if together else [any_branch.run(each) for each in said]
        assert outcomes[0] == outcomes[1] == outcomes[4]
        assert outcomes[2] == outcomes[3]
        assert [(number(each.counted), each.event.sequence) for each in outcomes[2].items] == [(6, sequence)]
        any_branch.void(any_branch.events()[-1].event_id)
    any_branch.run(fridge)
    assert [number(each.counted) for each in any_branch.run(area("cellar", 3, open_=False)).items] == [7]
    with pytest.raises(Problem) as caught:
        any_branch.run(cellar)
    assert (caught.value.code, caught.value.extras["sequence"]) == ("count-posted", 5)
    assert any_branch.on_hand() == 7_000


_SAID = st.tuples(
    st.sampled_from(["milk", "cup"]),
    st.sampled_from(["bar", "cellar"]),
    st.integers(1, 2),
    st.booleans(),
    st.booleans(),
)
_TAKEN_BACK = st.sampled_from(["milk", "cup"])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(_SAID | _TAKEN_BACK, max_size=10))
def test_requests_without_keys_record_what_those_with_keys_do(any_branch: Branch, steps: list[Any]) -> None:
    """Each request sent twice without a key, beside the same requests sent once under a new key each."""
    start = any_branch.writer.head.sequence

    def log(count_id: str) -> list[Event]:
        events = any_branch.events()[start:]
        return [each for each in events if each.reference is not None and each.reference.id == count_id]

    def void(count_id: str, item_id: str) -> None:
        if posted := [each for each in log(count_id) if each.item_id == item_id]:
            with suppress(Problem):
                any_branch.void(posted[-1].event_id)

    keyless, keyed = f"without-{start}-{uuid4()}", f"with-{start}-{uuid4()}"
    for step in steps:
        if isinstance(step, str):
            void(keyless, step)
            void(keyed, step)
            continue
        item_id, area, counted, open_, replace = step
        lines = [{"item_id": item_id, "area": area, "counted": counted, "replace": replace}]
        for count_id, key in ((keyless, None), (keyless, None), (keyed, any_branch.key())):
            with suppress(Problem):
                any_branch.count(count_id, lines, key=key, open=open_)
    recorded, wanted = ([(each.item_id, each.counted) for each in log(count_id)] for count_id in (keyless, keyed))
    assert recorded == wanted


class _KeylessCount:
    """One count of two items, sent without a key, and what of it should stand: its figure and its events."""

    def __init__(self, branch: Branch) -> None:
        self.branch = branch
        self.count_id = f"c-{uuid4()}"
        self.figure = 0
        self.stands: list[Event] = []

    def step(self, step: int | str) -> None:
        before = len(self.branch.events())
        if isinstance(step, int):
            self._send(step)
        elif self.stands and step == "void":
            self.branch.void(self.stands[1].event_id, whole=True)
            self.stands = []
        elif self.stands:
            content = Redating(sequences=tuple(each.sequence for each in self.stands), correction=-MINUTE)
            self.branch.run(RedateEvents(self.stands[0], content, actor="manager-1"))
            self.stands = self.branch.events()[before + 2 :]
            assert len(self.stands) == 2

    def _send(self, figure: int) -> None:
        """As a recorded count answers: by what stands now, and refused where something else does."""
        before = len(self.branch.events())
        lines = [{"item_id": "cup", "counted": 1}, {"item_id": "milk", "counted": figure}]
        if self.stands and self.figure != figure:
            with pytest.raises(Problem) as caught:
                self.branch.count(self.count_id, lines)
            assert caught.value.code == "count-posted"
            assert caught.value.extras["sequence"] in {each.sequence for each in self.stands}
            return
        answer = self.branch.count(self.count_id, lines)
        recorded = self.branch.events()[before:]
        assert len(recorded) == (0 if self.stands else 2)
        self.figure, self.stands = figure, self.stands or recorded
        assert [each.event.event_id for each in answer.items] == [each.event_id for each in self.stands]
        assert [number(each.counted) for each in answer.items] == [1, figure]
        assert [number(each.event.on_hand_after) for each in answer.items] == [1, figure]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.sampled_from([4, 5, "void", "repair"]), min_size=2, max_size=9))
@example(steps=[4, "repair", 4, 5, "repair", 4, "void", 4])
def test_a_count_without_a_key_is_answered_by_what_stands_now(any_branch: Branch, steps: list[int | str]) -> None:
    any_branch.clock.advance(DAY)  # behind the counts of the examples before
    count = _KeylessCount(any_branch)
    for step in steps:
        count.step(step)


def test_a_count_dated_anew_says_what_its_counter_was_told_and_its_key_says_it_for_ever(any_branch: Branch) -> None:
    any_branch.event("PURCHASE_RECEIVED", "milk", 10)
    any_branch.clock.advance(MINUTE)
    any_branch.event("ORDER_DEDUCTION", "milk", 2)
    any_branch.count("c0", [{"item_id": "cup", "area": "bar", "counted": 1}])
    any_branch.clock.advance(MINUTE)
    lines = [
        {"item_id": "milk", "counted": 7, "seen_at": "2026-01-01T12:00:30Z"},
        {"item_id": "cup", "area": "cellar", "counted": 1},
    ]
    first = any_branch.count("c1", lines)
    keyed = any_branch.count("c2", lines, key="k")
    assert (number(first.items[1].moved_quantity), len(first.missing)) == (-2, 1)
    for count_id in ("c1", "c2"):
        posted = [each for each in any_branch.events() if each.reference and each.reference.id == count_id]
        content = Redating(sequences=tuple(each.sequence for each in posted), correction=-5 * DAY)
        any_branch.run(RedateEvents(posted[0], content, actor="manager-1"))
    again = any_branch.count("c1", lines)
    assert [each.event.occurred_at for each in again.items] != [each.event.occurred_at for each in first.items]
    assert [(each.moved_quantity, each.moved) for each in again.items] == [
        (each.moved_quantity, each.moved) for each in first.items
    ]
    assert again.missing == first.missing
    assert any_branch.count("c2", lines, key="k") == keyed


def test_a_figure_seen_ahead_of_our_clock(any_branch: Branch) -> None:
    any_branch.event("PURCHASE_RECEIVED", "milk", 10)
    lines = [{"item_id": "milk", "counted": 4, "seen_at": "2026-01-01T12:00:20Z"}]
    answer = any_branch.count("c1", lines, key="c")
    assert (number(answer.items[0].moved_quantity), answer.items[0].moved) == (0, [])
    any_branch.event("PURCHASE_RECEIVED", "milk", 7)
    assert any_branch.count("c1", lines, key="c") == answer
    with pytest.raises(Problem) as caught:
        any_branch.count("c2", [{"item_id": "milk", "counted": 4, "seen_at": "2030-01-01T12:00:00Z"}])
    assert caught.value.code == "future-date"


def test_the_same_count_sent_twice_is_one(any_branch: Branch) -> None:
    lines = [{"item_id": "milk", "counted": 3}]
    answer = any_branch.count("c1", lines)
    any_branch.clock.advance(MINUTE)
    any_branch.event("ORDER_DEDUCTION", "milk", 1)
    assert any_branch.count("c1", lines) == answer
    assert any_branch.on_hand() == 2_000


def test_a_count_of_a_strict_item_always_passes(any_branch: Branch) -> None:
    any_branch.event("PURCHASE_RECEIVED", "gin", 5)
    any_branch.clock.advance(MINUTE)
    any_branch.event("ORDER_DEDUCTION", "gin", 5)
    any_branch.count("c1", [{"item_id": "gin", "counted": 1, "occurred_at": "2026-01-01T12:00:00Z"}])
    assert any_branch.on_hand("gin") == -4_000


def test_areas_that_come_to_too_much(any_branch: Branch) -> None:
    lines = [{"item_id": "milk", "area": area, "counted": 900_000_000} for area in ("bar", "cellar")]
    with pytest.raises(Problem) as caught:
        any_branch.count("c1", lines)  # type: ignore[arg-type]
    assert caught.value.code == "invalid-quantity"
    assert any_branch.writer.head.sequence == 0


# The people, notes and moments of areas; areas that are missing; counts that nobody closes.


def say(branch: Branch, count_id: str, actor: str, source: str, *lines: dict[str, object], open_: bool = True) -> Any:
    given = read(CountInput, {"count_id": count_id, "lines": list(lines), "open": open_, "source": source})
    return branch.run(RecordCount(count_of(given), key=None, actor=actor))


def test_every_area_reaches_the_log_with_who_said_it(any_branch: Branch) -> None:
    fridge = {"item_id": "milk", "area": "fridge", "counted": 1, "note": "top shelf"}
    say(any_branch, "c1", "k1/ann", "tablet", fridge)
    any_branch.clock.advance(MINUTE)
    cellar = {"item_id": "milk", "area": "cellar", "counted": 4, "occurred_at": "2026-01-01T11:30:00Z"}
    say(any_branch, "c1", "k1/bob", "page", cellar)
    any_branch.clock.advance(MINUTE)
    say(any_branch, "c1", "k2", "api", {"item_id": "cup", "counted": 3, "note": "all"}, open_=False)
    cups, milk = any_branch.events()
    assert milk.actor == "k2"
    assert milk.areas == (
        CountedArea(actor="k1/bob", area="cellar", counted=4_000, occurred_at=NOON - 30 * MINUTE, source="page"),
        CountedArea(actor="k1/ann", area="fridge", counted=1_000, note="top shelf", occurred_at=NOON, source="tablet"),
    )
    assert cups.areas == (
        CountedArea(actor="k2", counted=3_000, note="all", occurred_at=NOON + 2 * MINUTE, source="api"),
    )
    with any_branch.store.reading() as connection:
        (found,) = event_list(connection, EventsWanted(codes=["milk"]), after=0, limit=10).items
    assert [(each.actor, each.area, each.note) for each in found.areas or ()] == [
        ("k1/bob", "cellar", None),
        ("k1/ann", "fridge", "top shelf"),
    ]


def test_an_area_of_the_last_count_that_is_not_in_is_named(any_branch: Branch) -> None:
    def missing(answer: Any) -> list[tuple[str, str, str]]:
        return [(each.item_id, each.area, each.counted_at) for each in answer.missing]

    areas = [{"item_id": "milk", "area": area, "counted": each} for area, each in (("fridge", 1), ("cellar", 4))]
    assert any_branch.count("c1", areas, key="c1").missing == []
    any_branch.clock.advance(MINUTE)
    cellar = [("milk", "cellar", "2026-01-01T14:00:00+02:00")]
    opened = any_branch.count("c2", [{"item_id": "milk", "area": "fridge", "counted": 1}], open=True)
    assert missing(opened) == cellar
    # Another item's line closes the count: the fridge is not the whole without that word.
    closed = any_branch.count("c2", [{"item_id": "cup", "counted": 3}], key="c2")
    assert missing(closed) == cellar
    assert any_branch.on_hand() == 1_000
    any_branch.count("c3", [{"item_id": "milk", "counted": 5}])
    assert any_branch.count("c2", [{"item_id": "cup", "counted": 3}], key="c2") == closed
    # It was counted as a whole since, and a whole misses nothing.
    assert any_branch.count("c4", [{"item_id": "milk", "area": "fridge", "counted": 1}]).missing == []
    assert any_branch.count("c5", [{"item_id": "milk", "counted": 5}]).missing == []
    any_branch.count("c6", areas)
    any_branch.void(any_branch.events()[-1].event_id)
    assert any_branch.count("c7", [{"item_id": "milk", "area": "bar", "counted": 1}]).missing == []


def test_areas_that_one_event_has_no_room_for_are_refused_when_they_come(any_branch: Branch) -> None:
    for each in range(3):
        line = {"item_id": "milk", "area": f"a{each}", "counted": 1, "note": "ق" * 1_000}
        any_branch.count("c1", [line], open=True)
    with pytest.raises(Problem) as caught:
        any_branch.count("c1", [{"item_id": "milk", "area": "last", "counted": 1, "note": "ق" * 1_000}], open=True)
    assert caught.value.code == "too-many-areas"
    assert number(any_branch.count("c1", [{"item_id": "milk", "area": "last", "counted": 1}]).items[0].counted) == 4
    many = [{"item_id": "cup", "area": f"shelf {each}", "counted": 1} for each in range(60)]
    assert number(any_branch.count("c2", many).items[0].counted) == 60


def test_open_counts_are_told_oldest_first(any_branch: Branch) -> None:
    for each in range(MOST_COUNTS + 2):
        say(any_branch, f"c{each:02}", "k1/ann", "page", {"item_id": "milk", "area": "bar", "counted": each})
        any_branch.clock.advance(MINUTE)
    say(any_branch, "c00", "k1/bob", "page", {"item_id": "cup", "counted": 9})
    with any_branch.store.reading() as connection:
        found = open_counts(connection)
    assert [each.count_id for each in found] == [f"c{each:02}" for each in range(MOST_COUNTS)]
    assert found[0].opened_at == NOON
    assert found[0].areas == [
        OpenArea(item_id="cup", counted=9_000, actor="k1/bob"),
        OpenArea(item_id="milk", area="bar", counted=0, actor="k1/ann"),
    ]
    any_branch.count("c00", [{"item_id": "milk", "area": "cellar", "counted": 1}])
    with any_branch.store.reading() as connection:
        assert [each.count_id for each in open_counts(connection)][:1] == ["c01"]
