"""For how many transfers a round waits: those that move together, none that stand still."""

from __future__ import annotations

from transfer_coordinator.worker.batching import WINDOW, Tempo


def test_those_that_move_are_expected_to_move_on() -> None:
    tempo = Tempo()
    assert tempo.expected(0.0) == 0
    tempo.note({"a": "open"}, 0.0)
    assert tempo.expected(0.0) == 1
    tempo.note({"b": "open", "c": "open"}, 0.1)
    assert tempo.expected(0.1) == 3


def test_the_next_ones_are_expected_at_once_when_all_have_ended() -> None:
    tempo = Tempo()
    tempo.note(dict.fromkeys("abcd", "open"), 0.0)
    assert tempo.expected(0.0) == 4
    tempo.note(dict.fromkeys("abcd"), 0.1)
    assert tempo.expected(0.2) == 4
    assert tempo.expected(WINDOW + 0.01) == 0


def test_nobody_waits_for_what_stands_still() -> None:
    tempo = Tempo()
    tempo.note({f"to a branch that is away {number}": "open" for number in range(100)}, 0.0)
    assert tempo.expected(0.0) == 100
    moment = 2 * WINDOW
    tempo.note({"alone": "open"}, moment)
    assert tempo.expected(moment) == 1


def test_a_change_renews_and_an_end_forgets() -> None:
    tempo = Tempo()
    tempo.note({"a": "open", "b": "open"}, 0.0)
    tempo.note({"a": "open"}, 0.2)
    assert tempo.expected(WINDOW + 0.1) == 1
    tempo.note({"a": None}, WINDOW + 0.1)
    assert tempo.expected(2 * WINDOW + 0.2) == 0
