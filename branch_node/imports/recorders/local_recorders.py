"""Recorders of imports in this process: through its own writer, and the one of a dry run."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self

from sqlalchemy import select

from branch_node.commands.item_definitions import DefineItem
from branch_node.commands.item_inputs import ItemContent
from branch_node.commands.preconditions import AHEAD
from branch_node.database.schema import ITEM
from branch_node.database.store import Store, load_location
from branch_node.imports.recorders.import_recorder import CHUNK, AwaitOutcomes
from branch_node.imports.register.import_lifecycle import (
    BeginImport,
    CloseSpan,
    FinishImport,
    ImportEnd,
    ImportPlan,
    ImportSpan,
    OpenSpan,
    plan_import,
)
from branch_node.imports.register.import_runs import (
    FileRegistration,
    ImportRecord,
    TypeTotals,
    standing_imports,
    standing_totals,
)
from branch_node.imports.register.row_commands import (
    CountedFigures,
    ImportCount,
    KeyedContent,
    RecordedRows,
    RecordImportedCount,
    RowCommand,
    RowOutcome,
    RowRecorded,
    key_conflict,
    refusal_of,
    row_command,
)
from branch_node.imports.register.row_keys import RowKeys, item_key
from branch_node.imports.rows.import_catalogue import ImportCatalogue, ItemsCatalogue
from branch_node.model import Command
from branch_node.problems import FUTURE_DATE, UNKNOWN_ITEM
from branch_node.writer.command_queue import QUEUE_BYTES
from branch_node.writer.writer import Writer
from shared.runtime.clock import format_rfc3339
from shared.runtime.problems import Problem

Submit = Callable[[Sequence[Command]], Callable[[], list[Any]]]
"""Submits commands as one transaction; the result waits for their outcomes, as that of `Writer.submit_all`."""


def chunk_commands(
    import_id: str, source: str, items: Sequence[ItemContent], rows: Sequence[KeyedContent], actor: str
) -> list[Command]:
    """The commands of a chunk in one transaction: a definition for each item, then each row, within one span."""
    span = ImportSpan(import_id)
    defined = [DefineItem(item, key=item_key(source, item.item_id), actor=actor) for item in items]
    return [OpenSpan(span), *defined, *(row_command(row, actor, span) for row in rows), CloseSpan(span)]


def chunk_outcomes(answers: Sequence[Any], rows: int) -> list[RowOutcome]:
    """The outcomes of a chunk's rows from the answers to its commands. Raises what is not the fault of a row."""
    others = [*answers[: len(answers) - rows - 1], answers[-1]]
    for answer in others:
        if isinstance(answer, BaseException):
            raise answer
    outcomes: list[RowOutcome] = []
    for answer in answers[len(answers) - rows - 1 : -1]:
        if isinstance(answer, RowRecorded):
            outcomes.append(answer)
        elif isinstance(answer, Problem):
            outcomes.append(refusal_of(answer))
        else:
            raise answer
    return outcomes


def plan_in(store: Store, registration: FileRegistration, now: int = 0) -> ImportPlan:
    """How a file would be imported at a moment (microseconds UTC), which only its id depends on."""
    with store.reading() as connection:
        return plan_import(connection, registration, actor="", now=now, location=load_location(connection))


def found_in(store: Store, keys: RowKeys, rows: Sequence[KeyedContent]) -> list[RowOutcome | None]:
    """The outcomes of what a node's log has already; None for what it has not."""
    with store.reading() as connection:
        return RecordedRows(connection, keys).find(connection, [row_command(row, "") for row in rows])


def counted_in(store: Store, keys: RowKeys, row: KeyedContent) -> CountedFigures:
    """What a node's log has already of the items of a count, at its moment."""
    assert isinstance(row.content, ImportCount)
    with store.reading() as connection:
        return RecordedRows(connection, keys).counted(connection, row.content)


class LocalImportRecorder:
    """Records through the writer of this process; a chunk is one transaction of `chunk` rows."""

    def __init__(
        self, writer: Writer, store: Store, actor: str, submit: Submit | None = None, *, chunk: int = CHUNK
    ) -> None:
        self.chunk = chunk
        self._writer = writer
        self._store = store
        self._actor = actor
        self._submit = submit or (lambda commands: writer.submit_all(commands).result)
        self._plan: ImportPlan | None = None
        self._recorded: RecordedRows | None = None
        self._in_flight: tuple[int, Callable[[], object]] = 0, list

    def earlier(self, source: str) -> list[ImportRecord]:
        with self._store.reading() as connection:
            return standing_imports(connection, source)

    def plan(self, registration: FileRegistration) -> ImportPlan:
        return plan_in(self._store, registration)

    def begin(self, registration: FileRegistration) -> ImportPlan:
        plan: ImportPlan = self._one(BeginImport(registration, actor=self._actor))
        self._plan = plan
        if not plan.first:
            with self._store.reading() as connection:
                self._recorded = RecordedRows(connection, plan.keys)
        return plan

    def knows(self, item_id: str) -> bool:
        return item_id in self._writer.items

    def catalogue(self) -> ImportCatalogue:
        return ItemsCatalogue(self._writer.items.values())

    def record(self, items: Sequence[ItemContent], rows: Sequence[KeyedContent]) -> AwaitOutcomes:
        known = self._find(rows)
        fresh = [row for row, outcome in zip(rows, known, strict=True) if outcome is None]
        if not fresh and not items:
            return lambda: [outcome for outcome in known if outcome is not None]
        record = self._begun.record
        wait = self._send(chunk_commands(record.import_id, record.source, items, fresh, self._actor))

        if len(fresh) == len(rows):
            return lambda: chunk_outcomes(wait(), len(fresh))

        def await_outcomes() -> list[RowOutcome]:
            answers = iter(chunk_outcomes(wait(), len(fresh)))
            return [next(answers) if outcome is None else outcome for outcome in known]

        return await_outcomes

    def _send(self, commands: Sequence[Command]) -> Callable[[], list[Any]]:
        """Submit a chunk. The one before is awaited first where both together would fill the writer's queue."""
        size = sum(command.content_bytes for command in commands)
        before, wait = self._in_flight
        if before + size > QUEUE_BYTES // 2:
            wait()
        sent = self._submit(commands)
        self._in_flight = size, sent
        return sent

    def find(self, keys: RowKeys, rows: Sequence[KeyedContent]) -> list[RowOutcome | None]:
        return found_in(self._store, keys, rows)

    def counted(self, keys: RowKeys, row: KeyedContent) -> CountedFigures:
        return counted_in(self._store, keys, row)

    def finish(self, end: ImportEnd) -> None:
        self._one(FinishImport(self._begun.record.import_id, end))

    def totals(self, import_id: str) -> dict[str, TypeTotals]:
        with self._store.reading() as connection:
            return standing_totals(connection, import_id)

    @property
    def _begun(self) -> ImportPlan:
        if self._plan is None:
            raise RuntimeError("an import has to begin first")
        return self._plan

    def _one(self, command: Command) -> Any:
        (answer,) = self._submit((command,))()
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def _find(self, rows: Sequence[KeyedContent]) -> Sequence[RowOutcome | None]:
        if self._recorded is None:
            return [None] * len(rows)
        with self._store.reading() as connection:
            return self._recorded.find(connection, [row_command(row, self._actor) for row in rows])


class DryRunRecorder:
    """Records nothing; predicts the outcomes: unknown items, repeated ids, times ahead of now (microseconds UTC).

    It does not predict refusals that depend on stock (a strict item below zero).
    """

    chunk = CHUNK

    def __init__(self, store: Store, now: int) -> None:
        self._store = store
        self._now = now
        self._plan: ImportPlan | None = None
        self._recorded: RecordedRows | None = None
        # A private temporary database on disk: a till's year of ids is too large for memory.
        self._seen = sqlite3.connect("")
        self._seen.execute(
            "CREATE TABLE seen (key TEXT PRIMARY KEY, digest TEXT NOT NULL, sequence INT NOT NULL) WITHOUT ROWID"
        )
        with store.reading() as connection:
            self._items = set(connection.execute(select(ITEM.c.item_id)).scalars())
        # The numbers of events that are not recorded; above all that are.
        self._next = 1 << 60

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._seen.close()

    def earlier(self, source: str) -> list[ImportRecord]:
        with self._store.reading() as connection:
            return standing_imports(connection, source)

    def plan(self, registration: FileRegistration) -> ImportPlan:
        self._plan = plan_in(self._store, registration, self._now)
        return self._plan

    def begin(self, registration: FileRegistration) -> ImportPlan:
        with self._store.reading() as connection:
            self._plan = plan_in(self._store, registration, self._now)
            self._recorded = RecordedRows(connection, self._plan.keys)
        return self._plan

    def knows(self, item_id: str) -> bool:
        return item_id in self._items

    def catalogue(self) -> ImportCatalogue:
        with self._store.reading() as connection:
            return ItemsCatalogue.stored(connection)

    def record(self, items: Sequence[ItemContent], rows: Sequence[KeyedContent]) -> AwaitOutcomes:
        self._items.update(item.item_id for item in items)
        commands = [row_command(row, "") for row in rows]
        assert self._recorded is not None
        with self._store.reading() as connection:
            known = self._recorded.find(connection, commands)
        predicted = [
            self._predict(command) if outcome is None else outcome
            for command, outcome in zip(commands, known, strict=True)
        ]
        return lambda: predicted

    def find(self, keys: RowKeys, rows: Sequence[KeyedContent]) -> list[RowOutcome | None]:
        return found_in(self._store, keys, rows)

    def counted(self, keys: RowKeys, row: KeyedContent) -> CountedFigures:
        return counted_in(self._store, keys, row)

    def finish(self, end: ImportEnd) -> None:
        """Nothing was recorded."""

    def totals(self, import_id: str) -> dict[str, TypeTotals]:
        with self._store.reading() as connection:
            return standing_totals(connection, import_id)

    def _predict(self, command: RowCommand) -> RowOutcome:
        seen = self._seen.execute("SELECT digest, sequence FROM seen WHERE key = ?", (command.key,)).fetchone()
        if seen is not None:
            digest, sequence = seen
            return RowRecorded(sequence, new=False) if digest == command.digest else key_conflict(None)
        if isinstance(command, RecordImportedCount):
            named, at = {line.item_id for line in command.count.lines}, command.count.occurred_at
        else:
            named, at = {command.entry.item_id}, command.entry.occurred_at or self._now
        unknown = sorted(named - self._items)
        if unknown:
            return refusal_of(UNKNOWN_ITEM(f"there is no item {unknown[0]!r}"))
        if at > self._now + AHEAD:
            return refusal_of(FUTURE_DATE(f"{format_rfc3339(at)} is ahead of now"))
        self._next += 1
        self._seen.execute("INSERT INTO seen VALUES (?, ?, ?)", (command.key, command.digest, self._next))
        return RowRecorded(self._next, new=True)
