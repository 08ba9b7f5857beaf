"""For how many transfers a round waits: those that move together, none that stand still."""

from __future__ import annotations

from transfer_coordinator.worker.batching import WINDOW, ActiveTransfers


def test_those_that_move_are_expected_to_move_on() -> None:
    active = ActiveTransfers()
    assert active.expected(0.0) == 0
    active.note({"a": "open"}, 0.0)
    assert active.expected(0.0) == 1
    active.note({"b": "open", "c": "open"}, 0.1)
    assert active.expected(0.1) == 3


def test_the_next_ones_are_expected_at_once_when_all_have_ended() -> None:
    active = ActiveTransfers()
    active.note(dict.fromkeys("abcd", "open"), 0.0)
    assert active.expected(0.0) == 4
    active.note(dict.fromkeys("abcd"), 0.1)
    assert active.expected(0.2) == 4
    assert active.expected(WINDOW + 0.01) == 0


def test_nobody_waits_for_what_stands_still() -> None:
    active = ActiveTransfers()
    active.note({f"to a branch that is away {number}": "open" for number in range(100)}, 0.0)
    assert active.expected(0.0) == 100
    moment = 2 * WINDOW
    active.note({"alone": "open"}, moment)
    assert active.expected(moment) == 1


def test_a_change_renews_and_an_end_forgets() -> None:
    active = ActiveTransfers()
    active.note({"a": "open", "b": "open"}, 0.0)
    active.note({"a": "open"}, 0.2)
    assert active.expected(WINDOW + 0.1) == 1
    active.note({"a": None}, WINDOW + 0.1)
    assert active.expected(2 * WINDOW + 0.2) == 0
