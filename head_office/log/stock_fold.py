"""Fold of a batch into what stands of a location's items, event by event in the order of their sequences. Pure."""

from __future__ import annotations

from typing import Final

from shared.stock import BEGINNING, NOTHING, Movement, Place, Standing, advance

_NO_COUNT: Final = (BEGINNING.occurred_at - 1, 0)


class StockFold:
    """The standings of a location's items while a batch is folded into them.

    `standings` holds what stood before, and what stands after `settle`; `touched` the items with new events; `refold`
    those that must be folded from the log. Most events only change on hand: they are summed for each item, without an
    object for each event, by the rule that such an event counts if its place is after the last count. All others go
    through `shared.stock.advance`. Restates the fold for speed; the docstring of `shared.stock` names the tests.
    """

    __slots__ = ("_pending", "refold", "standings", "touched")

    def __init__(self) -> None:
        self.standings: dict[str, Standing] = {}
        self.refold: set[str] = set()
        self.touched: set[str] = set()
        # item: [what is to be added, the place of the last count, the latest place]
        self._pending: dict[str, tuple[int, tuple[int, int], tuple[int, int]]] = {}

    def move(self, item_id: str, place: tuple[int, int], change: int) -> None:
        """Add an event at `place` (occurred_at, sequence) that only adds `change` (thousandths) to on hand."""
        pending = self._pending.get(item_id)
        if pending is None:
            standing = self.standings.get(item_id, NOTHING)
            pending = (0, standing.last_count or _NO_COUNT, standing.latest)
        total, last_count, latest = pending
        self._pending[item_id] = (
            total + change if place > last_count else total,
            last_count,
            place if place > latest else latest,
        )

    def other(self, item_id: str, each: Movement, voided: Movement | None) -> None:
        """Add any event; `voided` is the movement that it voids or reverses."""
        if item_id in self._pending:
            self._add_pending(item_id)
        self.touched.add(item_id)
        after = advance(self.standings.get(item_id, NOTHING), each, voided)
        if after is None:
            self.refold.add(item_id)
        else:
            self.standings[item_id] = after

    def settle(self) -> None:
        """Add what is only summed yet to the standings."""
        for item_id in list(self._pending):
            self._add_pending(item_id)

    def _add_pending(self, item_id: str) -> None:
        total, _, latest = self._pending.pop(item_id)
        before = self.standings.get(item_id, NOTHING)
        self.standings[item_id] = Standing(
            before.on_hand + total, before.reserved, before.last_count, Place(*latest), before.recount
        )
        self.touched.add(item_id)
