"""Lanes: a subscription's messages of one location, which go in order and one at a time. Which is to go next: pure.

Times are microseconds UTC.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Final

import msgspec
from sqlalchemy import Connection

from shared.outbox.message_cursor import MessageCursor
from shared.runtime.clock import SECOND
from shared.runtime.webhooks.webhook_poster import LONGEST_RETRY_AFTER
from shared.subscriptions.delivery_state import Delivery
from shared.subscriptions.subscription_changes import MOST_SUBSCRIPTIONS
from shared.subscriptions.subscription_queries import (
    list_subscriptions,
    live_secrets,
    read_cursors,
    retrying_deliveries,
)
from shared.subscriptions.subscription_records import Subscription, SubscriptionCursor, SubscriptionState
from shared.subscriptions.subscription_tables import SubscriptionTables

LaneKey = tuple[str, str]
"""Subscription and location."""

_AT_ONCE: Final = 0
_LATEST: Final = round(2 * LONGEST_RETRY_AFTER * SECOND)


class Lane(msgspec.Struct, frozen=True):
    """A lane as it was read. `retrying`: its deliveries that are tried again, in the order of the log."""

    subscription: Subscription
    at: SubscriptionCursor
    secrets: Sequence[str]
    retrying: Sequence[Delivery] = ()

    @property
    def key(self) -> LaneKey:
        return self.at.subscription_id, self.at.location_id

    def resending(self, now: int) -> Delivery | None:
        """The first message behind the cursor that is to be sent again, and is due."""
        behind = (each for each in self.retrying if each.cursor <= self.at.cursor)
        return next((each for each in behind if _moment(each.next_try_at, now) <= now), None)

    def in_order_at(self, reached: MessageCursor, end: MessageCursor, now: int) -> int | None:
        """When the next message in order is due, 0 for at once; None where the log has none after `reached`."""
        return _moment(self.at.next_try_at, now) if reached < end else None

    def due_at(self, reached: MessageCursor, end: MessageCursor, now: int) -> int | None:
        """When anything of this lane is due, and nobody else is at it; None where nothing is."""
        moments = [_moment(each.next_try_at, now) for each in self.retrying if each.cursor <= self.at.cursor]
        in_order = self.in_order_at(reached, end, now)
        if in_order is not None:
            moments.append(in_order)
        return max(min(moments), self.at.claimed_until) if moments else None


def _moment(next_try_at: int | None, now: int) -> int:
    # Later than anybody waits: the clock was ahead when this was noted, and has been settled since.
    return _AT_ONCE if next_try_at is None or next_try_at > now + _LATEST else next_try_at


def active_subscriptions(connection: Connection, tables: SubscriptionTables) -> list[Subscription]:
    """The subscriptions that are sent to."""
    return list_subscriptions(connection, tables, limit=MOST_SUBSCRIPTIONS, state=SubscriptionState.ACTIVE)


def read_lanes(
    connection: Connection, tables: SubscriptionTables, active: Collection[Subscription], now: int
) -> list[Lane]:
    """The lanes of these subscriptions."""
    by_id = {each.subscription_id: each for each in active}
    secrets = live_secrets(connection, tables, by_id, now)
    retrying = retrying_deliveries(connection, tables, by_id)
    return [
        Lane(
            by_id[each.subscription_id],
            each,
            secrets[each.subscription_id],
            retrying.get((each.subscription_id, each.location_id), ()),
        )
        for each in read_cursors(connection, tables, by_id)
    ]


def choose(due: Sequence[Lane], busy: Mapping[LaneKey, bool], turns: Mapping[LaneKey, int], threads: int) -> list[Lane]:
    """Which of the lanes that are due go now. `busy`: those that are going, and whether they were failing.

    Any receiver may hang, and one that fails is likely to: a subscription takes at most a quarter of the threads, and
    one thread where it fails; all that fail take half of them. So others go on. Whose turn (`turns`) was longest ago
    comes first.
    """
    free = threads - len(busy)
    failing_left = max(1, threads // 2) - sum(busy.values())
    probed = {key[0] for key, failing in busy.items() if failing}
    going = Counter(key[0] for key in busy)
    chosen: list[Lane] = []
    for lane in sorted(due, key=lambda each: turns.get(each.key, 0)):
        subscription_id = lane.at.subscription_id
        if len(chosen) >= free:
            break
        if lane.key in busy or going[subscription_id] >= max(1, threads // 4):
            continue
        if lane.at.failing_since is not None:
            if failing_left <= 0 or subscription_id in probed:
                continue
            failing_left -= 1
            probed.add(subscription_id)
        going[subscription_id] += 1
        chosen.append(lane)
    return chosen


def missing_locations(
    active: Collection[Subscription], lanes: Collection[Lane], location_ids: Collection[str]
) -> dict[str, set[str]]:
    """The locations that active subscriptions want and have no cursor at yet, by subscription."""
    there: dict[str, set[str]] = {}
    for lane in lanes:
        there.setdefault(lane.at.subscription_id, set()).add(lane.at.location_id)
    missing = {
        each.subscription_id: {
            place for place in location_ids if each.location_ids is None or place in each.location_ids
        }
        - there.get(each.subscription_id, set())
        for each in active
    }
    return {subscription_id: found for subscription_id, found in missing.items() if found}
