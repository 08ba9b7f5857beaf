"""The command that applies changes of head office's catalogue.

Items, mappings, reorder levels, keys, the location, suppliers and the orders to them for this location.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Final
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import Connection, Table, bindparam, delete, select

from branch_node.database.purchases.pulled_order_rows import (
    delete_suppliers,
    keep_only,
    store_purchase_orders,
    store_suppliers,
)
from branch_node.database.schema import API_KEY, LOG
from branch_node.database.stock.level_rows import delete_levels, move_own_level, store_levels
from branch_node.model import Command, Decision, Item, Location, View, Write
from branch_node.sync.sync_state import sync_state_write
from shared.catalogue_messages import CatalogueAlias, CatalogueEntry, CatalogueItem, CatalogueKey, CatalogueLevel
from shared.purchases.purchase_orders import PurchaseOrder
from shared.purchases.suppliers import Supplier
from shared.runtime.database.row_writes import upsert_rows
from shared.runtime.http.scopes import SCOPES_OF, Role
from shared.runtime.telemetry import get_logger

log = get_logger("larder.catalogue")

_KEY_COLUMNS: Final = (
    *("key_id", "key_hash", "role", "location_id", "revoked_at", "issued_here"),
    *("scopes", "earlier_texts"),
)
ACCEPTED: Final = frozenset(SCOPES_OF) - {Role.BRANCH, Role.COORDINATOR}
"""Roles whose keys are accepted at a branch; keys of our own services are not stored."""


class CatalogueIds(msgspec.Struct):
    """The ids of what head office knows, collected page by page of a pull from the beginning."""

    keys: set[str] = msgspec.field(default_factory=set)
    suppliers: set[str] = msgspec.field(default_factory=set)
    purchase_orders: set[str] = msgspec.field(default_factory=set)

    def add(self, entries: Iterable[CatalogueEntry]) -> None:
        """Take in the entries of the next page."""
        for entry in entries:
            if entry.key is not None:
                self.keys.add(entry.key.key_id)
            if entry.supplier is not None and entry.supplier.supplier is not None:
                self.suppliers.add(entry.supplier.supplier_id)
            if entry.purchase_order is not None:
                self.purchase_orders.add(entry.purchase_order.purchase_order_id)


class ApplyCatalogue(Command):
    """Apply verified changes of the catalogue and move its cursor to `version` and `digest`.

    `keep`: after a pull from the beginning, what head office knows; other keys that it issued, suppliers and orders
    belong to a history that was undone, and are deleted. `keys_changed` is called after the commit.
    """

    def __init__(
        self,
        entries: Sequence[CatalogueEntry],
        *,
        version: int,
        digest: str,
        keep: CatalogueIds | None = None,
        keys_changed: Callable[[], None] | None = None,
    ) -> None:
        self.entries = list(entries)
        self.version = version
        self.digest_after = digest
        self.keep = keep
        self.keys_changed = keys_changed

    def decide(self, view: View) -> Decision:
        here = view.location.location_id
        items: dict[str, Item] = {}
        keys: dict[str, CatalogueKey] = {}
        levels: dict[str, CatalogueLevel] = {}
        suppliers: dict[str, Supplier | None] = {}
        orders: dict[str, PurchaseOrder] = {}
        mapped: set[str] = set()
        location: Location | None = None
        for entry in self.entries:
            if entry.item is not None:
                known = items.get(entry.item.item_id) or view.item(entry.item.item_id)
                items[entry.item.item_id] = _item(view, entry.item, known)
            if entry.alias is not None and entry.alias.location_id == here:
                known = items.get(entry.alias.alias) or view.item(entry.alias.alias)
                if (alias := _mapped(known, entry.alias)) is not None:
                    items[alias.item_id] = alias
                    mapped.add(alias.item_id)
            if entry.key is not None and entry.key.role in ACCEPTED:
                keys[entry.key.key_id] = entry.key
            if entry.reorder_level is not None and entry.reorder_level.location_id == here:
                levels[entry.reorder_level.item_id] = entry.reorder_level
            if entry.supplier is not None:
                suppliers[entry.supplier.supplier_id] = entry.supplier.supplier
            if entry.purchase_order is not None and entry.purchase_order.order.location_id == here:
                orders[entry.purchase_order.purchase_order_id] = entry.purchase_order.order
            if entry.location is not None and entry.location.location_id == here and _zone(entry.location.timezone):
                received = entry.location
                location = Location(
                    location_id=here, name=received.name, timezone=received.timezone, day_start=received.day_start
                )
        writes: list[Write] = []
        if keys:
            writes.append(_upsert(API_KEY, _KEY_COLUMNS, [_key_row(each) for each in keys.values()]))
        writes += _purchase_writes(suppliers, list(orders.values()))
        if self.keep is not None:
            writes.append(_delete_others(self.keep))
        if levels:
            writes.append(_level_write(levels.values()))
        mapped_anew = {code: items[code].stands_for for code in mapped}
        writes += [
            partial(move_own_level, code=code, item_id=meant)
            for code, meant in mapped_anew.items()
            if meant is not None
        ]
        reached = {"catalogue_version": self.version, "catalogue_hash": self.digest_after}
        writes.append(sync_state_write(here, reached))
        keys_changed = self.keys_changed if keys or self.keep is not None else None
        return Decision(
            items=list(items.values()),
            location=location,
            writes=writes,
            levels_changed=bool(levels or mapped_anew),
            after_commit=[] if keys_changed is None else [keys_changed],
        )


def _mapped(known: Item | None, received: CatalogueAlias) -> Item | None:
    if known is None:
        # Head office maps codes that this log has, and an item of the log is in the catalogue.
        log.error("head office maps a code that is not known here", code=received.alias, item=received.item_id)
        return None
    meant = None if received.item_id == received.alias else received.item_id
    return msgspec.structs.replace(known, stands_for=meant)


def _item(view: View, received: CatalogueItem, known: Item | None) -> Item:
    unit = received.unit
    if known is not None and known.unit != received.unit and _was_used(view.connection, received.item_id):
        # The base unit is fixed after the first event. Head office reports the conflict; the old unit stays here.
        log.error(
            "the catalogue changes the unit of an item in use", item=received.item_id, ours=known.unit, theirs=unit
        )
        unit = known.unit
    return Item(
        item_id=received.item_id,
        name=received.name,
        unit=unit,
        category=received.category,
        barcode=received.barcode,
        strict=view.location.location_id in received.strict_at,
        defined_here=False,
        stands_for=None if known is None else known.stands_for,
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


def _key_row(key: CatalogueKey) -> tuple[object, ...]:
    own = (key.key_id, key.key_hash, key.role, key.location_id, key.revoked_at)
    return (*own, False, " ".join(key.scopes), key.earlier_texts)


def _delete_others(known: CatalogueIds) -> Write:
    """Delete what head office issued or stated once and knows no longer."""
    # The puller goes on collecting in its own.
    keys, suppliers, orders = (frozenset(each) for each in (known.keys, known.suppliers, known.purchase_orders))

    def write(connection: Connection) -> None:
        issued = connection.execute(select(API_KEY.c.key_id).where(~API_KEY.c.issued_here)).scalars().all()
        gone = [{"gone": key_id} for key_id in issued if key_id not in keys]
        if gone:
            connection.execute(delete(API_KEY).where(API_KEY.c.key_id == bindparam("gone")), gone)
        keep_only(connection, supplier_ids=suppliers, purchase_order_ids=orders)

    return write


def _purchase_writes(suppliers: Mapping[str, Supplier | None], orders: Sequence[PurchaseOrder]) -> list[Write]:
    writes: list[Write] = []
    if suppliers:
        stated = [each for each in suppliers.values() if each is not None]
        removed = [supplier_id for supplier_id, each in suppliers.items() if each is None]
        writes.append(partial(store_suppliers, suppliers=stated))
        writes.append(partial(delete_suppliers, supplier_ids=removed))
    if orders:
        writes.append(partial(store_purchase_orders, orders=orders))
    return writes


def _level_write(received: Iterable[CatalogueLevel]) -> Write:
    found = [(each.item_id, each.reorder_level()) for each in received]
    stored = {item_id: level for item_id, level in found if level is not None}
    removed = [item_id for item_id, level in found if level is None]

    def write(connection: Connection) -> None:
        store_levels(connection, stored, set_here=False)
        delete_levels(connection, removed, set_here=False)

    return write


def _upsert(table: Table, columns: tuple[str, ...], rows: Sequence[tuple[object, ...]]) -> Write:
    return lambda connection: upsert_rows(connection, table, columns, rows)
