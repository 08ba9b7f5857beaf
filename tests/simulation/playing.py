"""Playing histories one after another on one PostgreSQL server."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable

import structlog

from tests.simulation.coordinator import prepare_coordinator
from tests.simulation.history import STEPS, History
from tests.simulation.office import prepare_office
from tests.simulation.rule_broken import RuleBroken
from tests.support.databases import Databases

EXPECTED = frozenset(
    {
        "dropped",
        "answer lost",
        "duplicated",
        "delayed",
        "delivered late",
        "reordered",
        "truncated",
        "refused by a cut",
        "link cut",
        "sent to a host that is down",
        "request repeated",
        "file imported",
        "import cut off",
        "branch crashed",
        "branch crashed in a commit",
        "head office crashed",
        "head office crashed in a commit",
        "coordinator crashed",
        "coordinator crashed in a commit",
        "coordinator fell asleep",
        "coordinator replaced",
        "sleeper woke",
        "clock jumped",
        "branch started far ahead",
        "clock settled",
        "STOCK_RESERVED recorded",
        "RESERVATION_REFUSED recorded",
        "RESERVATION_CONFIRMED recorded",
        "RESERVATION_RELEASED recorded",
        "RESERVATION_EXPIRED recorded",
        "reorder point crossed",
        "message taken",
        "message taken again",
        "messages asked for again",
        "subscription paused",
        "secret rotated",
        "a receiver failed",
        "a receiver refused a signature",
        "a receiver went away",
        "branch crashed as it delivered",
        "head office crashed as it delivered",
    }
)
"""Every kind of fault, imports, what becomes of reservations, and of messages. A run without one of them has not tested
what it says."""


def play(databases: Databases, seed: int, steps: int = STEPS, *, aloud: bool = False) -> Counter[str]:
    """Play one history; the faults injected. Raises RuleBroken with the command that plays it again."""
    with (
        structlog.testing.capture_logs(),
        databases.fresh(prepare_office) as office_url,
        databases.fresh(prepare_coordinator) as coordinator_url,
        History(seed, office_url, coordinator_url, aloud=aloud) as history,
    ):
        logging.getLogger("httpx").setLevel(logging.WARNING)
        try:
            return history.run(steps)
        except BaseException as error:
            told = "\n  ".join(history.trace.lines[-15:])
            again = f"python -m tests.simulation --seed {seed} --steps {steps}"
            error.add_note(f"seed {seed}; play it again with: {again}\nthe last steps:\n  {told}")
            raise


def play_all(databases: Databases, seeds: Iterable[int], steps: int = STEPS) -> Counter[str]:
    """Play several; all faults injected."""
    total: Counter[str] = Counter()
    for seed in seeds:
        total += play(databases, seed, steps)
    return total


def first_broken(databases: Databases, seeds: Iterable[int], steps: int) -> RuleBroken | None:
    """The first rule that one of the histories breaks."""
    for seed in seeds:
        try:
            play(databases, seed, steps)
        except RuleBroken as broken:
            return broken
    return None


def missing(injected: Counter[str]) -> list[str]:
    """The kinds of fault that were never injected."""
    return sorted(kind for kind in EXPECTED if not injected[kind])
