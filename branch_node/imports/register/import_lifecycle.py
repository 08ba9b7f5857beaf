"""The commands by which an import begins, ends and is undone."""

from __future__ import annotations

from functools import partial
from typing import Final

import msgspec
from sqlalchemy import Connection

from branch_node.commands.corrections import void_event
from branch_node.commands.input_fields import DEFAULT_SOURCE
from branch_node.imports.register.import_runs import (
    FileRegistration,
    ImportRecord,
    ImportState,
    add_import,
    change_import,
    find_import,
    is_being_undone,
    next_import_id,
    note_span,
    row_keys,
    standing_imports,
    standing_sequences,
)
from branch_node.imports.register.row_keys import RowKeys
from branch_node.model import Command, Decision, Location, RecordedCommand, View, Write
from branch_node.problems import (
    IMPORT_BEING_UNDONE,
    IMPORT_FILE_DIFFERS,
    IMPORT_INTERRUPTED,
    IMPORT_KEYS_DIFFER,
)
from shared.runtime.clock import format_rfc3339

VOIDS: Final = 500
"""Events voided in one transaction."""

MISTAKE: Final = "import-undone"
"""The reason of the voids of an undone import, unless another is given."""


class HeldLines(msgspec.Struct, frozen=True):
    """Lines of a file that an import holds: those between `above` and `below`."""

    above: int
    below: int


class ImportPlan(msgspec.Struct, frozen=True, kw_only=True):
    """How a file would be imported: as a new import, or as one that is there. Its `keys` are those of its rows.

    `already_imported`: it is whole, and no row of it may be recorded again. `first`: its source has no other import.
    `held`: an import of a part of the file was undone; it is read from its beginning, all but these lines.
    """

    record: ImportRecord
    keys: RowKeys
    location: Location
    new: bool
    already_imported: bool
    first: bool
    held: tuple[HeldLines, ...] | None = None

    @property
    def continues(self) -> bool:
        """Whether the file is read from where an earlier one ended."""
        return self.record.begins_at > 0 and self.held is None

    def holds(self, line: int) -> bool:
        """Whether another import holds this line of a file that is read from its beginning."""
        return self.held is not None and any(each.above < line < each.below for each in self.held)


def plan_import(
    connection: Connection, given: FileRegistration, *, actor: str, now: int, location: Location
) -> ImportPlan:
    """How a file is imported at a moment (microseconds UTC). Raises 409 where it may not be."""
    if is_being_undone(connection, given.source):
        raise IMPORT_BEING_UNDONE(f"an import from {given.source} is being undone")
    earlier = standing_imports(connection, given.source)
    same = next((each for each in earlier if (each.size, each.sha256) == (given.size, given.sha256)), None)
    continued = next((each for each in earlier if each.import_id == given.continues), None)
    before = same or continued
    if before is not None and before.known_by != given.known_by:
        raise IMPORT_KEYS_DIFFER(
            f"the rows were known by {before.known_by} in the import {before.import_id}, the map says {given.known_by}",
            import_id=before.import_id,
        )
    if before is None and given.by_bytes:
        _check_name(earlier, given)
    keys = row_keys(connection, given, before.lineage if before else None)
    if same is not None:
        held = _held(earlier, same)
        whole = same.state is ImportState.IMPORTED and given.by_bytes and held is None
        return ImportPlan(
            record=same, keys=keys, location=location, new=False, already_imported=whole, first=False, held=held
        )
    record = ImportRecord(
        import_id=next_import_id(connection, location.day(now)[0]),
        source=given.source,
        file=given.file,
        size=given.size,
        sha256=given.sha256,
        known_by=given.known_by,
        lineage=keys.lineage,
        begins_at=0,
        begins_line=0,
        end_line=0,
        rows=0,
        recorded=0,
        rejected=0,
        conflicting=0,
        actor=actor,
        began_at=now,
        state=ImportState.INCOMPLETE,
    )
    held = None
    if continued is not None and continued.state is ImportState.IMPORTED:
        held = _held(earlier, continued)
        # What the earlier file held is done, its rejected rows too: they were to be mended in the rejects file.
        record = msgspec.structs.replace(
            record, begins_at=continued.size, begins_line=continued.end_line, rows=continued.rows
        )
    return ImportPlan(
        record=record, keys=keys, location=location, new=True, already_imported=False, first=not earlier, held=held
    )


def _held(earlier: list[ImportRecord], last: ImportRecord) -> tuple[HeldLines, ...] | None:
    """The lines that standing imports hold of the file of `last`; None where they hold them all.

    The lines at both ends of a part are left to the log, as the one may be the other's unfinished last line.
    """
    held, part, missing = list[HeldLines](), last, False
    while True:
        if part.end_line:
            held.append(HeldLines(part.begins_line, part.end_line))
        if part.begins_at == 0:
            return tuple(held) if missing else None
        before = [each for each in earlier if each.lineage == last.lineage and 0 < each.size <= part.begins_at]
        nearest = max((each for each in before if each.end_line), key=lambda each: each.size, default=None)
        missing = missing or nearest is None or nearest.size < part.begins_at
        if nearest is None:
            return tuple(held)
        part = nearest


def _check_name(earlier: list[ImportRecord], given: FileRegistration) -> None:
    """Refuse other content under a name that was imported, where rows are known by their file."""
    named = next((each for each in earlier if each.file == given.file and each.known_by == given.known_by), None)
    if named is not None:
        raise IMPORT_FILE_DIFFERS(
            f"{given.file!r} from {given.source} was imported at {format_rfc3339(named.began_at)} (import "
            f"{named.import_id}) with {named.size} bytes (SHA-256 {named.sha256[:12]}…), and this file does not begin "
            f"with them: it has {given.size} bytes ({given.sha256[:12]}…)",
            import_id=named.import_id,
            began_at=format_rfc3339(named.began_at),
            sha256=named.sha256,
        )


class BeginImport(Command):
    """Begin an import, or go on with the one of the same content. Answered with an ImportPlan."""

    def __init__(self, registration: FileRegistration, *, actor: str) -> None:
        self.registration = registration
        self.actor = actor

    def decide(self, view: View) -> Decision:
        plan = plan_import(view.connection, self.registration, actor=self.actor, now=view.now, location=view.location)
        if plan.new:
            return Decision(answer=plan, writes=[partial(add_import, record=plan.record)])
        if plan.already_imported or plan.record.state is ImportState.INCOMPLETE:
            return Decision(answer=plan)
        return Decision(answer=plan, writes=[_change(plan.record.import_id, state=ImportState.INCOMPLETE.value)])


class ImportEnd(msgspec.Struct, frozen=True, kw_only=True):
    """What a whole import comes to. Size and hash are given anew: an unfinished last line may have been left out.

    `from_beginning`: the file was read from its beginning, though its import had continued another.
    """

    size: int
    sha256: str
    end_line: int
    rows: int
    rejected: int
    conflicting: int
    from_beginning: bool = False


class FinishImport(Command):
    """Mark an import as whole. Answered with nothing; doing it again changes nothing."""

    def __init__(self, import_id: str, end: ImportEnd) -> None:
        self.import_id = import_id
        self.end = end

    def decide(self, view: View) -> Decision:
        _check_open(view, self.import_id)
        values = msgspec.structs.asdict(self.end)
        if values.pop("from_beginning"):
            values |= {"begins_at": 0, "begins_line": 0}
        return Decision(writes=[_change(self.import_id, state=ImportState.IMPORTED.value, **values)])


class ImportSpan:
    """The stretch of the log that the events of one chunk of an import make, shared by the chunk's commands."""

    def __init__(self, import_id: str) -> None:
        self.import_id = import_id
        self.first = 0
        self.recorded = 0
        self.group: View | None = None
        self.refusal: Exception | None = None

    def note(self, first: int, last: int, recorded: int) -> Write:
        """Note that these events are of the import."""
        return partial(note_span, import_id=self.import_id, first=first, last=last, recorded=recorded)


class OpenSpan(Command):
    """The first command of a chunk: refuses the chunk where its import may not record rows."""

    def __init__(self, span: ImportSpan) -> None:
        self.span = span

    def decide(self, view: View) -> Decision:
        span = self.span
        span.group, span.first, span.recorded, span.refusal = view, view.head.sequence + 1, 0, None
        try:
            _check_open(view, span.import_id)
        except Exception as refusal:
            span.refusal = refusal
            raise
        return Decision()


class CloseSpan(Command):
    """The last command of a chunk: notes which events are the import's, in the transaction that records them."""

    def __init__(self, span: ImportSpan) -> None:
        self.span = span

    def decide(self, view: View) -> Decision:
        span, last = self.span, view.head.sequence
        if span.group is not view or last < span.first:
            return Decision()
        return Decision(writes=[span.note(span.first, last, span.recorded)])


def _check_open(view: View, import_id: str) -> None:
    state = find_import(view.connection, import_id).state
    if state in (ImportState.UNDOING, ImportState.UNDONE):
        raise IMPORT_INTERRUPTED(f"the import {import_id} was undone meanwhile", import_id=import_id)


def _change(import_id: str, **values: object) -> Write:
    return lambda connection: change_import(connection, import_id, **values)


class UndoStep(Command):
    """Void the next events of an import that still stand. Answered with how many; below VOIDS it is undone.

    Cut off between two steps, the import stays `UNDOING`, and the next step goes on.
    """

    alone = True

    def __init__(self, import_id: str, *, actor: str, reason: str = MISTAKE) -> None:
        self.import_id = import_id
        self.actor = actor
        self.reason = reason
        self.size = VOIDS

    def decide(self, view: View) -> Decision:
        record = find_import(view.connection, self.import_id)
        if record.state is ImportState.UNDONE:
            return Decision(answer=0)
        sequences = standing_sequences(view.connection, self.import_id, VOIDS)
        state = ImportState.UNDONE if len(sequences) < VOIDS else ImportState.UNDOING
        events = [
            void_event(view, event, actor=self.actor, source=DEFAULT_SOURCE, reason=self.reason)
            for event in view.events_at(sequences)
        ]
        return Decision(events=events, writes=[_change(self.import_id, state=state.value)], answer=0)

    def answer(self, recorded: RecordedCommand) -> int:
        return len(recorded.sealed)
