"""The processes that deliver: the product's deliverer, desk and reader of a branch or of head office, for one run.

The deliverer is the real one, and so is what posts; only the network below it is the simulated one. No thread runs: a
step does at once, and in its own order, what would be given to workers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import Any, Final, cast

import httpx

from branch_node.database.schema import API_KEY as BRANCH_KEYS
from branch_node.database.schema import SUBSCRIPTIONS as BRANCH_TABLES
from branch_node.model import Command
from branch_node.subscriptions.branch_subscriptions import THREADS
from branch_node.subscriptions.published_messages import message_reader as branch_reader
from branch_node.writer.writer import Writer
from branch_node.writer_database import WriterDatabase
from head_office.database.office_schema import API_KEY as OFFICE_KEYS
from head_office.database.office_schema import SUBSCRIPTIONS as OFFICE_TABLES
from head_office.database.schema import now as database_time
from head_office.office_transactions import OfficeDatabase
from head_office.subscriptions.office_subscriptions import location_ids, subscription_desk
from head_office.subscriptions.published_messages import message_reader as office_reader
from shared.outbox.message_source import MessageReader
from shared.runtime.clock import IdFactory
from shared.runtime.webhooks.address_guard import AddressGuard
from shared.runtime.webhooks.pinned_transport import PinnedTransport
from shared.runtime.webhooks.webhook_poster import WebhookPoster
from shared.subscriptions.deliverer import Deliverer
from shared.subscriptions.subscription_access import revoked_in
from shared.subscriptions.subscription_desk import SubscriptionDesk
from tests.simulation.branch import SimulatedBranch
from tests.simulation.network import Network, SimulatedTransport
from tests.simulation.office import SimulatedOffice

Around = Callable[[httpx.Request], None]
PUBLIC: Final = "9.9.9.9"


class WebhookLine(SimulatedTransport):
    """What a poster sends through. `before` and `after` are told of each POST, and may end the process."""

    def __init__(self, network: Network, sender: str, before: Around, after: Around) -> None:
        super().__init__(network, sender)
        self._before = before
        self._after = after

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Who hangs lets the time pass by itself."""
        del seconds
        yield

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self._before(request)
        try:
            answer = super().handle_request(request)
        except httpx.TransportError:
            self._after(request)
            raise
        self._after(request)
        return answer


class _SteppedWriter:
    """The writer of a process without threads: what is submitted is committed at once."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    def submit(self, command: Command) -> Future[Any]:
        (outcome,) = self._writer.commit([command])
        done: Future[Any] = Future()
        if isinstance(outcome, BaseException):
            done.set_exception(outcome)
        else:
            done.set_result(outcome)
        return done


@dataclass
class Delivering:
    """What delivers in one process, which is known by `process`: another one has another."""

    process: object
    deliverer: Deliverer
    desk: SubscriptionDesk
    reader: MessageReader


def _at_once(job: Callable[[], None]) -> None:
    job()


def _resolve(_host: str, _port: int) -> list[str]:
    return [PUBLIC]


def branch_delivering(branch: SimulatedBranch, line: WebhookLine, random: Random) -> Delivering:
    """What delivers in the process that runs at a branch now."""
    reader = branch_reader(branch.store, branch.location_id)
    database = WriterDatabase(branch.store, cast(Writer, _SteppedWriter(branch.writer)))
    deliverer = Deliverer(
        tables=BRANCH_TABLES,
        database=database,
        reader=reader,
        poster=_poster(line),
        clock=branch.node_clock,
        rng=random,
        locations=lambda _connection: (branch.location_id,),
        revoked=revoked_in(BRANCH_KEYS),
        submit=_at_once,
        threads=THREADS,
    )
    desk = SubscriptionDesk(
        tables=BRANCH_TABLES,
        database=database,
        reader=reader,
        guard=AddressGuard(""),
        now=branch.node_clock.now,
        new_id=IdFactory(random.getrandbits),
        locations=lambda _connection: (branch.location_id,),
        revoked=revoked_in(BRANCH_KEYS),
        check_locations=lambda _connection, _location_ids: None,
        changed=deliverer.changed,
        resolve=_resolve,
    )
    return Delivering(branch.writer, deliverer, desk, reader)


def office_delivering(office: SimulatedOffice, line: WebhookLine, random: Random) -> Delivering:
    """What delivers in the process of head office that runs now."""
    assert office.engine is not None
    reader = office_reader(office.engine)
    deliverer = Deliverer(
        tables=OFFICE_TABLES,
        database=OfficeDatabase(office.engine),
        reader=reader,
        poster=_poster(line),
        clock=office.clock,
        rng=random,
        locations=location_ids,
        revoked=revoked_in(OFFICE_KEYS),
        submit=_at_once,
        threads=THREADS,
        claim_time=database_time,
    )
    desk = subscription_desk(
        office.engine,
        reader,
        AddressGuard(""),
        now=office.clock.now,
        new_id=IdFactory(random.getrandbits),
        changed=deliverer.changed,
        resolve=_resolve,
    )
    return Delivering(office.engine, deliverer, desk, reader)


def _poster(line: WebhookLine) -> WebhookPoster:
    return WebhookPoster(cast(PinnedTransport, line), user_agent="larder/simulation")
