"""Changes of subscriptions: each reads and decides, and gives what is to be written in the same transaction.

They are plans, which `PlanDatabase` carries out.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Executable, delete, func, insert, select, text, update

from shared.outbox.message_cursor import MessageCursor
from shared.problem_kinds import SUBSCRIPTION_NOT_FOUND, TOO_MANY_SUBSCRIPTIONS, UNKNOWN_MESSAGE
from shared.runtime.clock import SECOND
from shared.runtime.database.planned_changes import Plan, PlannedChange, Write
from shared.runtime.database.row_writes import upsert
from shared.subscriptions.delivery_state import Delivery, DeliveryState, revived
from shared.subscriptions.request_keys import KeyedRequest, remember_request, same_content, was_made
from shared.subscriptions.subscription_access import RevokedAmong, SubscriptionAccess
from shared.subscriptions.subscription_queries import created_with, delivery_of, find_subscription
from shared.subscriptions.subscription_records import Subscription, SubscriptionCursor, SubscriptionState
from shared.subscriptions.subscription_tables import SubscriptionTables

MOST_SUBSCRIPTIONS: Final = 200
MOST_SECRETS: Final = 5
"""How many secrets of a subscription sign at the same time; the oldest ends where one more comes."""


def creation_plan(
    tables: SubscriptionTables,
    new: Subscription,
    cursors: Sequence[SubscriptionCursor],
    secret: str,
    creation: KeyedRequest | None,
) -> Plan:
    """Make a subscription. Answers the id and the secret: of the one made before, where the same request was, the
    secret that signs now."""

    def plan(connection: Connection) -> PlannedChange:
        if connection.dialect.name == "postgresql":
            # Two requests with one key wait for each other, and find what the first one made.
            connection.execute(text("LOCK TABLE subscription IN SHARE ROW EXCLUSIVE MODE"))
        if creation is not None and (found := made_with(connection, tables, new.owner, creation)) is not None:
            return PlannedChange((found, newest_secret(connection, tables, found)))
        count = connection.execute(select(func.count()).select_from(tables.subscription)).scalar_one()
        if count >= MOST_SUBSCRIPTIONS:
            raise TOO_MANY_SUBSCRIPTIONS(f"there are {count} already")
        row = {
            "subscription_id": new.subscription_id,
            "url": new.url,
            "types": _json(new.types),
            "label": new.label,
            "location_ids": _json(new.location_ids),
            "owner": new.owner,
            "state": new.state.value,
            "created_at": new.created_at,
            "creation_key": None if creation is None else creation.key,
            "creation_digest": None if creation is None else creation.digest,
        }
        first = {"subscription_id": new.subscription_id, "number": 1, "secret": secret}
        made = running(insert(tables.subscription).values(row), insert(tables.secret).values(first))
        return PlannedChange((new.subscription_id, secret), [made, adding(tables, cursors)])

    return plan


def made_with(connection: Connection, tables: SubscriptionTables, owner: str, creation: KeyedRequest) -> str | None:
    """The id of the subscription that an owner made by this request. Raises 409 `key-reused`."""
    found = created_with(connection, tables, owner, creation.key)
    if found is None:
        return None
    same_content(creation, found[1], f"making the subscription {found[0]}")
    return found[0]


def change_plan(  # noqa: PLR0917 - what it is about, and then what is to become of it
    tables: SubscriptionTables,
    access: SubscriptionAccess,
    subscription_id: str,
    values: dict[str, Any],
    now: int,
    revoked: RevokedAmong,
) -> Plan:
    """Set columns of a subscription: `url`, `types` (a frozenset, or None), `label`, `state`.

    Who resumes one whose key was revoked takes it over.
    """

    def plan(connection: Connection) -> PlannedChange:
        before = locked(connection, tables, access, subscription_id)
        if not values:
            return PlannedChange()
        row = {**values}
        if values.get("state") == SubscriptionState.ACTIVE.value and revoked(connection, [before.owner]):
            row |= {"owner": access.key_id, "creation_key": None, "creation_digest": None}
        if "types" in row:
            row["types"] = _json(row["types"])
        statements: list[Executable] = [
            update(tables.subscription).where(tables.subscription.c.subscription_id == subscription_id).values(row)
        ]
        if "types" in values and values["types"] != before.types:
            # The message that is being tried may not be wanted any more.
            statements.append(_forget_retries(tables, subscription_id))
        if {"url", "types"} & values.keys() or values.get("state") == SubscriptionState.ACTIVE.value:
            statements += _try_at_once(tables, subscription_id, now)
        return PlannedChange(writes=[running(*statements)])

    return plan


def removal_plan(tables: SubscriptionTables, access: SubscriptionAccess, subscription_id: str) -> Plan:
    """Remove a subscription, with what was delivered to it."""

    def plan(connection: Connection) -> PlannedChange:
        locked(connection, tables, access, subscription_id)
        own = (tables.delivery, tables.cursor, tables.secret, tables.request, tables.subscription)
        removed = [delete(table).where(table.c.subscription_id == subscription_id) for table in own]
        return PlannedChange(writes=[running(*removed)])

    return plan


def rotation_plan(
    tables: SubscriptionTables,
    access: SubscriptionAccess,
    subscription_id: str,
    secret: str,
    *,
    overlap_seconds: int,
    now: int,
    request: KeyedRequest | None,
) -> Plan:
    """Give a subscription a new secret; those before sign for `overlap_seconds` more. Answers the secret.

    Where the same request made one before, it answers the newest, which is that one unless it was rotated again.
    """

    def plan(connection: Connection) -> PlannedChange:
        locked(connection, tables, access, subscription_id)
        if was_made(connection, tables, subscription_id, request):
            return PlannedChange(newest_secret(connection, tables, subscription_id))
        table = tables.secret
        mine = table.c.subscription_id == subscription_id
        number = connection.execute(select(func.max(table.c.number)).where(mine)).scalar_one() + 1
        until = now + overlap_seconds * SECOND
        row = {"subscription_id": subscription_id, "number": number, "secret": secret}
        later = (table.c.live_until.is_(None)) | (table.c.live_until > until)
        ended = (table.c.live_until <= now) | (table.c.number <= number - MOST_SECRETS)
        rotated = running(
            update(table).where(mine, later).values(live_until=until),
            delete(table).where(mine, ended),
            insert(table).values(row),
        )
        return PlannedChange(secret, [rotated, _remembering(tables, subscription_id, request)])

    return plan


def replay_plan(
    tables: SubscriptionTables,
    access: SubscriptionAccess,
    subscription_id: str,
    cursors: dict[str, MessageCursor],
    *,
    request: KeyedRequest | None,
) -> Plan:
    """Send again what comes after these cursors, by location; nothing where the same request did so before."""

    def plan(connection: Connection) -> PlannedChange:
        locked(connection, tables, access, subscription_id)
        if was_made(connection, tables, subscription_id, request):
            return PlannedChange()
        moves = [
            statement
            for location_id, cursor in sorted(cursors.items())
            for statement in _move(tables, subscription_id, location_id, cursor)
        ]
        return PlannedChange(writes=[running(*moves), _remembering(tables, subscription_id, request)])

    return plan


def resending_plan(
    tables: SubscriptionTables,
    access: SubscriptionAccess,
    subscription_id: str,
    message_id: str,
    *,
    now: int,
    request: KeyedRequest | None,
) -> Plan:
    """Send one message again that was sent or given up, beside those that wait; as `replay_plan`, once a request."""

    def plan(connection: Connection) -> PlannedChange:
        locked(connection, tables, access, subscription_id)
        if was_made(connection, tables, subscription_id, request):
            return PlannedChange()
        table = tables.delivery.c
        found = select(tables.delivery).where(table.message_id == message_id, table.subscription_id == subscription_id)
        row = connection.execute(found).first()
        if row is None:
            raise UNKNOWN_MESSAGE(f"the message {message_id} is not among the deliveries of {subscription_id}")
        values = delivery_row(subscription_id, row.location_id, revived(delivery_of(row), now), None)
        writes: list[Write] = [lambda connection: upsert(connection, tables.delivery, [values])]
        if row.state == DeliveryState.RETRYING.value:
            writes.append(running(*_try_at_once(tables, subscription_id, now)))
        return PlannedChange(writes=[*writes, _remembering(tables, subscription_id, request)])

    return plan


def delivery_row(subscription_id: str, location_id: str, found: Delivery, number: int | None) -> dict[str, object]:
    """The row of a delivery; `number`: which one it is of those that were delivered."""
    return {
        **msgspec.structs.asdict(found),
        "subscription_id": subscription_id,
        "location_id": location_id,
        "cursor": str(found.cursor),
        "state": found.state.value,
        "number": number,
    }


def locked(
    connection: Connection, tables: SubscriptionTables, access: SubscriptionAccess, subscription_id: str
) -> Subscription:
    """A subscription that the caller sees, for the rest of the transaction. Raises 404 `subscription-not-found`."""
    table = tables.subscription.c
    row = select(table.subscription_id).where(table.subscription_id == subscription_id).with_for_update()
    connection.execute(row)
    found = find_subscription(connection, tables, subscription_id)
    if found is None or not access.sees(found):
        raise SUBSCRIPTION_NOT_FOUND(f"there is no subscription {subscription_id}")
    return found


def running(*statements: Executable) -> Write:
    """The write that executes these statements."""

    def write(connection: Connection) -> None:
        for each in statements:
            connection.execute(each)

    return write


def adding(tables: SubscriptionTables, cursors: Sequence[SubscriptionCursor]) -> Write:
    """The write that adds cursors; one that is there already stays as it is."""
    rows = [{**msgspec.structs.asdict(each), "cursor": str(each.cursor)} for each in cursors]

    def write(connection: Connection) -> None:
        upsert(connection, tables.cursor, rows, change=(), merge={"claim": lambda _new, old: old})

    return write


def newest_secret(connection: Connection, tables: SubscriptionTables, subscription_id: str) -> str:
    """The secret that signs until it is rotated."""
    table = tables.secret.c
    found = select(table.secret).where(table.subscription_id == subscription_id).order_by(table.number.desc()).limit(1)
    return str(connection.execute(found).scalar_one())


def _remembering(tables: SubscriptionTables, subscription_id: str, request: KeyedRequest | None) -> Write:
    return lambda connection: remember_request(connection, tables, subscription_id, request)


def _move(
    tables: SubscriptionTables, subscription_id: str, location_id: str, cursor: MessageCursor
) -> list[Executable]:
    there = tables.cursor.c
    move = (
        update(tables.cursor)
        .where(there.subscription_id == subscription_id, there.location_id == location_id)
        .values(
            cursor=str(cursor),
            failing_since=None,
            next_try_at=None,
            error=None,
            claim=there.claim + 1,
            claimed_until=0,
        )
    )
    return [move, _forget_retries(tables, subscription_id, location_id)]


def _try_at_once(tables: SubscriptionTables, subscription_id: str, now: int) -> list[Executable]:
    there, tried = tables.cursor.c, tables.delivery.c
    return [
        update(tables.cursor)
        .where(there.subscription_id == subscription_id)
        .values(next_try_at=None, claim=there.claim + 1, claimed_until=0),
        update(tables.delivery)
        .where(tried.subscription_id == subscription_id, tried.state == DeliveryState.RETRYING.value)
        .values(next_try_at=now),
    ]


def _forget_retries(tables: SubscriptionTables, subscription_id: str, location_id: str | None = None) -> Executable:
    table = tables.delivery.c
    retrying = (table.subscription_id == subscription_id) & (table.state == DeliveryState.RETRYING.value)
    if location_id is not None:
        retrying &= table.location_id == location_id
    return delete(tables.delivery).where(retrying)


def _json(names: frozenset[str] | None) -> str | None:
    return None if names is None else json.dumps(sorted(names))
