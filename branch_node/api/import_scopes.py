"""What an importing key may record: each row takes the scope of what it records, as by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from branch_node.api.dependencies import scope_of
from branch_node.commands.event_inputs import EventContent
from branch_node.commands.item_inputs import ItemContent
from branch_node.imports.register.row_commands import KeyedContent
from shared.events import EventType
from shared.runtime.http.auth import Principal
from shared.runtime.http.scopes import Scope
from shared.runtime.problems import Problem


class ImportScopes:
    """The rows and items of an import as a principal may record them. `knows`: whether the node has an item."""

    def __init__(self, principal: Principal, knows: Callable[[str], bool]) -> None:
        self._principal = principal
        self._knows = knows
        self._withheld: set[str] = set()

    def definable(self, items: Sequence[ItemContent]) -> Sequence[ItemContent]:
        """The items of a chunk that are to be defined: all, or none where the principal may define none."""
        if self._principal.may(Scope.CORRECT):
            return items
        # Later chunks do not name them again.
        self._withheld.update(item.item_id for item in items if not self._knows(item.item_id))
        return ()

    def refusal(self, row: KeyedContent) -> Problem | None:
        """403 `forbidden` where the row takes a scope that the principal has not, else None."""
        content = row.content
        try:
            if isinstance(content, EventContent):
                self._principal.check_scope(scope_of(content.type))
                self._check_item(content.item_id)
            else:
                self._principal.check_scope(scope_of(EventType.STOCKTAKE))
                for line in content.lines:
                    self._check_item(line.item_id)
        except Problem as problem:
            return problem
        return None

    def _check_item(self, item_id: str) -> None:
        if item_id in self._withheld:
            self._principal.check_scope(Scope.CORRECT)
