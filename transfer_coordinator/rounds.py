"""One round in the database: everything that waited, decided and written in one transaction.

A `Round` is a draft: it works on copies of what the coordinator holds, and what shall happen outside the database is
only noted. The worker takes both over once the transaction is committed; where it is not, nothing has happened.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, NamedTuple, TypeVar

import msgspec
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from shared.messages import Instruction, InstructionLine, InstructionOutcome, TransferFacts
from shared.runtime.database import problem_of
from shared.runtime.problems import INTERNAL_ERROR, Problem
from shared.runtime.telemetry import get_logger
from transfer_coordinator import lease, store
from transfer_coordinator.adoption import adopt, is_over, why_stray
from transfer_coordinator.gather import Existing, load, load_by_key
from transfer_coordinator.inbox import Answer, Cancel, Create, Page, Work
from transfer_coordinator.plan import SECOND, Entry, Move, Policy, Record, merged, plan
from transfer_coordinator.problems import KEY_REUSED
from transfer_coordinator.saga import State, contradiction

log = get_logger("larder.saga")

Thing = TypeVar("Thing")
Result = TypeVar("Result")


class Held(msgspec.Struct, frozen=True):
    """A transfer that this coordinator drives: the lease is `record.token` until `expires_at`.

    `told` is the highest token head office named since the transfer was taken, None where it was not asked.
    """

    record: Record
    expires_at: int
    told: int | None = None


class Stranger(NamedTuple):
    """A transfer that is not held: what was told of it, and how it stood in the database before, None: not at all."""

    heard: TransferFacts
    known: Existing | None


class Round:
    """The draft of one round. After the commit: what is held now, what to send, whom to tell.

    `careful`: every transfer in a savepoint of its own, so that one that the database refuses stops no other.
    `doubtful`: the last round failed, and whether it was committed is not known.
    """

    def __init__(
        self,
        connection: Connection,
        holder: str,
        policy: Policy,
        held: Mapping[str, Held],
        *,
        careful: bool = False,
        doubtful: bool = False,
    ) -> None:
        self._connection = connection
        self._holder = holder
        self._policy = policy
        self._length = int(policy.lease * SECOND)
        self._held = held
        self._careful = careful
        self._doubtful = doubtful
        self.now = 0  # the database's, from the first statement on
        self.changed: dict[str, Held | None] = {}  # None: held no longer
        self.instructions: dict[str, Instruction] = {}
        self.looks: dict[str, None] = {}
        self.told: list[tuple[Future[Any], Record | Problem | None]] = []
        self.later: list[Create] = []
        self.ended: list[Record] = []
        self.lost: list[str] = []

    def run(self, work: Work, *, sweep: bool) -> None:
        """Do everything. `sweep`: also what is due by the clock."""
        if self._doubtful:
            self._read_again()
        strangers = self._hear(work.pages)
        self._create(work.creates)
        wanted = self._cancel(work.cancels)
        wanted |= self._look_up(strangers)
        self._answered(work.answers)
        self._take(sorted(each for each in wanted if self._at(each) is None), sweep)
        if sweep:
            self._renew()
        self._decide(sweep)
        for each in work.cancels:
            existing = load(self._connection, [each.transfer_id]).get(each.transfer_id)
            self.told.append((each.future, None if existing is None else existing.record))

    def _read_again(self) -> None:
        """Believe the database where it and the memory may differ."""
        existing = load(self._connection, list(self._held))
        for name, held in self._held.items():
            found = existing.get(name)
            if found is None or found.holder != self._holder:
                self.changed[name] = None
                if found is not None and found.record.ended:
                    self.ended.append(found.record)
            else:
                self.changed[name] = Held(found.record, found.expires_at, held.told)

    def _at(self, transfer_id: str) -> Held | None:
        return self.changed[transfer_id] if transfer_id in self.changed else self._held.get(transfer_id)

    def _room(self) -> int:
        added = sum((each is not None) - (name in self._held) for name, each in self.changed.items())
        return max(0, self._policy.most_held - len(self._held) - added)

    def _write(
        self, things: Sequence[Thing], write: Callable[[Sequence[Thing]], Mapping[str, Result]]
    ) -> dict[str, Result]:
        """What `write` answers for the things, together or, careful, one by one without those that are refused."""
        if not self._careful:
            return dict(write(things))
        found: dict[str, Result] = {}
        for thing in things:
            try:
                with self._connection.begin_nested():
                    found |= write([thing])
            except DBAPIError as error:
                if problem_of(error) is not None:
                    raise
                log.error("the database refuses a transfer", why=str(error.orig), thing=repr(thing)[:500])
        return found

    # Callers

    def _create(self, creates: Iterable[Create]) -> None:
        news: dict[str, store.New] = {}
        moves: dict[str, Move] = {}
        asked: dict[str, Create] = {}
        keys: set[str] = set()
        room = self._room()
        for each in creates:
            transfer_id, key = each.transfer.transfer_id, each.command_key
            if transfer_id in news or key in keys:
                self.later.append(each)  # one statement cannot hold both; the next round finds the first one there
                continue
            if key is not None:
                keys.add(key)
            asked[transfer_id] = each
            news[transfer_id], move = self._new(each, leased=len(news) < room)
            if move is not None:
                moves[transfer_id] = move
        made = self._made(list(news.values()))
        for transfer_id, each in asked.items():
            if transfer_id not in made:
                self.told.append((each.future, self._there_already(each)))
                continue
            record, expires_at = news[transfer_id].record, made[transfer_id]
            self.told.append((each.future, record))
            if expires_at is not None:
                self.changed[transfer_id] = Held(record, expires_at)
                self._send(moves[transfer_id])

    def _made(self, news: Sequence[store.New]) -> dict[str, int | None]:
        return self._write(
            news, lambda some: store.create(self._connection, self._holder, self._length, self.now, some)
        )

    def _new(self, asked: Create, *, leased: bool) -> tuple[store.New, Move | None]:
        """The row of a new transfer; with room for it, under our lease and with its first step decided."""
        record = Record(
            transfer=asked.transfer,
            state=State.REQUESTED,
            created_at=self.now,
            created_by=asked.created_by,
            token=int(leased),
            due_at=None if leased else self.now,
        )
        entries: tuple[Entry, ...] = (Entry(State.REQUESTED),)
        move = plan(record, None, self.now, self._policy) if leased else None
        if move is not None:
            record, entries = move.record, entries + move.entries
        new = store.New(
            record=record,
            entries=entries,
            command_key=asked.command_key,
            digest=asked.digest,
            leased=move is not None,
        )
        return new, move

    def _there_already(self, asked: Create) -> Record | Problem:
        transfer_id = asked.transfer.transfer_id
        existing = load(self._connection, [transfer_id]).get(transfer_id)
        if existing is not None and _same(asked, existing):
            return existing.record
        if existing is None and asked.command_key is not None:
            existing = load_by_key(self._connection, asked.command_key)
        if existing is None:
            return INTERNAL_ERROR("the transfer could not be kept")
        name = existing.record.transfer.transfer_id
        return KEY_REUSED(f"the transfer {name} was created with this key, and is another one", transfer_id=name)

    def _cancel(self, cancels: Iterable[Cancel]) -> set[str]:
        """Keep the wishes; the transfers that somebody has to look at now."""
        names = set()
        for each in cancels:
            store.request_cancel(self._connection, each.transfer_id, each.by)
            held = self._at(each.transfer_id)
            if held is not None:
                self._wish(held, self.now)
            names.add(each.transfer_id)
        return names

    def _wish(self, held: Held, at: int) -> None:
        if held.record.transfer.cancel_requested_at is None:
            transfer = msgspec.structs.replace(held.record.transfer, cancel_requested_at=at)
            record = msgspec.structs.replace(held.record, transfer=transfer)
            self.changed[transfer.transfer_id] = Held(record, held.expires_at, held.told)

    # Head office

    def _hear(self, pages: Sequence[Page]) -> dict[str, Stranger]:
        """Keep all that was told, and take in what concerns held transfers; the others by id."""
        strangers: dict[str, TransferFacts] = {}
        heard = [each for page in pages for each in page.transfers]
        for each in heard:
            held = self._at(each.transfer_id)
            if held is None:
                strangers[each.transfer_id] = each
            else:
                record = merged(held.record, each.facts)
                self.changed[each.transfer_id] = Held(record, held.expires_at, each.highest_token)
        known = load(self._connection, list(strangers))  # as it was before this round told more
        cursor = next((page.cursor for page in reversed(pages) if page.cursor is not None), None)
        if self._careful:
            self._write(heard, self._keep)
            heard = []
        self.now = store.hear(self._connection, heard, cursor)
        return {name: Stranger(each, known.get(name)) for name, each in strangers.items()}

    def _keep(self, heard: Sequence[TransferFacts]) -> dict[str, None]:
        store.hear(self._connection, heard)
        return {}

    def _look_up(self, strangers: Mapping[str, Stranger]) -> set[str]:
        """Sort out what is not held; the open ones of which something new is known."""
        conflicts: dict[str, str] = {}
        news: list[store.New] = []
        names: set[str] = set()
        for transfer_id, (heard, found) in strangers.items():
            if found is None:
                new = adopt(heard, self.now, self._policy) if heard.facts else None
                if new is not None:
                    news.append(new)
                elif heard.facts:
                    self._stray(heard)
            elif not found.record.ended:
                if merged(found.record, heard.facts) is not found.record:
                    names.add(transfer_id)
            else:
                said = contradiction(found.record.transfer, found.record.state, heard)
                if said is not None and said is not found.record.conflict:
                    conflicts[transfer_id] = said
                    log.error("the logs contradict the end of a transfer", transfer_id=transfer_id, conflict=said)
        store.mark_conflicts(self._connection, conflicts)
        made = self._made(news)
        if made:
            store.forget_strays(self._connection, list(made))
            log.warning("transfers were adopted from head office's facts", count=len(made), some=sorted(made)[:20])
        return names | {each.record.transfer.transfer_id for each in news if not each.record.ended}

    def _stray(self, heard: TransferFacts) -> None:
        if is_over(heard):
            store.forget_strays(self._connection, [heard.transfer_id])
        elif store.keep_stray(self._connection, heard.transfer_id, self.now, why_stray(heard)):
            log.error("a transfer cannot be adopted", transfer_id=heard.transfer_id, why=why_stray(heard))

    def _answered(self, answers: Iterable[Answer]) -> None:
        """Go on above the tokens that fenced us."""
        seen: dict[str, tuple[int, int]] = {}
        for each in answers:
            transfer_id, token = each.asked.transfer_id, each.asked.token
            held = self._at(transfer_id)
            if held is None or held.record.token != token:
                continue
            if each.answer.outcome is InstructionOutcome.FENCED:
                seen[transfer_id] = (token, each.answer.highest_token)
            else:
                log.warning("head office takes no instruction", transfer_id=transfer_id, why=each.answer.outcome)
        raised = lease.go_above(self._connection, self._holder, self._length, seen)
        for transfer_id, (_, highest) in seen.items():
            held = self._at(transfer_id)
            if held is None or transfer_id not in raised:
                self._lose(transfer_id)
                continue
            # As if the step had not been asked yet: it is asked at once, under the new token.
            token, expires_at = raised[transfer_id]
            record = msgspec.structs.replace(held.record, token=token, attempts=0)
            self.changed[transfer_id] = Held(record, expires_at, max(highest, held.told or 0))
            self.looks[transfer_id] = None

    # Leases

    def _take(self, names: Sequence[str], sweep: bool) -> None:
        """Acquire those of the named that are free and, sweeping, what is due."""
        room = self._room()
        taken = lease.acquire(self._connection, self._holder, self._length, names[:room])
        if sweep and room > len(taken):
            taken |= lease.acquire_due(self._connection, self._holder, self._length, room - len(taken))
        for transfer_id, found in load(self._connection, list(taken)).items():
            self.changed[transfer_id] = Held(found.record, taken[transfer_id].expires_at)

    def _renew(self) -> None:
        half = self.now + self._length // 2
        wanted = {
            transfer_id: held
            for transfer_id, held in self._held.items()
            if held.expires_at <= half and transfer_id not in self.changed
        }
        tokens = {transfer_id: held.record.token for transfer_id, held in wanted.items()}
        renewed = lease.renew(self._connection, self._holder, self._length, tokens)
        for transfer_id, held in wanted.items():
            if transfer_id in renewed:
                self.changed[transfer_id] = Held(held.record, renewed[transfer_id].expires_at, held.told)
            else:
                self._lose(transfer_id)

    # Sagas

    def _decide(self, sweep: bool) -> None:
        """Decide on whatever changed and, sweeping, on what is due; once more where a wish turns up in the writing."""
        names = [name for name, held in self.changed.items() if held is not None]
        if sweep:
            due = (name for name, held in self._held.items() if (held.record.due_at or 0) <= self.now)
            names += [name for name in due if name not in self.changed]
        for name in self._move(names):
            self._move([name])

    def _move(self, names: Iterable[str]) -> list[str]:
        moves: dict[str, Move] = {}
        for name in names:
            held = self._at(name)
            move = None if held is None else plan(held.record, held.told, self.now, self._policy)
            if move is not None:
                moves[name] = move
        written = self._write(
            list(moves.values()),
            lambda some: store.apply(self._connection, self._holder, self._length, self.now, some),
        )
        again: list[str] = []
        for name, move in moves.items():
            held = self._at(name)
            if held is None or name not in written:
                self._lose(name)
                continue
            expires_at, cancelled_at = written[name]
            if move.record.ended:
                self.ended.append(move.record)
            self._send(move)
            if expires_at is None:
                self.changed[name] = None
                continue
            after = self.changed[name] = Held(move.record, expires_at, held.told)
            if cancelled_at is not None and move.record.transfer.cancel_requested_at is None:
                self._wish(after, cancelled_at)
                again.append(name)
        return again

    def _send(self, move: Move) -> None:
        name = move.record.transfer.transfer_id
        if move.instruction is not None:
            self.instructions[name] = move.instruction
        if move.look:
            self.looks[name] = None

    def _lose(self, name: str) -> None:
        """The lease is another's: forget the transfer; nothing was written for it and nothing is sent."""
        self.changed[name] = None
        self.instructions.pop(name, None)
        self.looks.pop(name, None)
        self.lost.append(name)


def _same(asked: Create, existing: Existing) -> bool:
    """Whether the same was asked for. Of an adopted transfer only sites and goods are known."""
    if existing.digest is not None:
        return existing.digest == asked.digest
    mine, theirs = asked.transfer, existing.record.transfer
    same_sites = (mine.source, mine.destination) == (theirs.source, theirs.destination)
    return same_sites and _goods(mine.lines) == _goods(theirs.lines)


def _goods(lines: Iterable[InstructionLine]) -> list[tuple[str, int]]:
    return sorted((line.item_id, line.quantity) for line in lines)
