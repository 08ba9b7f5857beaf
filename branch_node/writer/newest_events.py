"""Which event of each code is the newest, in memory: committed, and of the group that is being decided."""

from __future__ import annotations

from sqlalchemy import Connection

from branch_node.database.stock.stock_tags import newest_event


class NewestEvents:
    """The hash of the newest event of each code, with those of a group that are not committed yet.

    `committed` is the writer's, by code: of those that had an event since it began, or were looked up. Used on the
    writer's thread.
    """

    def __init__(self, connection: Connection, committed: dict[str, bytes]) -> None:
        self._connection = connection
        self._committed = committed
        self._new: dict[str, bytes] = {}
        self.add = self._new.__setitem__
        """Called with code and hash for each event of the group, in order."""

    def of(self, item_id: str) -> bytes:
        """The hash of the newest event of a code, empty where it has none."""
        found = self._new.get(item_id) or self._committed.get(item_id)
        if found is None:
            # No event of the group is of this code, so that the table has its newest.
            found = self._committed[item_id] = newest_event(self._connection, item_id)
        return found

    def publish(self) -> None:
        """The group was committed."""
        self._committed.update(self._new)
