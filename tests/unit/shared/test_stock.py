"""The fold: each rule of DESIGN section 3 as an example, and properties against a second, naive way to say it."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from shared.events import Event
from shared.stock import Movement, Place, Standing, advance, advance_event, explain, fold, movement, strict_breach
from tests.support.advancing import advance_all
from tests.support.events import MINUTE, NOON, an_event, seal_all
from tests.support.histories import histories


def movements(*events: Event) -> list[Movement]:
    return [movement(sealed.event) for sealed in seal_all(list(events))]


def sale(quantity: int, at: int = 0, **fields: Any) -> Event:
    return an_event("ORDER_DEDUCTION", quantity=quantity, occurred_at=NOON + at * MINUTE, **fields)


def count(counted: int, at: int = 0, **fields: Any) -> Event:
    return an_event("STOCKTAKE", counted=counted, expected=0, occurred_at=NOON + at * MINUTE, **fields)


def bought(quantity: int, at: int = 0, **fields: Any) -> Event:
    return an_event("PURCHASE_RECEIVED", quantity=quantity, occurred_at=NOON + at * MINUTE, **fields)


def void(sequence: int, at: int = 0) -> Event:
    fields = {"reason": "mistake", "voided_event_id": "0" * 36, "voided_sequence": sequence}
    return an_event("EVENT_VOIDED", occurred_at=NOON + at * MINUTE, **fields)


def moved(kind: str, quantity: int, at: int, **fields: Any) -> Event:
    whole = {"quantity": quantity, "transfer_id": "t1", "transfer_line": 1, **fields}
    return an_event(kind, occurred_at=NOON + at * MINUTE, **whole)


def test_no_count_means_from_zero() -> None:
    assert fold(movements(sale(2_000))).on_hand == -2_000
    assert fold([]).on_hand == 0


def test_a_count_sets_and_everything_else_adds() -> None:
    balance = fold(movements(bought(10_000), sale(1_000, 1), count(8_500, 2), sale(500, 3)))
    assert (balance.on_hand, balance.variance) == (8_000, -500)
    assert balance.last_count == Place(NOON + 2 * MINUTE, 3)


def test_a_sale_backdated_before_a_count_changes_the_past_and_the_variance_only() -> None:
    story = movements(bought(10_000), count(9_000, 5), sale(1_000, 2))
    assert fold(story).on_hand == 9_000
    assert fold(story).variance == 0
    assert fold(story, as_of=NOON + 3 * MINUTE).on_hand == 9_000
    assert fold(story, as_of=NOON + 3 * MINUTE, known_through=2).on_hand == 10_000
    assert fold(story, known_through=2).variance == -1_000


def test_the_same_moment_is_ordered_by_sequence() -> None:
    assert fold(movements(sale(1_000), count(5_000), sale(2_000))).on_hand == 3_000


def test_what_was_counted_since_is_not_added_twice_by_a_void() -> None:
    assert fold(movements(sale(1_000), count(5_000, 1), void(1, 2))).on_hand == 5_000


def test_a_void_acts_as_soon_as_it_is_known_whenever_it_occurred() -> None:
    story = movements(bought(5_000), sale(1_000, 1), void(2, 9))
    assert fold(story, as_of=NOON + 2 * MINUTE).on_hand == 5_000
    assert fold(story, as_of=NOON + 2 * MINUTE, known_through=2).on_hand == 4_000


def test_a_voided_count_gives_way_to_the_one_before() -> None:
    story = movements(count(5_000), sale(1_000, 1), count(9_000, 2), sale(1_000, 3), void(3, 4))
    assert fold(story).on_hand == 3_000


def test_a_reversal_is_as_if_the_out_had_never_been() -> None:
    back = {"voided_event_id": "0" * 36, "voided_sequence": 2}
    story = movements(bought(5_000), moved("TRANSFER_OUT", 2_000, 1), moved("TRANSFER_REVERSED", 2_000, 9, **back))
    assert fold(story, as_of=NOON + 2 * MINUTE).on_hand == 5_000
    assert not fold(story).recount


def test_goods_back_or_in_from_before_a_count_ask_for_another() -> None:
    back = {"voided_event_id": "0" * 36, "voided_sequence": 1}
    reversed_later = movements(
        moved("TRANSFER_OUT", 2_000, 1), count(3_000, 2), moved("TRANSFER_REVERSED", 2_000, 3, **back)
    )
    assert (fold(reversed_later).on_hand, fold(reversed_later).recount) == (3_000, True)
    received_late = movements(count(3_000, 2), moved("TRANSFER_IN", 2_000, 1))
    assert (fold(received_late).on_hand, fold(received_late).recount) == (3_000, True)
    assert not fold([*received_late, *movements(count(1, 0), count(1, 0), count(5_000, 3))[2:]]).recount


def test_counts_leave_reservations_alone_and_expiry_needs_no_event() -> None:
    promise = an_event("STOCK_RESERVED", quantity=2_000, reservation_id="r", expires_at=NOON + 5 * MINUTE)
    story = movements(promise, count(1_000, 1))
    early = fold(story, as_of=NOON + 2 * MINUTE)
    assert (early.reserved, early.available, early.short) == (2_000, -1_000, True)
    assert fold(story, as_of=NOON + 5 * MINUTE).reserved == 0


def test_a_reservation_stated_anew_lasts_until_its_newest_expiry() -> None:
    key = {"reservation_id": "r"}
    first = an_event("STOCK_RESERVED", quantity=2_000, expires_at=NOON + 9 * MINUTE, **key)
    given_back = an_event("RESERVATION_RELEASED", quantity=2_000, occurred_at=NOON + MINUTE, **key)
    sooner = an_event("STOCK_RESERVED", quantity=500, occurred_at=NOON + MINUTE, expires_at=NOON + 4 * MINUTE, **key)
    story = movements(first, given_back, sooner)
    reserved = [fold(story, as_of=NOON + minute * MINUTE).reserved for minute in (0, 1, 3, 4, 9)]
    assert reserved == [2_000, 500, 500, 0, 0]


def test_a_confirmed_reservation_takes_from_both() -> None:
    key = {"reservation_id": "r"}
    promise = an_event("STOCK_RESERVED", quantity=2_000, expires_at=NOON + 99 * MINUTE, **key)
    done = an_event("RESERVATION_CONFIRMED", quantity=1_500, **key)
    rest = an_event("RESERVATION_RELEASED", quantity=500, **key)
    balance = fold(movements(bought(5_000), promise, done, rest))
    assert (balance.on_hand, balance.reserved) == (3_500, 0)


def test_the_explanation_names_every_event_and_why_it_does_not_count() -> None:
    story = movements(bought(5_000), count(4_000, 2), sale(500, 3), sale(700, 4), void(4, 5), sale(300, 9))
    told = explain(story, as_of=NOON + 6 * MINUTE)
    assert told.start is not None
    assert (told.start.movement.sequence, told.start.expected) == (2, 5_000)
    assert [(step.movement.sequence, step.on_hand) for step in told.steps] == [(3, 3_500)]
    assert {(each.movement.sequence, each.reason, each.by_sequence) for each in told.not_counted} == {
        (1, "before the count", 2),
        (4, "voided", 5),
        (5, "void", 4),
        (6, "later", None),
    }


@given(histories())
def test_the_explanation_adds_up_and_loses_no_event(events: list[Event]) -> None:
    story = movements(*events)
    told = explain(story)
    start = told.start.on_hand if told.start else 0
    changes = sum(step.movement.on_hand_change or 0 for step in told.steps)
    assert start + changes == told.balance.on_hand
    named = [step.movement.sequence for step in told.steps] + [each.movement.sequence for each in told.not_counted]
    assert sorted(named + ([told.start.movement.sequence] if told.start else [])) == [m.sequence for m in story]


def naive(story: list[Movement], as_of: int, known_through: int) -> int:
    """On hand said once more, with nothing shared with the fold: walk back to the last count that stands, then add."""
    known = [m for m in story if m.sequence <= known_through]
    undone = {m.voided_sequence for m in known}
    standing = [m for m in known if m.sequence not in undone and m.occurred_at <= as_of]
    counts = [(m.occurred_at, m.sequence, m.counted) for m in standing if m.counted is not None]
    base = max(counts, default=(-1, -1, 0))
    later = [m.on_hand_change or 0 for m in standing if (m.occurred_at, m.sequence) > base[:2]]
    return base[2] + sum(later)


def naive_reserved(story: list[Movement], as_of: int, known_through: int) -> int:
    """What is reserved said once more: of each reservation all changes, unless its newest expiry has passed."""
    known = [m for m in story if m.sequence <= known_through and m.occurred_at <= as_of and m.reservation_id]
    total = 0
    for reservation in {m.reservation_id for m in known}:
        mine = [m for m in known if m.reservation_id == reservation]
        expiry = max(((m.sequence, m.expires_at) for m in mine if m.expires_at is not None), default=(0, 2**62))[1]
        total += sum(m.reserved_change or 0 for m in mine) if expiry > as_of else 0
    return total


@given(histories(), st.integers(-1, 14), st.integers(0, 25))
def test_what_is_reserved_is_what_has_not_expired(events: list[Event], minute: int, known: int) -> None:
    story, as_of = movements(*events), NOON + minute * MINUTE
    assert fold(story, as_of=as_of, known_through=known).reserved == naive_reserved(story, as_of, known)


@given(histories(), st.integers(-1, 10), st.integers(0, 25), st.randoms())
def test_the_order_in_which_events_are_given_does_not_matter(
    events: list[Event], minute: int, known: int, random: object
) -> None:
    story = movements(*events)
    as_of = NOON + minute * MINUTE
    expected = fold(story, as_of=as_of, known_through=known)
    assert expected.on_hand == naive(story, as_of, known)
    shuffled = list(story)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert fold(shuffled, as_of=as_of, known_through=known) == expected


@given(histories())
def test_folding_one_by_one_agrees_with_folding_all(events: list[Event]) -> None:
    story = movements(*events)
    standings: dict[str, Standing] = {}
    for reached, each in enumerate(story, start=1):
        promised = sum(past.reserved_change or 0 for past in story[:reached])
        known = {past.sequence: past for past in story[:reached]}
        whole = fold(story[:reached])
        if advance_all(standings, [("milk", each)], known):
            latest = max(past.place for past in story[:reached])
            standings["milk"] = Standing(whole.on_hand, promised, whole.last_count, latest, whole.recount)
        now = standings["milk"]
        assert (now.on_hand, now.last_count, now.recount) == (whole.on_hand, whole.last_count, whole.recount)
        assert now.reserved == promised


@given(histories())
def test_a_placed_event_advances_as_its_movement_does(events: list[Event]) -> None:
    placed = [sealed.event for sealed in seal_all(events)]
    known = {event.sequence: movement(event) for event in placed}
    standing = Standing()
    for event in placed:
        each, target = known[event.sequence], known.get(event.voided_sequence or 0)
        after = advance(standing, each, target)
        assert advance_event(standing, event, target) == after
        standing = after or standing


def naive_breach(story: list[Movement], new: Movement) -> Place | None:
    """The first place from that of `new` up to the next count at which the book is below zero."""
    everything = [*story, new]
    undone = {each.voided_sequence for each in everything}
    counts = [each.place for each in everything if each.counted is not None and each.sequence not in undone]
    end = min((place for place in counts if place > new.place), default=Place(2**62, 0))
    standing = [each for each in everything if each.sequence not in undone]
    for place in sorted(each.place for each in standing if new.place <= each.place < end):
        if naive([each for each in standing if each.place <= place], 2**62, 2**62) < 0:
            return place
    return None


@given(histories(), st.integers(-1, 9), st.integers(1, 6))
def test_a_strict_breach_is_the_first_place_below_zero(events: list[Event], minute: int, quantity: int) -> None:
    story = movements(*events)
    new = Movement(
        sequence=len(story) + 1,
        occurred_at=NOON + minute * MINUTE,
        type="ORDER_DEDUCTION",
        on_hand_change=-quantity * 500,
    )
    assert strict_breach(story, new) == naive_breach(story, new)


def test_a_strict_item_is_looked_at_from_its_place_up_to_the_next_count() -> None:
    story = movements(bought(5_000), sale(4_000, 5))
    new = movement(seal_all([sale(2_000, 2, seed=9)])[0].event)
    late = Movement(sequence=3, occurred_at=new.occurred_at, type=new.type, on_hand_change=-2_000)
    assert strict_breach(story, late) == Place(NOON + 5 * MINUTE, 2)
    counted = movements(bought(5_000), count(5_000, 3), sale(4_000, 5))
    assert (
        strict_breach(counted, Movement(sequence=4, occurred_at=late.occurred_at, type="x", on_hand_change=-2_000))
        is None
    )
    assert (
        strict_breach(story, Movement(sequence=3, occurred_at=late.occurred_at, type="x", on_hand_change=-1_000))
        is None
    )
