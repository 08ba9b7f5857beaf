"""The one writer of a location's log: a bounded queue, one thread, groups of commands in one transaction each.

Callers are answered once the transaction is on disk. A group that fails as a whole is retried one command at a time, so
that a command that cannot be recorded affects no other. The writer's in-memory state (head, stock, catalogue) is the
committed state. A commit that failed may have succeeded: the position in the database tells. If it has moved, what
follows a commit is done and the commands are decided once more, which answers them from the log; if it cannot be read,
they are answered `recorded: unknown`, and what follows a commit is done before the next command is decided.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from asyncio import AbstractEventLoop
from asyncio import Future as LoopFuture
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any, Final

import psycopg
from sqlalchemy import update
from sqlalchemy.exc import SQLAlchemyError

from branch_node.database.schema import LOCATION
from branch_node.database.store import AlreadyWriting, DirectoryLock, Store, WritingConnection, load_location
from branch_node.model import Command, Item, Location
from branch_node.problems import NOT_WRITING
from branch_node.writer.command_group import CommandGroup
from branch_node.writer.command_queue import CommandQueue, Outcome, QueueEntry
from branch_node.writer.committed_state import CommittedState
from branch_node.writer.database_guards import problem_of_guard
from branch_node.writer.pending_commit import PendingCommit, read_position
from branch_node.writer.reservation_expiry import KeepReservations
from branch_node.writer.write_health import WriteHealth
from shared.chain import Head
from shared.event_log import StaleHead
from shared.runtime.clock import SECOND, NodeClock
from shared.runtime.database.engine import problem_of, translate_driver_errors
from shared.runtime.problems import DATABASE_BUSY, DATABASE_UNAVAILABLE, DISK_FULL, Problem, Recorded
from shared.runtime.telemetry import get_logger

log = get_logger("larder.writer")

RECONNECT_SECONDS: Final = 1.0
REFUSE_SECONDS: Final = 5.0

CommitListener = Callable[[Head], None]
_DATABASE_FAILURES: Final = frozenset({DISK_FULL.code, DATABASE_UNAVAILABLE.code, DATABASE_BUSY.code})


class Writer:
    """The writer of one log. After `open`, either `start` its thread and `submit`, or call `commit` on one thread."""

    def __init__(
        self,
        store: Store,
        clock: NodeClock,
        new_id: Callable[[int], str],
    ) -> None:
        self._store = store
        self._clock = clock
        self._new_id = new_id
        self._queue = CommandQueue()
        self._listeners: list[CommitListener] = []
        self._lock = DirectoryLock(store.directory)
        self._writing: WritingConnection | None = None
        self._committed: CommittedState | None = None
        self._committing: PendingCommit | None = None
        self._doubtful: PendingCommit | None = None  # a COMMIT that failed, until the database tells what became of it
        self._thread: threading.Thread | None = None
        self._accepting = False
        self._stopping = False
        self._failure: BaseException | None = None
        self._health = WriteHealth()
        self._refuse: Callable[[], Problem] | None = None
        self.groups = 0
        self.events = 0

    def open(self) -> None:
        """Acquire the lock until `close`, upgrade the schema, load the committed state.

        Raises AlreadyWriting, DatabaseVersionError, or Problem where the database is unavailable.
        """
        self._lock.acquire()
        try:
            self._store.upgrade()
            with translate_driver_errors():
                self._connect()
        except BaseException:
            self.close()
            raise

    def _connect(self) -> tuple[WritingConnection, CommittedState]:
        if self._writing is None:
            engine = self._store.writing_engine()
            with engine.connect() as connection:
                location = load_location(connection)
            self._writing = WritingConnection(engine, location.location_id)
            self._committed = None
        if self._committed is None:
            self._writing.begin()
            self._committed = CommittedState(self._writing.connection, load_location(self._writing.connection))
            self._writing.rollback()
        doubtful, self._doubtful = self._doubtful, None
        if doubtful is not None:
            doubtful.resolve(self._committed.position)
        return self._writing, self._committed

    def close(self) -> None:
        """Close the database and release the lock. The thread must have been stopped."""
        self._disconnect()
        self._lock.release()

    def _disconnect(self) -> None:
        writing, self._writing, self._committed = self._writing, None, None
        if writing is not None:
            writing.close()

    @property
    def head(self) -> Head:
        """The committed head."""
        return self._state().head

    @property
    def items(self) -> dict[str, Item]:
        """The catalogue as committed, by item code; never changed in place."""
        return self._state().items

    def items_with_barcode(self, barcode: str) -> list[Item]:
        return self._state().items_with_barcode(barcode)

    @property
    def location(self) -> Location:
        return self._state().location

    def newest_events(self, item_id: str) -> dict[str, bytes | None]:
        """Each code's newest event's hash, never newer than a snapshot taken later. Empty: none; None: look it up."""
        state = self._state()
        return {code: state.newest_events.get(code) for code in state.codes_of(item_id)}

    def keep_newest_event(self, item_id: str, newest: bytes) -> None:
        """Keep what was looked up for `newest_events`, unless there is a newer one."""
        self._state().newest_events.setdefault(item_id, newest)

    def _state(self) -> CommittedState:
        if self._committed is None:
            raise DATABASE_UNAVAILABLE("the writer has lost its database and is looking for it")
        return self._committed

    def on_commit(self, listener: CommitListener) -> None:
        """Call `listener` with the new head after each commit of events, on the writer's thread, before the answers."""
        self._listeners.append(listener)

    def refuse_with(self, refuse: Callable[[], Problem]) -> None:
        """Refuse every command with this problem from now on; reads go on."""
        self._refuse = refuse

    # The queue and the thread

    def start(self) -> None:
        """Start the thread and accept commands."""
        self._thread = threading.Thread(target=self._run, name="larder-writer", daemon=True)
        self._accepting = True
        self._thread.start()

    def stop(self, timeout: float = 30.0) -> None:
        """Accept no more commands, commit the queued ones, end the thread."""
        self._accepting = False
        self._stopping = True
        if self._thread is not None:
            self._queue.wake()
            self._thread.join(timeout)

    def problem(self) -> str | None:
        """Why the thread died, or None while it lives or was stopped."""
        return None if self._failure is None else f"the writer ended: {self._failure!r}"

    def failing(self) -> str | None:
        """Why the last write failed, such as a full disk; None since one has succeeded. Looked at anew every second."""
        return self._health.reason

    def waiting(self) -> int:
        """The approximate number of requests that wait or are being committed."""
        return len(self._queue)

    def new_key(self) -> str:
        """A key for a command whose caller sent none."""
        return self._new_id(self._clock.now())

    def submit(self, command: Command) -> Future[Any]:
        """Queue one command. The future gives its answer or raises its Problem. Raises 503 `busy` at once when full."""
        self._check_accepting()
        future: Future[Any] = Future()
        self._queue.put(QueueEntry((command,), future, loop=None, many=False))
        return future

    def submit_all(self, commands: Sequence[Command]) -> Future[list[Outcome]]:
        """Queue commands to be decided in order in one transaction; the future gives an outcome for each."""
        self._check_accepting()
        future: Future[list[Outcome]] = Future()
        self._queue.put(QueueEntry(tuple(commands), future, loop=None, many=True))
        return future

    def submit_from(self, loop: AbstractEventLoop, commands: Sequence[Command], *, many: bool) -> LoopFuture[Any]:
        """As `submit` or `submit_all`, from the thread of an event loop, with a future of its own."""
        self._check_accepting()
        future: LoopFuture[Any] = loop.create_future()
        self._queue.put_from(loop, QueueEntry(commands, future, loop=loop, many=many))
        return future

    def _check_accepting(self) -> None:
        if self._refuse is not None:
            raise self._refuse()
        if not self._accepting:
            raise NOT_WRITING("the writer is not taking commands", recorded=Recorded.NO, headers={"Retry-After": "1"})

    def _run(self) -> None:
        try:
            self._try_writing()
            # Closed in the same breath: what was admitted before is answered, what comes after is refused.
            while not (self._stopping and self._queue.close(only_if_empty=True)):
                waiting = self._stopping or self._committed is None or self._health.failing
                self.step(block_for=RECONNECT_SECONDS if waiting else 60.0)
        except BaseException as error:
            self._failure = error
            log.exception("the writer ends", error=type(error).__name__)
            self._accepting = False
            self._refuse_waiting()

    def _refuse_waiting(self) -> None:
        refused = NOT_WRITING("the writer has ended", recorded=Recorded.NO)
        self._queue.close()
        deadline = time.monotonic() + REFUSE_SECONDS
        # An entry that was admitted may still be on its way from its event loop.
        while len(self._queue) and time.monotonic() < deadline:
            group = self._queue.take(block_for=0.05)
            for entry in group:
                entry.outcomes = [refused for _ in entry.commands]
            self._queue.complete(group)

    def step(self, block_for: float) -> bool:
        """Commit one group from the queue, waiting up to `block_for` seconds for the first; whether there was any.

        Without one a lost database is looked for: what reads the committed state works again before the next command.
        """
        group = self._queue.take(self._until_expiry(block_for))
        if not group:
            if self._until_expiry(1.0) == 0:
                self.commit([])
            if self._committed is None:
                self._reconnect()
            if self._health.failing and not self._stopping:
                self._try_writing()
            return False
        commands = [command for entry in group for command in entry.commands]
        outcomes: list[Outcome] = [NOT_WRITING("the writer has ended")] * len(commands)
        try:
            outcomes = self.commit(commands)
        finally:
            remaining = iter(outcomes)
            for entry in group:
                entry.outcomes = [next(remaining) for _ in entry.commands]
            self._queue.complete(group)
        return True

    def _until_expiry(self, block_for: float) -> float:
        """How long to wait for commands: at most until the next reservation expires, whose event is recorded then."""
        expires_at = None if self._committed is None else self._committed.reservations.next_expiry()
        if expires_at is None or self._health.failing:
            return block_for
        return min(block_for, max(0.0, (expires_at - self._clock.now()) / SECOND))

    def _try_writing(self) -> None:
        """Write what changes nothing, to find out whether anything can be recorded."""
        try:
            with translate_driver_errors():
                writing, memory = self._connect()
                writing.begin()
                here = LOCATION.c.location_id == memory.location.location_id
                writing.connection.execute(update(LOCATION).where(here).values(name=LOCATION.c.name))
                writing.commit()
        except (Problem, AlreadyWriting, SQLAlchemyError, sqlite3.Error, psycopg.Error) as error:
            problem, _ = self._recover(error)
            self._health.note_failure(problem or (error if isinstance(error, Problem) else None))
        else:
            self._health.note_success()

    # Committing

    def commit(self, commands: Sequence[Command], *, again: bool = False) -> list[Outcome]:
        """Decide and commit commands in order, in one transaction if possible; an answer or exception for each.

        What reservations come to by themselves is committed before. Only one thread may commit. `again`: they were
        committed, and their answers are missing. Raises StaleHead where another writer has written: this process must
        end.
        """
        while (outcomes := self._commit_next(commands, again=again)) is None:
            pass  # each time fewer reservations are due
        return outcomes

    def _commit_next(self, commands: Sequence[Command], *, again: bool) -> list[Outcome] | None:
        """Commit one transaction of `commit`; None where it had to be another one than theirs."""
        try:
            outcomes, callbacks = self._commit_group(commands)
        except StaleHead:
            raise
        except Exception as error:
            problem, recorded = self._recover(error)
            if recorded is Recorded.YES:
                again = True
            elif problem is not None and (problem.code in _DATABASE_FAILURES or len(commands) == 1):
                problem.recorded = Recorded.UNKNOWN if again else recorded
                if problem.code in _DATABASE_FAILURES:
                    self._health.note_failure(problem)
                return [problem] * len(commands)
            elif len(commands) == 1:
                log.exception("a command failed", command=type(commands[0]).__name__)
                return [error]
            elif not commands:
                raise  # an expiry that cannot be recorded is a bug
        else:
            # Not retried, as the group is committed: a listener that fails is a bug and ends the writer.
            for each in callbacks:
                each()
            return outcomes
        log.warning("a group is redone one by one", commands=len(commands))
        return [outcome for command in commands for outcome in self.commit([command], again=again)]

    def _commit_group(self, commands: Sequence[Command]) -> tuple[list[Outcome] | None, list[Callable[[], None]]]:
        """The outcomes, None where something else is to be committed first; the callbacks to run after the commit."""
        writing, memory = self._connect()
        now, confirmed = self._clock.read()
        group = CommandGroup(writing.connection, memory, now, not confirmed, self._new_id)
        before = memory.head.sequence
        writing.begin()
        if unmeasured := len(memory.reservations) and self._clock.unmeasured:
            group.run(KeepReservations(unmeasured))
        first = unmeasured or (all(each.after_expiries for each in commands) and group.expire())
        outcomes: list[Outcome] | None = None if first else []
        if outcomes is not None:
            group.preload(commands)
            for command in commands:
                try:
                    outcomes.append(group.run(command))
                except Problem as refusal:
                    outcomes.append(refusal)
        if not group.changed:
            writing.rollback()
            return outcomes, []
        after = group.finish(self._clock.start)
        callbacks = group.after_commit
        if group.head.sequence > before:
            callbacks += [self._clock.keep_start, *(partial(listener, group.head) for listener in self._listeners)]
        self._committing = PendingCommit(memory.position, after, callbacks)
        writing.commit()
        self._committing = None
        self._health.note_success()
        group.publish()
        self.groups += 1
        self.events += memory.head.sequence - before
        return outcomes, callbacks

    def _recover(self, error: Exception) -> tuple[Problem | None, Recorded]:
        """Restore the connection after a failure; the Problem that the error stands for, if it does, and whether the
        group was committed all the same."""
        pending, self._committing = self._committing, None
        self._doubtful = pending or self._doubtful
        problem = problem_of(error) or problem_of_guard(error)
        if self._writing is None or self._committed is None:
            self._disconnect()
            return problem, Recorded.NO
        try:
            with translate_driver_errors():
                self._writing.rollback()
                # A commit whose acknowledgement was lost may have succeeded.
                self._writing.begin()
                stored = read_position(self._writing.connection, self._committed.location.location_id)
                self._writing.rollback()
            if stored != self._committed.position:
                self._committed = None
        except (Problem, LookupError, SQLAlchemyError, sqlite3.Error, psycopg.Error) as second:
            log.warning("the writer reconnects", reason=repr(second), first=repr(error))
            self._disconnect()
        if pending is None:
            return problem, Recorded.NO
        self._reconnect()
        return problem, pending.recorded

    def _reconnect(self) -> CommittedState | None:
        """Connect and read the committed state; None where that fails."""
        try:
            with translate_driver_errors():
                return self._connect()[1]
        except (Problem, AlreadyWriting, SQLAlchemyError, sqlite3.Error, psycopg.Error) as error:
            log.warning("the writer has no database", reason=repr(error))
            self._disconnect()
            return None
