"""The tables of subscriptions, alike at a branch and at head office. Times are microseconds UTC."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    text,
)


class SubscriptionTables(NamedTuple):
    """`cursor` has a row for each subscription and location, `delivery` one for each message that was tried.

    `request` has the keys of what was done with a subscription beyond its making.
    """

    subscription: Table
    secret: Table
    request: Table
    cursor: Table
    delivery: Table


def subscription_tables(metadata: MetaData) -> SubscriptionTables:
    """Define the tables in `metadata`."""
    subscription = Table(
        "subscription",
        metadata,
        Column("subscription_id", Text, primary_key=True),
        Column("url", Text, nullable=False),
        Column("types", Text),  # JSON; NULL: all
        Column("label", Text),
        Column("location_ids", Text),  # JSON; NULL: all, new ones too
        Column("owner", Text, nullable=False),  # the id of the API key that made it
        Column("state", Text, nullable=False),
        Column("created_at", BigInteger, nullable=False),
        # The Idempotency-Key that it was made with, and the digest of what was sent with it.
        Column("creation_key", Text),
        Column("creation_digest", Text),
        CheckConstraint("state IN ('ACTIVE', 'PAUSED', 'DISABLED')", name="subscription_state"),
        CheckConstraint("(creation_key IS NULL) = (creation_digest IS NULL)", name="subscription_creation_is_whole"),
    )
    Index("subscription_creation", subscription.c.owner, subscription.c.creation_key, unique=True)
    secret = Table(
        "subscription_secret",
        metadata,
        Column("subscription_id", Text, nullable=False),
        Column("number", Integer, nullable=False),  # the highest is the newest
        Column("secret", Text, nullable=False),  # readable, as it signs
        Column("live_until", BigInteger),  # NULL: until it is rotated
        PrimaryKeyConstraint("subscription_id", "number"),
    )
    request = Table(
        "subscription_request",
        metadata,
        Column("subscription_id", Text, nullable=False),
        Column("request_key", Text, nullable=False),  # the Idempotency-Key
        Column("digest", Text, nullable=False),  # of what was sent with it
        Column("number", BigInteger, nullable=False),  # the highest is the newest
        PrimaryKeyConstraint("subscription_id", "request_key"),
    )
    Index("subscription_request_number", request.c.subscription_id, request.c.number, unique=True)
    cursor = Table(
        "subscription_cursor",
        metadata,
        Column("subscription_id", Text, nullable=False),
        Column("location_id", Text, nullable=False),
        Column("cursor", Text, nullable=False),  # after the last message that is done with
        Column("delivered", BigInteger, nullable=False),  # how many messages were delivered so far
        Column("failing_since", BigInteger),
        Column("next_try_at", BigInteger),
        Column("error", Text),
        # Grows with each claim, note and move: what was done for an older one is not noted.
        Column("claim", BigInteger, nullable=False),
        Column("claimed_until", BigInteger, nullable=False),  # 0: by nobody
        PrimaryKeyConstraint("subscription_id", "location_id"),
        CheckConstraint("failing_since IS NOT NULL OR (next_try_at IS NULL AND error IS NULL)", name="cursor_failing"),
    )
    delivery = Table(
        "webhook_delivery",
        metadata,
        Column("subscription_id", Text, nullable=False),
        Column("location_id", Text, nullable=False),
        Column("cursor", Text, nullable=False),
        Column("message_id", Text, nullable=False),
        Column("type", Text, nullable=False),
        Column("state", Text, nullable=False),
        Column("attempts", Integer, nullable=False),
        Column("first_tried_at", BigInteger),
        Column("last_tried_at", BigInteger),
        Column("next_try_at", BigInteger),
        Column("refused_for", BigInteger, nullable=False),  # microseconds during which it was answered otherwise
        Column("status", Integer),
        Column("error", Text),
        Column("number", BigInteger),  # of a delivered one, among those of its subscription and location
        PrimaryKeyConstraint("subscription_id", "location_id", "cursor"),
        CheckConstraint("state IN ('RETRYING', 'DELIVERED', 'DEAD')", name="webhook_delivery_state"),
        CheckConstraint("(state = 'RETRYING') = (next_try_at IS NOT NULL)", name="webhook_delivery_retries"),
        CheckConstraint("(state = 'DELIVERED') = (number IS NOT NULL)", name="webhook_delivery_numbered"),
    )
    delivered, retrying = text("state = 'DELIVERED'"), text("state = 'RETRYING'")
    Index(
        "webhook_delivery_number",
        *(delivery.c.subscription_id, delivery.c.location_id, delivery.c.number),
        sqlite_where=delivered,
        postgresql_where=delivered,
    )
    Index(
        "webhook_delivery_retrying",
        *(delivery.c.subscription_id, delivery.c.location_id),
        sqlite_where=retrying,
        postgresql_where=retrying,
    )
    Index("webhook_delivery_message", delivery.c.message_id)
    return SubscriptionTables(subscription, secret, request, cursor, delivery)
