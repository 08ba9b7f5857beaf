"""The draft of one round: what is held, and what shall happen once the round's transaction is committed.

It works on copies of what the coordinator holds. The worker takes it over after the commit; where the transaction fails
nothing has happened. Rounds are made of `callers`, `hearing` and `driving`, each a few functions on a draft.
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
    """A transfer that this coordinator drives: the lease is `record.token` until `expires_at`.

    `told` is the highest token head office named since the transfer was taken, None where it was not asked.
    """

    record: TransferRecord
    expires_at: int
    told: int | None = None


class RoundDraft:
    """What a round works on, and what comes of it.

    `careful`: every transfer in a savepoint of its own, so that one that the database refuses stops no other.
    """

    def __init__(
        self, connection: Connection, holder: str, policy: Policy, held: Mapping[str, Held], *, careful: bool = False
    ) -> None:
        self.connection = connection
        self.holder = holder
        self.policy = policy
        self.length = int(policy.lease * SECOND)
        self.held = held
        self.careful = careful
        self.now = 0  # the database's time, from the first statement on
        self.changed: dict[str, Held | None] = {}  # None: held no longer
        self.instructions: dict[str, Instruction] = {}
        self.looks: dict[str, None] = {}
        self.told: list[tuple[Future[Any], TransferRecord | Problem | None]] = []
        self.later: list[Create] = []
        self.ended: list[TransferRecord] = []
        self.lost: list[str] = []

    def at(self, name: str) -> Held | None:
        """The transfer as this round has it by now, None where it is not held."""
        return self.changed[name] if name in self.changed else self.held.get(name)

    def room(self) -> int:
        """How many more transfers may be taken."""
        added = sum((each is not None) - (name in self.held) for name, each in self.changed.items())
        return max(0, self.policy.most_held - len(self.held) - added)

    def write(
        self, things: Sequence[Thing], write: Callable[[Sequence[Thing]], Mapping[str, Result]]
    ) -> dict[str, Result]:
        """What `write` answers for the things, together or, careful, one by one without those that are refused."""
        if not self.careful:
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

    def create(self, news: Sequence[NewTransfer]) -> dict[str, int | None]:
        """Create those that are not there: when the lease of each expires, by id."""
        return self.write(
            news, lambda some: transfer_writer.create(self.connection, self.holder, self.length, self.now, some)
        )

    def wish(self, held: Held, at: int) -> None:
        """The caller wants it called back, since `at`."""
        if held.record.transfer.cancel_requested_at is None:
            transfer = msgspec.structs.replace(held.record.transfer, cancel_requested_at=at)
            record = msgspec.structs.replace(held.record, transfer=transfer)
            self.changed[transfer.transfer_id] = Held(record, held.expires_at, held.told)

    def send(self, move: Move) -> None:
        """What the move wants sent, once it is committed."""
        name = move.record.transfer.transfer_id
        if move.instruction is not None:
            self.instructions[name] = move.instruction
        if move.look:
            self.looks[name] = None

    def lose(self, name: str) -> None:
        """The lease is another's: forget the transfer; nothing was written for it and nothing is sent."""
        self.changed[name] = None
        self.instructions.pop(name, None)
        self.looks.pop(name, None)
        self.lost.append(name)
