"""A period's opening figure and its movements add up to its closing one, which the next period opens with."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from shared.events import Event
from shared.periods import change_of, explain_period
from shared.stock import fold, movement
from tests.support.events import MINUTE, NOON, seal_all
from tests.support.histories import histories


@given(histories(), histories(), st.lists(st.integers(-1, 12), min_size=3, max_size=3).map(sorted))
def test_periods_follow_one_another(first: list[Event], second: list[Event], minutes: list[int]) -> None:
    by_code = {
        code: [movement(each.event) for each in seal_all(events)] for code, events in (("a", first), ("b", second))
    }
    # A boundary is where something happened: the event at it belongs to the period that begins there.
    bounds = [NOON + minute * MINUTE for minute in minutes]
    before, after = (explain_period(by_code, begin=begin, end=end) for begin, end in pairwise(bounds))
    assert before.closing == after.opening
    for found, (begin, end) in zip((before, after), pairwise(bounds), strict=True):
        assert found.opening.on_hand == sum(fold(each, as_of=begin - 1).on_hand for each in by_code.values())
        assert found.closing.on_hand == sum(fold(each, as_of=end - 1).on_hand for each in by_code.values())
        assert found.opening.on_hand + sum(map(change_of, found.steps)) == found.closing.on_hand
        assert all(begin <= each.movement.occurred_at < end for each in found.steps)
        figure = found.opening.on_hand
        for step in found.steps:
            figure += change_of(step)
            assert step.on_hand == figure
