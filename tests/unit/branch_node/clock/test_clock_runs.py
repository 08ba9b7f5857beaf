"""Which events were recorded at a wrong time: computers with wrong clocks, against what truly happened."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from branch_node.clock.clock_runs import WrongStretch, wrong_stretches
from branch_node.model import ClockRun, RunKind
from shared.runtime.clock import DAY, MINUTE

NOON = 1_767_268_800_000_000
TOLERANCE = 5 * MINUTE


def stretches(runs: list[ClockRun], recorded: list[int], correction: int, after: int = 0) -> list[WrongStretch]:
    return wrong_stretches(
        runs, after=after, head=len(recorded), correction=correction, recorded_at=lambda number: recorded[number - 1]
    )


def run(first: int, started_at: int, kind: RunKind = RunKind.START, correction: int = 0) -> ClockRun:
    return ClockRun(first_sequence=first, started_at=started_at, kind=kind, correction=correction)


def test_a_right_clock_has_dated_nothing_wrongly() -> None:
    assert stretches([run(1, NOON)], [NOON, NOON + DAY], TOLERANCE) == []


def test_a_jump_ahead_leaves_the_runs_before_it_alone() -> None:
    runs = [run(1, NOON), run(2, NOON + 20 * DAY, RunKind.JUMP)]
    assert stretches(runs, [NOON, NOON + 20 * DAY], -20 * DAY + MINUTE) == [
        WrongStretch(first_sequence=2, last_sequence=2, correction=-20 * DAY + MINUTE)
    ]


def test_what_a_right_clock_recorded_before_a_battery_failed_stays() -> None:
    # It went on from the last moment, three days below the true one.
    runs = [run(1, NOON), run(3, NOON + DAY, RunKind.JUMP)]
    assert stretches(runs, [NOON, NOON + DAY, NOON + DAY + MINUTE], 3 * DAY) == [
        WrongStretch(first_sequence=3, last_sequence=3, correction=3 * DAY)
    ]


def test_a_managers_wrong_settlement_is_corrected_by_head_office() -> None:
    runs = [run(1, NOON), run(2, NOON + DAY, RunKind.SETTLEMENT, correction=DAY)]
    assert stretches(runs, [NOON, NOON + DAY + MINUTE], -DAY) == [
        WrongStretch(first_sequence=2, last_sequence=2, correction=-DAY)
    ]
    assert stretches(runs, [NOON, NOON + DAY + MINUTE], 0) == [
        WrongStretch(first_sequence=1, last_sequence=1, correction=DAY)
    ]


@st.composite
def wrong_computers(draw: st.DrawFn) -> tuple[list[ClockRun], list[int], list[int], int, int]:
    """A right computer, then one that is ahead by days in several starts, then a right one that is told the time.

    The runs, when events were recorded and when they truly were, the correction, and how long it stood before that.
    """
    ahead = draw(st.integers(15, 4_000)) * DAY
    true_time, runs, recorded, truly = NOON, [], [], []  # type: ignore[var-annotated]
    for number, wrong_by in enumerate([0, *[ahead] * draw(st.integers(1, 4))]):
        true_time += draw(st.integers(1, 10)) * DAY
        kind = RunKind.JUMP if number == 1 else RunKind.START
        runs.append(run(len(recorded) + 1, true_time + wrong_by, kind))
        for _ in range(draw(st.integers(1, 4))):
            true_time += draw(st.integers(0, 600)) * MINUTE
            recorded.append(true_time + wrong_by)
            truly.append(true_time)
    # Set right while it was stopped: the node goes on from the last moment it recorded.
    stood = draw(st.integers(0, 600)) * MINUTE
    true_time += stood
    correction = true_time - recorded[-1]
    runs.append(run(len(recorded) + 1, recorded[-1], RunKind.JUMP))
    for _ in range(draw(st.integers(0, 4))):
        true_time += draw(st.integers(0, 600)) * MINUTE
        recorded.append(true_time - correction)
        truly.append(true_time)
    return runs, recorded, truly, correction, stood


@given(wrong_computers())
def test_what_was_ahead_is_found_and_dated_before_the_computer_was_set_right(
    history: tuple[list[ClockRun], list[int], list[int], int, int],
) -> None:
    runs, recorded, truly, correction, stood = history
    found = stretches(runs, recorded, correction)
    corrections = {
        number: each.correction for each in found for number in range(each.first_sequence, each.last_sequence + 1)
    }
    ends = sorted(each.first_sequence for each in found)
    assert len(set(ends)) == len(ends)
    # How long the computer stood before it was set right cannot be known: its dates are late by as much, at most.
    for number, (was, true_time) in enumerate(zip(recorded, truly, strict=True), start=1):
        if abs(was - true_time) <= TOLERANCE:
            assert number not in corrections
        else:
            assert number in corrections
            assert -TOLERANCE <= was + corrections[number] - true_time <= stood + TOLERANCE


@given(wrong_computers(), st.integers(1, 8))
def test_what_was_verified_is_left_alone(
    history: tuple[list[ClockRun], list[int], list[int], int, int], after: int
) -> None:
    runs, recorded, _, correction, _ = history
    later = [each for each in runs if each.first_sequence > after]
    if later and after < len(recorded):
        for each in stretches(later, recorded, correction, after=after):
            assert after < each.first_sequence <= each.last_sequence <= len(recorded)
