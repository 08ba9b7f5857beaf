"""Request bodies and answers of imports over HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from branch_node.commands.event_inputs import (
    BatchEventInput,
    EnteredInput,
    ReferenceInput,
    amount,
    entered_of,
    reference_of,
)
from branch_node.commands.input_fields import Person, StrictInput, codes, key_fault, moment, texts
from branch_node.commands.item_inputs import ItemInput
from branch_node.imports.register.import_runs import ImportRecord, ImportState, TypeTotals
from branch_node.imports.register.row_commands import ImportCount, ImportCountLine
from shared.checked_fields import Amount, CheckedCode, CheckedId, CheckedKey, Moment, Note, Source, quantity_rule
from shared.event_record import SparseRecord, moment_text
from shared.events import MAX_LINES, MAX_SEQUENCE, HexHash, Key, quantity_json
from shared.runtime.http.body_faults import FieldRule

_Hash = Annotated[HexHash, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z", description="Of the unpacked content")]
_Bytes = Annotated[int, msgspec.Meta(ge=0, le=MAX_SEQUENCE, description="Of the unpacked content, in bytes")]
_Number = Annotated[int, msgspec.Meta(ge=0, le=MAX_SEQUENCE)]


class ImportInput(StrictInput, kw_only=True):
    """A file about to be imported. `scope`: where a row's id is unique; null where rows have none.

    `continues`: the import whose bytes this file begins with.
    """

    source: Source
    file: CheckedKey
    size: _Bytes
    sha256: _Hash
    known_by: Annotated[
        CheckedKey, msgspec.Meta(description="What rows are known by: `line`, or `column` and its name")
    ]
    scope: CheckedKey | None = None
    continues: CheckedKey | None = None


class ImportEndInput(StrictInput, kw_only=True):
    """What a whole import comes to."""

    size: _Bytes
    sha256: _Hash
    end_line: _Number
    rows: _Number
    rejected: _Number
    conflicting: _Number
    from_beginning: Annotated[
        bool, msgspec.Meta(description="The file was read from its beginning, though its import had continued another")
    ] = False


class NewItemInput(ItemInput, kw_only=True):
    """An item that a row names first."""

    item_id: CheckedId


class ImportCountLineInput(StrictInput, kw_only=True):
    """A row that counts: one item, in one area or as a whole."""

    item_id: CheckedId
    counted: Annotated[Amount, quantity_rule(lowest=0)]
    area: CheckedCode | None = None
    unit: CheckedCode | None = None
    entered: EnteredInput | None = None
    reason: CheckedCode | None = None
    reference: ReferenceInput | None = None
    note: Note | None = None
    actor: Person | None = None


class ImportCountInput(StrictInput, kw_only=True):
    """All rows of a file that count at one moment."""

    key: Annotated[Key, FieldRule(key_fault)]
    occurred_at: Moment
    lines: Annotated[list[ImportCountLineInput], msgspec.Meta(min_length=1, max_length=2 * MAX_LINES)]


class ImportRowsInput(StrictInput, kw_only=True):
    """A chunk of an import: recorded in one transaction, items first, counts last."""

    items: Annotated[list[NewItemInput], msgspec.Meta(max_length=MAX_LINES)] = msgspec.field(default_factory=list)
    events: Annotated[list[BatchEventInput], msgspec.Meta(max_length=MAX_LINES)] = msgspec.field(default_factory=list)
    counts: Annotated[list[ImportCountInput], msgspec.Meta(max_length=MAX_LINES)] = msgspec.field(default_factory=list)


class ImportOutcome(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What became of one event or count: where it is in the log, and whether it is new; else the problem."""

    sequence: int | None = None
    new: bool = False
    problem: dict[str, Any] | None = None


class ImportOutcomes(msgspec.Struct, kw_only=True):
    """One outcome for each event, then for each count, in the order sent."""

    outcomes: list[ImportOutcome]


def count_of_rows(body: ImportCountInput, source: str) -> ImportCount:
    """The content of an imported count. Raises Problem."""
    at = moment(body.occurred_at)
    lines = tuple(_line(line, f"lines[{place}].") for place, line in enumerate(body.lines))
    return ImportCount(occurred_at=at or 0, lines=lines, source=source)


def _line(body: ImportCountLineInput, path: str) -> ImportCountLine:
    codes(**{f"{path}item_id": body.item_id, f"{path}area": body.area, f"{path}actor": body.actor})
    texts(**{f"{path}note": body.note})
    return ImportCountLine(
        item_id=body.item_id,
        counted=amount(body.counted, body.entered, f"{path}counted", lowest=0),
        area=body.area or "",
        unit=body.unit,
        entered=None if body.entered is None else entered_of(body.entered, f"{path}entered."),
        reason=body.reason,
        reference=None if body.reference is None else reference_of(body.reference),
        note=body.note,
        person=body.actor,
    )


class ImportAnswer(SparseRecord, kw_only=True):
    """One import of a file. `recorded`: events of its rows, with those voided since; `rows`: of the whole file."""

    import_id: str
    file: str
    source: str
    rows: int
    recorded: int
    rejected: int
    conflicting: int
    imported_at: str
    actor: str
    state: str
    by_type: dict[str, dict[str, Any]] | None = None


class ImportUndoInput(StrictInput, kw_only=True):
    """Why an import is undone."""

    reason: CheckedCode | None = None


class ImportUndone(msgspec.Struct, kw_only=True):
    """`voided`: events that this request voided. `more`: others stand yet; send the request again."""

    import_id: str
    voided: int
    state: str
    more: bool


def import_answer(record: ImportRecord, totals: Mapping[str, TypeTotals] | None = None) -> ImportAnswer:
    """An import as it is answered, with what stands in the log because of it where that was asked for."""
    state = ImportState.INCOMPLETE if record.state is ImportState.UNDOING else record.state
    return ImportAnswer(
        import_id=record.import_id,
        file=record.file,
        source=record.source,
        rows=record.rows,
        recorded=record.recorded,
        rejected=record.rejected,
        conflicting=record.conflicting,
        imported_at=moment_text(record.began_at),
        actor=record.actor,
        state=state.value,
        by_type=None if totals is None else totals_document(totals),
    )


def totals_document(totals: Mapping[str, TypeTotals]) -> dict[str, dict[str, Any]]:
    """Events and quantity of each type, as JSON numbers."""
    return {
        kind: {"events": each.events, "quantity": quantity_json(each.quantity)} for kind, each in sorted(totals.items())
    }
