"""The command that applies changes of head office's catalogue to the branch's database."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Table, bindparam, delete, select

from branch_node.database.schema import API_KEY, LOG, REORDER_LEVEL
from branch_node.model import Command, Decision, Item, Location, View, Write
from branch_node.sync.sync_state import _state, _upsert, log
from shared.messages import CatalogueEntry, CatalogueItem, CatalogueKey, ReorderLevel
from shared.runtime.http.auth import Role

PEOPLE: Final = frozenset({Role.ADMIN, Role.MANAGER, Role.STAFF, Role.VIEWER})
"""Keys of these roles are let in at a branch; those of machines have no business there."""


class ApplyCatalogue(Command):
    """Apply verified changes of the catalogue, and stand at `version` and `digest` after them.

    `keep_keys`: after a pull from the beginning, the ids of all keys head office knows; others of its were of a
    history that was undone and go. `keys_changed` is called once new keys are on disk.
    """

    def __init__(
        self,
        entries: Sequence[CatalogueEntry],
        *,
        version: int,
        digest: str,
        keep_keys: frozenset[str] | None = None,
        keys_changed: Callable[[], None] | None = None,
    ) -> None:
        self.entries = list(entries)
        self.version = version
        self.digest_after = digest
        self.keep_keys = keep_keys
        self.keys_changed = keys_changed

    def decide(self, view: View) -> Decision:
        here = view.location.location_id
        items: dict[str, Item] = {}
        keys: dict[str, CatalogueKey] = {}
        levels: dict[str, ReorderLevel] = {}
        location: Location | None = None
        for entry in self.entries:
            if entry.item is not None:
                items[entry.item.item_id] = _item(view, entry.item)
            if entry.key is not None and entry.key.role in PEOPLE:
                keys[entry.key.key_id] = entry.key
            if entry.reorder_level is not None and entry.reorder_level.location_id == here:
                levels[entry.reorder_level.item_id] = entry.reorder_level
            if entry.location is not None and entry.location.location_id == here and _zone(entry.location.timezone):
                told = entry.location
                location = Location(location_id=here, name=told.name, timezone=told.timezone, day_start=told.day_start)
        writes: list[Write] = []
        if keys:
            writes.append(_rows(API_KEY, [_key_row(each) for each in keys.values()]))
        if self.keep_keys is not None:
            writes.append(_forget_keys(self.keep_keys))
        if levels:
            writes.append(_rows(REORDER_LEVEL, [_level_row(each) for each in levels.values()]))
        reached = {"catalogue_version": self.version, "catalogue_hash": self.digest_after}
        writes.append(_state(here, reached))
        told_of_keys = (keys or self.keep_keys is not None) and self.keys_changed is not None
        return Decision(
            items=list(items.values()),
            location=location,
            writes=writes,
            after_commit=[self.keys_changed] if told_of_keys and self.keys_changed else [],
        )


def _item(view: View, told: CatalogueItem) -> Item:
    known = view.item(told.item_id)
    unit = told.unit
    if known is not None and known.unit != told.unit and _was_used(view.connection, told.item_id):
        # The base unit is fixed after the first event. Head office shows the conflict; here the old unit stays.
        log.error("the catalogue changes the unit of an item in use", item=told.item_id, ours=known.unit, theirs=unit)
        unit = known.unit
    return Item(
        item_id=told.item_id,
        name=told.name,
        unit=unit,
        category=told.category,
        barcode=told.barcode,
        strict=view.location.location_id in told.strict_at,
        defined_here=False,
    )


def _was_used(connection: Connection, item_id: str) -> bool:
    event = LOG.event
    found = connection.execute(
        select(event.c.sequence).where(event.c.item_id == item_id, event.c.type != "ITEM_DEFINED").limit(1)
    )
    return found.first() is not None


def _zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        log.error("the catalogue names a time zone that is not known here", timezone=name)
        return False
    return True


def _key_row(told: CatalogueKey) -> dict[str, object]:
    return {
        "key_id": told.key_id,
        "key_hash": told.key_hash,
        "role": told.role,
        "location_id": told.location_id,
        "revoked_at": told.revoked_at,
        "issued_here": False,
    }


def _level_row(told: ReorderLevel) -> dict[str, object]:
    return {"item_id": told.item_id, "level": told.level, "target": told.target}


def _forget_keys(known: frozenset[str]) -> Write:
    def write(connection: Connection) -> None:
        theirs = connection.execute(select(API_KEY.c.key_id).where(~API_KEY.c.issued_here)).scalars().all()
        gone = [{"gone": key_id} for key_id in theirs if key_id not in known]
        if gone:
            connection.execute(delete(API_KEY).where(API_KEY.c.key_id == bindparam("gone")), gone)

    return write


def _rows(table: Table, rows: Sequence[dict[str, object]]) -> Write:
    def write(connection: Connection) -> None:
        _upsert(connection, table, rows)

    return write
