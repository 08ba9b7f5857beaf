"""The guards of the database that stand behind the writer's decisions: what their messages mean."""

from __future__ import annotations

from typing import Final

from branch_node.problems import INVENTORY_UNAVAILABLE, STRICT_ITEM
from shared.runtime.problems import Problem, Recorded

STRICT_GUARD: Final = "larder: strict item below zero"
"""The message of the trigger for strict items."""

AVAILABLE_GUARD: Final = "larder: available below zero"
"""The message of the trigger for reservations."""


def problem_of_guard(error: Exception) -> Problem | None:
    """The problem that an error of the database stands for, if a guard raised it."""
    if STRICT_GUARD in str(error):
        return STRICT_ITEM("the database refused it")
    if AVAILABLE_GUARD in str(error):
        return INVENTORY_UNAVAILABLE("the database refused it; nothing is recorded", recorded=Recorded.NO)
    return None
