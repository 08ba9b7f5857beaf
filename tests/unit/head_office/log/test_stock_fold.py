"""Summing up plain movements gives what folding them one by one gives."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from head_office.database.binary_copy import ON_HAND_SIGN
from head_office.log.stock_fold import StockFold
from shared.events import Event
from shared.stock import NOTHING, Movement, Place, Standing, movement
from tests.support.advancing import advance_all
from tests.support.events import seal_all
from tests.support.histories import histories


def folded(events: list[Event], voided: dict[int, Movement], fold: StockFold) -> StockFold:
    for event in events:
        sign = ON_HAND_SIGN.get(event.type)
        if sign is not None and event.quantity is not None:
            fold.move("milk", (event.occurred_at, event.sequence), event.quantity * sign)
        else:
            fold.other("milk", movement(event), voided.get(event.voided_sequence or 0))
    fold.settle()
    return fold


@given(histories(max_size=30), st.data())
def test_the_same_as_one_by_one(history: list[Event], data: st.DataObject) -> None:
    events = [each.event for each in seal_all(history)]
    moved = {each.sequence: movement(each) for each in events}
    split = data.draw(st.integers(0, len(events)), "split")
    expected: dict[str, Standing] = {}
    advance_all(expected, [("milk", moved[each.sequence]) for each in events[:split]], moved)
    fold = StockFold()
    fold.standings.update(expected)
    again = advance_all(expected, [("milk", moved[each.sequence]) for each in events[split:]], moved)
    folded(events[split:], moved, fold)
    assert fold.refold == again
    assert fold.touched == ({"milk"} if events[split:] else set())
    if not again:
        assert fold.standings == expected


def test_an_item_without_events_begins_at_nothing() -> None:
    fold = StockFold()
    fold.move("milk", (5, 1), -250)
    fold.move("milk", (4, 2), 1_000)
    assert fold.standings == {}
    fold.settle()
    assert fold.standings == {"milk": Standing(NOTHING.on_hand + 750, 0, None, Place(5, 1), False)}
