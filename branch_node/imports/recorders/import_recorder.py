"""The interface through which an import records its rows; its implementations are in the `…_recorder` modules."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol

from branch_node.commands.item_inputs import ItemContent
from branch_node.imports.register.import_lifecycle import ImportEnd, ImportPlan
from branch_node.imports.register.import_runs import FileRegistration, ImportRecord, TypeTotals
from branch_node.imports.register.row_commands import CountedFigures, KeyedContent, RowOutcome
from branch_node.imports.register.row_keys import RowKeys
from branch_node.imports.rows.import_catalogue import ImportCatalogue

CHUNK: Final = 1_000
"""Rows recorded in one transaction while others record as well."""

CHUNK_ALONE: Final = 5_000
"""The same where nobody else waits for the writer."""


AwaitOutcomes = Callable[[], list[RowOutcome]]
"""Waits for a chunk: an outcome for each of its contents. Raises as documented at `ImportRecorder.record`."""


class ImportRecorder(Protocol):
    """Records rows: through a writer in this process, a node over HTTP, or not at all (a dry run).

    `chunk` is the number of rows that it records in one transaction; two such chunks are held at a time.
    """

    chunk: int

    def earlier(self, source: str) -> list[ImportRecord]:
        """The imports of a source that were not undone."""

    def plan(self, registration: FileRegistration) -> ImportPlan:
        """How the file would be imported. Raises Problem where it may not be."""

    def begin(self, registration: FileRegistration) -> ImportPlan:
        """Begin or go on with an import. Raises Problem or RemoteProblem where the file may not be imported."""

    def knows(self, item_id: str) -> bool:
        """Whether the item is defined."""

    def catalogue(self) -> ImportCatalogue:
        """The items that rows may name, as they are now."""

    def record(self, items: Sequence[ItemContent], rows: Sequence[KeyedContent]) -> AwaitOutcomes:
        """Begin to define items and record rows, at most `chunk`, after all chunks before; the result awaits them.

        Awaiting raises Problem, RemoteProblem or Unreachable for a cause outside the rows.
        """

    def find(self, keys: RowKeys, rows: Sequence[KeyedContent]) -> list[RowOutcome | None]:
        """The outcomes of what is in the log already, under these keys; None for what is not."""

    def counted(self, keys: RowKeys, row: KeyedContent) -> CountedFigures:
        """What is in the log already of the items of a count, at its moment."""

    def finish(self, end: ImportEnd) -> None:
        """Mark the import as whole."""

    def totals(self, import_id: str) -> dict[str, TypeTotals]:
        """What stands in the log because of an import, by type."""
