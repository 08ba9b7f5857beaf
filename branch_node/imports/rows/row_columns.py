"""The columns of a file: where they are, with those of its lookups, and the readers of their cells."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

import msgspec

from branch_node.imports.cells.cell_readers import Cells, Check, RowRejected, naming_column
from branch_node.imports.cells.memo import Memo
from branch_node.imports.mapping.map_words import listed, nearest
from shared.runtime.text.printable import printable_line

Text = Callable[[Cells], str | None]
"""Reads a field of a row; None where its cell is empty. Raises RowRejected."""

T = TypeVar("T")


class HeaderError(ValueError):
    """The map does not fit the file: a column that it names is not there, or there twice.

    The text is one line for a person that begins with the key of the map and a colon.
    """

    @property
    def key(self) -> str:
        return str(self).partition(": ")[0]


class LookupTable(msgspec.Struct, frozen=True):
    """A lookup file in memory: its columns, and its rows by key."""

    columns: Sequence[str]
    rows: Mapping[str, Sequence[str]]
    file: str


def missing_column(column: str, names: Iterable[str]) -> str:
    """`has no column …`, with those that there are, the nearest, and a delimiter that would make more of them."""
    names = [printable_line(name) for name in names if name]
    other = next((sign for sign in (r"\t", ";", "|", ",") if len(names) == 1 and sign in names[0]), None)
    hint = f'; perhaps delimiter = "{other}"' if other else ""
    return f"has no column {column!r}; it has {listed(names)}{nearest(column, names)}{hint}"


class RowColumns:
    """Columns by name, and readers of their cells; `null` are the texts that are empty cells."""

    def __init__(self, header: Sequence[str], null: Sequence[str] = ()) -> None:
        self._width = len(header)
        self._places: dict[str, int] = {}
        self._twice: set[str] = set()
        for place, name in enumerate(header):
            if name in self._places:
                self._twice.add(name)
            else:
                self._places[name] = place
        self.nothing = frozenset(null) | {""}
        self._memos: dict[tuple[Check, str], Memo[str, str | None]] = {}

    def add_lookup(self, name: str, on: str, lookup: LookupTable) -> tuple[int, LookupTable]:
        """Add the columns of a lookup behind those that there are; the place of its key in a row of the file."""
        place = self.place(on, f"lookup.{name}.on")
        for index, column in enumerate(lookup.columns):
            self._places.setdefault(f"{name}.{column}", self._width + index)
        self._width += len(lookup.columns)
        return place, lookup

    def place(self, column: str, key: str) -> int:
        """The place of a column that `key` of the map names. Raises HeaderError."""
        if column not in self._places:
            raise HeaderError(f"{key}: the file {missing_column(column, self._places)}")
        if column in self._twice:
            raise HeaderError(f"{key}: the file has the column {column!r} twice")
        return self._places[column]

    def text(self, key: str, column: str | None, check: Check = str, constant: str | None = None) -> Text | None:
        """A reader of a column without outer blanks, each text checked once; None where the map names no column."""
        if column is None:
            return None if constant is None else lambda _: constant
        place = self.place(column, key)
        if check is str:
            # Often a text of its own in every row, such as an id: a cache would only cost memory.
            as_written = self._checked(str, column)
            return lambda cells: as_written(cells[place])
        memo = self._memos.get((check, column))
        if memo is None:
            memo = self._memos[check, column] = Memo(self._checked(check, column))
        return lambda cells: memo[cells[place]]

    def raw(self, key: str, column: str, read: Callable[[str], str]) -> Text:
        """A reader of a column by its cells as they stand, for cells that say what they are; raises RowRejected."""
        place = self.place(column, key)
        nothing = self.nothing

        named = naming_column(column, read)

        def checked(cell: str) -> str | None:
            return None if cell.strip() in nothing else named(cell)

        memo: Memo[str, str | None] = Memo(checked)
        return lambda cells: memo[cells[place]]

    def _checked(self, check: Check, column: str) -> Callable[[str], str | None]:
        nothing, named = self.nothing, str if check is str else naming_column(column, check)

        def checked(cell: str) -> str | None:
            text = cell.strip()
            return None if text in nothing else named(text)

        return checked


class LeftOutCells:
    """Counts the cells that were left out instead of their rows, by column; those of rejected rows do not count."""

    def __init__(self) -> None:
        self.cells: Counter[str] = Counter()
        self._row: list[str] = []

    def begin(self) -> None:
        """A new row begins."""
        if self._row:
            self._row.clear()

    def keep(self) -> None:
        """The row is an event."""
        if self._row:
            self.cells.update(self._row)

    def discard(self) -> None:
        """The row that was kept last is no event after all."""
        if self._row:
            self.cells.subtract(self._row)
            self.cells += Counter()  # without those that are zero again

    def wrap(self, read: Callable[..., T], column: str) -> Callable[..., T | None]:
        """`read`, giving None for what it rejects."""

        def lenient(*given: object) -> T | None:
            try:
                return read(*given)
            except RowRejected:
                self._row.append(column)
                return None

        return lenient
