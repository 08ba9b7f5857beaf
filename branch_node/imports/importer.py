"""The import of a till's CSV: read by a map, recorded in chunks, each row exactly once even if runs are killed.

A row's key is made of the map's source, the file's name and the row's own id or line, so a repeated run finds what is
recorded. Refused rows go to the rejects file, rows whose key recorded other content to the conflicts file, and the run
goes on. Memory is bounded by two chunks: one is recorded while the next is read.
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
"""Called with the phase and the number of the file's bytes on disk that it has read."""


class _Chunk(NamedTuple):
    """Rows that are being recorded, and the rejected rows read among them."""

    rows: list[ImportRow]
    rejected: list[tuple[int, str, Sequence[str]]]
    await_outcomes: AwaitOutcomes


class ImportTotals(msgspec.Struct, kw_only=True):
    """The number of rows and the sum of their quantities in thousandths."""

    rows: int = 0
    quantity: int = 0


class ImportSummary(msgspec.Struct, kw_only=True):
    """The counts of an import; `rows` is the sum of the six after it.

    `by_type` counts the rows that are in the log now, recorded by any run; a repeated run gives the same.
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
            kind: {"rows": totals.rows, "quantity": quantity_json(totals.quantity)}
            for kind, totals in sorted(self.by_type.items())
        }
        return document


class ImportRun:
    """One run over one file; call `run` once."""

    def __init__(
        self,
        file: SourceFile,
        import_map: ImportMap,
        recorder: ImportRecorder,
        rejects: Rejects,
        conflicts: Conflicts,
        *,
        dry_run: bool = False,
    ) -> None:
        self._file = file
        self._map = import_map
        self._recorder = recorder
        self._rejects = rejects
        self._conflicts = conflicts
        self._summary = ImportSummary(source=import_map.source, file=file.name, dry_run=dry_run, by_type={})
        self._prefix = f"import/{import_map.source}/{key_part(file.name)}/"
        self._rows: list[ImportRow] = []
        self._rejected: list[tuple[int, str, Sequence[str]]] = []
        self._new_items: dict[str, ItemContent] = {}
        self._known: set[str] = set()
        self._pending: _Chunk | None = None

    def run(self, progress: Progress) -> ImportSummary:
        """Import the file. Raises FileRefused, HeaderError, or an error of the recorder; recorded rows stay."""
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
            self._add_record(reader, record, len(header))
            if len(self._rows) + len(self._rejected) >= CHUNK:
                self._flush()
        self._flush()
        self._finish_chunk()
        if self._rejects.finish():
            self._summary.rejects = str(self._rejects.path)
        if self._conflicts.finish():
            self._summary.conflicts = str(self._conflicts.path)
        return self._summary

    def so_far(self) -> ImportSummary:
        """What is known of a run that was interrupted: the rows read, and the outcomes that had come in."""
        return self._summary

    def _header(self, first: SourceRecord | None) -> list[str]:
        if first is not None and Conflicts.is_conflicts_header(first.cells):
            raise FileRefused(f"{self._file.path} holds conflicts: {CONFLICTS_HELP}")
        if self._map.header is not None:
            return self._map.header
        if first is None:
            raise FileRefused(f"{self._file.path} is empty")
        if first.fault is not None:
            raise FileRefused(f"{self._file.path} line {first.line}: {first.fault}")
        return [name.strip() for name in first.cells]

    def _lookups(self) -> Mapping[str, LookupTable]:
        folder, spool = self._file.path.parent, self._file.folder
        delimiter, encoding = self._map.delimiter, self._map.encoding
        return {
            name: read_lookup(folder / lookup.file, lookup.key, delimiter, encoding=encoding, folder=spool)
            for name, lookup in self._map.lookup.items()
        }

    def _add_record(self, reader: RowReader, record: SourceRecord, width: int) -> None:
        cells = record.cells
        try:
            if record.fault is not None:
                raise RowRejected(record.fault)
            if len(cells) != width:
                raise RowRejected(f"has {len(cells)} cell{'' if len(cells) == 1 else 's'}, the header has {width}")
            row = reader.add_lookups(cells)
            entry = reader.read(row)
            if isinstance(entry, str):
                if entry is FILTERED:
                    self._summary.filtered += 1
                else:
                    self._summary.skipped += 1
                return
            own_id = reader.own_id(row)
            if self._map.new_items is not None:
                self._define_if_unknown(reader, entry.item_id, row)
        except RowRejected as rejected:
            self._rejected.append((record.line, str(rejected), cells))
            return
        # The # keeps a line number apart from a row's own id.
        key = f"{self._prefix}#{record.line}" if own_id is None else self._prefix + key_part(own_id)
        self._rows.append(ImportRow(record.line, key, entry, cells))

    def _define_if_unknown(self, reader: RowReader, item_id: str, cells: Sequence[str]) -> None:
        if item_id in self._known:
            return
        if not self._recorder.knows(item_id):
            self._new_items[item_id] = reader.new_item(item_id, cells)
        self._known.add(item_id)

    def _flush(self) -> None:
        """Begin to record the rows read, and finish the chunk before: one is recorded while the next is read."""
        await_outcomes = self._recorder.record(list(self._new_items.values()), self._rows) if self._rows else list
        self._summary.items_defined += len(self._new_items)
        chunk = _Chunk(self._rows, self._rejected, await_outcomes)
        self._rows, self._rejected, self._new_items = [], [], {}
        self._finish_chunk()
        self._pending = chunk

    def _finish_chunk(self) -> None:
        if self._pending is None:
            return
        (rows, rejected, await_outcomes), self._pending = self._pending, None
        summary = self._summary
        for row, outcome in zip(rows, await_outcomes(), strict=True):
            if isinstance(outcome, ImportConflict):
                self._conflicts.add_conflict(row.line, outcome.sequence, outcome.why, row.cells)
                summary.conflicting += 1
                continue
            if isinstance(outcome, ImportRefusal):
                rejected.append((row.line, outcome.why, row.cells))
                continue
            if outcome is RECORDED:
                summary.recorded += 1
            else:
                summary.already_recorded += 1
            entry = row.entry
            totals = summary.by_type.get(entry.type)
            if totals is None:
                totals = summary.by_type[entry.type.value] = ImportTotals()
            totals.rows += 1
            totals.quantity += entry.counted or 0 if entry.quantity is None else entry.quantity
        for line, why, cells in sorted(rejected, key=lambda each: each[0]):
            self._rejects.add(line, why, cells)
        summary.rejected += len(rejected)
