"""What is written while messages are delivered: claims, deliveries with the cursor, new locations, ended secrets.

A cursor and the deliveries that moved it are written in one transaction, and only where the cursor's claim is the one
that the deliverer knows: what it did for a cursor that was moved meanwhile is not noted, and is done again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Final

import msgspec
from sqlalchemy import Connection, Executable, delete, func, select, update

from shared.outbox.message_cursor import BEFORE_ALL, MessageCursor
from shared.runtime.database.planned_changes import Plan, PlannedChange, Write
from shared.runtime.database.row_writes import upsert
from shared.subscriptions.delivery_state import Delivery, DeliveryState
from shared.subscriptions.subscription_changes import adding, delivery_row, running
from shared.subscriptions.subscription_records import SubscriptionCursor, SubscriptionState
from shared.subscriptions.subscription_tables import SubscriptionTables

DELIVERED_KEPT: Final = 1_000
"""How many delivered messages are kept, of each subscription and location."""


def claim_plan(
    tables: SubscriptionTables, seen: SubscriptionCursor, time_of: Callable[[Connection], int], micros: int
) -> Plan:
    """Claim a cursor for so many microseconds of the database's time. Answers it as claimed; None where another
    process has it, or it was moved."""

    def plan(connection: Connection) -> PlannedChange:
        now = time_of(connection)
        there = _row(connection, tables, seen)
        if there is None or there[0] != seen.claim or there[1] > now:
            return PlannedChange()
        claimed = msgspec.structs.replace(seen, claim=seen.claim + 1, claimed_until=now + micros)
        return PlannedChange(claimed, [_set(tables, claimed, claim=claimed.claim, claimed_until=claimed.claimed_until)])

    return plan


def cursor_after(before: SubscriptionCursor, tried: Sequence[Delivery], reached: MessageCursor) -> SubscriptionCursor:
    """A cursor after deliveries in the order of the log, of which only the last may be tried again: pure.

    `reached`: how far the log was read, where none is tried again.
    """
    delivered = before.delivered + sum(each.state is DeliveryState.DELIVERED for each in tried)
    moved = msgspec.structs.replace(
        before,
        cursor=reached,
        delivered=delivered,
        next_try_at=None,
        claim=before.claim + 1,
        claimed_until=0,
    )
    if not tried:
        return moved
    last = tried[-1]
    if last.state is DeliveryState.DELIVERED:
        return msgspec.structs.replace(moved, failing_since=None, error=None)
    # After one that was given up the next is tried at once, and it goes on failing.
    earlier = None if delivered > before.delivered else before.failing_since
    return msgspec.structs.replace(
        moved,
        failing_since=last.last_tried_at if earlier is None else earlier,
        error=last.error,
        next_try_at=last.next_try_at,
    )


def note_plan(
    tables: SubscriptionTables,
    before: SubscriptionCursor,
    after: SubscriptionCursor,
    tried: Sequence[Delivery],
    *,
    gone: bool,
) -> Plan:
    """Note deliveries and where the cursor is after them. `gone`: the receiver wants nothing more.

    Answers whether it was noted: not where the cursor was moved, or the subscription removed, since `before` was read.
    """

    def plan(connection: Connection) -> PlannedChange:
        if gone:
            # In the order of those that change a subscription: it first, then its cursors.
            mine = tables.subscription.c.subscription_id == before.subscription_id
            connection.execute(select(tables.subscription.c.state).where(mine).with_for_update())
        there = _row(connection, tables, before)
        if there is None or there[0] != before.claim:
            return PlannedChange(answer=False)
        number, rows = before.delivered, []
        for each in tried:
            number += each.state is DeliveryState.DELIVERED
            own = number if each.state is DeliveryState.DELIVERED else None
            rows.append(delivery_row(before.subscription_id, before.location_id, each, own))
        writes: list[Write] = [
            _set(
                tables,
                after,
                cursor=str(after.cursor),
                delivered=after.delivered,
                failing_since=after.failing_since,
                next_try_at=after.next_try_at,
                error=after.error,
                claim=after.claim,
                claimed_until=after.claimed_until,
            )
        ]
        if rows:
            writes.append(lambda connection: upsert(connection, tables.delivery, rows))
            writes.append(running(_pruning(tables, after)))
        if gone:
            writes.append(running(_disabling(tables, before.subscription_id)))
        return PlannedChange(answer=True, writes=writes)

    return plan


def new_locations_plan(tables: SubscriptionTables, subscription_id: str, location_ids: Collection[str]) -> Plan:
    """Give a subscription a cursor at the beginning of these locations' logs, where it has none there."""
    cursors = [
        SubscriptionCursor(subscription_id=subscription_id, location_id=location_id, cursor=BEFORE_ALL)
        for location_id in sorted(location_ids)
    ]

    def plan(connection: Connection) -> PlannedChange:
        mine = tables.subscription.c.subscription_id == subscription_id
        there = connection.execute(select(tables.subscription.c.state).where(mine).with_for_update()).first()
        # It may have been removed since it was read.
        return PlannedChange(writes=[adding(tables, cursors)] if there is not None else [])

    return plan


def revoked_owners_plan(tables: SubscriptionTables, key_ids: Collection[str], now: int) -> Plan:
    """Disable the active subscriptions of keys that were revoked; each keeps its place, for whoever takes it over."""
    table = tables.subscription.c
    theirs = (table.owner.in_(sorted(key_ids))) & (table.state == SubscriptionState.ACTIVE.value)
    there = tables.cursor.c

    def plan(connection: Connection) -> PlannedChange:
        query = select(table.subscription_id, table.owner).where(theirs).order_by(table.subscription_id)
        writes: list[Write] = []
        for subscription_id, owner in connection.execute(query.with_for_update()).all():
            stopped = (
                update(tables.cursor)
                .where(there.subscription_id == subscription_id)
                .values(
                    failing_since=func.coalesce(there.failing_since, now),
                    error=f"the key {owner}, which made this subscription, was revoked",
                    claim=there.claim + 1,
                    claimed_until=0,
                )
            )
            writes += [running(_disabling(tables, subscription_id), stopped)]
        return PlannedChange(len(writes), writes)

    return plan


def ended_secrets_plan(tables: SubscriptionTables, now: int) -> Plan:
    """Delete the secrets that do not sign any more. Answers how many."""
    ended = tables.secret.c.live_until <= now

    def plan(connection: Connection) -> PlannedChange:
        found = connection.execute(select(tables.secret.c.number).where(ended)).all()
        writes = [running(delete(tables.secret).where(ended))] if found else []
        return PlannedChange(len(found), writes)

    return plan


def _row(connection: Connection, tables: SubscriptionTables, seen: SubscriptionCursor) -> tuple[int, int] | None:
    """The claim, and until when, of a cursor's row, which is locked."""
    table = tables.cursor.c
    query = select(table.claim, table.claimed_until).where(
        table.subscription_id == seen.subscription_id, table.location_id == seen.location_id
    )
    row = connection.execute(query.with_for_update()).one_or_none()
    return None if row is None else (row.claim, row.claimed_until)


def _set(tables: SubscriptionTables, there: SubscriptionCursor, **values: object) -> Write:
    table = tables.cursor.c
    here = (table.subscription_id == there.subscription_id) & (table.location_id == there.location_id)
    return running(update(tables.cursor).where(here).values(values))


def _pruning(tables: SubscriptionTables, after: SubscriptionCursor) -> Executable:
    table = tables.delivery.c
    return delete(tables.delivery).where(
        table.subscription_id == after.subscription_id,
        table.location_id == after.location_id,
        table.state == DeliveryState.DELIVERED.value,
        table.number <= after.delivered - DELIVERED_KEPT,
    )


def _disabling(tables: SubscriptionTables, subscription_id: str) -> Executable:
    table = tables.subscription
    active = table.c.state == SubscriptionState.ACTIVE.value
    disabled = SubscriptionState.DISABLED.value
    return update(table).where(table.c.subscription_id == subscription_id, active).values(state=disabled)
