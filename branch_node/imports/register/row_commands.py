"""The commands of an import's rows and counts, their outcomes, and what of them is in the log already."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, and_

from branch_node.commands.count_areas import AreaCounted, areas_in, areas_of_event, check_room, counted_before
from branch_node.commands.counts import stocktake
from branch_node.commands.event_commands import RecordEvent, add_detail
from branch_node.commands.event_inputs import EventContent
from branch_node.commands.keyed_command import KeyedCommand
from branch_node.commands.preconditions import is_strict, known_item, moment_of
from branch_node.commands.purchases.ordered_lines import names_an_order
from branch_node.database.lookups import first_by_key, sealed_where
from branch_node.database.schema import LOG
from branch_node.imports.register.import_lifecycle import ImportSpan
from branch_node.imports.register.import_runs import has_named_rows, named_rows, undone_spans
from branch_node.imports.register.row_keys import RowKeys, accepted_key
from branch_node.model import Decision, RecordedCommand, View
from branch_node.problems import IMPORT_INTERRUPTED, INVALID_QUANTITY, KEY_REUSED, UNKNOWN_IMPORT
from shared.events import MAX_QUANTITY, PLAIN_SCHEMA, Entered, Event, Reference, quantity_text
from shared.runtime.clock import format_rfc3339
from shared.runtime.problems import Problem


class ImportRefusal(msgspec.Struct, frozen=True):
    """Why a row was not recorded; `code` is the problem's."""

    why: str
    code: str


class ImportConflict(ImportRefusal, frozen=True):
    """The row's id recorded other content, at `sequence`; None where a dry run predicts it."""

    sequence: int | None


class RowRecorded(msgspec.Struct, frozen=True):
    """The row is in the log, at `sequence`. `new`: it was recorded now."""

    sequence: int
    new: bool


RowOutcome = RowRecorded | ImportRefusal


class ImportEvent(RecordEvent):
    """Record one row: as `RecordEvent`, answered with a RowRecorded only."""

    def __init__(self, entry: EventContent, *, key: str, actor: str, span: ImportSpan | None = None) -> None:
        # A row uses nothing, and so is of one event.
        KeyedCommand.__init__(self, entry, key=key, actor=actor)
        self.entry = entry
        self.span = span

    def decide(self, view: View) -> Decision:
        """As `RecordEvent`, with a path of half the time for most rows: past movements of known, not strict items."""
        entry = self.entry
        item = view.item(entry.item_id)
        at = entry.occurred_at
        if item is None or entry.quantity is None or at is None or at > view.now or entry.used:
            return within_span(super().decide(view), view, self.span)
        if is_strict(view, item) or names_an_order(entry.type, entry.reference):
            return within_span(super().decide(view), view, self.span)
        day, offset = view.location.day(at)
        event = Event(
            actor=self.actor,
            business_date=day,
            epoch=0,
            event_id=view.new_id(),
            item_id=item.item_id,
            line=1,
            lines=1,
            location_id=view.location.location_id,
            occurred_at=at,
            quantity=entry.quantity,
            recorded_at=0,
            reference=entry.reference,
            sequence=0,
            source=entry.source,
            type=entry.type,
            unit=item.unit,
            utc_offset=offset,
            v=PLAIN_SCHEMA,
        )
        if view.clock_unconfirmed:
            event.clock_unconfirmed = True
        add_detail(event, entry)
        event.reason = entry.reason
        return within_span(Decision(events=(event,)), view, self.span)

    def answer(self, recorded: RecordedCommand) -> RowRecorded:  # type: ignore[override]
        return _recorded(recorded)


def _recorded(recorded: RecordedCommand) -> RowRecorded:
    return RowRecorded(recorded.sealed[0].event.sequence, not recorded.repeated)


def within_span(decision: Decision, view: View, span: ImportSpan | None) -> Decision:
    """The decision of a chunk's command: refused with its chunk, and noted by itself where the chunk is redone."""
    if span is None:
        return decision
    if span.refusal is not None:
        raise span.refusal
    if span.group is view:
        span.recorded += len(decision.events)
        return decision
    # The chunk is redone one by one, so that no CloseSpan sees these events in its own transaction.
    first = view.head.sequence + 1
    count = len(decision.events)
    note = span.note(first, first + count - 1, count)
    return msgspec.structs.replace(decision, writes=[*decision.writes, note])


class ImportCountLine(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A row of a count: one item, in one area or as a whole; `counted` in thousandths."""

    item_id: str
    counted: int
    area: str = ""
    unit: str | None = None
    entered: Entered | None = None
    reason: str | None = None
    reference: Reference | None = None
    note: str | None = None
    person: str | None = None


class ImportCount(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All rows of a file that count at one moment (microseconds UTC): one count."""

    occurred_at: int
    lines: tuple[ImportCountLine, ...]
    source: str


class RecordImportedCount(KeyedCommand):
    """Record a count of a file: an event for each item, with its areas. Answered with a RowRecorded."""

    kind = "import-count"

    def __init__(self, count: ImportCount, *, key: str, actor: str, span: ImportSpan | None = None) -> None:
        super().__init__(count, key=key, actor=actor)
        self.count = count
        self.span = span
        self.size = len(count.lines)

    def decide(self, view: View) -> Decision:
        by_item: dict[str, list[ImportCountLine]] = {}
        for line in self.count.lines:
            by_item.setdefault(line.item_id, []).append(line)
        at = moment_of(view, self.count.occurred_at)
        events = [self._counted(view, item_id, lines, at) for item_id, lines in sorted(by_item.items())]
        return within_span(Decision(events=events), view, self.span)

    def _counted(self, view: View, item_id: str, lines: Sequence[ImportCountLine], at: int) -> Event:
        item = known_item(view, item_id, lines[0].unit)
        source = self.count.source
        areas = [
            AreaCounted(
                item_id=item_id,
                area=line.area,
                counted=line.counted,
                occurred_at=at,
                actor=actor_with(self.actor, line.person),
                source=source,
                note=line.note,
                stored_at=None,
            )
            for line in lines
        ]
        areas = [*self._counted_before(view, item_id, areas, at), *areas]
        total = sum(each.counted for each in areas)
        if total > MAX_QUANTITY:
            raise INVALID_QUANTITY(f"the areas of {item_id} come to more than {quantity_text(MAX_QUANTITY)}")
        check_room(areas, item_id)
        reference = lines[0].reference or Reference(id=f"{source} {format_rfc3339(at)}", kind="count")
        fields: dict[str, Any] = {"reference": reference, "areas": areas_of_event(areas, actor="", source=source)}
        notes = [line.note for line in lines if line.note]
        if len(areas) > 1:
            notes.insert(0, "; ".join(f"{each.area or '-'} {quantity_text(each.counted)}" for each in areas))
        else:
            fields["entered"] = lines[0].entered
            if lines[0].area:
                fields["area"] = lines[0].area
        if notes:
            fields["note"] = "\n".join(notes)[:1_000]
        if lines[0].reason is not None:
            fields["reason"] = lines[0].reason
        actor = actor_with(self.actor, lines[0].person)
        return stocktake(view, item, counted=total, at=at, actor=actor, source=source, fields=fields)

    def _counted_before(self, view: View, item_id: str, areas: Sequence[AreaCounted], at: int) -> list[AreaCounted]:
        """The other areas of the item in the same count, from another file such as the one whose rejects this is.

        The event replaces the whole figure, so it has to hold them. An area that is counted again is counted anew.
        """
        given = {each.area for each in areas}
        if "" in given:
            return []
        before = counted_before(view.connection, item_id, at, self.count.source)
        return [each for each in before if each.area not in given] if all(each.area for each in before) else []

    def answer(self, recorded: RecordedCommand) -> RowRecorded:
        return _recorded(recorded)


def actor_with(actor: str, person: str | None) -> str:
    """The actor of a row: who imports, and whom the row names."""
    return actor if person is None else f"{actor}/{person}"


class CountedFigures(msgspec.Struct, frozen=True):
    """What the imports of a source have counted at one moment: item -> area -> the figures, also voided ones."""

    by_item: dict[str, dict[str, set[int]]]

    def has(self, line: ImportCountLine) -> bool:
        """Whether the row was recorded."""
        return line.counted in self.by_item.get(line.item_id, {}).get(line.area, ())

    def lacks(self, line: ImportCountLine) -> bool:
        """Whether the row is of an area that was not counted, beside others or alone."""
        areas = self.by_item.get(line.item_id)
        return areas is None or (line.area not in areas and "" not in (line.area, *areas))


RowCommand = ImportEvent | RecordImportedCount


class KeyedContent(NamedTuple):
    """What is to be recorded under a key: the event of a row, or a count of several rows."""

    key: str
    content: EventContent | ImportCount


def row_command(row: KeyedContent, actor: str, span: ImportSpan | None = None) -> RowCommand:
    """The command that records a row or a count."""
    content = row.content
    if isinstance(content, ImportCount):
        return RecordImportedCount(content, key=row.key, actor=actor, span=span)
    return ImportEvent(content, key=row.key, actor=actor_with(actor, content.person), span=span)


def content_digest(row: KeyedContent) -> str:
    """The digest that the row's command would have."""
    return row_command(row, "").digest or ""


class RecordedRows:
    """What is in the log of the rows of one import's source, without those of undone imports."""

    def __init__(self, connection: Connection, keys: RowKeys) -> None:
        self._keys = keys
        spans = undone_spans(connection, keys.source) if keys.generation else []
        self._undone_first = [first for first, _ in spans]
        self._undone_last = [last for _, last in spans]
        self._named = keys.scope is not None and has_named_rows(connection, keys.source)

    def find(self, connection: Connection, commands: Sequence[RowCommand]) -> list[RowOutcome | None]:
        """The outcome of each command from the log alone; None for what is new. One query, or two, for all."""
        wanted = [each for command in commands for each in self._candidates(command)]
        there = first_by_key(connection, wanted)
        found = [self._outcome(command, there) for command in commands]
        if self._named and None in found:
            self._find_named(connection, commands, found)
        return found

    def counted(self, connection: Connection, count: ImportCount) -> CountedFigures:
        """What was counted of the items of a count, at its moment."""
        found: dict[str, dict[str, set[int]]] = {}
        for item_id in {line.item_id for line in count.lines}:
            event = LOG.event.c
            condition = and_(
                event.item_id == item_id, event.counted.is_not(None), event.occurred_at == count.occurred_at
            )
            for each in sealed_where(connection, condition):
                if each.event.source == count.source and not self._is_undone(each.event.sequence):
                    areas = found.setdefault(item_id, {})
                    for area in areas_in(each.event) or (each.event,):
                        areas.setdefault(area.area or "", set()).add(area.counted or 0)
        return CountedFigures(found)

    def _outcome(self, command: RowCommand, there: dict[str, Any]) -> RowOutcome | None:
        for candidate in self._candidates(command):
            first = there.get(candidate)
            if first is not None and not self._is_undone(first.event.sequence):
                return _found(command, first.event)
        return None

    def _candidates(self, command: RowCommand) -> Sequence[str]:
        """The keys under which a row may stand, the likeliest first."""
        key = command.key or ""
        if not self._keys.generation:
            return (key,)
        every = self._keys.every_key(key)
        # A row that was an event of its own stays one where what had its id first is undone.
        return [*every, *(accepted_key(each, command.digest or "") for each in every)]

    def _is_undone(self, sequence: int) -> bool:
        place = bisect_right(self._undone_first, sequence) - 1
        return place >= 0 and sequence <= self._undone_last[place]

    def _find_named(
        self, connection: Connection, commands: Sequence[RowCommand], found: list[RowOutcome | None]
    ) -> None:
        """Find the rows that an older version recorded under the name of their file."""
        ids = {
            place: self._keys.row_id(commands[place].key or "")
            for place, outcome in enumerate(found)
            if outcome is None and isinstance(commands[place], ImportEvent)
        }
        sequences = named_rows(connection, self._keys.source, sorted(set(ids.values())))
        wanted = [each for group in sequences.values() for each in group if not self._is_undone(each)]
        events = {
            each.event.sequence: each.event for each in sealed_where(connection, LOG.event.c.sequence.in_(wanted))
        }
        for place, row_id in ids.items():
            outcomes = [_found(commands[place], events[each]) for each in sequences.get(row_id, []) if each in events]
            equal = next((each for each in outcomes if isinstance(each, RowRecorded)), None)
            if equal is not None:
                found[place] = equal
            elif outcomes and self._keys.scope == "source":
                found[place] = outcomes[0]


def _found(command: RowCommand, first: Event) -> RowOutcome:
    if first.command_digest == command.digest:
        return RowRecorded(first.sequence, new=False)
    return key_conflict(first.sequence)


def key_conflict(sequence: int | None) -> ImportConflict:
    """The conflict of a row whose id recorded other content, at `sequence` where that is known."""
    why = "its id recorded something else: it was used twice, or the row or the map has changed since"
    return ImportConflict(f"{why} ({KEY_REUSED.code})", KEY_REUSED.code, sequence)


def refusal_of(problem: Problem) -> ImportRefusal:
    """A row's refusal. Raises the problem itself where its cause is not the row: a full disk, a lost database."""
    if problem.status >= 500 or problem.code in _OF_THE_IMPORT:
        raise problem
    if problem.code == KEY_REUSED.code:
        return key_conflict(problem.extras.get("sequence"))
    return ImportRefusal(f"{problem.detail or problem.title} ({problem.code})", problem.code)


_OF_THE_IMPORT = frozenset({IMPORT_INTERRUPTED.code, UNKNOWN_IMPORT.code})
