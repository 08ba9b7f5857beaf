"""The writer's in-memory copy of the committed state."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlalchemy import Connection, select

from branch_node.database.inbound.inbound_order_rows import has_inbound_orders
from branch_node.database.lookups import kept_answers
from branch_node.database.reservation_rows import active_reservations
from branch_node.database.schema import ITEM, STOCK
from branch_node.model import Item, Location
from branch_node.writer.low_stock import read_watched
from branch_node.writer.pending_commit import Position, read_position
from branch_node.writer.reservation_book import ReservationBook
from shared.projection import load_standings


class CommittedState:
    """Head, standings of all items, active reservations, catalogue, watched items, location as committed.

    Loaded at start, then kept up to date.
    """

    def __init__(self, connection: Connection, location: Location) -> None:
        self.location = location
        self.head, self.eventless_commits = read_position(connection, location.location_id)
        self.reservations = ReservationBook(active_reservations(connection))
        self.standings = load_standings(connection, STOCK, location.location_id)
        self.newest_events: dict[str, bytes] = {}
        """The hash of the newest event of each code that had one since, or was looked up; empty: it has none."""
        # Few branches have any; the others are spared a query per group.
        self.keeps_answers = bool(kept_answers(connection, None))
        self.any_told = has_inbound_orders(connection)
        self.items: dict[str, Item] = {row.item_id: Item(**row._mapping) for row in connection.execute(select(ITEM))}
        self.change_mapped(mapped_codes(self.items.values()))
        self.watched = read_watched(connection, self.codes)
        self._barcodes: tuple[dict[str, Item], dict[str, list[Item]]] = ({}, {})

    def items_with_barcode(self, barcode: str) -> list[Item]:
        """The items that have this barcode. The index is made anew once the catalogue has changed.

        Called by any thread: what one of them takes of the catalogue and the index belongs together.
        """
        items, barcodes = self.items, self._barcodes
        if barcodes[0] is not items:
            index: dict[str, list[Item]] = {}
            for item in items.values():
                if item.barcode is not None:
                    index.setdefault(item.barcode, []).append(item)
            self._barcodes = barcodes = (items, index)
        return barcodes[1].get(barcode, [])

    def change_mapped(self, mapped: dict[str, str]) -> None:
        """`mapped`: the item of the group that each mapped code stands for."""
        self.mapped = mapped
        self.codes = codes_of_items(mapped)

    def codes_of(self, item_id: str) -> list[str]:
        """The codes by which this log has the item that a code stands for."""
        item = self.items.get(item_id)
        meant = item_id if item is None or item.stands_for is None else item.stands_for
        return self.codes.get(meant, [meant])

    @property
    def position(self) -> Position:
        """What tells this state from the one before and the one after it."""
        return Position(self.head, self.eventless_commits)


def mapped_codes(items: Iterable[Item]) -> dict[str, str]:
    """The item of the group that each mapped code stands for."""
    return {item.item_id: item.stands_for for item in items if item.stands_for is not None}


def codes_of_items(mapped: Mapping[str, str]) -> dict[str, list[str]]:
    """The codes of each item that a mapping concerns, its own first; none of a code that stands for another item."""
    found: dict[str, list[str]] = {code: [] for code in mapped}
    for meant in mapped.values():
        found.setdefault(meant, [meant])
    for code in sorted(mapped):
        found[mapped[code]].append(code)
    return found
