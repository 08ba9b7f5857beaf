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
from branch_node.database.store import Store
from branch_node.imports.file_claim import ClaimFile, FileClaim, FileRegistration, find_claim
from branch_node.imports.import_commands import (
    ALREADY_RECORDED,
    BY_LINE,
    RECORDED,
    ImportEvent,
    RowOutcome,
    item_key,
    key_conflict,
    recorded_before,
    refusal_of,
)
from branch_node.imports.import_recorder import AwaitOutcomes, ImportRow
from branch_node.model import Command
from branch_node.problems import FUTURE_DATE, UNKNOWN_ITEM
from branch_node.writer.writer import Writer
from shared.runtime.clock import format_rfc3339
from shared.runtime.problems import Problem

Submit = Callable[[Sequence[Command]], Callable[[], list[Any]]]
"""Submits commands as one transaction; the result waits for their outcomes, as that of `Writer.submit_all`."""


class LocalImportRecorder:
    """Records through the writer of this process; a chunk is one transaction."""

    def __init__(self, writer: Writer, store: Store, actor: str, submit: Submit | None = None) -> None:
        self._writer = writer
        self._store = store
        self._actor = actor
        self._submit = submit or (lambda commands: writer.submit_all(commands).result)
        self._source = ""
        self._began_before = False

    def register(self, registration: FileRegistration) -> None:
        claim_file = ClaimFile(registration)
        claim: FileClaim = self._outcomes((claim_file,), self._submit((claim_file,)))[0]
        self._source = registration.source
        self._began_before = claim.began_at is not None

    def knows(self, item_id: str) -> bool:
        return item_id in self._writer.items

    def record(self, items: Sequence[ItemContent], rows: Sequence[ImportRow]) -> AwaitOutcomes:
        events = [ImportEvent(row.entry, key=row.key, actor=self._actor_of(row.entry.person)) for row in rows]
        known = self._recorded_before(events)
        commands: list[Command] = [
            DefineItem(item, key=item_key(self._source, item.item_id), actor=self._actor) for item in items
        ]
        commands += (event for event, outcome in zip(events, known, strict=True) if outcome is None)
        wait = self._submit(commands) if commands else list

        def await_outcomes() -> list[RowOutcome]:
            answers = iter(self._outcomes(commands, wait)[len(items) :])
            return [next(answers) if outcome is None else outcome for outcome in known]

        return await_outcomes

    def _actor_of(self, person: str | None) -> str:
        return self._actor if person is None else f"{self._actor}/{person}"

    def _recorded_before(self, events: Sequence[ImportEvent]) -> Sequence[RowOutcome | None]:
        if not self._began_before:
            return [None] * len(events)
        with self._store.reading() as connection:
            return recorded_before(connection, events)

    @staticmethod
    def _outcomes(commands: Sequence[Command], wait: Callable[[], list[Any]]) -> list[Any]:
        answers = wait()
        for place, answer in enumerate(answers):
            if isinstance(answer, Problem) and isinstance(commands[place], ImportEvent):
                answers[place] = refusal_of(answer)
            elif isinstance(answer, BaseException):
                raise answer
        return answers


class DryRunRecorder:
    """Records nothing; predicts the outcomes: unknown items, repeated ids, times ahead of now (microseconds UTC).

    It does not predict refusals that depend on stock (a strict item below zero).
    """

    def __init__(self, store: Store, now: int) -> None:
        self._store = store
        self._now = now
        self._own_ids = False
        # A private temporary database on disk: a till's year of ids is too large for memory.
        self._seen = sqlite3.connect("")
        self._seen.execute("CREATE TABLE seen (key TEXT PRIMARY KEY, digest TEXT NOT NULL) WITHOUT ROWID")
        with store.reading() as connection:
            self._items = set(connection.execute(select(ITEM.c.item_id)).scalars())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._seen.close()

    def register(self, registration: FileRegistration) -> None:
        with self._store.reading() as connection:
            find_claim(connection, registration)
        self._own_ids = registration.known_by != BY_LINE

    def knows(self, item_id: str) -> bool:
        return item_id in self._items

    def record(self, items: Sequence[ItemContent], rows: Sequence[ImportRow]) -> AwaitOutcomes:
        self._items.update(item.item_id for item in items)
        events = [ImportEvent(row.entry, key=row.key, actor="") for row in rows]
        with self._store.reading() as connection:
            known = recorded_before(connection, events)
        predicted = [
            self._predict(event) if outcome is None else outcome for event, outcome in zip(events, known, strict=True)
        ]
        return lambda: predicted

    def _predict(self, event: ImportEvent) -> RowOutcome:
        entry = event.entry
        if self._own_ids:
            seen = self._seen.execute("SELECT digest FROM seen WHERE key = ?", (event.key,)).fetchone()
            if seen is not None:
                return ALREADY_RECORDED if seen == (event.digest,) else key_conflict(None)
        if entry.item_id not in self._items:
            return refusal_of(UNKNOWN_ITEM(f"there is no item {entry.item_id!r}"))
        if entry.occurred_at is not None and entry.occurred_at > self._now + AHEAD:
            return refusal_of(FUTURE_DATE(f"{format_rfc3339(entry.occurred_at)} is ahead of now"))
        if self._own_ids:
            self._seen.execute("INSERT INTO seen VALUES (?, ?)", (event.key, event.digest))
        return RECORDED
