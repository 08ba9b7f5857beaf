"""The catalogue that head office publishes to the branches: its entries, their chain of hashes, and its pages.

Hashes are hex, times microseconds UTC, quantities thousandths.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256

import msgspec

from shared.events import Code, HexHash, Id, Text
from shared.levels.reorder_levels import ReorderLevel, level_from_target
from shared.messages import ServiceMessage
from shared.purchases.purchase_orders import PurchaseOrder
from shared.purchases.suppliers import Supplier


class CatalogueItem(ServiceMessage, frozen=True, kw_only=True, omit_defaults=True):
    """One item of the group. `strict_at` names the locations where the item is strict."""

    item_id: Id
    name: Text
    unit: Code
    category: Text | None = None
    barcode: Code | None = None
    strict_at: tuple[Id, ...] = ()


class CatalogueKey(ServiceMessage, frozen=True, kw_only=True, omit_defaults=True):
    """One API key a branch must know: the SHA-256 of its text, its role, and when it was revoked.

    `scopes` are those that it was given beyond the role's, `earlier_texts` a line of `key_rotation`: its texts before
    rotations, which are good for a while. An older branch knows neither, and refuses those texts at once.
    """

    key_id: Id
    key_hash: HexHash
    role: Code
    location_id: Id | None = None
    revoked_at: int | None = None
    scopes: tuple[Code, ...] = ()
    earlier_texts: str = ""


class CatalogueLevel(ServiceMessage, frozen=True, kw_only=True, omit_defaults=True):
    """The reorder level of an item at this location, or that it has none any more. Quantities in thousandths.

    Entries of older versions have `level` and `target` alone, and stay as they are: below or at the first the item is
    to be ordered, up to the second; both zero: no level. Entries are made with both ever since, as older branches
    know nothing else and refuse an entry without them; `level_change` makes and `reorder_level` reads both kinds.
    """

    location_id: Id
    item_id: Id
    level: int
    target: int
    reorder_point: int | None = None
    order_up_to: int | None = None
    order_quantity: int | None = None
    supplier_id: Id | None = None
    pack_size: int | None = None
    lead_days: int | None = None

    def reorder_level(self) -> ReorderLevel | None:
        """Read the level that stands from this entry on; None: there is none."""
        if self.reorder_point is None:
            return level_from_target(self.level, self.target)
        fields = {name: getattr(self, name) for name in ReorderLevel.__struct_fields__}
        return ReorderLevel(**fields)


def level_change(location_id: str, item_id: str, level: ReorderLevel | None) -> CatalogueLevel:
    """Make the entry of an item's reorder level at a location, or of its removal (None)."""
    if level is None:
        return CatalogueLevel(location_id=location_id, item_id=item_id, level=0, target=0)
    up_to = level.order_up_to
    return CatalogueLevel(
        location_id=location_id,
        item_id=item_id,
        level=level.reorder_point,
        target=level.reorder_point + (level.order_quantity or 0) if up_to is None else up_to,
        **msgspec.structs.asdict(level),
    )


class CatalogueLocation(ServiceMessage, frozen=True, kw_only=True):
    """One location as its own branch needs to know it. `day_start` is in minutes after local midnight."""

    location_id: Id
    name: Text
    timezone: Text
    day_start: int


class CatalogueAlias(ServiceMessage, frozen=True, kw_only=True):
    """At this location, the code `alias` stands for the group's item `item_id`."""

    location_id: Id
    alias: Id
    item_id: Id


class CatalogueSupplier(ServiceMessage, frozen=True, kw_only=True, omit_defaults=True):
    """A supplier of the group, or that there is none of this id any more (`supplier` is absent)."""

    supplier_id: Id
    supplier: Supplier | None = None


class CataloguePurchaseOrder(ServiceMessage, frozen=True, kw_only=True):
    """An order to a supplier as it stands from this entry on; for its location alone."""

    purchase_order_id: Id
    order: PurchaseOrder


CATALOGUE_START = "0" * 64
"""The catalogue's hash at version 0."""


class CatalogueEntry(ServiceMessage, frozen=True, kw_only=True, omit_defaults=True):
    """One change of the catalogue: at most one field after `hash` is set, which chains over the entries before.

    With none of them set it stands for one or more changes, up to `version`, that are not for this reader.
    """

    version: int
    hash: HexHash
    item: CatalogueItem | None = None
    key: CatalogueKey | None = None
    reorder_level: CatalogueLevel | None = None
    location: CatalogueLocation | None = None
    alias: CatalogueAlias | None = None
    supplier: CatalogueSupplier | None = None
    purchase_order: CataloguePurchaseOrder | None = None


class CataloguePage(ServiceMessage, frozen=True, kw_only=True, omit_defaults=True):
    """The catalogue's changes after a version, at most 1,000; `version` is the newest there is.

    `previous` is the hash at the requested version; absent where the catalogue's version is lower.
    """

    entries: list[CatalogueEntry]
    version: int
    more: bool
    previous: HexHash | None = None


class CatalogueDiverged(ValueError):
    """The page does not follow from what the reader holds (head office was restored): begin again from version 0."""


def catalogue_hash(previous: bytes, entry: Mapping[str, object]) -> bytes:
    """The hash (32 bytes) of a catalogue entry after the one whose hash is `previous` (32 zero bytes before the first).

    `entry` is the entry as JSON has it (dicts, lists, text, whole numbers), as stored and sent; its own `hash` is left
    out. Taken over the JSON and not over CatalogueEntry, so that a branch verifies fields it does not know yet.
    """
    body = {name: value for name, value in entry.items() if name != "hash"}
    return sha256(previous + msgspec.json.encode(body, order="sorted")).digest()


def read_catalogue_page(raw: bytes, version: int, digest: str) -> CataloguePage:
    """The page that a reader standing at `version` with the hash `digest` was sent, its chain verified.

    The reader then stands at the version and hash of the last entry. The hash of changes left out is taken as given:
    what they were is not for this reader. Raises CatalogueDiverged, or msgspec.MsgspecError for what is no page.
    """
    page = msgspec.json.decode(raw, type=CataloguePage)
    if page.previous != digest or page.version < version:
        raise CatalogueDiverged(f"the catalogue at version {version} is not the one this node has")
    for entry, sent in zip(page.entries, msgspec.json.decode(raw)["entries"], strict=True):
        left_out = sent.keys() == {"version", "hash"}
        follows = entry.version > version if left_out else entry.version == version + 1
        if not follows or not (left_out or catalogue_hash(bytes.fromhex(digest), sent).hex() == entry.hash):
            raise CatalogueDiverged(f"the catalogue's entry {entry.version} does not follow from the one before")
        version, digest = entry.version, entry.hash
    return page
