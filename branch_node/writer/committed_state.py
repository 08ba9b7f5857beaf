"""The writer's in-memory copy of the committed state."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, select

from branch_node.database.lookups import (
    kept_answers,
)
from branch_node.database.schema import ITEM, LOG, STOCK
from branch_node.model import Item, Location
from shared.event_log import read_head
from shared.projection import load_standings


class CommittedState:
    """Head, standings of all items, catalogue and location as committed; loaded at start, then kept up to date."""

    def __init__(self, connection: Connection, location: Location) -> None:
        head = read_head(connection, LOG, location.location_id)
        if head is None:
            raise LookupError(f"the database holds no log of {location.location_id}")
        self.location = location
        self.head = head
        self.standings = load_standings(connection, STOCK, location.location_id)
        # Few branches have any; the others are spared a query per group.
        self.keeps_answers = bool(kept_answers(connection, None))
        self.items: dict[str, Item] = {row.item_id: Item(**row._mapping) for row in connection.execute(select(ITEM))}
        self.mapped = mapped_codes(self.items.values())


def mapped_codes(items: Iterable[Item]) -> dict[str, str]:
    """The item of the group that each mapped code stands for."""
    return {item.item_id: item.stands_for for item in items if item.stands_for is not None}
