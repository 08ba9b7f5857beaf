"""The import of a till's file: read by a map, recorded in chunks, each row exactly once even if runs are killed.

A row is known by its own id within the map's source, else by its line in a file that is known by its bytes; the name of
the file never counts. Refused rows go to the rejects file, rows whose id recorded other content to the conflicts file,
and the run goes on. Memory is bounded by two chunks: one is recorded while the next is read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Final, NamedTuple

from branch_node.commands.event_inputs import EventContent
from branch_node.commands.item_inputs import ItemContent
from branch_node.imports.cells.cell_readers import RowRejected
from branch_node.imports.count_recording import CountRecording
from branch_node.imports.count_rows import CountRows
from branch_node.imports.dry_run_preview import DryRunPreview
from branch_node.imports.file_registration import LongerFiles, header_of, lookups_of, plan_of
from branch_node.imports.import_summary import ImportSummary, RejectReasons
from branch_node.imports.mapping.import_map import ImportMap
from branch_node.imports.recorders.import_recorder import AwaitOutcomes, ImportRecorder
from branch_node.imports.register.import_lifecycle import ImportEnd
from branch_node.imports.register.import_runs import FileRegistration, ImportRecord, TypeTotals, added_totals
from branch_node.imports.register.row_commands import (
    ImportConflict,
    ImportCount,
    ImportRefusal,
    KeyedContent,
    RowOutcome,
    RowRecorded,
    content_digest,
)
from branch_node.imports.register.row_keys import RowKeys, accepted_key
from branch_node.imports.reject_files import Conflicts, Rejects, without_reject_columns
from branch_node.imports.rows.line_set import LineSet
from branch_node.imports.rows.row_identities import Identity, row_identity
from branch_node.imports.rows.row_reader import FILTERED, RowReader
from branch_node.imports.rows.sequence_set import SequenceSet
from branch_node.imports.source_file import ReadingPosition, SourceFile, SourceRecord
from branch_node.problems import IMPORT_INTERRUPTED
from shared.events import EventType

_REJECTED_BEFORE: Final = "was rejected when this file was imported: import it from the rejects file"

CHECKING: Final = "checking"
IMPORTING: Final = "importing"

Progress = Callable[[str, int], None]
"""Called with the phase and the number of the file's bytes on disk that it has read."""


class _Row(NamedTuple):
    """A row to be recorded: its line in the file, its key, what it says, and its cells for the rejects file."""

    line: int
    keyed: KeyedContent
    cells: Sequence[str]


class _Chunk(NamedTuple):
    """Rows that are being recorded, and the rejected rows read among them."""

    rows: list[_Row]
    rejected: list[tuple[int, str, Sequence[str]]]
    await_outcomes: AwaitOutcomes


class ImportRun:
    """One run over one file; call `run` once.

    `now` (microseconds UTC): what dates without a year are at most. `accepted`: the lines whose conflicts are events of
    their own.
    """

    def __init__(
        self,
        file: SourceFile,
        import_map: ImportMap,
        recorder: ImportRecorder,
        rejects: Rejects,
        conflicts: Conflicts,
        *,
        dry_run: bool = False,
        now: int,
        accepted: LineSet | None = None,
    ) -> None:
        self._file = file
        self._now = now
        self._map = import_map
        self._recorder = recorder
        self._rejects = rejects
        self._conflicts = conflicts
        self._accepted = accepted or LineSet.none()
        self._summary = ImportSummary(source=import_map.source, file=file.name, dry_run=dry_run)
        self._preview = DryRunPreview(recorder.catalogue()) if dry_run else None
        self._summary.preview = self._preview
        self._reasons = RejectReasons()
        self._seen = SequenceSet()
        self._predicted: dict[str, TypeTotals] = {}
        self._registration: FileRegistration | None = None
        self._longer: LongerFiles | None = None
        self._from_beginning = False
        self._accepts_only = False
        self._keys = RowKeys(source=import_map.source, generation=0, scope=None, lineage="")
        self._rows: list[_Row] = []
        self._rejected: list[tuple[int, str, Sequence[str]]] = []
        self._new_items: dict[str, ItemContent] = {}
        self._known: set[str] = set()
        self._pending: _Chunk | None = None

    def run(self, progress: Progress) -> ImportSummary:
        """Import the file. Raises FileRefused, HeaderError, or an error of the recorder; recorded rows stay."""
        fingerprint = self._file.fingerprint(lambda size: progress(CHECKING, size))

        def importing(size: int) -> None:
            progress(IMPORTING, size)

        records = self._file.records(importing)
        first = next(records, None)
        again = first is not None and Rejects.is_header(first.cells)
        if first is not None and again:
            first, records = without_reject_columns(first, records)
        header = header_of(self._file, first, None if again else self._map.header)
        reader = RowReader(
            self._map, header, lookups_of(self._file, self._map), catalogue=self._recorder.catalogue(), now=self._now
        )
        registration, plan, self._longer = plan_of(self._file, fingerprint, self._map, self._recorder)
        # Ids that are unique in their file alone are in conflict within it: its lines are accepted once it is imported.
        self._accepts_only = plan.already_imported and bool(self._accepted) and plan.keys.scope is not None
        if plan.already_imported and not self._accepts_only:
            return self._already_imported(plan.record)
        self._registration, self._keys = registration, plan.keys
        identity = row_identity(reader, plan.keys, plan.location)
        self._from_beginning = plan.held is not None
        if plan.continues:
            start = ReadingPosition(plan.record.begins_at, plan.record.begins_line)
            records = self._file.records(importing, start=start)
            if first is not None and again:
                _, records = without_reject_columns(first, records)
            self._summary.rows = self._summary.already_recorded = plan.record.rows
        elif first is not None and not again and self._map.header is not None:
            records = chain((first,), records)
        self._summary.left_out = reader.left_out
        if self._preview is not None:
            self._preview.begin(header, self._map.columns.item, plan.location.timezone)
        self._rejects.begin(header)
        self._conflicts.begin(header)
        chunk = self._recorder.chunk
        with CountRows() as counts:
            for record in records:
                self._summary.rows += 1
                if plan.holds(record.line):
                    self._summary.already_recorded += 1
                    continue
                self._add_record(reader, identity, record, len(header), counts)
                if len(self._rows) + len(self._rejected) >= chunk:
                    self._flush()
            self._flush()
            self._finish_chunk()
            self._record_counts(counts)
        self._finish()
        return self._summary

    def so_far(self) -> ImportSummary:
        """What is known of a run that was interrupted: the rows read, and the outcomes that had come in."""
        return self._summary

    def _already_imported(self, record: ImportRecord) -> ImportSummary:
        summary = self._summary
        summary.import_id = summary.already_imported = record.import_id
        summary.rows = summary.already_recorded = record.rows
        summary.by_type = self._recorder.totals(record.import_id)
        return summary

    def _add_record(
        self, reader: RowReader, identity_of: Identity, record: SourceRecord, width: int, counts: CountRows
    ) -> None:
        number, cells, fault = record
        try:
            if fault is not None:
                raise RowRejected(fault)
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
            try:
                identity = identity_of(number, row, entry)
                if self._map.new_items is not None:
                    self._define_if_unknown(reader, entry.item_id, row)
            except RowRejected:
                reader.discard()
                raise
            if self._preview is not None:
                self._preview.add(number, row, entry, reader.own_id(row))
        except RowRejected as rejected:
            self._rejected.append((number, str(rejected), cells))
            if self._preview is not None:
                self._preview.add_rejected(cells)
            return
        if entry.counted is None:
            self._rows.append(_Row(number, KeyedContent(self._keys.key(identity), entry), cells))
        else:
            self._add_count(number, identity, entry, cells, counts)

    def _add_count(
        self, line: int, identity: str, entry: EventContent, cells: Sequence[str], counts: CountRows
    ) -> None:
        if entry.item_id not in self._new_items and not self._recorder.knows(entry.item_id):
            self._rejected.append((line, f"there is no item {entry.item_id!r} (unknown-item)", cells))
            return
        taken = counts.add(line, identity, entry, cells)
        if taken == 0:
            self._summary.repeated += 1
        elif taken is not None:
            area = f"in {entry.area!r} " if entry.area else ""
            self._rejected.append((line, f"{entry.item_id} {area}was counted at this moment in line {taken}", cells))

    def _define_if_unknown(self, reader: RowReader, item_id: str, cells: Sequence[str]) -> None:
        if item_id in self._known:
            return
        if not self._recorder.knows(item_id):
            self._new_items[item_id] = item = reader.new_item(item_id, cells)
            if self._preview is not None:
                self._preview.add_item(item)
        self._known.add(item_id)

    def _flush(self) -> None:
        """Begin to record the rows read, and finish the chunk before: one is recorded while the next is read."""
        if self._accepts_only:
            self._reject_new()
        keyed = [row.keyed for row in self._rows]
        items = list(self._new_items.values())
        if keyed and self._longer is not None:
            self._longer.check(keyed)
            self._longer = None
        if keyed or self._rejected:
            self._begin()
        await_outcomes = self._recorder.record(items, keyed) if keyed or items else list
        self._summary.items_defined += len(items)
        chunk = _Chunk(self._rows, self._rejected, await_outcomes)
        self._rows, self._rejected, self._new_items = [], [], {}
        self._finish_chunk()
        self._pending = chunk

    def _reject_new(self) -> None:
        """Reject the rows of an imported file that are under no id: they were rejected, and may be recorded since."""
        rows, self._rows = self._rows, []
        for row, outcome in zip(rows, self._recorder.find(self._keys, [row.keyed for row in rows]), strict=True):
            if outcome is None:
                self._rejected.append((row.line, _REJECTED_BEFORE, row.cells))
            else:
                self._rows.append(row)
        self._new_items = {}

    def _begin(self) -> None:
        """Begin the import, once there is something to record: a file that is refused or empty leaves no trace."""
        if self._registration is None:
            return
        begun, self._registration = self._recorder.begin(self._registration), None
        if begun.keys != self._keys:
            raise IMPORT_INTERRUPTED(f"another import from {self._map.source} was undone or begun meanwhile")
        self._summary.import_id = begun.record.import_id

    def _finish_chunk(self) -> None:
        if self._pending is None:
            return
        (rows, rejected, await_outcomes), self._pending = self._pending, None
        outcomes = await_outcomes()
        conflicts = [place for place, outcome in enumerate(outcomes) if isinstance(outcome, ImportConflict)]
        for place, outcome in self._accept_conflicts(rows, conflicts).items():
            outcomes[place] = outcome
        for row, outcome in zip(rows, outcomes, strict=True):
            if isinstance(outcome, ImportRefusal):
                self._refuse(row.line, row.cells, outcome, rejected)
            else:
                self._count_outcome(row.keyed.content, outcome, 1)
        self._write_rejected(rejected)

    def _accept_conflicts(self, rows: Sequence[_Row], conflicts: Sequence[int]) -> dict[int, RowOutcome]:
        """Record the rows whose id recorded other content and that are events of their own; those that were before."""
        own: dict[int, KeyedContent] = {}
        for place in conflicts:
            key, content = rows[place].keyed
            own[place] = KeyedContent(accepted_key(key, content_digest(rows[place].keyed)), content)
        if not own:
            return {}
        found = dict(zip(own, self._recorder.find(self._keys, list(own.values())), strict=True))
        outcomes = {place: outcome for place, outcome in found.items() if outcome is not None}
        fresh = [place for place in own if place not in outcomes and rows[place].line in self._accepted]
        if fresh:
            recorded = self._recorder.record([], [own[place] for place in fresh])()
            outcomes |= dict(zip(fresh, recorded, strict=True))
        return outcomes

    def _refuse(
        self,
        line: int,
        cells: Sequence[str],
        outcome: ImportRefusal,
        rejected: list[tuple[int, str, Sequence[str]]],
    ) -> None:
        if isinstance(outcome, ImportConflict):
            self._conflicts.add_conflict(line, outcome.sequence, outcome.why, cells)
            self._summary.conflicting += 1
        else:
            rejected.append((line, outcome.why, cells))

    def _count_outcome(self, content: EventContent | ImportCount, outcome: RowRecorded, rows: int) -> None:
        if not self._seen.add(outcome.sequence):
            self._summary.repeated += rows
        elif outcome.new:
            self._summary.recorded += rows
        else:
            self._summary.already_recorded += rows
        if self._summary.dry_run and outcome.new:
            self._predict(content)

    def _predict(self, content: EventContent | ImportCount) -> None:
        """Add what a dry run would record to what would stand in the log."""
        if isinstance(content, ImportCount):
            kind, quantity = EventType.STOCKTAKE, sum(line.counted for line in content.lines)
            events = len({line.item_id for line in content.lines})
        else:
            kind, quantity, events = content.type, content.quantity or 0, 1
        self._predicted = added_totals(self._predicted, {kind.value: TypeTotals(events, quantity)})

    def _write_rejected(self, rejected: list[tuple[int, str, Sequence[str]]]) -> None:
        for line, why, cells in sorted(rejected, key=lambda each: each[0]):
            self._rejects.add(line, why, cells)
            self._reasons.add(line, why)
        self._summary.rejected += len(rejected)

    def _record_counts(self, counts: CountRows) -> None:
        """Record all that the file counted."""
        rejected: list[tuple[int, str, Sequence[str]]] = []
        recording = CountRecording(self._recorder, self._keys, self._accepted, self._begin)
        for rows, content, outcome in recording.record(counts):
            if isinstance(outcome, ImportRefusal):
                for row in rows:
                    self._refuse(row.line, row.cells, outcome, rejected)
            elif rows:
                self._count_outcome(content, outcome, len(rows))
        self._write_rejected(rejected)

    def _finish(self) -> None:
        summary = self._summary
        # A last line that was still being written was left out: the file is what was read of it.
        fingerprint = self._file.fingerprint()
        summary.unread_bytes = self._file.unread_bytes
        summary.reasons = self._reasons.top()
        if self._rejects.finish():
            summary.rejects = str(self._rejects.path)
        if self._conflicts.finish():
            summary.conflicts = str(self._conflicts.path)
        if self._registration is not None:
            return
        self._recorder.finish(
            ImportEnd(
                size=fingerprint.size,
                sha256=fingerprint.sha256,
                end_line=self._file.end.line,
                rows=summary.rows,
                rejected=summary.rejected,
                conflicting=summary.conflicting,
                from_beginning=self._from_beginning,
            )
        )
        summary.by_type = added_totals(self._recorder.totals(summary.import_id or ""), self._predicted)
