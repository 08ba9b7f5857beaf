"""Two hundred histories of three hundred steps, in which every rule holds after every step."""

from __future__ import annotations

from typing import Any

import pytest

from tests.simulation.playing import missing, play, play_all
from tests.support.databases import Databases

HISTORIES = 200
TOGETHER = 10
SAMPLED = 20
"""How many of them `make test` plays; `make exhaustive` plays the others."""

FIRST = [
    pytest.param(first, marks=() if first < SAMPLED else pytest.mark.exhaustive)
    for first in range(0, HISTORIES, TOGETHER)
]


@pytest.mark.parametrize("first", FIRST)
def test_rules_hold_in_every_history(first: int, databases: Databases, tell_faults: Any) -> None:
    injected = play_all(databases, range(first, first + TOGETHER))
    tell_faults(injected)
    assert not missing(injected), f"never injected: {missing(injected)}"


def test_a_seed_plays_the_same_history_again(databases: Databases) -> None:
    assert play(databases, 7, 120) == play(databases, 7, 120)
