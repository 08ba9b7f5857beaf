"""The rows of a file that count stock, collected so that all of one moment become one count."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from itertools import groupby
from types import TracebackType
from typing import NamedTuple, Self

import msgspec

from branch_node.commands.event_inputs import EventContent
from branch_node.imports.register.row_commands import ImportCountLine
from shared.events import MAX_LINES


class CountRow(NamedTuple):
    """A row that counts: its line in the file, what it says, and its cells."""

    line: int
    content: ImportCountLine
    cells: Sequence[str]


class CountRows:
    """The rows that count, by moment. Kept in a private temporary database on disk, as a file may hold many."""

    def __init__(self) -> None:
        self._rows = sqlite3.connect("")
        self._rows.execute(
            "CREATE TABLE count_row (occurred_at INT, item_id TEXT, area TEXT, identity TEXT, line INT, content BLOB, "
            "cells BLOB, PRIMARY KEY (occurred_at, item_id, area)) WITHOUT ROWID"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._rows.close()

    def add(self, line: int, identity: str, entry: EventContent, cells: Sequence[str]) -> int | None:
        """Add a row; the line that counts the same already, or None. 0: it is that line again, under the same id."""
        content = ImportCountLine(
            item_id=entry.item_id,
            counted=entry.counted or 0,
            area=entry.area or "",
            unit=entry.unit,
            entered=entry.entered,
            reason=entry.reason,
            reference=entry.reference,
            note=entry.note,
            person=entry.person,
        )
        place = (entry.occurred_at, entry.item_id, entry.area or "")
        encoded = msgspec.json.encode(content)
        first = self._rows.execute(
            "SELECT identity, line, content FROM count_row WHERE (occurred_at, item_id, area) = (?, ?, ?)", place
        ).fetchone()
        if first is not None:
            return 0 if (first[0], first[2]) == (identity, encoded) else int(first[1])
        self._rows.execute(
            "INSERT INTO count_row VALUES (?, ?, ?, ?, ?, ?, ?)",
            (*place, identity, line, encoded, msgspec.json.encode(list(cells))),
        )
        return None

    def counts(self) -> Iterator[tuple[int, int, list[CountRow]]]:
        """(moment in microseconds UTC, number of the piece, rows) of each count, in order of moment.

        A count of more lines than a command may have comes in pieces, each of whole items.
        """
        query = "SELECT occurred_at, item_id, line, content, cells FROM count_row ORDER BY occurred_at, item_id, line"
        for moment, of_moment in groupby(self._rows.execute(query), key=lambda row: row[0]):
            piece, rows = 0, list[CountRow]()
            for _, of_item in groupby(of_moment, key=lambda row: row[1]):
                more = [
                    CountRow(line, msgspec.json.decode(content, type=ImportCountLine), msgspec.json.decode(cells))
                    for _, _, line, content, cells in of_item
                ]
                if rows and len(rows) + len(more) > MAX_LINES:
                    yield moment, piece, rows
                    piece, rows = piece + 1, []
                rows += more
            yield moment, piece, rows
