"""What stood of an item right after a recent event, computed from what stands now and the events since then.

A till that got no answer repeats its request at once, and gets the first answer again. Folding the item's history from
the log for that would cost the writer more than the event itself did; nearly always only plain events were recorded
since, and those are subtracted. A restatement of the balance rule for speed, as `shared.stock` lists it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from typing import Final

from sqlalchemy import Connection, select

from branch_node.database.schema import LOG
from shared.chain import Sealed
from shared.events import EventType
from shared.stock import Place, Standing

MOST: Final = 10_000
"""How far back to look, in events."""

_NOT_PLAIN: Final = frozenset({EventType.TRANSFER_IN, EventType.TRANSFER_REVERSED, EventType.EVENT_VOIDED})


class _ItemChanges:
    """The recent events of one item, newest first."""

    __slots__ = ("changes", "limit", "sequences")

    def __init__(self) -> None:
        self.sequences: list[int] = []  # negated, so that they ascend
        self.changes: list[int] = [0]  # of the newest 0, 1, 2 … events together
        self.limit = 0  # the newest event that cannot be subtracted


class PastStandings:
    """Subtracts plain events from what stood at a committed head. Valid for one transaction.

    Agrees with the fold: tests/integration/branch_node/database/stock/test_past_standing.py.
    """

    def __init__(self, connection: Connection, standings: Mapping[str, Standing], after: int, head: int) -> None:
        """Read the events after the sequence `after`, the oldest that can be requested; `standings` are those at
        `head`."""
        self._standings = standings
        self._sequences = range(after, head + 1)
        self._items: dict[str, _ItemChanges] = {}
        event = LOG.event
        columns = (
            event.c.sequence, event.c.item_id, event.c.occurred_at, event.c.type, event.c.on_hand_change,
            event.c.counted, event.c.reserved_change,
        )  # fmt: skip
        query = select(*columns).where(event.c.sequence.between(after + 1, head), event.c.item_id.is_not(None))
        for row in connection.execute(query.order_by(event.c.sequence.desc())):
            self._add(*row)

    def _add(  # noqa: PLR0917 - a row
        self, sequence: int, item_id: str, occurred_at: int, kind: str, change: int | None, counted: int | None,
        reserved: int | None,
    ) -> None:  # fmt: skip
        item = self._items.get(item_id)
        if item is None:
            item = self._items[item_id] = _ItemChanges()
        if item.limit:
            return
        if counted is not None or reserved is not None or kind in _NOT_PLAIN:
            item.limit = sequence
            return
        last_count = self._standings[item_id].last_count
        counts = last_count is None or Place(occurred_at, sequence) > last_count
        item.sequences.append(-sequence)
        item.changes.append(item.changes[-1] + ((change or 0) if counts else 0))

    def standing(self, item_id: str, sequence: int) -> Standing | None:
        """What stood of an item once the event `sequence` was recorded; None where it must be folded from the log."""
        now, item = self._standings.get(item_id), self._items.get(item_id)
        if sequence not in self._sequences or now is None or now.reserved:
            return None
        if item is None:
            return Standing(on_hand=now.on_hand, recount=now.recount)
        if item.limit > sequence:
            return None
        since = item.changes[bisect_left(item.sequences, -sequence)]
        return Standing(on_hand=now.on_hand - since, recount=now.recount)


def last_sequence(sealed: Sealed) -> int:
    """The sequence of the last event of an event's command."""
    return sealed.event.sequence + sealed.event.lines - sealed.event.line
