"""What the pages of imports show: the imports of the register, and the summary of a run. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from branch_node.imports.dry_run_preview import LOOK_ALIKES, NewItem
from branch_node.imports.import_summary import ImportSummary
from branch_node.imports.register.import_runs import ImportRecord, ImportState, TypeTotals
from branch_node.pages.uploaded_import import UploadedImport, UploadPhase
from shared.runtime.pages.words import Flag, in_words
from shared.runtime.text.printable import printable_line

_STATES: Final = {
    ImportState.IMPORTED: Flag("imported"),
    ImportState.INCOMPLETE: Flag("not whole: it runs, or was cut off", bad=True),
    ImportState.UNDOING: Flag("being undone", bad=True),
    ImportState.UNDONE: Flag("undone"),
}


@dataclass(frozen=True)
class ImportRow:
    """One import of the register. `began_at` is in microseconds UTC. `cut_off`: the same file goes on with it."""

    import_id: str
    file: str
    source: str
    rows: int
    recorded: int
    rejected: int
    conflicting: int
    began_at: int
    actor: str
    state: Flag
    cut_off: bool
    undoing: bool
    undone: bool
    undoable: bool


def import_row(record: ImportRecord, running: str | None) -> ImportRow:
    """The row of an import; `running` is the id of the one that the page runs."""
    runs = record.import_id == running
    return ImportRow(
        import_id=record.import_id,
        file=printable_line(record.file),
        source=record.source,
        rows=record.rows,
        recorded=record.recorded,
        rejected=record.rejected,
        conflicting=record.conflicting,
        began_at=record.began_at,
        actor=record.actor,
        state=Flag("runs now") if runs else _STATES[record.state],
        cut_off=record.state is ImportState.INCOMPLETE and not runs,
        undoing=record.state is ImportState.UNDOING,
        undone=record.state is ImportState.UNDONE,
        undoable=record.state is not ImportState.UNDONE and not runs,
    )


class TypeRow(NamedTuple):
    """What stands of one type of event: the number of events, the sum of their quantities in thousandths."""

    what: str
    events: int
    quantity: int


def type_rows(totals: Mapping[str, TypeTotals]) -> list[TypeRow]:
    """The totals by type in words."""
    return [TypeRow(in_words(kind), each.events, each.quantity) for kind, each in sorted(totals.items())]


class SummaryCount(NamedTuple):
    """One count of a summary; `bad`: a person should look at it."""

    what: str
    rows: int
    bad: bool = False


def summary_counts(summary: ImportSummary) -> list[SummaryCount]:
    """The counts of a summary in the words of the command line; those of zero left out but for the first two."""
    would = " would be" if summary.dry_run else ""
    counts = [
        SummaryCount("in the file", summary.rows),
        SummaryCount(f"{would} recorded".strip(), summary.recorded),
        SummaryCount("recorded before", summary.already_recorded),
        SummaryCount("already recorded in this file", summary.repeated),
        SummaryCount("filtered out ([where])", summary.filtered),
        SummaryCount("skipped, as the map says", summary.skipped),
        SummaryCount(f"{would} rejected".strip(), summary.rejected, bad=True),
        SummaryCount(f"{would} in conflict with what is recorded".strip(), summary.conflicting, bad=True),
    ]
    return counts[:2] + [each for each in counts[2:] if each.rows]


class SampleRow(NamedTuple):
    """What one of the first rows of a file would become. `quantity` is in thousandths, `when` is local."""

    line: int
    what: str
    item: str
    quantity: int
    when: str
    own_id: str


class PreviewView(NamedTuple):
    """What a dry run shows besides its counts. `look_alikes` are in words, those that become several items first."""

    samples: list[SampleRow]
    new_items: list[NewItem]
    more_items: int
    look_alikes: list[str]
    more_look_alikes: int
    zone_key: str


def preview_view(summary: ImportSummary) -> PreviewView | None:
    """What a dry run shows besides its counts; None where it looked at no row."""
    preview = summary.preview
    if preview is None:
        return None
    zone, alike = ZoneInfo(preview.zone), preview.look_alikes()
    samples = [
        SampleRow(row.line, in_words(row.type), row.item, row.quantity, row.when_in(zone), row.own_id)
        for row in preview.samples
    ]
    return PreviewView(
        samples=samples,
        new_items=preview.new_items,
        more_items=summary.items_defined - len(preview.new_items),
        look_alikes=[each.in_words for each in alike[:LOOK_ALIKES]],
        more_look_alikes=len(alike[LOOK_ALIKES:]),
        zone_key=preview.zone,
    )


class ProgressView(NamedTuple):
    """Where an upload is: its phase, how much of it is done (of a hundred), and that in words."""

    phase: str
    percent: int
    text: str


_DOING: Final = {UploadPhase.CHECKING: "Read", UploadPhase.IMPORTING: "Imported"}


def progress_view(upload: UploadedImport) -> ProgressView:
    """The progress of an upload."""
    state = upload.state
    text = f"{_DOING[state.phase]}: {state.percent} %" if state.phase in _DOING else "Done."
    return ProgressView(state.phase.value, state.percent, text)
