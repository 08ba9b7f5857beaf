"""The files that an import writes beside its source: rejected rows, and rows in conflict with the log."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

from branch_node.imports.source_file import FileRefused


class Rejects:
    """The file of rejected rows: line, reason and the row's cells. It is written to a draft and moved at the end.

    It is a CSV like the imported one, so corrected rows can be imported with the same map. An empty one is not written,
    unless there is one of an earlier run: that is replaced.
    """

    _FIRST: Sequence[str] = ("line", "reason")

    def __init__(self, path: Path, delimiter: str = ",") -> None:
        self.path = path
        self.count = 0
        self._delimiter = delimiter
        self._header: list[object] = []
        self._draft = path.with_name(path.name + ".partial")
        self._file: IO[str] | None = None
        if not os.access(path.parent, os.W_OK):
            raise self._refused("the folder cannot be written to")

    def begin(self, header: Sequence[str]) -> None:
        self._header = [*self._FIRST, *header]

    def add(self, line: int, reason: str, cells: Sequence[str]) -> None:
        self._add(line, reason, *cells)

    def _add(self, *cells: object) -> None:
        self.count += 1
        self._write(self._opened(), cells)

    def finish(self) -> bool:
        """Move the draft to its place; whether it has any rows."""
        if self.count or self.path.exists():
            file = self._opened()
            file.flush()
            os.fsync(file.fileno())
            file.close()
            self._draft.replace(self.path)
        return self.count > 0

    def _opened(self) -> IO[str]:
        if self._file is None:
            try:
                self._file = self._draft.open("w", encoding="utf-8", errors="surrogateescape", newline="")
            except OSError as error:
                raise self._refused(error.strerror or str(error)) from error
            self._write(self._file, self._header)
        return self._file

    def _write(self, file: IO[str], cells: Sequence[object]) -> None:
        csv.writer(file, delimiter=self._delimiter, lineterminator="\n").writerow(cells)

    def _refused(self, why: str) -> FileRefused:
        return FileRefused(f"the rejects cannot be written to {self.path} ({why}): give --rejects PATH")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None and not self._file.closed:
            self._file.close()
            self._draft.unlink(missing_ok=True)


class Conflicts(Rejects):
    """The file of rows whose id recorded other content. Imported again, they would count twice.

    Its first columns mark it, so that `is_conflicts_header` recognizes it under any name.
    """

    _FIRST = ("conflict_line", "recorded_sequence", "conflict")

    def add_conflict(self, line: int, sequence: int | None, reason: str, cells: Sequence[str]) -> None:
        self._add(line, sequence, reason, *cells)

    @classmethod
    def is_conflicts_header(cls, first: Sequence[str]) -> bool:
        """Whether a file with this first row is a conflicts file."""
        return [name.strip() for name in first[: len(cls._FIRST)]] == list(cls._FIRST)


REJECTS: Final = ".rejects.csv"


CONFLICTS_HELP: Final = (
    "what its rows' ids recorded stands in the log, and importing them would count them twice. For each row that is "
    "right, first void the event of its 'recorded_sequence' (on the node's page of the log), then import the row from "
    "a file of its own, with the columns of the first file"
)


def rejects_path(file: Path, given: Path | None) -> Path:
    """The path of the rejects file. Raises FileRefused where it is the imported file."""
    return _other_path(file, file.with_name(file.name + REJECTS) if given is None else given)


def conflicts_path(file: Path, rejects: Path) -> Path:
    """The path of the conflicts file, beside the rejects. Raises FileRefused where it is the imported file."""
    name = rejects.name.removesuffix(REJECTS) + ".conflicts.csv"
    return _other_path(file, rejects.with_name(name))


def _other_path(file: Path, path: Path) -> Path:
    if path.exists() and path.samefile(file):
        raise FileRefused(f"{path} is the file to import: give another --rejects PATH")
    return path
