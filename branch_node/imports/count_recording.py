"""The recording of what a file counted: one count for each moment, and what is new in one that was recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from branch_node.imports.count_rows import CountRow, CountRows
from branch_node.imports.recorders.import_recorder import ImportRecorder
from branch_node.imports.register.row_commands import (
    ImportConflict,
    ImportCount,
    KeyedContent,
    RowOutcome,
    RowRecorded,
    content_digest,
)
from branch_node.imports.register.row_keys import RowKeys, accepted_key
from branch_node.imports.rows.line_set import LineSet


class CountOutcome(NamedTuple):
    """What became of rows that count at one moment; `content` is their count."""

    rows: Sequence[CountRow]
    content: ImportCount
    outcome: RowOutcome


class CountRecording:
    """Records the counts of one import; `begin` begins it, once there is something to record."""

    def __init__(self, recorder: ImportRecorder, keys: RowKeys, accepted: LineSet, begin: Callable[[], None]) -> None:
        self._recorder = recorder
        self._keys = keys
        self._accepted = accepted
        self._begin = begin

    def record(self, counts: CountRows) -> Iterator[CountOutcome]:
        """Record all that the file counted."""
        for moment, piece, rows in counts.counts():
            self._begin()
            line = min(row.line for row in rows)
            count = self._count(moment, rows)
            keyed = KeyedContent(self._keys.key(self._keys.count_identity(moment, line, piece)), count)
            (outcome,) = self._recorder.record([], [keyed])()
            if isinstance(outcome, ImportConflict):
                yield from self._add(keyed, count, rows, outcome)
            else:
                yield CountOutcome(rows, count, outcome)

    def _add(
        self, keyed: KeyedContent, count: ImportCount, rows: Sequence[CountRow], conflict: ImportConflict
    ) -> Iterator[CountOutcome]:
        """Record what is new in a count that was recorded with other rows; what it has otherwise is in conflict."""
        known = self._recorder.counted(self._keys, keyed)
        there = [row for row in rows if known.has(row.content)]
        rest = [row for row in rows if not known.has(row.content)]
        more = [row for row in rest if row.line in self._accepted or known.lacks(row.content)]
        yield CountOutcome(there, count, RowRecorded(conflict.sequence or 0, new=False))
        if more:
            own = self._count(count.occurred_at, more)
            key = accepted_key(keyed.key, content_digest(KeyedContent(keyed.key, own)))
            (outcome,) = self._recorder.record([], [KeyedContent(key, own)])()
            yield CountOutcome(more, own, outcome)
        yield CountOutcome([row for row in rest if row not in more], count, conflict)

    def _count(self, moment: int, rows: Sequence[CountRow]) -> ImportCount:
        return ImportCount(occurred_at=moment, lines=tuple(row.content for row in rows), source=self._keys.source)
