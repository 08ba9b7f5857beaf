"""Every scenario is played once, and one that fails is told as failed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.scenarios.__main__ import SCENARIOS, run
from tests.scenarios.outcome import Course, Scenario, line_of, outcome_of


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda each: each.name)
def test_a_scenario_holds(scenario: Scenario) -> None:
    outcome = run(scenario)
    assert [each.what for each in outcome.checks if not each.ok] == [], outcome.said
    assert outcome.ok


def test_a_check_that_does_not_hold_and_a_course_that_breaks_off_fail() -> None:
    course = Course(did="nothing")
    assert not outcome_of("empty", course, 1.0).ok  # a scenario that checks nothing proves nothing
    course.check("it rains", ok=True)
    course.check("the sun shines", ok=False)
    outcome = outcome_of("weather", course, 1.0)
    assert not outcome.ok
    assert line_of(outcome) == "FAILED weather 1.0 s · nothing · 1 of 2 checks"

    def breaks(_folder: Path) -> Course:
        raise RuntimeError("no branch")

    broken = run(Scenario(name="broken", play=breaks))
    assert (broken.ok, broken.said) == (False, ["RuntimeError: no branch"])
