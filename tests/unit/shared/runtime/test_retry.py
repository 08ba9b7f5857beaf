"""How long to wait after failures, against the formula said once more."""

from __future__ import annotations

import random

import pytest

from shared.runtime.retry import Backoff, exponential_waits


@pytest.mark.parametrize(("first", "longest"), [(0.25, 30.0), (0.2, 15.0), (1.0, 1.0), (0.5, 8.0)])
def test_waits_double_up_to_the_longest(first: float, longest: float) -> None:
    waits = exponential_waits(first, longest)
    assert list(waits) == [min(longest, first * 2**number) for number in range(len(waits))]
    assert (waits[-1], waits.count(longest)) == (longest, 1)


def test_with_a_random_generator_a_wait_is_between_half_and_all_of_it() -> None:
    backoff, again = Backoff(random.Random(7)), random.Random(7)
    for bound in [0.25, 0.5, 1, 2, 4, 8, 16, 30, 30, 30]:
        assert backoff.failed() == bound / 2 + again.random() * bound / 2
