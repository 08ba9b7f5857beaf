"""The coordinator's worker: hears facts, decides, journals, asks. Made of steps that never sleep.

`step` does one bounded bit of everything, for the simulation and for commands; the runner gives `poll`, `round` and
`send` a thread each. Nothing is sent that is not committed, and nothing that is held in memory is needed after a crash.
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
from transfer_coordinator.database.transfer_reader import read_feed, read_strays
from transfer_coordinator.database.transfer_writer import FACTS_FEED
from transfer_coordinator.office.head_office_client import HeadOfficeClient, retry_timer
from transfer_coordinator.saga.planner import Policy, TransferRecord
from transfer_coordinator.worker import round
from transfer_coordinator.worker.batching import Tempo
from transfer_coordinator.worker.mailboxes import MOST_SENT, AnsweredInstruction, FactPage, Inbox, Letters, Outbox, Work
from transfer_coordinator.worker.round_draft import Held, RoundDraft
from transfer_coordinator.worker.waiters import Waiters

log = get_logger("larder.worker")

BAD_CURSOR: Final = "bad-cursor"
NOT_VALID: Final = frozenset({400, 413, 422})
"""Statuses that say something about the request itself, not about head office or our key."""


class CoordinatorWorker:
    """Drives the transfers of one database. `holder` names this process in leases and journal.

    `listening` and `asking` are head office for the thread that polls and the one that sends.
    """

    def __init__(
        self,
        engine: Engine,
        listening: HeadOfficeClient,
        asking: HeadOfficeClient,
        clock: Clock,
        *,
        holder: str,
        telemetry: Telemetry,
        policy: Policy | None = None,
    ) -> None:
        self.inbox = Inbox()
        self.outbox = Outbox()
        self.waiters = Waiters()
        self.holder = holder
        self._engine = engine
        self._listening = listening
        self._asking = asking
        self._policy = policy or Policy()
        # Rounds come one at a time: usually from one thread, else from whoever waits for what they decide.
        self._deciding = threading.Lock()
        self._held: dict[str, Held] = {}
        # Kept between the rounds: taking one from the pool costs a round trip each time.
        self._connection: Connection | None = None
        self._doubtful = False
        self._cursor: str | None = None
        self._monotonic = clock.monotonic
        self._tempo = Tempo()
        self.hearing = retry_timer(clock.monotonic)
        self.sending = retry_timer(clock.monotonic)
        self._ended = telemetry.counter("transfers_ended", "Transfers ended here", ["state"])
        self._lost = telemetry.counter("leases_lost", "Leases that another coordinator took")
        self._rounds = telemetry.counter("coordinator_rounds", "Rounds that found something to do")
        self._asked = telemetry.counter("instructions_asked", "Instructions taken by head office", ["step"])
        telemetry.gauge("transfers_held", "Transfers driven by this process now").set_function(lambda: len(self._held))
        telemetry.gauge("head_office_reachable", "1 while head office answers").set_function(
            lambda: float(not (self.hearing.failing or self.sending.failing))
        )

    @property
    def open_transfers(self) -> int:
        """How many transfers this process drives now."""
        return len(self._held)

    def expected(self) -> int:
        """How many of them may be expected to move next, at one time: see `tempo`."""
        return self._tempo.expected(self._monotonic())

    def step(self) -> int:
        """One bounded bit of everything: hear, decide, ask. How much there was to do.

        Raises Problem where the database cannot be used; head office may be away.
        """
        return self.poll(0.0) + self.round(sweep=True) + self.send()

    # Listening

    def poll(self, wait: float) -> int:
        """Ask head office what changed, waiting there up to `wait` seconds; of how many transfers there was news.

        Raises Problem where the database, which keeps the cursor, cannot be used.
        """
        if self.hearing.remaining() > 0:
            return 0
        if self._cursor is None:
            self._cursor = self._begin()
        try:
            page = self._listening.changes(self._cursor, wait)
        except Unreachable as error:
            self._unheard(error)
            return 0
        except RemoteProblem as error:
            if error.code == BAD_CURSOR and self._cursor:
                log.warning("head office does not know our place in its facts; reading them from the beginning")
                self._cursor = ""
            else:
                self._unheard(error)
            return 0
        if self.hearing.failing:
            log.info("head office is heard again")
        self.hearing.succeeded()
        if page.transfers or page.next != self._cursor:
            self.inbox.hear(FactPage(page.transfers, page.next))
        self._cursor = page.next
        return len(page.transfers)

    def _unheard(self, error: Exception) -> None:
        if not self.hearing.failing:
            log.warning("head office cannot be heard; transfers wait", why=str(error))
        self.hearing.failed()

    def _begin(self) -> str:
        """Where to go on hearing. Head office may tell more of the strays than it did, so it is asked once a start."""
        with translate_driver_errors(), self._engine.connect() as connection:
            kept = read_feed(connection, FACTS_FEED)
            strays = read_strays(connection, MOST_SENT)
        self.outbox.put([], strays)
        return "" if kept is None else kept[0]

    # Deciding

    def round(self, *, sweep: bool) -> int:
        """Decide everything that waits, and with `sweep` what is due by the clock; how much that was.

        Raises Problem where the database cannot be used: callers are told so, what head office told is kept.
        """
        with self._deciding:
            return self._round(sweep)

    def _round(self, sweep: bool) -> int:
        work = self.inbox.take()
        if not (work or sweep):
            return 0
        try:
            draft = self._run(work, sweep, careful=False)
        except SQLAlchemyError as error:
            problem = problem_of(error)
            if problem is not None:
                self._abandon(work, problem)
                raise problem from error
            # One transfer that the database refuses must not stop the others: once more, each by itself.
            log.error("a round was refused; doing it one by one", why=str(error.__cause__ or error))
            draft = self._carefully(work, sweep)
        except BaseException:
            self._abandon(work, INTERNAL_ERROR("the coordinator failed"))
            raise
        self._take_over(draft)
        done = len(draft.changed) + len(draft.told)
        if done:
            self._rounds.inc()
        return done

    def _run(self, work: Work, sweep: bool, *, careful: bool) -> RoundDraft:
        if self._connection is None:
            self._connection = self._engine.connect()
        try:
            with self._connection.begin():
                draft = RoundDraft(self._connection, self.holder, self._policy, self._held, careful=careful)
                round.run(draft, work, sweep=sweep, doubtful=self._doubtful)
        except BaseException:
            # Whatever state it is in: the next round takes one that the pool has tried, and looks what was committed.
            self._doubtful = True
            connection, self._connection = self._connection, None
            connection.close()
            raise
        self._doubtful = False
        return draft

    def _carefully(self, work: Work, sweep: bool) -> RoundDraft:
        try:
            return self._run(work, sweep, careful=True)
        except BaseException as error:
            problem = problem_of(error) or INTERNAL_ERROR("the coordinator failed")
            self._abandon(work, problem)
            raise problem from error

    def _abandon(self, work: Work, problem: Problem) -> None:
        self.inbox.give_back(creates=[], pages=work.pages, answers=work.answers)
        for create in work.creates:
            _set(create.future, problem)
        for cancel in work.cancels:
            _set(cancel.future, problem)

    def _take_over(self, draft: RoundDraft) -> None:
        for name, held in draft.changed.items():
            if held is None:
                self._held.pop(name, None)
            else:
                self._held[name] = held
        self._tempo.note(draft.changed, self._monotonic())
        self.outbox.put(list(draft.instructions.values()), list(draft.looks))
        self.waiters.ended(draft.ended)
        for future, answer in draft.told:
            _set(future, answer)
        if draft.later:
            self.inbox.give_back(creates=draft.later, pages=[], answers=[])
        for record in draft.ended:
            self._ended.labels(record.state.value).inc()
        if draft.lost:
            self._lost.inc(len(draft.lost))
            log.warning("leases were lost", count=len(draft.lost), some=sorted(draft.lost)[:20])

    # Asking

    def send(self) -> int:
        """Send what waits for head office, in one request for each kind; how much was sent.

        What cannot be sent is kept: it is in the journal as asked, so it is asked until the facts answer it.
        """
        if self.sending.remaining() > 0:
            return 0
        letters = self.outbox.take()
        if not letters:
            return 0
        try:
            answers = self._ask(letters.instructions)
        except (Unreachable, RemoteProblem) as error:
            self._unsent(letters, error)
            return 0
        for each in answers:
            self._asked.labels(each.asked.step.value).inc()
        strange = [each for each in answers if each.answer.outcome is not InstructionOutcome.ACCEPTED]
        if strange:
            self.inbox.answered(strange)
        try:
            heard = self._asking.facts(letters.looks) if letters.looks else []
        except (Unreachable, RemoteProblem) as error:
            self._unsent(Letters([], letters.looks), error)
            return len(answers)
        if heard:
            self.inbox.hear(FactPage(heard, None))
        if self.sending.failing:
            log.info("head office takes instructions again")
        self.sending.succeeded()
        return len(answers) + len(letters.looks)

    def _ask(self, instructions: list[Instruction]) -> list[AnsweredInstruction]:
        """Have them kept. Where head office refuses the request as such, halves of it show which one it refuses."""
        if not instructions:
            return []
        try:
            answers = self._asking.ask(instructions)
        except RemoteProblem as error:
            if error.status not in NOT_VALID:
                raise
            if len(instructions) > 1:
                half = len(instructions) // 2
                return self._ask(instructions[:half]) + self._ask(instructions[half:])
            refused = instructions[0]
            log.error("head office refuses an instruction", transfer_id=refused.transfer_id, step=refused.step.value,
                      why=str(error))  # fmt: skip
            return []
        return [AnsweredInstruction(*pair) for pair in zip(instructions, answers, strict=True)]

    def _unsent(self, letters: Letters, error: Unreachable | RemoteProblem) -> None:
        self.outbox.give_back(letters)
        if not self.sending.failing:
            log.warning("head office cannot be asked; transfers wait", why=str(error))
        self.sending.failed()

    # The end

    def give_up_leases(self) -> None:
        """Release what is held, so that another coordinator, or this one started again, need not wait."""
        tokens = {name: held.record.token for name, held in self._held.items()}
        self._held.clear()
        with translate_driver_errors(), self._engine.begin() as connection:
            lease.release(connection, self.holder, tokens)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._listening.close()
        self._asking.close()


def _set(future: Future[Any], answer: TransferRecord | Problem | None) -> None:
    # A caller that went away has cancelled it.
    with contextlib.suppress(InvalidStateError):
        if isinstance(answer, Problem):
            future.set_exception(answer)
        else:
            future.set_result(answer)
