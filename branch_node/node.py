"""One location's node: database, writer, agent, witness and timers, put together by `main.build`."""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from enum import Enum
from importlib.metadata import version
from typing import Final, Protocol

import httpx
from fastapi import FastAPI
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_random

from branch_node.database import witness
from branch_node.database.keys.api_keys import LOCAL, BranchKeys
from branch_node.database.keys.key_changes import RecordKeyUses
from branch_node.database.store import AlreadyWriting, Store, last_moment
from branch_node.database.witness import Witness, WitnessVerdict
from branch_node.metrics import add_gauges
from branch_node.problems import ROLLED_BACK
from branch_node.settings import BranchSettings
from branch_node.subscriptions.branch_subscriptions import SWEEP_SECONDS, BranchSubscriptions
from branch_node.sync.command_recorders import QueuedRecorder
from branch_node.sync.log_reader import LogReader
from branch_node.sync.puller import LONG_POLL, Puller
from branch_node.sync.shipper import Shipper
from branch_node.sync.shipping_status import ShippingState, ShippingStatus, StatusBoard
from branch_node.sync.sync_agent import SyncAgent
from branch_node.writer.writer import Writer
from shared.chain import Head
from shared.messages import HelloAnswer, Verdict
from shared.outbox.message_source import MessageReader
from shared.runtime.client import ServiceClient
from shared.runtime.clock import Clock, NodeClock
from shared.runtime.http.auth import Authenticator
from shared.runtime.http.rate_limits import RateLimiter
from shared.runtime.problems import Recorded
from shared.runtime.retry import Backoff
from shared.runtime.settings import SettingsError
from shared.runtime.telemetry import Telemetry, get_logger
from shared.runtime.timers import Timers

log = get_logger("larder.node")

NAME: Final = "branch"
KEEP_WITNESS_EVERY: Final = 60
WRITE_KEY_USES_EVERY: Final = 60
STOP_SECONDS: Final = 20.0


class NodePart(Protocol):
    """A part of a node that begins and ends with it."""

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def sweep(self) -> None:
        """Called now and then while the node runs."""


class AgentMode(Enum):
    """How the sync agent runs: on its own threads, by the caller's `shipper.step` and `puller.step`, or not at all."""

    THREADS = "threads"
    STEPPED = "stepped"
    NONE = "none"


class Node:
    """A branch's node. `open` makes it the log's writer, `start` starts its threads, `stop` undoes both."""

    def __init__(
        self,
        settings: BranchSettings,
        store: Store,
        *,
        clock: Clock,
        new_id: Callable[[int], str],
        rng: random.Random,
        transport: httpx.BaseTransport | None,
        local_key: str,
        messages: MessageReader,
    ) -> None:
        self.settings = settings
        self.location_id = settings.location
        self.store = store
        self.local_key = local_key
        self.telemetry = Telemetry(NAME)
        self.log_reader = LogReader(store, self.location_id)
        with store.reading() as connection:
            last_now, unsettled = last_moment(connection)
        self.clock = NodeClock(clock, last_now, unsettled=unsettled)
        limiter = RateLimiter(settings.rate_limit_per_second, settings.rate_limit_burst, exempt={LOCAL})
        self.authenticator = Authenticator(BranchKeys(store, local_key), self.clock, limiter=limiter)
        self.writer = Writer(store, self.clock, new_id)
        state = ShippingState.NO_HEAD_OFFICE if settings.head_office is None else ShippingState.STOPPED
        self.board = StatusBoard(ShippingStatus(state=state, head_office=settings.head_office))
        add_gauges(self.telemetry, self.board, self.writer, self.clock, self.unshipped)
        self.app: FastAPI
        """The API and the pages; given by `main.build`."""
        self.shipper: Shipper | None = None
        self.puller: Puller | None = None
        self._rng = rng
        self._transport = transport
        self._agent: SyncAgent | None = None
        self._witness: Witness | None = None
        self._timers = Timers(self.telemetry)
        self._prefetch: ThreadPoolExecutor | None = None
        self._clients: list[ServiceClient] = []
        self._parts: list[NodePart] = []
        self._opened = False
        self._delivers = False
        self.subscriptions = BranchSubscriptions(
            location_id=self.location_id,
            store=store,
            writer=self.writer,
            reader=messages,
            clock=self.clock,
            new_id=new_id,
            rng=rng,
            telemetry=self.telemetry,
            allow=settings.webhook_allow,
            user_agent=software(),
        )

    # Opening

    def open(self, agent: AgentMode = AgentMode.THREADS, *, patience: float = 0.0) -> None:
        """Become the writer of the log, unless the witness shows that this database was rolled back.

        A rolled back node holds the lock and answers reads, and records nothing.
        `patience`: seconds to wait for another process, such as a short command, that is the writer now. Raises
        AlreadyWriting, SettingsError, WitnessUnusable, DatabaseVersionError or Problem.
        """
        self._become_writer(patience)
        # Not earlier: opening the writer upgrades the schema.
        state = self.log_reader.sync_state()
        self.board.change(acknowledged=state.acknowledged, last_contact_at=state.last_contact_at)
        # A short command may change subscriptions; to deliver is for the node that serves.
        self._delivers = agent is AgentMode.THREADS
        self._opened = True
        verdict = self._check_witness()
        if verdict is WitnessVerdict.ROLLED_BACK:
            return
        if self._witness is not None:
            self._witness.write(self.writer.head)
            self.writer.on_commit(self._witness.write)
        if self.clock.unmeasured:
            self.writer.commit([])  # what is reserved is kept before anybody reads
        if self.settings.head_office is not None and agent is not AgentMode.NONE:
            self._connect(self.settings.head_office, agent)

    def _become_writer(self, patience: float) -> None:
        retrying = Retrying(
            retry=retry_if_exception_type(AlreadyWriting),
            wait=wait_random(0.05, 0.2),
            stop=stop_after_delay(patience),
            reraise=True,
        )
        retrying(self.writer.open)

    def _check_witness(self) -> WitnessVerdict:
        path = self.settings.witness_path
        record = witness.read(path)
        head = self.writer.head
        hash_at_record = None if record is None else self.log_reader.hash_at(record.sequence)
        verdict = witness.compare(record, self.location_id, head, hash_at_record)
        if verdict is WitnessVerdict.OTHER_LOCATION and record is not None:
            raise SettingsError(
                f"{path} is the witness of {record.location_id}, not of {self.location_id}: "
                "give --witness another place"
            )
        if verdict is WitnessVerdict.ROLLED_BACK and record is not None:
            detail = (
                f"this database ends at event {head.sequence}, but the witness {path} saw event {record.sequence}"
                if record.sequence > head.sequence
                else f"the witness {path} saw another event {record.sequence} than this database has"
            )
            hint = (
                "Nothing is recorded, reads go on. Put the newest database file back and start again. Do not remove "
                "the witness: events that only the lost file has would be overwritten unnoticed."
            )
            self.board.change(state=ShippingState.ROLLED_BACK, detail=detail, hint=hint, recording=False)
            self.writer.refuse_with(lambda: ROLLED_BACK(detail, hint=hint, recorded=Recorded.NO))
            log.error("rolled back", detail=detail, hint=hint)
            return verdict
        self._witness = Witness(path, self.location_id)
        if verdict is WitnessVerdict.FIRST and head.sequence:
            log.warning(
                "there was no witness beside this database; a new one was begun", path=str(path), at=head.sequence
            )
        return verdict

    def _connect(self, address: str, agent: AgentMode) -> None:
        if self.settings.key is None:
            raise SettingsError(
                "a head office is set but no key for it: give --key, which 'locations add' printed there"
            )
        threads = agent is AgentMode.THREADS
        recorder = QueuedRecorder(self.writer)
        self._prefetch = ThreadPoolExecutor(1, thread_name_prefix="larder-pack") if threads else None
        self.board.change(state=ShippingState.CONNECTING)
        self.shipper = Shipper(
            location_id=self.location_id,
            log_reader=self.log_reader,
            client=self._client(address),
            clock=self.clock,
            recorder=recorder,
            board=self.board,
            backoff=Backoff(self._rng),
            software=software(),
            prefetch=self._prefetch,
            on_hello=self._on_hello,
        )
        self.puller = Puller(
            location_id=self.location_id,
            log_reader=self.log_reader,
            client=self._client(address),
            clock=self.clock,
            recorder=recorder,
            board=self.board,
            backoff=Backoff(self._rng),
            long_poll=LONG_POLL if threads else 0.0,
            on_failure=self._on_failure,
            keys_changed=self.authenticator.invalidate,
        )
        if threads:
            self._agent = SyncAgent(self.shipper, self.puller)

    def _client(self, address: str) -> ServiceClient:
        key = None if self.settings.key is None else self.settings.key.get_secret_value()
        client = ServiceClient(address, key=key, transport=self._transport, user_agent=software())
        self._clients.append(client)
        return client

    def _on_hello(self, _answer: HelloAnswer, _verdict: Verdict) -> None:
        if self.puller is not None:
            self.puller.restart()
        if self._agent is not None:
            self._agent.puller.wake()

    def _on_failure(self) -> None:
        if self.shipper is not None:
            self.shipper.request_hello()
        if self._agent is not None:
            self._agent.shipper.wake()

    # Running

    @property
    def recording(self) -> bool:
        """Whether commands are accepted; false where the database was rolled back."""
        return self.board.read().recording

    def add_part(self, part: NodePart, name: str, *, sweep_seconds: float) -> None:
        """Start a part with the node, have it sweep every so many seconds, and stop it before the writer."""
        self._parts.append(part)
        self._timers.every(sweep_seconds, name, part.sweep)

    def start(self) -> None:
        """Start the threads."""
        if not self.recording:
            return
        for part in self._parts:
            part.start()
        self.writer.start()
        if self._delivers:
            self.subscriptions.start()
            self._timers.every(SWEEP_SECONDS, "secrets", self.subscriptions.sweep)
        if self._agent is not None:
            self.writer.on_commit(self._committed)
            self._agent.start()
        if self._witness is not None:
            self._timers.every(KEEP_WITNESS_EVERY, "witness", self._witness.keep)
            self._timers.every(WRITE_KEY_USES_EVERY, "key-uses", self.write_key_uses)
            self._timers.start()

    def _committed(self, _head: Head) -> None:
        if self._agent is not None:
            self._agent.committed()

    def write_key_uses(self) -> None:
        """Record when keys were last used, since this was called before. Raises Problem."""
        uses = {key_id: at for key_id, at in self.authenticator.take_uses().items() if key_id != LOCAL}
        if uses:
            self.writer.submit(RecordKeyUses(uses)).result(STOP_SECONDS)

    def problem(self) -> str | None:
        """Why the process cannot go on (a thread died), or None."""
        agent = self._agent.problem() if self._agent is not None else None
        delivery = self.subscriptions.problem()
        return self.writer.problem() or agent or delivery

    def not_ready(self) -> str | None:
        """Why the node is not ready to record, or None."""
        status = self.board.read()
        if not status.recording:
            return status.detail
        witness = None if self._witness is None else self._witness.problem
        return self.writer.failing() or self._timers.problem() or witness

    def unshipped(self) -> int:
        """How many events head office has not acknowledged."""
        acknowledged = self.board.read().acknowledged
        return max(0, self.log_reader.head().sequence - (acknowledged.sequence if acknowledged else 0))

    def stop(self) -> None:
        """Stop the threads, commit the queued commands, close the database (which checkpoints it). Idempotent."""
        self._timers.stop(wait=True)
        for part in self._parts:
            part.stop()
        self.subscriptions.stop()
        if self._agent is not None:
            self._agent.stop()
        if self._prefetch is not None:
            self._prefetch.shutdown(wait=True, cancel_futures=True)
            self._prefetch = None
        if self._opened:
            self.writer.stop(STOP_SECONDS)
        for client in self._clients:
            client.close()
        self._clients.clear()
        # The writer's connection closes last: the last one checkpoints, which a reader's may not.
        self.store.close()
        if self._opened:
            self.writer.close()
            self._opened = False
        if self._witness is not None:
            self._witness.close()
            self._witness = None


def software() -> str:
    """This program's name and version, as sent to head office."""
    return f"larder/{version('larder')}"
