"""The coordinator's worker: receives facts, decides, journals, sends. Made of steps that never sleep.

`step` runs each of them once, for the simulation and for commands; the runner gives `poll`, `round` and `send` a thread
each. Nothing is sent that is not committed, and nothing that is held in memory is needed after a crash.
"""

from __future__ import annotations

import contextlib
import threading
from concurrent.futures import Future, InvalidStateError
from typing import Any, Final

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from shared.messages import Instruction, InstructionOutcome
from shared.runtime.client import RemoteProblem, Unreachable
from shared.runtime.clock import Clock
from shared.runtime.database.engine import problem_of, translate_driver_errors
from shared.runtime.problems import INTERNAL_ERROR, Problem
from shared.runtime.telemetry import Telemetry, get_logger
from transfer_coordinator.database import lease
from transfer_coordinator.database.transfer_reader import read_feed, read_unadoptable
from transfer_coordinator.database.transfer_writer import FACTS_FEED
from transfer_coordinator.office.head_office_client import HeadOfficeClient, retry_timer
from transfer_coordinator.saga.planner import Policy, TransferRecord
from transfer_coordinator.worker import rounds
from transfer_coordinator.worker.batching import ActiveTransfers
from transfer_coordinator.worker.mailboxes import (
    MOST_SENT,
    AnsweredInstruction,
    FactPage,
    RoundQueue,
    SendBatch,
    SendQueue,
    Work,
)
from transfer_coordinator.worker.round_draft import Held, RoundDraft
from transfer_coordinator.worker.waiters import Waiters

log = get_logger("larder.worker")

BAD_CURSOR: Final = "bad-cursor"
TOO_LONG: Final = (414, 431)
MAX_CURSOR_SENT: Final = 60_000
"""Characters of a cursor beyond which no address that holds it can be sent."""
NOT_VALID: Final = frozenset({400, 413, 422})
"""Statuses that are about the request itself, not about head office or our key."""


class CoordinatorWorker:
    """Drives the transfers of one database. `holder` names this process in leases and journal.

    `poll_client` and `send_client` are the clients of the thread that polls head office and of the one that sends.
    """

    def __init__(
        self,
        engine: Engine,
        poll_client: HeadOfficeClient,
        send_client: HeadOfficeClient,
        clock: Clock,
        *,
        holder: str,
        telemetry: Telemetry,
        policy: Policy | None = None,
    ) -> None:
        self.round_queue = RoundQueue()
        self.send_queue = SendQueue()
        self.waiters = Waiters()
        self.holder = holder
        self._engine = engine
        self._poll_client = poll_client
        self._send_client = send_client
        self._policy = policy or Policy()
        # Rounds run one at a time, usually in one thread, else in that of a caller that waits for the result.
        self._round_lock = threading.Lock()
        self._held: dict[str, Held] = {}
        # Kept between the rounds, as checking one out of the pool costs a round trip each time.
        self._connection: Connection | None = None
        self._commit_unknown = False
        self._cursor: str | None = None
        self._monotonic = clock.monotonic
        self._active = ActiveTransfers()
        self._poll_error: Unreachable | RemoteProblem | None = None
        self._send_error: Unreachable | RemoteProblem | None = None
        self.poll_retry = retry_timer(clock.monotonic)
        self.send_retry = retry_timer(clock.monotonic)
        self._ended = telemetry.counter("transfers_ended", "Transfers ended here", ["state"])
        self._lost = telemetry.counter("leases_lost", "Leases that another coordinator took")
        self._rounds = telemetry.counter("coordinator_rounds", "Rounds that found something to do")
        self._asked = telemetry.counter("instructions_asked", "Instructions accepted by head office", ["step"])
        telemetry.gauge("transfers_held", "Transfers driven by this process now").set_function(lambda: len(self._held))
        telemetry.gauge("head_office_reachable", "1 while head office answers").set_function(
            lambda: float(not (self.poll_retry.failing or self.send_retry.failing))
        )

    @property
    def head_office_error(self) -> Unreachable | RemoteProblem | None:
        """Why the last call to head office failed; None where it did not."""
        return self._poll_error or self._send_error

    def expected(self) -> int:
        """How many transfers are expected to change next, at one time: see `batching`."""
        return self._active.expected(self._monotonic())

    def step(self) -> int:
        """Poll, decide and send once each, all bounded; how much there was to do.

        Raises Problem where the database cannot be used; head office may be away.
        """
        return self.poll(0.0) + self.round(sweep=True) + self.send()

    # Polling

    def poll(self, wait: float) -> int:
        """Read the changed facts at head office, waiting there up to `wait` seconds; the number of transfers received.

        Raises Problem where the database, which keeps the cursor, cannot be used.
        """
        if self.poll_retry.remaining() > 0:
            return 0
        if self._cursor is None:
            self._cursor = self._start_cursor()
        if len(self._cursor) > MAX_CURSOR_SENT:
            self._read_from_the_beginning()
        try:
            page = self._poll_client.changes(self._cursor, wait)
        except Unreachable as error:
            self._poll_failed(error)
            return 0
        except RemoteProblem as error:
            if self._cursor and (error.code == BAD_CURSOR or error.status in TOO_LONG):
                self._read_from_the_beginning()
            else:
                self._poll_failed(error)
            return 0
        if self.poll_retry.failing:
            log.info("head office answers again")
        self._poll_error = None
        self.poll_retry.succeeded()
        if page.transfers or page.next != self._cursor:
            self.round_queue.put_facts(FactPage(page.transfers, page.next))
        self._cursor = page.next
        return len(page.transfers)

    def _read_from_the_beginning(self) -> None:
        """Begin again where a cursor cannot be used: one that an older version stored may be too long to be sent."""
        log.warning("head office cannot read the cursor of its facts; reading them from the beginning")
        self._cursor = ""

    def _poll_failed(self, error: Unreachable | RemoteProblem) -> None:
        self._poll_error = error
        if not self.poll_retry.failing:
            log.warning("the facts cannot be read at head office; transfers wait", why=str(error))
        self.poll_retry.failed()

    def _start_cursor(self) -> str:
        """The stored cursor. Once a start, facts of unadoptable transfers are requested again: there may be more."""
        with translate_driver_errors(), self._engine.connect() as connection:
            kept = read_feed(connection, FACTS_FEED)
            unadoptable = read_unadoptable(connection, MOST_SENT)
        self.send_queue.put([], unadoptable)
        return "" if kept is None else kept[0]

    # Deciding

    def round(self, *, sweep: bool) -> int:
        """Process everything that is queued and, with `sweep`, what is due by the clock; how much that was.

        Raises Problem where the database cannot be used: callers get it as their answer, facts stay queued.
        """
        with self._round_lock:
            return self._round(sweep)

    def _round(self, sweep: bool) -> int:
        work = self.round_queue.take()
        if not (work or sweep):
            return 0
        try:
            draft = self._run(work, sweep, one_by_one=False)
        except SQLAlchemyError as error:
            problem = problem_of(error)
            if problem is not None:
                self._fail(work, problem)
                raise problem from error
            # One transfer that the database refuses must not stop the others: again, each in its own savepoint.
            log.error("the database refused a round; repeating it one by one", why=str(error.__cause__ or error))
            draft = self._run_one_by_one(work, sweep)
        except BaseException:
            self._fail(work, INTERNAL_ERROR("the coordinator failed"))
            raise
        self._publish(draft)
        done = len(draft.changed) + len(draft.answers)
        if done:
            self._rounds.inc()
        return done

    def _run(self, work: Work, sweep: bool, *, one_by_one: bool) -> RoundDraft:
        if self._connection is None:
            self._connection = self._engine.connect()
        try:
            with self._connection.begin():
                draft = RoundDraft(self._connection, self.holder, self._policy, self._held, one_by_one=one_by_one)
                rounds.run(draft, work, sweep=sweep, commit_unknown=self._commit_unknown)
        except BaseException:
            # The connection's state is unknown: the next round takes a tested one, and reads what was committed.
            self._commit_unknown = True
            connection, self._connection = self._connection, None
            connection.close()
            raise
        self._commit_unknown = False
        return draft

    def _run_one_by_one(self, work: Work, sweep: bool) -> RoundDraft:
        try:
            return self._run(work, sweep, one_by_one=True)
        except BaseException as error:
            problem = problem_of(error) or INTERNAL_ERROR("the coordinator failed")
            self._fail(work, problem)
            raise problem from error

    def _fail(self, work: Work, problem: Problem) -> None:
        self.round_queue.put_back(creates=[], pages=work.pages, answers=work.answers)
        for create in work.creates:
            _set(create.future, problem)
        for cancel in work.cancels:
            _set(cancel.future, problem)

    def _publish(self, draft: RoundDraft) -> None:
        for name, held in draft.changed.items():
            if held is None:
                self._held.pop(name, None)
            else:
                self._held[name] = held
        self._active.note(draft.changed, self._monotonic())
        self.send_queue.put(list(draft.instructions.values()), list(draft.fact_requests))
        self.waiters.ended(draft.ended)
        for future, answer in draft.answers:
            _set(future, answer)
        if draft.later:
            self.round_queue.put_back(creates=draft.later, pages=[], answers=[])
        for record in draft.ended:
            self._ended.labels(record.state.value).inc()
        if draft.lost:
            self._lost.inc(len(draft.lost))
            log.warning("leases were lost", count=len(draft.lost), some=sorted(draft.lost)[:20])

    # Sending

    def send(self) -> int:
        """Send what is queued for head office, in one request for each kind; how much was sent.

        What cannot be sent stays queued: it is journalled as requested, so it is repeated until the facts answer it.
        """
        if self.send_retry.remaining() > 0:
            return 0
        batch = self.send_queue.take()
        if not batch:
            return 0
        try:
            answers = self._send_instructions(batch.instructions)
        except (Unreachable, RemoteProblem) as error:
            self._send_failed(batch, error)
            return 0
        for each in answers:
            self._asked.labels(each.instruction.step.value).inc()
        not_accepted = [each for each in answers if each.answer.outcome is not InstructionOutcome.ACCEPTED]
        if not_accepted:
            self.round_queue.put_answers(not_accepted)
        try:
            reported = self._send_client.facts(batch.fact_requests) if batch.fact_requests else []
        except (Unreachable, RemoteProblem) as error:
            self._send_failed(SendBatch([], batch.fact_requests), error)
            return len(answers)
        if reported:
            self.round_queue.put_facts(FactPage(reported, None))
        if self.send_retry.failing:
            log.info("head office takes instructions again")
        self._send_error = None
        self.send_retry.succeeded()
        return len(answers) + len(batch.fact_requests)

    def _send_instructions(self, instructions: list[Instruction]) -> list[AnsweredInstruction]:
        """Send instructions. Where head office refuses a request as such, halving it finds the refused instruction."""
        if not instructions:
            return []
        try:
            answers = self._send_client.put_instructions(instructions)
        except RemoteProblem as error:
            if error.status not in NOT_VALID:
                raise
            if len(instructions) > 1:
                half = len(instructions) // 2
                return self._send_instructions(instructions[:half]) + self._send_instructions(instructions[half:])
            refused = instructions[0]
            log.error("head office refuses an instruction", transfer_id=refused.transfer_id, step=refused.step.value,
                      why=str(error))  # fmt: skip
            return []
        return [AnsweredInstruction(*pair) for pair in zip(instructions, answers, strict=True)]

    def _send_failed(self, batch: SendBatch, error: Unreachable | RemoteProblem) -> None:
        self.send_queue.put_back(batch)
        self._send_error = error
        if not self.send_retry.failing:
            log.warning("nothing can be sent to head office; transfers wait", why=str(error))
        self.send_retry.failed()

    # Stopping

    def give_up_leases(self) -> None:
        """Release all leases, so that no other coordinator, nor this one after a restart, waits for their expiry."""
        tokens = {name: held.record.token for name, held in self._held.items()}
        self._held.clear()
        with translate_driver_errors(), self._engine.begin() as connection:
            lease.release(connection, self.holder, tokens)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._poll_client.close()
        self._send_client.close()


def _set(future: Future[Any], answer: TransferRecord | Problem | None) -> None:
    # A caller that disconnected has cancelled its future.
    with contextlib.suppress(InvalidStateError):
        if isinstance(answer, Problem):
            future.set_exception(answer)
        else:
            future.set_result(answer)
