"""The interface through which an import records its rows; its implementations are in the `…_recorder` modules."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol

from branch_node.commands.event_inputs import EventContent
from branch_node.commands.item_inputs import ItemContent
from branch_node.imports.file_claim import FileRegistration
from branch_node.imports.import_commands import RowOutcome

CHUNK: Final = 1_000
"""Rows recorded in one transaction, and held at a time."""


class ImportRow(NamedTuple):
    """A row to be recorded: its line in the file, its key, the event, and its cells for the rejects file."""

    line: int
    key: str
    entry: EventContent
    cells: Sequence[str]


AwaitOutcomes = Callable[[], list[RowOutcome]]
"""Waits for a chunk: an outcome for each of its rows. Raises as documented at `ImportRecorder.record`."""


class ImportRecorder(Protocol):
    """Records rows: through a writer in this process, a node over HTTP, or not at all (a dry run)."""

    def register(self, registration: FileRegistration) -> None:
        """Claim the file's name. Raises Problem or RemoteProblem where another file has it."""

    def knows(self, item_id: str) -> bool:
        """Whether the item is defined."""

    def record(self, items: Sequence[ItemContent], rows: Sequence[ImportRow]) -> AwaitOutcomes:
        """Begin to define items and record rows, at most CHUNK, after all chunks before; the result awaits them.

        Awaiting raises Problem, RemoteProblem or Unreachable for a cause outside the rows.
        """
