"""Subscriptions and what belongs to them, as they are stored and as they are answered."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from shared.outbox.message_cursor import MessageCursor
from shared.runtime.clock import format_rfc3339
from shared.subscriptions.delivery_state import Delivery


class SubscriptionState(StrEnum):
    """DISABLED: the receiver answered 410, that it wants nothing more; or the key that made it was revoked."""

    ACTIVE = "ACTIVE"
    PAUSED = "PAUSED"
    DISABLED = "DISABLED"


class Subscription(msgspec.Struct, frozen=True, kw_only=True):
    """Who is sent which messages. `owner`: the id of the API key that made it; `created_at` in microseconds UTC.

    `types` None: all; `location_ids` None: those of every location, new ones too.
    """

    subscription_id: str
    url: str
    types: frozenset[str] | None
    label: str | None
    location_ids: frozenset[str] | None
    owner: str
    state: SubscriptionState
    created_at: int


class SubscriptionCursor(msgspec.Struct, frozen=True, kw_only=True):
    """How far a subscription has come with a location's messages. Times are microseconds UTC.

    `claim` is the number that whoever notes a delivery must know; `claimed_until`: until when somebody delivers.
    """

    subscription_id: str
    location_id: str
    cursor: MessageCursor
    delivered: int = 0
    failing_since: int | None = None
    next_try_at: int | None = None
    error: str | None = None
    claim: int = 0
    claimed_until: int = 0


class CursorRecord(msgspec.Struct, kw_only=True):
    """How far a subscription has come at a location. `behind`: how many events of the log come after the cursor.

    `failing_since`, `next_try_at` and `error` while the receiver does not take the next message.
    """

    location_id: str
    cursor: str
    behind: int
    failing_since: str | None
    next_try_at: str | None
    error: str | None


class SubscriptionRecord(msgspec.Struct, kw_only=True):
    """A subscription. `types` null: all; `location_ids` null: all locations, new ones too."""

    subscription_id: str
    url: str
    types: list[str] | None
    label: str | None
    location_ids: list[str] | None
    state: SubscriptionState
    created_at: str
    cursors: list[CursorRecord]


class NewSubscription(SubscriptionRecord, kw_only=True):
    """A subscription that was just made. `secret` is shown this once: the receiver verifies signatures with it."""

    secret: str


class NewSecret(msgspec.Struct, kw_only=True):
    """A subscription's new secret, shown this once."""

    secret: str


class DeliveryRecord(msgspec.Struct, kw_only=True):
    """A message that was sent, or is being tried. `status`: the last answer's; `error`: what was wrong with it."""

    message_id: str
    type: str
    location_id: str
    cursor: str
    state: str
    attempts: int
    first_tried_at: str | None
    last_tried_at: str | None
    next_try_at: str | None
    status: int | None
    error: str | None


def cursor_record(found: SubscriptionCursor, behind: int) -> CursorRecord:
    """A cursor as it is answered."""
    return CursorRecord(
        location_id=found.location_id,
        cursor=str(found.cursor),
        behind=behind,
        failing_since=_text(found.failing_since),
        next_try_at=_text(found.next_try_at),
        error=found.error,
    )


def subscription_record(found: Subscription, cursors: list[CursorRecord]) -> SubscriptionRecord:
    """A subscription as it is answered."""
    return SubscriptionRecord(
        subscription_id=found.subscription_id,
        url=found.url,
        types=None if found.types is None else sorted(found.types),
        label=found.label,
        location_ids=None if found.location_ids is None else sorted(found.location_ids),
        state=found.state,
        created_at=format_rfc3339(found.created_at),
        cursors=cursors,
    )


def delivery_record(location_id: str, found: Delivery) -> DeliveryRecord:
    """A delivery as it is answered."""
    return DeliveryRecord(
        message_id=found.message_id,
        type=found.type,
        location_id=location_id,
        cursor=str(found.cursor),
        state=found.state,
        attempts=found.attempts,
        first_tried_at=_text(found.first_tried_at),
        last_tried_at=_text(found.last_tried_at),
        next_try_at=_text(found.next_try_at),
        status=found.status,
        error=found.error,
    )


def _text(moment: int | None) -> str | None:
    return None if moment is None else format_rfc3339(moment)
