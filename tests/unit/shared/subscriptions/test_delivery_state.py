"""What becomes of a delivery after an attempt: waits, the 72 hours, and who is waited for without end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.outbox.message_cursor import MessageCursor
from shared.runtime.webhooks.webhook_poster import AttemptOutcome, WebhookAttempt
from shared.subscriptions.delivery_state import (
    LONGEST_REFUSED,
    Delivery,
    DeliveryState,
    after_attempt,
    revived,
    wait_after,
)

SECOND = 1_000_000
HOUR = 3_600 * SECOND
NEW = Delivery(message_id="m-0", type="larder.StockAdded", cursor=MessageCursor(1, 1, 0))
GOOD = WebhookAttempt(AttemptOutcome.DELIVERED, 200)
REFUSED = WebhookAttempt(AttemptOutcome.REFUSED, 500, "answered 500")
SILENT = WebhookAttempt(AttemptOutcome.AWAY, None, "no answer")
BUSY = WebhookAttempt(AttemptOutcome.AWAY, 503, "answered 503")
GONE = WebhookAttempt(AttemptOutcome.GONE, 410, "answered 410")


@pytest.mark.parametrize(
    ("attempts", "seconds"), [(1, 1), (2, 2), (3, 4), (8, 128), (9, 256), (10, 300), (11, 300), (10_000, 300)]
)
def test_waits_double_up_to_five_minutes(attempts: int, seconds: int) -> None:
    assert wait_after(attempts, 0.5) == pytest.approx(seconds)
    assert wait_after(attempts, 0.0) == pytest.approx(0.8 * seconds)
    assert wait_after(attempts, 1.0) == pytest.approx(1.2 * seconds)


def test_delivered_at_once() -> None:
    done = after_attempt(NEW, GOOD, 5 * SECOND, 0.5)
    assert (done.state, done.attempts, done.next_try_at, done.error) == (DeliveryState.DELIVERED, 1, None, None)
    assert (done.first_tried_at, done.last_tried_at, done.status) == (5 * SECOND, 5 * SECOND, 200)


@pytest.mark.parametrize(("asked", "waited"), [(0.0, 1), (7.0, 7), (3_600.0, 3_600)])
@pytest.mark.parametrize("status", [429, 500])
def test_retry_after_comes_before_our_own_wait(asked: float, waited: int, status: int) -> None:
    outcome = AttemptOutcome.AWAY if status == 429 else AttemptOutcome.REFUSED
    tried = after_attempt(NEW, WebhookAttempt(outcome, status, "so", asked), 0, 0.5)
    assert tried.next_try_at == waited * SECOND


def test_gone_is_tried_again_as_soon_as_somebody_resumes() -> None:
    tried = after_attempt(NEW, GONE, 9, 0.5)
    assert (tried.state, tried.next_try_at, tried.status) == (DeliveryState.RETRYING, 9, 410)


def keep_trying(
    answers: list[WebhookAttempt], *, gap: int | None = None, start: Delivery = NEW
) -> tuple[Delivery, int]:
    """The delivery after attempts, each when it is due (or `gap` after the last), and the moment of the last."""
    delivery, now = NEW, 0
    for answer in answers:
        assert not delivery.done
        now = (delivery.next_try_at or 0) if gap is None or delivery.last_tried_at is None else now + gap
        delivery = after_attempt(delivery, answer, now, 0.5)
    return delivery, now


def test_refused_for_72_hours_it_is_dead() -> None:
    delivery, now = NEW, 0
    while not delivery.done:
        now = delivery.next_try_at or 0
        delivery = after_attempt(delivery, REFUSED, now, 0.5)
    assert delivery.state is DeliveryState.DEAD
    assert LONGEST_REFUSED <= now <= LONGEST_REFUSED + 360 * SECOND
    assert delivery.next_try_at is None


def test_who_is_away_is_waited_for_without_end() -> None:
    for answer in (SILENT, BUSY):
        delivery, now = keep_trying([answer] * 3_000)
        assert not delivery.done
        assert now > 10 * 24 * HOUR
        assert delivery.refused_for == 0


def test_only_the_time_in_which_it_was_refused_counts() -> None:
    """One refusal, then away for weeks, then refused again: that is no 72 hours of refusals."""
    delivery, _ = keep_trying([REFUSED, *[SILENT] * 3_000, REFUSED])
    assert not delivery.done
    assert delivery.refused_for == 0
    # And a pause of the receiver in the middle does not begin the 72 hours anew.
    half, _ = keep_trying([REFUSED] * 500)
    assert half.refused_for > 24 * HOUR
    later = half
    for answer in (BUSY, REFUSED):
        later = after_attempt(later, answer, later.next_try_at or 0, 0.5)
    assert later.refused_for == half.refused_for


def test_time_in_which_we_were_away_ourselves_counts_for_an_hour_at_most() -> None:
    delivery, _ = keep_trying([REFUSED, REFUSED], gap=100 * HOUR)
    assert (delivery.state, delivery.refused_for) == (DeliveryState.RETRYING, HOUR)
    back, _ = keep_trying([REFUSED, REFUSED], gap=-100 * HOUR)
    assert back.refused_for == 0, "the clock was set back"


def test_a_revived_one_begins_anew() -> None:
    tired, now = keep_trying([REFUSED] * 20)
    again = revived(tired, now)
    assert (again.attempts, again.refused_for, again.next_try_at, again.state) == (0, 0, now, DeliveryState.RETRYING)


ANSWERS = st.sampled_from([REFUSED, SILENT, BUSY, GONE, GOOD])


@given(st.lists(st.tuples(ANSWERS, st.integers(-HOUR, 200 * HOUR), st.floats(0, 1)), max_size=60))
def test_whatever_happens(history: list[tuple[WebhookAttempt, int, float]]) -> None:
    delivery, now = NEW, 10**15
    for answer, passed, jitter in history:
        if delivery.done:
            break
        before, now = delivery, now + passed
        delivery = after_attempt(before, answer, now, jitter)
        assert delivery.attempts == before.attempts + 1
        assert (delivery.state is DeliveryState.DELIVERED) == (answer is GOOD)
        assert (delivery.next_try_at is None) == delivery.done
        assert before.refused_for <= delivery.refused_for <= before.refused_for + HOUR
        if delivery.state is DeliveryState.DEAD:
            assert answer is REFUSED
            assert delivery.refused_for >= LONGEST_REFUSED
            assert delivery.attempts > 72
        if delivery.next_try_at is not None:
            assert now <= delivery.next_try_at <= now + HOUR
