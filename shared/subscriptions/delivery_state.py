"""How a delivery goes on after an attempt: pure. Times are microseconds UTC."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

from shared.outbox.message_cursor import MessageCursor
from shared.runtime.clock import SECOND
from shared.runtime.webhooks.webhook_poster import (
    AWAY_STATUSES,
    GONE_STATUS,
    AttemptOutcome,
    WebhookAttempt,
)

FIRST_WAIT: Final = 1.0
LONGEST_WAIT: Final = 300.0
SPREAD: Final = 0.2
LONGEST_REFUSED: Final = 72 * 3_600 * SECOND
LONGEST_COUNTED: Final = 3_600 * SECOND
"""How much of the time between two attempts counts as refused: more than that the sender itself was away."""


class DeliveryState(StrEnum):
    """RETRYING: it is tried again. DEAD: it was answered otherwise for 72 h, and the next one went."""

    RETRYING = "RETRYING"
    DELIVERED = "DELIVERED"
    DEAD = "DEAD"


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One message on its way to one subscription.

    `refused_for`: for how long it was answered otherwise, attempt upon attempt; time in which the receiver was away
    does not count.
    """

    message_id: str
    type: str
    cursor: MessageCursor
    state: DeliveryState = DeliveryState.RETRYING
    attempts: int = 0
    first_tried_at: int | None = None
    last_tried_at: int | None = None
    next_try_at: int | None = None
    refused_for: int = 0
    status: int | None = None
    error: str | None = None

    @property
    def done(self) -> bool:
        """Whether the next message goes."""
        return self.state is not DeliveryState.RETRYING


def wait_after(attempts: int, jitter: float) -> float:
    """Seconds to wait after so many attempts, none of which was good. `jitter`: a random number from 0 to 1."""
    # Beyond ten doublings it is the longest anyway.
    doubled = min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(attempts - 1, 10))
    return float(doubled * (1 - SPREAD + 2 * SPREAD * jitter))


def after_attempt(before: Delivery, attempt: WebhookAttempt, now: int, jitter: float) -> Delivery:
    """The delivery after an attempt that ended now. `jitter` as in `wait_after`.

    A receiver that is gone is not tried again before somebody resumes the subscription; then it is, at once.
    """
    tried = msgspec.structs.replace(
        before,
        attempts=before.attempts + 1,
        first_tried_at=now if before.first_tried_at is None else before.first_tried_at,
        last_tried_at=now,
        next_try_at=None,
        status=attempt.status,
        error=attempt.error,
    )
    if attempt.outcome is AttemptOutcome.DELIVERED:
        return msgspec.structs.replace(tried, state=DeliveryState.DELIVERED)
    if attempt.outcome is AttemptOutcome.REFUSED:
        tried = msgspec.structs.replace(tried, refused_for=before.refused_for + _refused_since(before, now))
        if tried.refused_for >= LONGEST_REFUSED:
            return msgspec.structs.replace(tried, state=DeliveryState.DEAD)
    if attempt.outcome is AttemptOutcome.GONE:
        wait = 0.0
    elif attempt.retry_after is not None:
        wait = max(attempt.retry_after, FIRST_WAIT)
    else:
        wait = wait_after(tried.attempts, jitter)
    return msgspec.structs.replace(tried, next_try_at=now + round(wait * SECOND))


def _refused_since(before: Delivery, now: int) -> int:
    """How much longer it has been refused, if the attempt before this one was refused too."""
    if before.last_tried_at is None or not _was_refused(before):
        return 0
    return max(0, min(now - before.last_tried_at, LONGEST_COUNTED))


def _was_refused(before: Delivery) -> bool:
    return before.status is not None and before.status not in {*AWAY_STATUSES, GONE_STATUS}


def revived(delivery: Delivery, now: int) -> Delivery:
    """A message that somebody wants to be sent again, from the first attempt on."""
    return Delivery(message_id=delivery.message_id, type=delivery.type, cursor=delivery.cursor, next_try_at=now)
