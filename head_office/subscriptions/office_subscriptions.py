"""The part of head office that sends messages to subscribers, put together."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

from sqlalchemy import Connection, Engine, select

from head_office.catalogue.locations import check_locations
from head_office.database.office_schema import API_KEY, SUBSCRIPTIONS
from head_office.database.schema import LOCATION
from head_office.database.schema import now as database_time
from head_office.office_transactions import OfficeDatabase
from shared.outbox.message_source import MessageReader
from shared.runtime.clock import Clock
from shared.runtime.telemetry import Telemetry
from shared.runtime.timers import Timers
from shared.runtime.webhooks.address_guard import AddressGuard, Resolver, look_up
from shared.runtime.webhooks.pinned_transport import PinnedTransport
from shared.runtime.webhooks.webhook_poster import WebhookPoster
from shared.subscriptions.deliverer import Deliverer
from shared.subscriptions.delivery_threads import DeliveryThreads
from shared.subscriptions.subscription_access import revoked_in
from shared.subscriptions.subscription_desk import SubscriptionDesk

THREADS: Final = 8
CONNECTIONS: Final = THREADS + 2
"""The database connections that deliveries need: a worker has one at a time, and so do the loop and the timer."""
SWEEP_SECONDS: Final = 600.0


def location_ids(connection: Connection) -> list[str]:
    """The locations of the group."""
    return list(connection.execute(select(LOCATION.c.location_id)).scalars())


def subscription_desk(
    engine: Engine,
    reader: MessageReader,
    guard: AddressGuard,
    *,
    now: Callable[[], int],
    new_id: Callable[[int], str],
    changed: Callable[[], None] = lambda: None,
    resolve: Resolver = look_up,
) -> SubscriptionDesk:
    """The desk of head office's subscriptions, for routes and for commands."""
    return SubscriptionDesk(
        tables=SUBSCRIPTIONS,
        database=OfficeDatabase(engine),
        reader=reader,
        guard=guard,
        now=now,
        new_id=new_id,
        locations=location_ids,
        check_locations=check_locations,
        revoked=revoked_in(API_KEY),
        changed=changed,
        resolve=resolve,
    )


class OfficeSubscriptions:
    """The desk that routes use, and the deliverer from `start` to `stop`. `allow` is the setting `webhook_allow`.

    Other processes of head office may deliver from the same database: each lane is claimed by one of them.
    """

    def __init__(
        self,
        engine: Engine,
        reader: MessageReader,
        *,
        clock: Clock,
        new_id: Callable[[int], str],
        rng: random.Random,
        telemetry: Telemetry,
        timers: Timers,
        allow: str,
        user_agent: str,
        resolve: Resolver = look_up,
    ) -> None:
        guard = AddressGuard(allow)
        self._poster = WebhookPoster(PinnedTransport(guard, resolve=resolve), user_agent=user_agent)
        self._threads = DeliveryThreads(THREADS, self._poster.interrupt)
        attempts = telemetry.counter("webhook_attempts", "Attempts to deliver a message, by outcome", ["outcome"])
        self.deliverer = Deliverer(
            tables=SUBSCRIPTIONS,
            database=OfficeDatabase(engine),
            reader=reader,
            poster=self._poster,
            clock=clock,
            rng=rng,
            locations=location_ids,
            revoked=revoked_in(API_KEY),
            submit=self._threads.submit,
            threads=THREADS,
            claim_time=database_time,
            counted=lambda outcome: attempts.labels(outcome).inc(),
        )
        self._threads.deliverer = self.deliverer
        timers.every(SWEEP_SECONDS, "secrets", self.deliverer.sweep)
        self.desk = subscription_desk(
            engine, reader, guard, now=clock.now, new_id=new_id, changed=self._threads.wake, resolve=resolve
        )

    def start(self) -> None:
        """Start the threads."""
        self._threads.start()

    def stop(self) -> None:
        self._threads.stop()
        self._poster.close()

    def ingested(self) -> None:
        """A batch of events was received by this process."""
        self._threads.committed()

    def problem(self) -> str | None:
        """Why the threads cannot go on, or None."""
        return self._threads.problem()
