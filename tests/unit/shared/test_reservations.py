"""A reservation is what its events make of it, wherever they are cut into parts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.events import Event, Reference
from shared.reservations import (
    MOST_OF_A_LINE,
    RESTATED,
    NotOfAReservation,
    Reservation,
    ReservationFold,
    ReservationState,
    ReservedLine,
    advance_reservation,
    reservation_of,
    reservation_record,
)
from tests.support.events import MINUTE, NOON, an_event, seal_all

EXPIRY = NOON + 15 * MINUTE


def step(kind: str, quantity: int, item_id: str = "milk", *, revision: int = 1, **fields: object) -> Event:
    if kind == "STOCK_RESERVED":
        fields.setdefault("expires_at", EXPIRY)
    order = Reference(id="4711", kind="order", revision=revision)
    return an_event(kind, quantity=quantity, item_id=item_id, reservation_id="r", reference=order, **fields)


def placed(events: list[Event]) -> list[Event]:
    return [each.event for each in seal_all(events)]


@st.composite
def reservations(draw: st.DrawFn) -> list[Event]:
    """The events of one reservation of two items: stated anew, confirmed, released, also what cannot follow."""
    events: list[Event] = []
    revision = 1
    for _ in range(draw(st.integers(1, 12))):
        kind = draw(st.sampled_from(["STOCK_RESERVED", "RESERVATION_CONFIRMED", "RESERVATION_RELEASED", "restated"]))
        revision += draw(st.booleans())
        reason = {"reason": RESTATED} if kind == "restated" else {}
        kind = "RESERVATION_RELEASED" if kind == "restated" else kind
        line, lines = draw(st.sampled_from([(1, 1), (1, 2), (2, 2)]))
        item_id = draw(st.sampled_from(["milk", "bread"]))
        quantity = draw(st.integers(1, 3))
        made = step(kind, quantity, item_id, revision=revision, seed=len(events) + 1, line=line, lines=lines, **reason)
        events.append(made)
    return placed(events)


def taken(events: list[Event]) -> list[Event]:
    """Those that follow."""
    fold, kept = ReservationFold(), []
    for event in events:
        before = fold.reservation()
        try:
            fold.add(event)
        except NotOfAReservation:
            assert fold.reservation() == before
        else:
            kept.append(event)
    return kept


@given(reservations(), st.lists(st.integers(0, 12)))
def test_the_state_does_not_depend_on_where_the_events_are_cut(events: list[Event], cuts: list[int]) -> None:
    events = taken(events)
    state: Reservation | None = None
    first = 0
    for cut in sorted({*(cut for cut in cuts if 0 < cut < len(events)), len(events)}):
        if events[first:cut]:
            state = advance_reservation(state, events[first:cut])
        first = cut
    assert state == reservation_of(events)


@given(reservations())
def test_its_lines_add_up_to_what_the_events_changed(events: list[Event]) -> None:
    events = taken(events)
    state = reservation_of(events)
    for item_id in ("milk", "bread"):
        line = state.line(item_id) if state else None
        of_item = [event for event in events if event.item_id == item_id]

        def total(kind: str, of_item: list[Event] = of_item) -> int:
            return sum(event.quantity or 0 for event in of_item if event.type == kind)

        held = total("STOCK_RESERVED") - total("RESERVATION_CONFIRMED") - total("RESERVATION_RELEASED")
        assert (line.open if line else 0) == held >= 0
        assert (line.confirmed if line else 0) == total("RESERVATION_CONFIRMED")
    assert state is None or state.active == bool(state.open_lines)


def test_a_reservation_ends_by_the_last_of_it() -> None:
    events = placed([step("STOCK_RESERVED", 3), step("RESERVATION_RELEASED", 1), step("RESERVATION_CONFIRMED", 2)])
    assert [reservation_of(events[:count]).state for count in (1, 2, 3)] == [  # type: ignore[union-attr]
        ReservationState.ACTIVE,
        ReservationState.ACTIVE,
        ReservationState.CONFIRMED,
    ]


def test_what_is_stated_anew_is_not_released() -> None:
    events = placed(
        [
            step("STOCK_RESERVED", 3),
            step("RESERVATION_RELEASED", 3, revision=2, reason=RESTATED, line=1, lines=2),
            step("STOCK_RESERVED", 5, "bread", revision=2, expires_at=EXPIRY + 1, line=2, lines=2),
        ]
    )
    state = reservation_of(events)
    assert state is not None
    assert (state.revision, state.stated_at, state.expires_at, state.created_at) == (2, 2, EXPIRY + 1, NOON)
    assert state.lines == (ReservedLine(item_id="bread", unit="l", quantity=5),)


@pytest.mark.parametrize(
    ("events", "reason"),
    [
        ([step("RESERVATION_RELEASED", 1)], "would begin with it"),
        ([step("STOCK_RESERVED", 2), step("RESERVATION_CONFIRMED", 3)], "has 2 of milk left"),
        ([step("STOCK_RESERVED", 2), step("RESERVATION_EXPIRED", 1, "bread")], "has 0 of bread left"),
        ([step("STOCK_RESERVED", 2), step("RESERVATION_REFUSED", 1, reason="x")], "changes no reservation"),
        ([step("STOCK_RESERVED", MOST_OF_A_LINE), step("STOCK_RESERVED", 1)], "out of bounds"),
    ],
)
def test_what_cannot_follow_is_told(events: list[Event], reason: str) -> None:
    with pytest.raises(NotOfAReservation, match=reason):
        reservation_of(events)


def test_an_expired_one_is_answered_as_expired() -> None:
    state = reservation_of(placed([step("STOCK_RESERVED", 3_000)]))
    assert state is not None
    assert reservation_record(state, EXPIRY - 1).state is ReservationState.ACTIVE
    record = reservation_record(state, EXPIRY)
    assert record.state is ReservationState.EXPIRED
    assert [bytes(getattr(record.lines[0], name)) for name in ("released", "open")] == [b"3", b"0"]
