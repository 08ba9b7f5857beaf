"""The recorder of an import that a session runs: what its role may not record is rejected, row by row."""

from __future__ import annotations

from collections.abc import Sequence

from branch_node.api.dependencies import MANAGERS
from branch_node.commands.event_inputs import EventContent
from branch_node.commands.item_inputs import ItemContent
from branch_node.imports.recorders.import_recorder import AwaitOutcomes, ImportRecorder
from branch_node.imports.register.row_commands import KeyedContent, RowOutcome, refusal_of
from shared.events import EventType
from shared.runtime.http.auth import Principal
from shared.runtime.problems import Problem


class SessionRecorder:
    """Another recorder, as a principal may use it: the rows of an adjustment are a manager's, as over HTTP."""

    def __init__(self, recorder: ImportRecorder, principal: Principal) -> None:
        self._recorder = recorder
        self._principal = principal
        self.chunk = recorder.chunk
        self.earlier = recorder.earlier
        self.plan = recorder.plan
        self.begin = recorder.begin
        self.knows = recorder.knows
        self.catalogue = recorder.catalogue
        self.find = recorder.find
        self.counted = recorder.counted
        self.finish = recorder.finish
        self.totals = recorder.totals

    def record(self, items: Sequence[ItemContent], rows: Sequence[KeyedContent]) -> AwaitOutcomes:
        refused = {place: outcome for place, row in enumerate(rows) if (outcome := self._refusal(row)) is not None}
        if not refused:
            return self._recorder.record(items, rows)
        wait = self._recorder.record(items, [row for place, row in enumerate(rows) if place not in refused])

        def await_outcomes() -> list[RowOutcome]:
            recorded = iter(wait())
            return [refused[place] if place in refused else next(recorded) for place in range(len(rows))]

        return await_outcomes

    def _refusal(self, row: KeyedContent) -> RowOutcome | None:
        if not isinstance(row.content, EventContent) or row.content.type is not EventType.ADJUSTMENT:
            return None
        try:
            self._principal.check_role(*MANAGERS)
        except Problem as problem:
            return refusal_of(problem)
        return None
