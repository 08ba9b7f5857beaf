"""Import of a till's CSV: read by a map, recorded in chunks, each row exactly once however often the run is killed.

A row's key is made of the map's source, the file's name and the row's own id or line, so running again finds what is
recorded. What may not be recorded goes to the rejects file, and what recorded something else to the conflicts file; the
run goes on. Memory is bounded by one chunk.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any, Final, NamedTuple

import msgspec

from branch_node.commands.item_inputs import ItemContent
from branch_node.imports.cell_readers import RowRejected
from branch_node.imports.file_claim import FileRegistration
from branch_node.imports.import_commands import BY_LINE, RECORDED, ImportConflict, ImportRefusal, key_part
from branch_node.imports.import_map import ImportMap
from branch_node.imports.import_recorder import CHUNK, AwaitOutcomes, ImportRecorder, ImportRow
from branch_node.imports.reject_files import CONFLICTS_HELP, Conflicts, Rejects
from branch_node.imports.row_reader import FILTERED, LookupTable, RowReader
from branch_node.imports.source_file import FileRefused, SourceFile, SourceRecord, read_lookup
from shared.events import quantity_json

CHECKING: Final = "checking"
IMPORTING: Final = "importing"

Progress = Callable[[str, int], None]
"""Told the phase, and how many of the file's bytes on disk it has read."""


class _Chunk(NamedTuple):
    """Rows under way, and the rejects that were read among them."""

    rows: list[ImportRow]
    bad: list[tuple[int, str, Sequence[str]]]
    settle: AwaitOutcomes


class ImportTotals(msgspec.Struct, kw_only=True):
    """How many rows, and the sum of their quantities in thousandths."""

    rows: int = 0
    quantity: int = 0


class ImportSummary(msgspec.Struct, kw_only=True):
    """What became of the file's rows; `rows` is the sum of the six after it.

    `by_type` is of the rows that are in the log now, whichever run recorded them; it does not change when run again.
    """

    source: str
    file: str
    dry_run: bool
    rows: int = 0
    recorded: int = 0
    already_recorded: int = 0
    filtered: int = 0
    skipped: int = 0
    rejected: int = 0
    conflicting: int = 0
    items_defined: int = 0
    by_type: dict[str, ImportTotals] = {}
    rejects: str | None = None
    conflicts: str | None = None

    def document(self) -> dict[str, Any]:
        """For `--json`: quantities as JSON numbers."""
        document: dict[str, Any] = msgspec.structs.asdict(self)
        document["by_type"] = {
            kind: {"rows": tally.rows, "quantity": quantity_json(tally.quantity)}
            for kind, tally in sorted(self.by_type.items())
        }
        return document


class ImportRun:
    """One run over one file. Make it, call `run` once."""

    def __init__(
        self,
        file: SourceFile,
        found: ImportMap,
        recorder: ImportRecorder,
        rejects: Rejects,
        conflicts: Conflicts,
        *,
        dry_run: bool = False,
    ) -> None:
        self._file = file
        self._map = found
        self._recorder = recorder
        self._rejects = rejects
        self._conflicts = conflicts
        self._summary = ImportSummary(source=found.source, file=file.name, dry_run=dry_run, by_type={})
        self._prefix = f"import/{found.source}/{key_part(file.name)}/"
        self._rows: list[ImportRow] = []
        self._bad: list[tuple[int, str, Sequence[str]]] = []
        self._new: dict[str, ItemContent] = {}
        self._known: set[str] = set()
        self._under_way: _Chunk | None = None

    def run(self, progress: Progress) -> ImportSummary:
        """Import the file. Raises FileRefused, HeaderError, or whatever the recorder raises; what is in stays in."""
        fingerprint = self._file.fingerprint(lambda size: progress(CHECKING, size))
        records = self._file.records(lambda size: progress(IMPORTING, size))
        first = next(records, None)
        header = self._header(first)
        if first is not None and self._map.header is not None:
            records = chain((first,), records)
        reader = RowReader(self._map, header, self._lookups())
        column = self._map.columns.id
        self._recorder.register(
            FileRegistration(
                source=self._map.source,
                file=self._file.name,
                size=fingerprint.size,
                sha256=fingerprint.sha256,
                known_by=BY_LINE if column is None else f"column {column}",
            )
        )
        self._rejects.begin(header)
        self._conflicts.begin(header)
        for record in records:
            self._summary.rows += 1
            self._take(reader, record, len(header))
            if len(self._rows) + len(self._bad) >= CHUNK:
                self._flush()
        self._flush()
        self._settle()
        if self._rejects.finish():
            self._summary.rejects = str(self._rejects.path)
        if self._conflicts.finish():
            self._summary.conflicts = str(self._conflicts.path)
        return self._summary

    def _header(self, first: SourceRecord | None) -> list[str]:
        if first is not None and Conflicts.is_one(first.cells):
            raise FileRefused(f"{self._file.path} holds conflicts: {CONFLICTS_HELP}")
        if self._map.header is not None:
            return self._map.header
        if first is None:
            raise FileRefused(f"{self._file.path} is empty")
        if first.fault is not None:
            raise FileRefused(f"{self._file.path} line {first.line}: {first.fault}")
        return [name.strip() for name in first.cells]

    def _lookups(self) -> Mapping[str, LookupTable]:
        folder = self._file.path.parent
        return {
            name: read_lookup(folder / said.file, said.key, self._map.delimiter)
            for name, said in self._map.lookup.items()
        }

    def _take(self, reader: RowReader, record: SourceRecord, width: int) -> None:
        cells = record.cells
        try:
            if record.fault is not None:
                raise RowRejected(record.fault)
            if len(cells) != width:
                raise RowRejected(f"has {len(cells)} cells, the header has {width}")
            wide = reader.widen(cells)
            entry = reader.read(wide)
            if isinstance(entry, str):
                if entry is FILTERED:
                    self._summary.filtered += 1
                else:
                    self._summary.skipped += 1
                return
            own_id = reader.own_id(wide)
            if self._map.new_items is not None:
                self._meet(reader, entry.item_id, wide)
        except RowRejected as rejected:
            self._bad.append((record.line, str(rejected), cells))
            return
        # A line is marked, so that it is never taken for an own id.
        key = f"{self._prefix}#{record.line}" if own_id is None else self._prefix + key_part(own_id)
        self._rows.append(ImportRow(record.line, key, entry, cells))

    def _meet(self, reader: RowReader, item_id: str, cells: Sequence[str]) -> None:
        if item_id in self._known:
            return
        if not self._recorder.knows(item_id):
            self._new[item_id] = reader.new_item(item_id, cells)
        self._known.add(item_id)

    def _flush(self) -> None:
        """Send what was read on its way, and settle the chunk before: one is recorded while the next is read."""
        settle = self._recorder.record(list(self._new.values()), self._rows) if self._rows else list
        self._summary.items_defined += len(self._new)
        chunk = _Chunk(self._rows, self._bad, settle)
        self._rows, self._bad, self._new = [], [], {}
        self._settle()
        self._under_way = chunk

    def _settle(self) -> None:
        if self._under_way is None:
            return
        (rows, bad, settle), self._under_way = self._under_way, None
        summary = self._summary
        for row, outcome in zip(rows, settle(), strict=True):
            if isinstance(outcome, ImportConflict):
                self._conflicts.put(row.line, outcome.sequence, outcome.why, row.cells)
                summary.conflicting += 1
                continue
            if isinstance(outcome, ImportRefusal):
                bad.append((row.line, outcome.why, row.cells))
                continue
            if outcome is RECORDED:
                summary.recorded += 1
            else:
                summary.already_recorded += 1
            entry = row.entry
            tally = summary.by_type.get(entry.type)
            if tally is None:
                tally = summary.by_type[entry.type.value] = ImportTotals()
            tally.rows += 1
            tally.quantity += entry.counted or 0 if entry.quantity is None else entry.quantity
        for line, why, cells in sorted(bad, key=lambda each: each[0]):
            self._rejects.add(line, why, cells)
        summary.rejected += len(bad)
