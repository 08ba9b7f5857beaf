"""Tables that come in as CSV files with a first line of column names, and the types of their cells."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

MAX_CELL: Final = 100_000  # characters
TRUE: Final = ("true", "yes", "y", "t", "on", "1")
FALSE: Final = ("false", "no", "n", "f", "off", "0")


class BadTable(ValueError):
    """A file that cannot be read as a whole; the error's text says why."""


class TableRow(NamedTuple):
    """One row: the line it ends on, and its cells by column without blanks around them, empty ones left out.

    `fault` says why a row has no cells.
    """

    line: int
    cells: dict[str, str]
    fault: str = ""


def read_table(path: Path, *, required: Sequence[str], optional: Sequence[str]) -> Iterator[TableRow]:
    """The rows of a CSV file in UTF-8 with these columns and no others. Raises BadTable, OSError."""
    csv.field_size_limit(MAX_CELL)
    with path.open(encoding="utf-8-sig", newline="") as file:
        try:
            reader = csv.DictReader(file, strict=True)
            _check_columns(list(reader.fieldnames or ()), required, optional)
            for row in reader:
                yield _row(reader.line_num, row)
        except UnicodeDecodeError as error:
            raise BadTable(f"{path} is not UTF-8 text") from error
        except csv.Error as error:
            raise BadTable(f"{path}, line {reader.reader.line_num}: {error}") from error


def _check_columns(found: Sequence[str], required: Sequence[str], optional: Sequence[str]) -> None:
    for name in required:
        if name not in found:
            raise BadTable(f"the column {name} is missing; there are: {', '.join(map(str, found)) or 'none'}")
    for name in found:
        if name not in (*required, *optional):
            raise BadTable(f"the column {name!r} is not known; known are: {', '.join((*required, *optional))}")
    if len(set(found)) != len(found):
        raise BadTable("a column stands in the file twice")


def _row(line: int, row: dict[str | Any, Any]) -> TableRow:
    if None in row or None in row.values():
        return TableRow(line, {}, "it has more or fewer fields than the first line")
    return TableRow(line, {name: text for name, value in row.items() if (text := value.strip())})


def boolean(text: str) -> bool:
    """A cell that says yes or no, in any case. Raises ValueError, which names the words that are read."""
    word = text.strip().lower()
    if word not in (*TRUE, *FALSE):
        raise ValueError(f"{text[:40]!r} is neither yes ({', '.join(TRUE)}) nor no ({', '.join(FALSE)})")
    return word in TRUE
