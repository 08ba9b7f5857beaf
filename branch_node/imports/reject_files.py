"""The files that an import writes beside its source: rejected rows, and rows in conflict with the log."""

from __future__ import annotations

import fcntl
import os
import re
import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

from branch_node.imports.source_file import FileRefused, SourceRecord
from shared.runtime.text.csv_writer import CsvWriter, restored

MOST_FILES: Final = 10_000
"""Files of one name, by their numbers."""


class Rejects:
    """The file of rejected rows: line, reason and the row's cells. It is written to a draft and moved at the end.

    It is a CSV like the imported one, so corrected rows can be imported with the same map. It overwrites nothing: where
    the name is taken, it gets a number. An empty one is not written, and none at all unless `keep`.
    """

    _FIRST: Sequence[str] = ("reject_line", "reject_reason")

    def __init__(self, path: Path, delimiter: str = ",", *, keep: bool = True) -> None:
        self.path = path
        self.count = 0
        self._delimiter = delimiter
        self._keep = keep
        self._header: list[object] = []
        self._draft: _Draft | None = None
        self._writer: CsvWriter | None = None
        if keep and not os.access(path.parent, os.W_OK):
            raise self._refused("the folder cannot be written to")

    @classmethod
    def is_header(cls, first: Sequence[str]) -> bool:
        """Whether a file with this first row is of this kind."""
        return [name.strip() for name in first[: len(cls._FIRST)]] == list(cls._FIRST)

    def begin(self, header: Sequence[str]) -> None:
        self._header = [*self._FIRST, *header]
        if self._keep:
            _Draft.remove_stale(self.path)

    def add(self, line: int, reason: str, cells: Sequence[str]) -> None:
        self._add(line, reason, *cells)

    def _add(self, *cells: object) -> None:
        self.count += 1
        if self._keep:
            self._opened().write_row(cells)

    def finish(self) -> bool:
        """Move the draft to its place, which is `path` then; whether it has any rows."""
        if self._draft is None:
            return False
        self.path = self._draft.move(self.path)
        return True

    def _opened(self) -> CsvWriter:
        if self._writer is None:
            try:
                self._draft = _Draft(self.path)
            except OSError as error:
                raise self._refused(error.strerror or str(error)) from error
            self._writer = CsvWriter(self._draft.file, self._delimiter)
            self._writer.write_row(self._header)
        return self._writer

    def _refused(self, why: str) -> FileRefused:
        return FileRefused(f"the rejects cannot be written to {self.path} ({why}): give --rejects PATH")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._draft is not None:
            self._draft.discard()


class Conflicts(Rejects):
    """The file of rows whose id recorded other content. Imported again, they would count twice.

    Its first columns mark it, so that `is_header` recognizes it under any name.
    """

    _FIRST = ("conflict_line", "recorded_sequence", "conflict")

    def add_conflict(self, line: int, sequence: int | None, reason: str, cells: Sequence[str]) -> None:
        self._add(line, sequence, reason, *cells)


class _Draft:
    """A file under a name that no other run has, locked for as long as its run lives, and moved when it is whole."""

    def __init__(self, path: Path) -> None:
        for _ in range(100):
            self._path = path.with_name(f"{path.name}.{secrets.token_hex(4)}.partial")
            self.file: IO[str] = self._path.open("x", encoding="utf-8", errors="surrogateescape", newline="")
            if self._locked():
                return
            self.file.close()
        raise FileExistsError(f"no draft beside {path} could be kept")

    def _locked(self) -> bool:
        """Whether it is this run's; not if another one took it for stale before it was locked."""
        try:
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            # A file system without locks: no run removes drafts there.
            return True
        return os.fstat(self.file.fileno()).st_nlink > 0

    @staticmethod
    def remove_stale(path: Path) -> None:
        """Remove the drafts of killed runs, whose locks went with them."""
        draft = re.compile(re.escape(path.name) + r"\.[0-9a-f]{8}\.partial")
        for each in path.parent.iterdir():
            if not draft.fullmatch(each.name):
                continue
            try:
                found = os.open(each, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
            except OSError:
                continue  # gone, or of another user
            try:
                fcntl.flock(found, fcntl.LOCK_EX | fcntl.LOCK_NB)
                each.unlink(missing_ok=True)
            except OSError:
                continue  # of a run that lives
            finally:
                os.close(found)

    def move(self, wanted: Path) -> Path:
        """Move it to the wanted path, or to that with the first number that is free."""
        self.file.flush()
        os.fsync(self.file.fileno())
        for number in range(1, MOST_FILES + 1):
            path = wanted if number == 1 else wanted.with_name(f"{wanted.stem}-{number}{wanted.suffix}")
            try:
                # Taken exclusively first, as replacing alone would overwrite what another one put there meanwhile.
                path.open("x").close()
            except FileExistsError:
                continue
            try:
                self._path.replace(path)
            except BaseException:
                path.unlink(missing_ok=True)
                raise
            self.file.close()
            return path
        raise FileRefused(f"there are {MOST_FILES} files like {wanted} already: move them away, and run again")

    def discard(self) -> None:
        """Remove it, unless it was moved."""
        if not self.file.closed:
            self._path.unlink(missing_ok=True)
            self.file.close()


def without_reject_columns(
    header: SourceRecord, records: Iterator[SourceRecord]
) -> tuple[SourceRecord, Iterator[SourceRecord]]:
    """The header and the records of a rejects file as those of the file whose rows it holds."""
    return _row_of_the_source(header), map(_row_of_the_source, records)


def _row_of_the_source(record: SourceRecord) -> SourceRecord:
    if record.fault is not None:
        return record  # its one cell is the line as it stands
    return record._replace(cells=[restored(cell) for cell in record.cells[2:]])


REJECTS: Final = ".rejects.csv"


CONFLICTS_HELP: Final = (
    "what its rows' ids recorded stands in the log. Look at each: a row that is a sale of its own, as tills use "
    "numbers again, is recorded by importing the first file again with --accept-conflicts LINES; for one that "
    "corrects what is recorded, void the event of its 'recorded_sequence' first, then do the same"
)


def rejects_path(file: Path, given: Path | None) -> Path:
    """The path of the rejects file. Raises FileRefused where the given one is taken."""
    if given is None:
        return file.with_name(file.name + REJECTS)
    if os.path.lexists(given):
        if given.exists() and given.samefile(file):
            raise FileRefused(f"{given} is the file to import: give another --rejects PATH")
        raise FileRefused(f"{given} is there already and is not overwritten: give another --rejects PATH, or move it")
    return given


def conflicts_path(rejects: Path) -> Path:
    """The path of the conflicts file, beside the rejects."""
    return rejects.with_name(rejects.name.removesuffix(REJECTS) + ".conflicts.csv")
