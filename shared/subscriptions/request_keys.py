"""The Idempotency-Keys of what was done with a subscription: the same request has one effect, however often it is sent.

A key is known as long as its subscription, and as long as fewer than `KEYS_KEPT` came after it.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, delete, func, insert, select

from shared.problem_kinds import KEY_REUSED
from shared.subscriptions.subscription_tables import SubscriptionTables

KEYS_KEPT: Final = 1_000
"""How many keys are known of each subscription."""


class KeyedRequest(msgspec.Struct, frozen=True):
    """An Idempotency-Key and the digest of what was sent with it."""

    key: str
    digest: str


def keyed_request(key: str | None, act: str, given: Any) -> KeyedRequest | None:
    """The request of a caller who sent a key, None where it sent none. `act` is what is to be done, `given` the body.

    The digest is of what the body says, in whichever order it says it.
    """
    if key is None:
        return None
    content = msgspec.json.encode([act, given], order="sorted")
    return KeyedRequest(key, hashlib.sha256(content).hexdigest())


def was_made(
    connection: Connection, tables: SubscriptionTables, subscription_id: str, request: KeyedRequest | None
) -> bool:
    """Whether this request was carried out before. Raises 409 `key-reused` where another one was with its key."""
    if request is None:
        return False
    table = tables.request.c
    query = select(table.digest).where(table.subscription_id == subscription_id, table.request_key == request.key)
    digest = connection.execute(query).scalar()
    if digest is not None:
        same_content(request, digest, f"subscription {subscription_id}")
    return digest is not None


def same_content(request: KeyedRequest, digest: str, used_for: str) -> None:
    """Raise 409 `key-reused` unless what was sent with the key before has the same digest."""
    if digest != request.digest:
        raise KEY_REUSED(f"the key {request.key!r} was used for {used_for} with other content")


def remember_request(
    connection: Connection, tables: SubscriptionTables, subscription_id: str, request: KeyedRequest | None
) -> None:
    """Remember that a request is carried out, in the transaction that does so and holds the subscription's row."""
    if request is None:
        return
    table = tables.request.c
    mine = table.subscription_id == subscription_id
    last = connection.execute(select(func.coalesce(func.max(table.number), 0)).where(mine)).scalar_one()
    row = {
        "subscription_id": subscription_id,
        "request_key": request.key,
        "digest": request.digest,
        "number": last + 1,
    }
    connection.execute(insert(tables.request).values(row))
    connection.execute(delete(tables.request).where(mine, table.number <= last + 1 - KEYS_KEPT))
