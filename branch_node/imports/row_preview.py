"""What a row of a file becomes, in words: for the sample of a first map, and for a dry run."""

from __future__ import annotations

from typing import Any, Self
from zoneinfo import ZoneInfo

import msgspec

from branch_node.commands.event_inputs import EventContent
from shared.events import quantity_json
from shared.runtime.cli.output import short_time
from shared.runtime.clock import format_rfc3339


class RowPreview(msgspec.Struct, frozen=True, kw_only=True):
    """A row: its line in the file, and the event that it becomes.

    `quantity` is in thousandths, of a count what was counted. `occurred_at` is RFC 3339, UTC; `own_id` or empty.
    """

    line: int
    type: str
    item: str
    quantity: int
    occurred_at: str
    own_id: str

    @classmethod
    def of(cls, line: int, entry: EventContent, own_id: str | None) -> Self:
        quantity = entry.counted if entry.counted is not None else entry.quantity
        return cls(
            line=line,
            type=entry.type.value,
            item=entry.item_id,
            quantity=quantity or 0,
            occurred_at="" if entry.occurred_at is None else format_rfc3339(entry.occurred_at),
            own_id=own_id or "",
        )

    def when_in(self, zone: ZoneInfo) -> str:
        """The time on the wall clock of a zone."""
        return short_time(self.occurred_at, zone)

    def document(self) -> dict[str, Any]:
        return {**msgspec.structs.asdict(self), "quantity": quantity_json(self.quantity)}
