"""The loop round a step: what wakes it, what it survives, what ends it."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator

import pytest

from branch_node.sync.step_result import StepOutcome, StepResult
from branch_node.sync.sync_agent import StepLoop
from shared.runtime.problems import DATABASE_BUSY, INVALID_REQUEST
from shared.runtime.retry import Backoff
from tests.support.waiting import wait_until

FOR_EVER = 3_600.0


class Steps:
    """A step that counts its calls and answers what it is told; a function answers for itself."""

    def __init__(self, *answers: StepResult | Exception) -> None:
        self.answers = list(answers)
        self.count = 0
        self.rest = StepResult(StepOutcome.IDLE, FOR_EVER, wakes=True)

    def __call__(self) -> StepResult:
        self.count += 1
        answer = self.answers.pop(0) if self.answers else self.rest
        if isinstance(answer, Exception):
            raise answer
        return answer

    def reach(self, count: int) -> None:
        wait_until(lambda: self.count >= count, what=f"step {count}")


@pytest.fixture
def start() -> Iterator[Callable[[Steps], StepLoop]]:
    loops: list[StepLoop] = []

    def begin(steps: Steps) -> StepLoop:
        loop = StepLoop("test", steps)
        loops.append(loop)
        loop.start()
        return loop

    yield begin
    for loop in loops:
        loop.stop(5)


def test_a_commit_wakes_it_where_the_step_said_so(start: Callable[[Steps], StepLoop]) -> None:
    steps = Steps()
    loop = start(steps)
    for count in range(1, 20):
        steps.reach(count)
        loop.committed()
    steps.reach(20)


def test_a_commit_during_the_step_is_not_lost(start: Callable[[Steps], StepLoop]) -> None:
    inside, go_on = threading.Event(), threading.Event()
    steps = Steps()

    def slow() -> StepResult:
        result = Steps.__call__(steps)
        if steps.count == 1:
            inside.set()
            assert go_on.wait(5)
        return result

    loop = StepLoop("test", slow)
    loop.start()
    assert inside.wait(5)
    loop.committed()
    go_on.set()
    steps.reach(2)
    loop.stop(5)


def test_a_commit_does_not_wake_it_while_the_line_is_down_but_a_nudge_does(start: Callable[[Steps], StepLoop]) -> None:
    steps = Steps(StepResult(StepOutcome.FAILED, FOR_EVER))
    loop = start(steps)
    steps.reach(1)
    for _ in range(100):
        loop.committed()
    # The nudge comes after the commits: had one of them woken it, the count would be beyond two.
    loop.wake()
    steps.reach(2)
    assert steps.count == 2


def test_it_goes_on_at_once_while_there_is_work(start: Callable[[Steps], StepLoop]) -> None:
    steps = Steps(*[StepResult(StepOutcome.SHIPPED)] * 50)
    start(steps)
    steps.reach(51)


def test_a_database_in_trouble_is_waited_for(start: Callable[[Steps], StepLoop]) -> None:
    steps = Steps(DATABASE_BUSY("locked"))
    loop = start(steps)
    steps.reach(2)
    assert loop.problem() is None


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("error", [INVALID_REQUEST("ours"), RuntimeError("a mistake")])
def test_any_other_error_ends_the_thread_and_is_told(error: Exception) -> None:
    loop = StepLoop("test", Steps(error))
    loop.start()
    wait_until(lambda: loop.problem() is not None)
    assert str(error) in (loop.problem() or "")


def test_one_that_was_stopped_or_not_started_is_no_problem(start: Callable[[Steps], StepLoop]) -> None:
    assert StepLoop("test", Steps()).problem() is None
    steps = Steps()
    loop = start(steps)
    steps.reach(1)
    loop.stop(5)
    assert loop.problem() is None
    assert not loop._thread.is_alive()


def test_waits_are_spread_and_bounded() -> None:

    waits = Backoff(random.Random(1), first=0.5, longest=8)
    got = [waits.failed() for _ in range(10)]
    bounds = [0.5, 1, 2, 4, 8, 8, 8, 8, 8, 8]
    assert all(bound / 2 <= wait <= bound for wait, bound in zip(got, bounds, strict=True))
    assert len(set(got)) == 10
    waits.succeeded()
    assert waits.failed() <= 0.5
    many = Backoff(random.Random(2))
    for _ in range(5_000):
        assert many.failed() <= 30
