"""A deliverer without threads, on a clock that is turned by hand, with a receiver in memory."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection
from typing import Any

from sqlalchemy import Connection, func, select

from shared.outbox.message_cursor import MessageCursor
from shared.runtime.clock import SECOND
from shared.runtime.webhooks.webhook_poster import AttemptOutcome, WebhookAttempt
from shared.runtime.webhooks.webhook_signatures import secret_of
from shared.subscriptions.deliverer import IDLE_SECONDS, Deliverer
from shared.subscriptions.delivery_state import Delivery
from shared.subscriptions.subscription_access import SubscriptionAccess
from shared.subscriptions.subscription_changes import change_plan, creation_plan, replay_plan, resending_plan
from shared.subscriptions.subscription_queries import find_subscription, list_deliveries, read_cursors
from shared.subscriptions.subscription_records import Subscription, SubscriptionCursor, SubscriptionState
from tests.support.branch_rig import TurnedClock
from tests.support.listed_messages import TABLES, ListedMessages, PlainDatabase

EVERYBODY = SubscriptionAccess("admin")
GOOD = WebhookAttempt(AttemptOutcome.DELIVERED, 200)
REFUSED = WebhookAttempt(AttemptOutcome.REFUSED, 500, "answered 500")
SILENT = WebhookAttempt(AttemptOutcome.AWAY, None, "no answer within 15 s")
GONE = WebhookAttempt(AttemptOutcome.GONE, 410, "answered 410")
SECRET = secret_of(b"1" * 32)

HOUR_SECONDS = 3_600.0

Answer = Callable[[str, str], WebhookAttempt]


class DeliveryRig:
    """`answer` is what the receiver says to (url, message id). `posts` are all attempts: (url, id, body, secrets)."""

    def __init__(self, url: str, locations: tuple[str, ...] = ("BEY-01",), *, claims: bool = False) -> None:
        self.database = PlainDatabase(url)
        self.messages = ListedMessages()
        self.clock = TurnedClock()
        self.locations = list(locations)
        self.answer: Answer = lambda _url, _message_id: GOOD
        self.posts: list[tuple[str, str, bytes, tuple[str, ...]]] = []
        self.claims = claims
        self.revoked: set[str] = set()
        self.deliverer = self.new_deliverer()

    def new_deliverer(self) -> Deliverer:
        """Another deliverer over the same database, as after a start of the process."""
        return Deliverer(
            tables=TABLES,
            database=self.database,
            reader=self.messages,
            poster=self,
            clock=self.clock,
            rng=random.Random(1),
            locations=lambda _connection: self.locations,
            revoked=self._revoked_among,
            submit=lambda job: job(),
            threads=8,
            claim_time=(lambda _connection: self.clock.now()) if self.claims else None,
        )

    def _revoked_among(self, _connection: Connection, key_ids: Collection[str]) -> set[str]:
        return self.revoked & set(key_ids)

    def post(
        self, url: str, *, message_id: str, body: bytes, content_type: str, secrets: list[str], at: int
    ) -> WebhookAttempt:
        """The receiver's part: what it is sent, and answers."""
        assert content_type == "application/cloudevents+json"
        assert at == self.clock.now()
        self.posts.append((url, message_id, body, tuple(secrets)))
        return self.answer(url, message_id)

    def subscribe(self, name: str = "s-1", *, after: MessageCursor | None = None, **more: Any) -> str:
        """A subscription from `after`, else from the end; its id."""
        fields: dict[str, Any] = {"types": None, "label": None, "location_ids": None, "owner": "shop"} | more
        new = Subscription(
            subscription_id=name,
            url=f"https://{name}.example/",
            state=SubscriptionState.ACTIVE,
            created_at=self.clock.now(),
            **fields,
        )
        cursors = [
            SubscriptionCursor(
                subscription_id=name, location_id=each, cursor=self.messages.end(each) if after is None else after
            )
            for each in self.locations
        ]
        self.database.apply(creation_plan(TABLES, new, cursors, SECRET, None))
        self.deliverer.changed()
        return name

    def change(self, name: str = "s-1", **values: Any) -> None:
        plan = change_plan(TABLES, EVERYBODY, name, values, self.clock.now(), self._revoked_among)
        self.database.apply(plan)
        self.deliverer.changed()

    def replay(self, cursor: MessageCursor, name: str = "s-1", location_id: str = "BEY-01") -> None:
        self.database.apply(replay_plan(TABLES, EVERYBODY, name, {location_id: cursor}, request=None))
        self.deliverer.changed()

    def resend(self, message_id: str, name: str = "s-1") -> None:
        plan = resending_plan(TABLES, EVERYBODY, name, message_id, now=self.clock.now(), request=None)
        self.database.apply(plan)
        self.deliverer.changed()

    def run(self, most: int = 200) -> None:
        """Step, without letting time pass, until nothing is sent any more."""
        for _ in range(most):
            before = len(self.posts)
            self.deliverer.step()
            if len(self.posts) == before and not self.deliverer._changed:
                return
        raise AssertionError(f"still busy after {most} steps")

    def run_for(self, seconds: float) -> None:
        """Step whenever something is due, for so long."""
        until = self.clock.now() + round(seconds * SECOND)
        while True:
            self.run()
            left = (until - self.clock.now()) / SECOND
            if left <= 0:
                return
            wait = self.deliverer.step()
            # It looks again every few seconds, which finds nothing here: nobody else changes what it waits for.
            self.clock.pass_time(min(left, max(wait if wait < IDLE_SECONDS else self._until_due(), 0.001)))

    def _until_due(self) -> float:
        """Seconds until the next moment that is stored, at least what the deliverer waits where there is none."""
        now = self.clock.now()
        moments = (TABLES.cursor.c.next_try_at, TABLES.cursor.c.claimed_until, TABLES.delivery.c.next_try_at)
        with self.database.reading() as connection:
            found = [connection.execute(select(func.min(each)).where(each > now)).scalar() for each in moments]
        later = [(each - now) / SECOND for each in found if each is not None]
        return max(IDLE_SECONDS, min(later)) if later else HOUR_SECONDS

    def sent(self, name: str | None = None) -> list[str]:
        """The ids of all attempts, in order."""
        return [message_id for url, message_id, _, _ in self.posts if name is None or url == f"https://{name}.example/"]

    def cursor(self, name: str = "s-1", location_id: str = "BEY-01") -> SubscriptionCursor:
        with self.database.reading() as connection:
            found = read_cursors(connection, TABLES, [name])
        return next(each for each in found if each.location_id == location_id)

    def subscription(self, name: str = "s-1") -> Subscription:
        with self.database.reading() as connection:
            found = find_subscription(connection, TABLES, name)
        assert found is not None
        return found

    def deliveries(self, name: str = "s-1", **more: Any) -> list[Delivery]:
        """Newest first, at each location."""
        with self.database.reading() as connection:
            found = list_deliveries(connection, TABLES, name, after=None, limit=100_000, **more)
        return [each for _, each in found]

    def close(self) -> None:
        self.database.close()
