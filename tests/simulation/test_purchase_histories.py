"""Orders to suppliers and deliveries of them while everything fails: head office, branches and a ledger agree."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from tests.simulation.purchasing.purchase_playing import play_purchases
from tests.support.databases import Databases

HISTORIES = 40
TOGETHER = 5
"""How many of them `make test` plays; `make exhaustive` plays the others."""
EXPECTED = {
    "dropped", "answer lost", "duplicated", "delayed", "delivered late", "truncated", "link cut", "refused by a cut",
    "branch crashed", "branch crashed in a commit", "head office crashed", "head office crashed as it made a morning",
    "clock jumped", "delivery told again", "request told again", "order OPEN", "order RECEIVED", "order CLOSED",
    "delivery counted", "morning kept",
}  # fmt: skip


@pytest.mark.parametrize(
    "first",
    [
        pytest.param(first, marks=() if first == 0 else pytest.mark.exhaustive)
        for first in range(0, HISTORIES, TOGETHER)
    ],
)
def test_head_office_branches_and_the_ledger_agree_on_every_order(
    first: int, databases: Databases, tell_faults: Any
) -> None:
    total: Counter[str] = Counter()
    for seed in range(first, first + TOGETHER):
        total += play_purchases(databases, seed)
    tell_faults(total)
    assert EXPECTED - total.keys() == set()
