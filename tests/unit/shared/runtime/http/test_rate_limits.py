"""Token buckets against a plain model of them, and their bound."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.runtime.http import rate_limits
from shared.runtime.http.rate_limits import RateLimiter

# Halves and quarters are exact as floats, so that limiter and model cannot differ by rounding.
STEPS = st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 12)), max_size=60)


class PlainBucket:
    """Tokens counted one by one."""

    def __init__(self, rate: int, burst: int) -> None:
        self.rate, self.burst = rate, burst
        self.tokens, self.at = Fraction(burst), Fraction(0)

    def take(self, now: Fraction) -> bool:
        self.tokens, self.at = min(Fraction(self.burst), self.tokens + (now - self.at) * self.rate), now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


@given(rate=st.sampled_from([1, 2, 4]), burst=st.integers(1, 5), steps=STEPS)
def test_what_a_plain_bucket_lets_through(rate: int, burst: int, steps: list[tuple[str, int]]) -> None:
    limiter, model = RateLimiter(rate, burst), {"a": PlainBucket(rate, burst), "b": PlainBucket(rate, burst)}
    quarters = 0
    for key, more in steps:
        quarters += more
        now = quarters / 4
        wait = limiter.wait(key, now)
        assert (wait == 0) == model[key].take(Fraction(quarters, 4))
        if wait:
            assert limiter.wait(key, now + wait / 2) > 0, "half of the time is not enough"


@given(rate=st.sampled_from([0.5, 3.0, 100.0]), burst=st.integers(1, 20))
def test_who_waits_as_told_is_let_through(rate: float, burst: int) -> None:
    limiter, now = RateLimiter(rate, burst), 1_000.0
    passed = 0
    for _ in range(3 * burst + 3):
        wait = limiter.wait("a", now)
        if wait:
            now += wait
            assert limiter.wait("a", now) == 0
        passed += 1
    assert passed <= burst + (now - 1_000.0) * rate + 1


def test_an_exempt_key_is_never_held_up() -> None:
    limiter = RateLimiter(1, 1, exempt={"local"})
    assert [limiter.wait("local", 0.0) for _ in range(100)] == [0.0] * 100
    assert limiter.wait("a", 0.0) == 0
    assert limiter.wait("a", 0.0) == 1


def test_the_buckets_kept_are_bounded_and_full_ones_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limits, "MOST_BUCKETS", 3)
    limiter = RateLimiter(1, 2)
    for key in "abc":
        limiter.wait(key, 0.0)
    limiter.wait("d", 10.0)
    assert set(limiter._full_at) == {"d"}
    for key in "efgh":
        limiter.wait(key, 10.0)
    assert list(limiter._full_at) == ["f", "g", "h"]
