"""The draft of one round: the transfers held, and what is to be done once the round's transaction is committed.

It leaves the worker's own state as it is; the worker applies the draft after the commit and drops it where the
transaction fails. `caller_requests`, `fact_intake` and `saga_driver` are functions on a draft.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from shared.messages import Instruction
from shared.runtime.database.engine import problem_of
from shared.runtime.problems import Problem
from shared.runtime.telemetry import get_logger
from transfer_coordinator.database import transfer_writer
from transfer_coordinator.saga.planner import SECOND, Move, NewTransfer, Policy, TransferRecord
from transfer_coordinator.worker.mailboxes import Create

log = get_logger("larder.saga")

Thing = TypeVar("Thing")
Result = TypeVar("Result")


class Held(msgspec.Struct, frozen=True):
    """A transfer whose lease this coordinator holds, under the token `record.token`, until `expires_at`.

    `reported_token` is the highest token head office reported since the lease was taken, None before any report.
    """

    record: TransferRecord
    expires_at: int
    reported_token: int | None = None


class RoundDraft:
    """The state that a round reads and the results that it collects.

    `one_by_one`: every transfer is written in its own savepoint, so that one that the database refuses stops no other.
    """

    def __init__(
        self, connection: Connection, holder: str, policy: Policy, held: Mapping[str, Held], *, one_by_one: bool = False
    ) -> None:
        self.connection = connection
        self.holder = holder
        self.policy = policy
        self.length = int(policy.lease * SECOND)
        self.held = held
        self.one_by_one = one_by_one
        self.now = 0  # the database's time, from the first statement on
        self.changed: dict[str, Held | None] = {}  # None: held no longer
        self.instructions: dict[str, Instruction] = {}
        self.fact_requests: dict[str, None] = {}
        self.answers: list[tuple[Future[Any], TransferRecord | Problem | None]] = []
        self.later: list[Create] = []
        self.ended: list[TransferRecord] = []
        self.lost: list[str] = []

    def at(self, name: str) -> Held | None:
        """The transfer as changed so far by this round, None where it is not held."""
        return self.changed[name] if name in self.changed else self.held.get(name)

    def room(self) -> int:
        """How many more leases may be taken."""
        added = sum((each is not None) - (name in self.held) for name, each in self.changed.items())
        return max(0, self.policy.most_held - len(self.held) - added)

    def write(
        self, things: Sequence[Thing], write: Callable[[Sequence[Thing]], Mapping[str, Result]]
    ) -> dict[str, Result]:
        """The results of `write` for all `things` at once or, one by one, without those that the database refuses."""
        if not self.one_by_one:
            return dict(write(things))
        found: dict[str, Result] = {}
        for thing in things:
            try:
                with self.connection.begin_nested():
                    found |= write([thing])
            except DBAPIError as error:
                if problem_of(error) is not None:
                    raise
                log.error("the database refuses a transfer", why=str(error.orig), thing=repr(thing)[:500])
        return found

    def create(self, new_transfers: Sequence[NewTransfer]) -> dict[str, int | None]:
        """Insert the transfers that do not exist yet; when the lease of each expires (None: not leased), by id."""
        return self.write(
            new_transfers,
            lambda some: transfer_writer.create(self.connection, self.holder, self.length, self.now, some),
        )

    def request_cancel(self, held: Held, at: int) -> None:
        """Note on a held transfer that its cancellation was requested at `at`."""
        if held.record.transfer.cancel_requested_at is None:
            transfer = msgspec.structs.replace(held.record.transfer, cancel_requested_at=at)
            record = msgspec.structs.replace(held.record, transfer=transfer)
            self.changed[transfer.transfer_id] = Held(record, held.expires_at, held.reported_token)

    def send(self, move: Move) -> None:
        """Queue what the move sends to head office after the commit."""
        name = move.record.transfer.transfer_id
        if move.instruction is not None:
            self.instructions[name] = move.instruction
        if move.request_facts:
            self.fact_requests[name] = None

    def lose(self, name: str) -> None:
        """Drop a transfer whose lease is lost; nothing was written for it and nothing is sent."""
        self.changed[name] = None
        self.instructions.pop(name, None)
        self.fact_requests.pop(name, None)
        self.lost.append(name)
