"""Sends messages to their subscribers: at least once, in order for each location, each lane independent of the others.

`step` reads what is due and hands each due lane to a worker, which sends a few messages and notes them together with
the cursor. A process that ends between sending and noting sends again, under the same ids.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Collection
from functools import partial
from typing import Final, Protocol

import msgspec
from sqlalchemy import Connection

from shared.outbox.message_cursor import MAX_PART, MessageCursor
from shared.outbox.message_records import CONTENT_TYPE
from shared.outbox.message_source import MessageReader, OutboxMessage
from shared.runtime.clock import SECOND, Clock
from shared.runtime.database.planned_changes import PlanDatabase
from shared.runtime.problems import Problem
from shared.runtime.telemetry import get_logger
from shared.runtime.webhooks.webhook_poster import AttemptOutcome, WebhookAttempt
from shared.subscriptions.delivery_notes import (
    claim_plan,
    cursor_after,
    ended_secrets_plan,
    new_locations_plan,
    note_plan,
    revoked_owners_plan,
)
from shared.subscriptions.delivery_state import Delivery, DeliveryState, after_attempt
from shared.subscriptions.lanes import (
    Lane,
    LaneKey,
    active_subscriptions,
    choose,
    missing_locations,
    read_lanes,
)
from shared.subscriptions.subscription_access import RevokedAmong
from shared.subscriptions.subscription_records import SubscriptionCursor
from shared.subscriptions.subscription_tables import SubscriptionTables

log = get_logger("larder.deliverer")

MOST_MESSAGES: Final = 100
MOST_SECONDS: Final = 0.25
"""How many messages are sent, and for how long, before they are noted: what a crash sends again."""
CLAIM_MICROS: Final = 60 * SECOND
READ_AGAIN_SECONDS: Final = 1.0
"""How often subscriptions are read again although nobody said that they changed: another process may have done it."""
IDLE_SECONDS: Final = 5.0
KEEP_CURSOR_SECONDS: Final = 5.0
"""How often a cursor is stored that only passed over messages nobody wants."""
TROUBLE_SECONDS: Final = 1.0
STUCK_SECONDS: Final = 2.0
"""How often a log is read again that goes on but cannot be read any further yet."""

Submit = Callable[[Callable[[], None]], None]


class Poster(Protocol):
    """Makes one attempt; `WebhookPoster` is one."""

    def post(
        self, url: str, *, message_id: str, body: bytes, content_type: str, secrets: list[str], at: int
    ) -> WebhookAttempt: ...


class Deliverer:
    """Delivers for one service. `submit` runs a job: on a thread of its own, or at once where the caller steps.

    `locations` reads which locations there are, `revoked` which keys were revoked. `claim_time` is given where several
    processes deliver from one database: its time, by which they claim lanes. `counted` is told each attempt's outcome.
    """

    def __init__(
        self,
        *,
        tables: SubscriptionTables,
        database: PlanDatabase,
        reader: MessageReader,
        poster: Poster,
        clock: Clock,
        rng: random.Random,
        locations: Callable[[Connection], Collection[str]],
        revoked: RevokedAmong,
        submit: Submit,
        threads: int,
        claim_time: Callable[[Connection], int] | None = None,
        counted: Callable[[str], None] = lambda _outcome: None,
    ) -> None:
        self._tables = tables
        self._database = database
        self._reader = reader
        self._poster = poster
        self._clock = clock
        self._rng = rng
        self._locations = locations
        self._revoked = revoked
        self._submit = submit
        self._threads = threads
        self._claim_time = claim_time
        self._counted = counted
        self._lock = threading.Lock()
        self._lanes: list[Lane] = []
        self._read_at: float | None = None
        self._changed = True
        self._busy: dict[LaneKey, bool] = {}
        self._outdated: set[LaneKey] = set()  # went on since they were read
        self._turns: dict[LaneKey, int] = {}
        self._turn = 0
        self._rests: dict[LaneKey, float] = {}  # until when, by the monotonic clock
        self._reached: dict[LaneKey, tuple[int, MessageCursor]] = {}  # beyond the stored cursor, for this claim
        self._kept_at: dict[LaneKey, float] = {}
        self.stopping = False

    def changed(self) -> None:
        """Subscriptions were changed: the next step reads them again."""
        self._changed = True

    @property
    def follows(self) -> bool:
        """Whether new events may be for anybody. False only where this process alone changes subscriptions."""
        return bool(self._lanes) or self._changed or self._claim_time is not None

    def step(self) -> float:
        """Start what is due; seconds until something is, if nobody wakes it before. Raises Problem."""
        now, monotonic = self._clock.now(), self._clock.monotonic()
        if self._changed or self._read_at is None or monotonic - self._read_at >= READ_AGAIN_SECONDS:
            self._read(now, monotonic)
        ends = self._reader.ends(sorted({lane.at.location_id for lane in self._lanes}))
        due: list[Lane] = []
        wait = IDLE_SECONDS
        for lane in self._lanes:
            rest = self._rests.get(lane.key, 0.0) - monotonic
            moment = lane.due_at(self._reached_of(lane), ends[lane.at.location_id], now)
            if rest > 0:
                wait = min(wait, rest)
            elif (moment is not None and moment <= now) or self._cursor_waits(lane, monotonic):
                due.append(lane)
            elif moment is not None:
                wait = min(wait, (moment - now) / SECOND)
        with self._lock:
            due = [lane for lane in due if lane.key not in self._outdated]
            chosen = choose(due, self._busy, self._turns, self._threads)
            for lane in chosen:
                self._turn += 1
                self._turns[lane.key] = self._turn
                self._busy[lane.key] = lane.at.failing_since is not None
        for lane in chosen:
            self._submit(partial(self._work, lane, ends[lane.at.location_id]))
        return wait

    def sweep(self) -> None:
        """Delete the secrets that do not sign any more. Called now and then. Raises Problem."""
        self._database.apply(ended_secrets_plan(self._tables, self._clock.now()))

    def _read(self, now: int, monotonic: float) -> None:
        with self._lock:
            # What is noted from here on may not be in what is read now.
            self._changed = False
            self._outdated.clear()
        with self._database.reading() as connection:
            active = active_subscriptions(connection, self._tables)
            revoked = self._revoked(connection, {each.owner for each in active})
            active = [each for each in active if each.owner not in revoked]
            lanes = read_lanes(connection, self._tables, active, now) if active else []
            missing = missing_locations(active, lanes, self._locations(connection) if active else ())
        if revoked:
            count = self._database.apply(revoked_owners_plan(self._tables, revoked, now))
            log.warning("subscriptions of revoked keys were disabled", subscriptions=count, keys=sorted(revoked))
        for subscription_id, location_ids in missing.items():
            self._database.apply(new_locations_plan(self._tables, subscription_id, location_ids))
        if missing:
            with self._database.reading() as connection:
                lanes = read_lanes(connection, self._tables, active, now)
        self._lanes, self._read_at = lanes, monotonic
        with self._lock:
            keys = {lane.key for lane in lanes}
            for memory in (self._turns, self._rests, self._reached, self._kept_at):
                for key in [each for each in memory if each not in keys]:
                    del memory[key]

    def _reached_of(self, lane: Lane) -> MessageCursor:
        """How far the lane's log was read: beyond its stored cursor where nobody wanted what came after that."""
        claim, reached = self._reached.get(lane.key, (lane.at.claim, lane.at.cursor))
        return max(reached, lane.at.cursor) if claim == lane.at.claim else lane.at.cursor

    def _cursor_waits(self, lane: Lane, monotonic: float) -> bool:
        """Whether the stored cursor is behind what was read, and it is time to store it."""
        waited = monotonic - self._kept_at.get(lane.key, float("-inf"))
        return self._reached_of(lane) > lane.at.cursor and waited >= KEEP_CURSOR_SECONDS

    # A worker's part

    def _work(self, lane: Lane, end: MessageCursor) -> None:
        try:
            self._deliver(lane, end)
        except Problem as problem:
            # The database or the log is not to be had: what was sent is not noted, and is sent again.
            log.warning("a delivery waits", lane="/".join(lane.key), why=str(problem))
            self._rests[lane.key] = self._clock.monotonic() + TROUBLE_SECONDS
        finally:
            with self._lock:
                del self._busy[lane.key]
                self._outdated.add(lane.key)
                self._changed = True

    def _deliver(self, lane: Lane, end: MessageCursor) -> None:
        now = self._clock.now()
        reached = self._reached_of(lane)
        resending = lane.resending(now)
        in_order = lane.in_order_at(reached, end, now)
        page = None
        if in_order is not None and in_order <= now:
            page = self._reader.read(lane.at.location_id, reached, lane.subscription.types, MOST_MESSAGES)
        messages = [] if page is None else page.messages
        if page is not None and not messages and page.next <= reached:
            # The log goes on and cannot be read any further yet, such as where head office cannot fold an event.
            self._rests[lane.key] = self._clock.monotonic() + STUCK_SECONDS
        if not messages and resending is None:
            self._pass_over(lane, reached if page is None else page.next)
            return
        at = self._claimed(lane)
        if at is None:
            return
        if resending is not None:
            at = self._resend(lane, at, resending, last=not messages)
        if page is not None and messages and at is not None:
            self._send(lane, at, messages, page.next)

    def _claimed(self, lane: Lane) -> SubscriptionCursor | None:
        """The lane's cursor once nobody else delivers it; None where somebody does."""
        if self._claim_time is None:
            return lane.at
        claimed: SubscriptionCursor | None = self._database.apply(
            claim_plan(self._tables, lane.at, self._claim_time, CLAIM_MICROS)
        )
        return claimed

    def _pass_over(self, lane: Lane, reached: MessageCursor) -> None:
        """Nobody wanted what was read: the cursor moves on, and is stored now and then."""
        self._reached[lane.key] = lane.at.claim, reached
        monotonic = self._clock.monotonic()
        if not self._cursor_waits(lane, monotonic):
            return
        self._kept_at[lane.key] = monotonic
        self._database.apply(note_plan(self._tables, lane.at, cursor_after(lane.at, [], reached), [], gone=False))

    def _send(self, lane: Lane, at: SubscriptionCursor, messages: list[OutboxMessage], read_to: MessageCursor) -> None:
        retrying = {each.cursor: each for each in lane.retrying}
        until = self._clock.monotonic() + MOST_SECONDS
        tried: list[Delivery] = []
        reached, gone = at.cursor, False
        for message in messages:
            new = Delivery(message_id=message.id, type=message.type, cursor=message.cursor)
            after, gone = self._attempt(lane, retrying.get(message.cursor, new), message.body)
            if self.stopping and not after.done:
                break  # its connection was cut off by ourselves
            tried.append(after)
            if not after.done:
                break
            reached = message.cursor
            if self.stopping or self._clock.monotonic() > until:
                break
        else:
            reached = read_to
        self._note(at, cursor_after(at, tried, reached), tried, gone=gone)

    def _resend(
        self, lane: Lane, at: SubscriptionCursor, delivery: Delivery, *, last: bool
    ) -> SubscriptionCursor | None:
        """Send again one message behind the cursor; the cursor's row after it, None where it was not noted."""
        message = self._message_at(lane.at.location_id, delivery.cursor)
        if message is None:
            lost = "the log has this message no more"
            after = msgspec.structs.replace(delivery, state=DeliveryState.DEAD, next_try_at=None, error=lost)
            gone = False
        else:
            after, gone = self._attempt(lane, delivery, message.body)
        if self.stopping and not after.done:
            return None
        moved = msgspec.structs.replace(
            at,
            delivered=at.delivered + (after.state is DeliveryState.DELIVERED),
            claim=at.claim + 1,
            claimed_until=0 if last or gone else at.claimed_until,
        )
        noted = self._note(at, moved, [after], gone=gone)
        return moved if noted and not gone else None

    def _message_at(self, location_id: str, cursor: MessageCursor) -> OutboxMessage | None:
        before = (
            MessageCursor(cursor.epoch, cursor.sequence, cursor.part - 1)
            if cursor.part
            else MessageCursor(cursor.epoch, cursor.sequence - 1, MAX_PART)
        )
        found = self._reader.read(location_id, before, None, 1).messages
        return found[0] if found and found[0].cursor == cursor else None

    def _attempt(self, lane: Lane, delivery: Delivery, body: bytes) -> tuple[Delivery, bool]:
        """The delivery after one attempt, and whether the receiver is gone."""
        attempt = self._poster.post(
            lane.subscription.url,
            message_id=delivery.message_id,
            body=body,
            content_type=CONTENT_TYPE,
            secrets=list(lane.secrets),
            at=self._clock.now(),
        )
        self._counted(attempt.outcome.value)
        after = after_attempt(delivery, attempt, self._clock.now(), self._rng.random())
        return after, attempt.outcome is AttemptOutcome.GONE

    def _note(
        self, before: SubscriptionCursor, after: SubscriptionCursor, tried: list[Delivery], *, gone: bool
    ) -> bool:
        noted: bool = self._database.apply(note_plan(self._tables, before, after, tried, gone=gone))
        if gone:
            log.warning("a receiver wants no more messages", subscription=before.subscription_id)
        return noted
