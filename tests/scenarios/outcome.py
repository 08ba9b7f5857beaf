"""What became of a scenario: what was done to the system, what it said, what mended it, and the checks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """Something that must be so."""

    what: str
    ok: bool


class Course(msgspec.Struct, kw_only=True):
    """What a scenario tells of its course, in order."""

    did: str
    said: list[str] = []
    mended_by: str | None = None
    checks: list[Check] = []

    def check(self, what: str, ok: bool) -> None:
        self.checks.append(Check(what=what, ok=ok))


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """A scenario: `play` runs it in an empty folder and tells its course. What it starts it stops."""

    name: str
    play: Callable[[Path], Course]


class ScenarioOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome as it is printed: `ok` where there were checks and all held."""

    scenario: str
    ok: bool
    seconds: float
    did: str
    said: list[str]
    mended_by: str | None
    checks: list[Check]


def outcome_of(name: str, course: Course, seconds: float) -> ScenarioOutcome:
    return ScenarioOutcome(
        scenario=name,
        ok=bool(course.checks) and all(each.ok for each in course.checks),
        seconds=round(seconds, 1),
        did=course.did,
        said=course.said,
        mended_by=course.mended_by,
        checks=course.checks,
    )


def line_of(outcome: ScenarioOutcome) -> str:
    """The outcome in one line."""
    held = sum(each.ok for each in outcome.checks)
    parts = [
        f"{'ok    ' if outcome.ok else 'FAILED'} {outcome.scenario} {outcome.seconds:.1f} s",
        outcome.did,
        *([f"mended by {outcome.mended_by}"] if outcome.mended_by else []),
        f"{held} of {len(outcome.checks)} checks",
    ]
    return " · ".join(parts)
