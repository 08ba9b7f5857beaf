"""Reading subscriptions, over the Connection given. Nothing here writes."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, and_, or_, select

from shared.outbox.message_cursor import read_cursor
from shared.subscriptions.delivery_state import Delivery, DeliveryState
from shared.subscriptions.subscription_records import Subscription, SubscriptionCursor, SubscriptionState
from shared.subscriptions.subscription_tables import SubscriptionTables


class DeliveryPlace(NamedTuple):
    """Where a page of deliveries ends: by location, and at each the newest message first."""

    location_id: str
    cursor: str


def list_subscriptions(
    connection: Connection,
    tables: SubscriptionTables,
    *,
    after: str = "",
    limit: int,
    owner: str | None = None,
    state: SubscriptionState | None = None,
) -> list[Subscription]:
    """Subscriptions in the order of their ids, which is that of their making; `owner`, `state`: only such."""
    table = tables.subscription.c
    query = select(tables.subscription).where(table.subscription_id > after).order_by(table.subscription_id)
    if owner is not None:
        query = query.where(table.owner == owner)
    if state is not None:
        query = query.where(table.state == state.value)
    return [_subscription(row) for row in connection.execute(query.limit(limit))]


def find_subscription(connection: Connection, tables: SubscriptionTables, subscription_id: str) -> Subscription | None:
    """One subscription."""
    found = select(tables.subscription).where(tables.subscription.c.subscription_id == subscription_id)
    row = connection.execute(found).one_or_none()
    return None if row is None else _subscription(row)


def created_with(connection: Connection, tables: SubscriptionTables, owner: str, key: str) -> tuple[str, str] | None:
    """The id of the subscription that an owner made with this Idempotency-Key, and the digest of what was sent."""
    table = tables.subscription.c
    found = select(table.subscription_id, table.creation_digest).where(table.owner == owner, table.creation_key == key)
    row = connection.execute(found).one_or_none()
    return None if row is None else (row.subscription_id, row.creation_digest)


def read_cursors(
    connection: Connection, tables: SubscriptionTables, subscription_ids: Collection[str]
) -> list[SubscriptionCursor]:
    """The cursors of these subscriptions, by subscription and location."""
    table = tables.cursor.c
    query = select(tables.cursor).where(table.subscription_id.in_(sorted(subscription_ids)))
    rows = connection.execute(query.order_by(table.subscription_id, table.location_id))
    return [SubscriptionCursor(**{**row._mapping, "cursor": read_cursor(row.cursor)}) for row in rows]


def live_secrets(
    connection: Connection, tables: SubscriptionTables, subscription_ids: Collection[str], now: int
) -> dict[str, list[str]]:
    """The secrets that sign now (microseconds UTC), by subscription; the newest first."""
    table = tables.secret.c
    query = select(table.subscription_id, table.secret).where(
        table.subscription_id.in_(sorted(subscription_ids)), or_(table.live_until.is_(None), table.live_until > now)
    )
    found: dict[str, list[str]] = {each: [] for each in subscription_ids}
    for row in connection.execute(query.order_by(table.subscription_id, table.number.desc())):
        found[row.subscription_id].append(row.secret)
    return found


def retrying_deliveries(
    connection: Connection, tables: SubscriptionTables, subscription_ids: Collection[str]
) -> dict[tuple[str, str], list[Delivery]]:
    """The deliveries that are tried again, by subscription and location, in the order of the log."""
    table = tables.delivery.c
    query = select(tables.delivery).where(
        table.subscription_id.in_(sorted(subscription_ids)), table.state == DeliveryState.RETRYING.value
    )
    found: dict[tuple[str, str], list[Delivery]] = {}
    for row in connection.execute(query.order_by(table.subscription_id, table.location_id, table.cursor)):
        found.setdefault((row.subscription_id, row.location_id), []).append(delivery_of(row))
    return found


def list_deliveries(
    connection: Connection,
    tables: SubscriptionTables,
    subscription_id: str,
    *,
    after: DeliveryPlace | None,
    limit: int,
    state: DeliveryState | None = None,
    location_id: str | None = None,
) -> list[tuple[str, Delivery]]:
    """Locations and deliveries in the order of DeliveryPlace."""
    table = tables.delivery.c
    query = select(tables.delivery).where(table.subscription_id == subscription_id)
    if state is not None:
        query = query.where(table.state == state.value)
    if location_id is not None:
        query = query.where(table.location_id == location_id)
    if after is not None:
        here = and_(table.location_id == after.location_id, table.cursor < after.cursor)
        query = query.where(or_(table.location_id > after.location_id, here))
    rows = connection.execute(query.order_by(table.location_id, table.cursor.desc()).limit(limit))
    return [(row.location_id, delivery_of(row)) for row in rows]


def delivery_of(row: Row[Any]) -> Delivery:
    """The delivery of a row."""
    return Delivery(
        message_id=row.message_id,
        type=row.type,
        cursor=read_cursor(row.cursor),
        state=DeliveryState(row.state),
        attempts=row.attempts,
        first_tried_at=row.first_tried_at,
        last_tried_at=row.last_tried_at,
        next_try_at=row.next_try_at,
        refused_for=row.refused_for,
        status=row.status,
        error=row.error,
    )


def _subscription(row: Row[Any]) -> Subscription:
    return Subscription(
        subscription_id=row.subscription_id,
        url=row.url,
        types=None if row.types is None else frozenset(json.loads(row.types)),
        label=row.label,
        location_ids=None if row.location_ids is None else frozenset(json.loads(row.location_ids)),
        owner=row.owner,
        state=SubscriptionState(row.state),
        created_at=row.created_at,
    )
