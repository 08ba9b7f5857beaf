"""The part of a node that sends messages to subscribers, put together."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

from branch_node.database.schema import API_KEY, SUBSCRIPTIONS
from branch_node.database.store import Store
from branch_node.writer.writer import Writer
from branch_node.writer_database import WriterDatabase
from shared.chain import Head
from shared.outbox.message_source import MessageReader
from shared.runtime.clock import NodeClock
from shared.runtime.telemetry import Telemetry
from shared.runtime.webhooks.address_guard import AddressGuard, Resolver, look_up
from shared.runtime.webhooks.pinned_transport import PinnedTransport
from shared.runtime.webhooks.webhook_poster import WebhookPoster
from shared.subscriptions.deliverer import Deliverer
from shared.subscriptions.delivery_threads import DeliveryThreads
from shared.subscriptions.subscription_access import revoked_in
from shared.subscriptions.subscription_desk import SubscriptionDesk

THREADS: Final = 8
SWEEP_SECONDS: Final = 600.0


class BranchSubscriptions:
    """The desk that routes use, and the deliverer from `start` to `stop`; a NodePart.

    `allow` is the setting `webhook_allow`; `resolve` looks up names.
    """

    def __init__(
        self,
        *,
        location_id: str,
        store: Store,
        writer: Writer,
        reader: MessageReader,
        clock: NodeClock,
        new_id: Callable[[int], str],
        rng: random.Random,
        telemetry: Telemetry,
        allow: str,
        user_agent: str,
        resolve: Resolver = look_up,
    ) -> None:
        database = WriterDatabase(store, writer)
        guard = AddressGuard(allow)
        self._writer = writer
        self._poster = WebhookPoster(PinnedTransport(guard, resolve=resolve), user_agent=user_agent)
        self._threads = DeliveryThreads(THREADS, self._poster.interrupt)
        attempts = telemetry.counter("webhook_attempts", "Attempts to deliver a message, by outcome", ["outcome"])
        self.deliverer = Deliverer(
            tables=SUBSCRIPTIONS,
            database=database,
            reader=reader,
            poster=self._poster,
            clock=clock,
            rng=rng,
            locations=lambda _connection: (location_id,),
            revoked=revoked_in(API_KEY),
            submit=self._threads.submit,
            threads=THREADS,
            counted=lambda outcome: attempts.labels(outcome).inc(),
        )
        self._threads.deliverer = self.deliverer
        self.desk = SubscriptionDesk(
            tables=SUBSCRIPTIONS,
            database=database,
            reader=reader,
            guard=guard,
            now=clock.now,
            new_id=new_id,
            locations=lambda _connection: (location_id,),
            check_locations=lambda _connection, _location_ids: None,
            revoked=revoked_in(API_KEY),
            changed=self._threads.wake,
            resolve=resolve,
        )

    def start(self) -> None:
        """Start the threads; the writer must take commands."""
        self._writer.on_commit(self._committed)
        self._threads.start()

    def stop(self) -> None:
        self._threads.stop()
        self._poster.close()

    def sweep(self) -> None:
        """Delete the secrets that do not sign any more."""
        self.deliverer.sweep()

    def problem(self) -> str | None:
        """Why the threads cannot go on, or None."""
        return self._threads.problem()

    def _committed(self, _head: Head) -> None:
        self._threads.committed()
