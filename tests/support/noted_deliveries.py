"""Deliveries written as a deliverer notes them: what its receiver did at set moments."""

from __future__ import annotations

from sqlalchemy import Engine

from shared.outbox.message_cursor import MessageCursor
from shared.runtime.webhooks.webhook_poster import AttemptOutcome, WebhookAttempt
from shared.subscriptions.delivery_notes import cursor_after, note_plan
from shared.subscriptions.delivery_state import LONGEST_COUNTED, LONGEST_REFUSED, Delivery, after_attempt
from shared.subscriptions.subscription_queries import read_cursors
from shared.subscriptions.subscription_tables import SubscriptionTables

GOOD = WebhookAttempt(AttemptOutcome.DELIVERED, 200)
REFUSED = WebhookAttempt(AttemptOutcome.REFUSED, 500, "answered 500")
SILENT = WebhookAttempt(AttemptOutcome.AWAY, None, "no answer: [Errno 111] Connection refused")
GONE = WebhookAttempt(AttemptOutcome.GONE, 410, "answered 410")


def note(
    engine: Engine, tables: SubscriptionTables, subscription_id: str, location_id: str, now: int,
    *attempts: tuple[MessageCursor, WebhookAttempt],
) -> None:  # fmt: skip
    """Note one attempt of each message, by its cursor, that ended now; the ids end with the cursor's sequence."""
    tried = [
        after_attempt(
            Delivery(
                message_id=f"01a2204d-beff-725a-8e8b-{cursor.sequence:012x}-{cursor.part}",
                type="larder.InventoryUnavailable" if cursor.sequence % 2 else "larder.StockRemoved",
                cursor=cursor,
            ),
            attempt,
            now,
            0.5,
        )
        for cursor, attempt in attempts
    ]
    _write(engine, tables, subscription_id, location_id, tried)


def note_dead(engine: Engine, tables: SubscriptionTables, subscription_id: str, location_id: str, now: int) -> None:
    """Note that the first message of a log was refused for 72 hours, each hour once."""
    delivery = Delivery(
        message_id="01a2204d-beff-725a-8e8b-000000000001-0", type="larder.StockAdded", cursor=MessageCursor(1, 1, 0)
    )
    at = now - LONGEST_REFUSED
    while not delivery.done:
        delivery = after_attempt(delivery, REFUSED, at, 0.5)
        at += LONGEST_COUNTED
    assert at - LONGEST_COUNTED == now
    _write(engine, tables, subscription_id, location_id, [delivery])


def _write(
    engine: Engine, tables: SubscriptionTables, subscription_id: str, location_id: str, tried: list[Delivery]
) -> None:
    with engine.begin() as connection:
        found = read_cursors(connection, tables, [subscription_id])
        before = next(each for each in found if each.location_id == location_id)
        reached = max([before.cursor, *(each.cursor for each in tried if each.done)])
        gone = any(each.status == GONE.status for each in tried)
        for write in note_plan(tables, before, cursor_after(before, tried, reached), tried, gone=gone)(
            connection
        ).writes:
            write(connection)
