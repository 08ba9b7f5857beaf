"""The summary of an import: what became of its rows, and what stands in the log because of it."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from branch_node.imports.cells.cell_readers import IN_COLUMN
from branch_node.imports.dry_run_preview import DryRunPreview
from branch_node.imports.import_inputs import totals_document
from branch_node.imports.register.import_runs import TypeTotals

REASONS: Final = 3
_MOST_REASONS: Final = 500
_VALUE: Final = re.compile(r"'[^']*'|\b[0-9][0-9.,:T+-]*\b")


class RejectReason(msgspec.Struct, kw_only=True):
    """Why rows were rejected: the first one's reason, its line, and how many there are of the kind."""

    reason: str
    rows: int
    first_line: int


class RejectReasons:
    """Counts rejected rows by the kind of their reason: its text without the values in it."""

    def __init__(self) -> None:
        self._kinds: dict[str, RejectReason] = {}

    def add(self, line: int, why: str) -> None:
        # The name of a column is no value, though it may hold digits.
        named, colon, rest = why.partition(": ") if why.startswith(f"{IN_COLUMN} ") else ("", "", why)
        kind = named + colon + _VALUE.sub("…", rest)
        found = self._kinds.get(kind)
        if found is not None:
            found.rows += 1
        elif len(self._kinds) < _MOST_REASONS:
            self._kinds[kind] = RejectReason(reason=why, rows=1, first_line=line)

    def top(self) -> list[RejectReason]:
        """The most frequent ones."""
        return sorted(self._kinds.values(), key=lambda each: (-each.rows, each.first_line))[:REASONS]


class ImportSummary(msgspec.Struct, kw_only=True):
    """The counts of an import; `rows` is the sum of the seven after it.

    `repeated` rows are equal to an earlier row of the file under the same id. `already_recorded` rows were recorded by
    another run or file. `unread_bytes` were added to the file meanwhile; the
    next run reads them. `by_type` is what stands in the log because of this file, of a dry run what would. `left_out`
    counts the cells that could not be read and that the map lets be left out of their rows ([bad_cells]), by column.
    `preview` is what a dry run shows besides.
    """

    source: str
    file: str
    dry_run: bool
    import_id: str | None = None
    rows: int = 0
    recorded: int = 0
    already_recorded: int = 0
    repeated: int = 0
    filtered: int = 0
    skipped: int = 0
    rejected: int = 0
    conflicting: int = 0
    items_defined: int = 0
    by_type: dict[str, TypeTotals] = {}
    left_out: dict[str, int] = {}
    reasons: list[RejectReason] = []
    rejects: str | None = None
    conflicts: str | None = None
    already_imported: str | None = None
    unread_bytes: int = 0
    preview: DryRunPreview | None = None

    def document(self) -> dict[str, Any]:
        """For `--json`: quantities as JSON numbers."""
        document: dict[str, Any] = msgspec.structs.asdict(self)
        del document["preview"]
        document |= {} if self.preview is None else self.preview.document()
        document["reasons"] = [msgspec.structs.asdict(each) for each in self.reasons]
        document["by_type"] = totals_document(self.by_type)
        document["left_out"] = dict(self.left_out)
        if self.already_imported is None:
            del document["already_imported"]
        return document
