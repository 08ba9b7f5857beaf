"""Folding a batch into what stands of a location's items, event by event in the order of their sequences. Pure."""

from __future__ import annotations

from typing import Final

from shared.stock import BEGINNING, NOTHING, Movement, Place, Standing, advance

_NO_COUNT: Final = (BEGINNING.occurred_at - 1, 0)


class StockFold:
    """`standings` holds what stood before, then what stands after `settle`; `refold` the items to be folded afresh.

    Most events only move what is on hand; those are summed up for each item, without an object each, and handed in
    before anything else happens to it. The rest is `shared.stock.advance`'s, with whose rule for a plain movement this
    agrees: it counts if its place is after the last count.
    """

    __slots__ = ("_pending", "refold", "standings", "touched")

    def __init__(self) -> None:
        self.standings: dict[str, Standing] = {}
        self.refold: set[str] = set()
        self.touched: set[str] = set()
        # item: [what is to be added, the place of the last count, the latest place]
        self._pending: dict[str, tuple[int, tuple[int, int], tuple[int, int]]] = {}

    def move(self, item_id: str, place: tuple[int, int], change: int) -> None:
        """An event at `place` (occurred_at, sequence) that only adds `change` to what is on hand."""
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
        """Any event; `voided` is what it voids or reverses."""
        if item_id in self._pending:
            self._hand_in(item_id)
        self.touched.add(item_id)
        after = advance(self.standings.get(item_id, NOTHING), each, voided)
        if after is None:
            self.refold.add(item_id)
        else:
            self.standings[item_id] = after

    def settle(self) -> None:
        """Hand in what was only summed up."""
        for item_id in list(self._pending):
            self._hand_in(item_id)

    def _hand_in(self, item_id: str) -> None:
        total, _, latest = self._pending.pop(item_id)
        before = self.standings.get(item_id, NOTHING)
        self.standings[item_id] = Standing(
            before.on_hand + total, before.reserved, before.last_count, Place(*latest), before.recount
        )
        self.touched.add(item_id)
