"""The recorder of an import that a session runs: what its key may not record is rejected, row by row."""

from __future__ import annotations

from collections.abc import Sequence

from branch_node.api.import_scopes import ImportScopes
from branch_node.commands.item_inputs import ItemContent
from branch_node.imports.recorders.import_recorder import AwaitOutcomes, ImportRecorder
from branch_node.imports.register.row_commands import KeyedContent, RowOutcome, refusal_of
from shared.runtime.http.auth import Principal


class SessionRecorder:
    """Another recorder, as a principal may use it: each row takes the scope of what it records, as over HTTP."""

    def __init__(self, recorder: ImportRecorder, principal: Principal) -> None:
        self._recorder = recorder
        self._scopes = ImportScopes(principal, recorder.knows)
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
        items = self._scopes.definable(items)
        refused = {
            place: refusal_of(problem)
            for place, row in enumerate(rows)
            if (problem := self._scopes.refusal(row)) is not None
        }
        if not refused:
            return self._recorder.record(items, rows)
        wait = self._recorder.record(items, [row for place, row in enumerate(rows) if place not in refused])

        def await_outcomes() -> list[RowOutcome]:
            recorded = iter(wait())
            return [refused[place] if place in refused else next(recorded) for place in range(len(rows))]

        return await_outcomes
