"""Playing histories of purchasing one after another on one PostgreSQL server."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable

import structlog

from tests.simulation.office import prepare_office
from tests.simulation.purchasing.purchase_history import PurchaseHistory
from tests.simulation.rule_broken import RuleBroken
from tests.support.databases import Databases

STEPS = 300


def play_purchases(databases: Databases, seed: int, steps: int = STEPS) -> Counter[str]:
    """Play one history; what was injected and done. Raises RuleBroken with its last steps."""
    with (
        structlog.testing.capture_logs(),
        databases.fresh(prepare_office) as url,
        PurchaseHistory(seed, url) as history,
    ):
        logging.getLogger("httpx").setLevel(logging.WARNING)
        try:
            return history.run(steps)
        except BaseException as error:
            error.add_note(f"seed {seed}; the last steps:\n  " + "\n  ".join(history.trace[-15:]))
            raise


def first_broken_purchase(databases: Databases, seeds: Iterable[int], steps: int = STEPS) -> RuleBroken | None:
    """The first rule that one of the histories breaks."""
    for seed in seeds:
        try:
            play_purchases(databases, seed, steps)
        except RuleBroken as broken:
            return broken
    return None
