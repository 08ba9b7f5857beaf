"""The catalogue's history: each change of items, mappings, locations, levels, keys, suppliers and orders to them.

Each has a version and a hash, one chain for the group. A branch is sent the changes for it; each run of other changes
is one entry of its page with nothing but the version and hash it leads to
(`shared.catalogue_messages.read_catalogue_page` verifies such a page). So the pair (version, hash) that a branch keeps
names the whole history up to there, and a head office restored from a backup is noticed at the next page. Works inside
the transaction of the Connection it is given.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import ColumnElement, Connection, Select, and_, case, func, insert, or_, select, text, update
from sqlalchemy.dialects.postgresql import distinct_on

from head_office.database.office_schema import CATALOGUE_CHANNEL, CATALOGUE_ENTRY, CATALOGUE_HEAD
from shared.catalogue_messages import (
    CATALOGUE_START,
    CatalogueAlias,
    CatalogueEntry,
    CatalogueItem,
    CatalogueKey,
    CatalogueLevel,
    CatalogueLocation,
    CataloguePage,
    CataloguePurchaseOrder,
    CatalogueSupplier,
    catalogue_hash,
)

MAX_PAGE: Final = 1_000
MAX_PAGE_BYTES: Final = 2 * 1024 * 1024
"""The content of one page at most, but for a first entry that is larger: an order has many lines."""

Content = (
    CatalogueItem
    | CatalogueKey
    | CatalogueLevel
    | CatalogueLocation
    | CatalogueAlias
    | CatalogueSupplier
    | CataloguePurchaseOrder
)

_KINDS: Final[dict[str, type[Content]]] = {
    "item": CatalogueItem,
    "key": CatalogueKey,
    "reorder_level": CatalogueLevel,
    "location": CatalogueLocation,
    "alias": CatalogueAlias,
    "supplier": CatalogueSupplier,
    "purchase_order": CataloguePurchaseOrder,
}
_NAMES: Final = {kind: name for name, kind in _KINDS.items()}
_SUBJECTS: Final = {
    "item": "item_id",
    "key": "key_id",
    "reorder_level": "item_id",
    "location": "location_id",
    "alias": "alias",
    "supplier": "supplier_id",
    "purchase_order": "purchase_order_id",
}
"""The member of the content that says what an entry is about."""
_FOR_BRANCHES_ALONE: Final = ("reorder_level", "alias", "supplier", "purchase_order")

# One moment for all changes of a transaction, so that none is known without the others.
_KNOWN_FROM: Final = text(
    "SELECT set_config('larder.known_from', coalesce(nullif(current_setting('larder.known_from', true), ''),"
    " larder_received_at()::text), true)::bigint"
)

_decode: Final = {name: msgspec.json.Decoder(kind).decode for name, kind in _KINDS.items()}


class Change(NamedTuple):
    """A changed entry and the location it is for (None: all). `published` is False for what only head office needs."""

    content: Content
    location_id: str | None = None
    published: bool = True


class CatalogueHead(NamedTuple):
    """The newest version (0: nothing yet) and its hash, hex."""

    version: int
    hash: str


def read_head(connection: Connection) -> CatalogueHead:
    row = connection.execute(select(CATALOGUE_HEAD.c.version, CATALOGUE_HEAD.c.hash)).one()
    return CatalogueHead(row.version, bytes(row.hash).hex())


def lock(connection: Connection) -> None:
    """Hold the catalogue until the transaction ends. Taken before reading what a change depends on."""
    connection.execute(select(CATALOGUE_HEAD.c.version).with_for_update())


def publish(connection: Connection, changes: Sequence[Change]) -> int:
    """Add the changes to the history, in order, and notify the waiting routes; the newest version.

    From its moment on until the transaction ends a report known at a moment waits for it, as for an ingest.
    """
    lock(connection)
    version, digest = read_head(connection)
    known_from = connection.execute(_KNOWN_FROM).scalar_one() if changes else 0
    previous = bytes.fromhex(digest)
    rows: list[dict[str, object]] = []
    for change in changes:
        version += 1
        kind = _NAMES[type(change.content)]
        previous = catalogue_hash(previous, {"version": version, kind: msgspec.to_builtins(change.content)})
        rows.append(
            {
                "version": version,
                "kind": kind,
                "subject": getattr(change.content, _SUBJECTS[kind]),
                "known_from": known_from,
                "location_id": change.location_id,
                "told": change.published,
                "content": msgspec.json.encode(change.content).decode(),
                "hash": previous,
            }
        )
    if rows:
        connection.execute(insert(CATALOGUE_ENTRY), rows)
        connection.execute(update(CATALOGUE_HEAD).values(version=version, hash=previous))
        connection.execute(select(func.pg_notify(CATALOGUE_CHANNEL, "")))
    return version


def entries_at(kind: str, known_at: ColumnElement[int]) -> Select[Any]:
    """The newest entry of a kind known at a moment, of each (location_id, subject), with its content as JSON."""
    entry = CATALOGUE_ENTRY
    return (
        select(entry.c.location_id, entry.c.subject, entry.c.content)
        .ext(distinct_on(entry.c.location_id, entry.c.subject))
        .where(entry.c.kind == kind, entry.c.known_from <= known_at)
        .order_by(entry.c.location_id, entry.c.subject, entry.c.version.desc())
    )


def page(
    connection: Connection, after: int, limit: int, location: str | None, *, max_bytes: int = MAX_PAGE_BYTES
) -> CataloguePage:
    """The changes after a version for one location's branch; None: for the coordinator.

    A branch gets every item and supplier, its own location, reorder levels, mappings and orders to suppliers, and the
    keys that are valid at it; the coordinator every item, location and key of a person, and nothing else. `limit`
    counts published entries, at most MAX_PAGE; their content is at most `max_bytes`, but for a first one beyond that.
    """
    head = read_head(connection)
    previous = _hash_at(connection, after)
    if previous is None or after > head.version:
        return CataloguePage(entries=[], version=head.version, more=False)
    entry, before = CATALOGUE_ENTRY, CATALOGUE_ENTRY.alias("before")
    mine = (
        entry.c.kind.not_in(_FOR_BRANCHES_ALONE)
        if location is None
        else or_(entry.c.location_id.is_(None), entry.c.location_id == location)
    )
    limit = min(limit, MAX_PAGE)
    # The window is over one page alone: over all that is behind it, reading the history would be quadratic.
    found = (
        select(entry.c.version, entry.c.kind, entry.c.content, entry.c.hash)
        .where(and_(entry.c.version > after, entry.c.version <= head.version, entry.c.told, mine))
        .order_by(entry.c.version)
        .limit(limit + 1)
        .subquery("found")
    )
    size = func.octet_length(found.c.content)
    earlier = func.sum(size).over(order_by=found.c.version) - size
    fits = or_(earlier == 0, earlier + size <= max_bytes)
    rows = connection.execute(
        select(
            found.c.version,
            found.c.kind,
            case((fits, found.c.content)).label("content"),
            found.c.hash,
            before.c.hash.label("hash_before"),
        )
        .select_from(found.outerjoin(before, before.c.version == found.c.version - 1))
        .order_by(found.c.version)
    ).all()
    fitting = list(takewhile(lambda row: row.content is not None, rows[:limit]))
    entries: list[CatalogueEntry] = []
    reached = after
    for row in fitting:
        if row.version > reached + 1:
            entries.append(CatalogueEntry(version=row.version - 1, hash=bytes(row.hash_before).hex()))
        content: dict[str, Any] = {row.kind: _decode[row.kind](row.content)}
        entries.append(CatalogueEntry(version=row.version, hash=bytes(row.hash).hex(), **content))
        reached = row.version
    more = len(rows) > len(fitting)
    if not more and reached < head.version:
        entries.append(CatalogueEntry(version=head.version, hash=head.hash))
    return CataloguePage(entries=entries, version=head.version, more=more, previous=previous)


def _hash_at(connection: Connection, version: int) -> str | None:
    if version == 0:
        return CATALOGUE_START
    found = connection.execute(
        select(CATALOGUE_ENTRY.c.hash).where(CATALOGUE_ENTRY.c.version == version)
    ).scalar_one_or_none()
    return None if found is None else bytes(found).hex()


def verify(connection: Connection) -> int:
    """Verify the whole chain; the number of entries. Raises CatalogueBroken at the first one that does not verify."""
    version, previous = 0, bytes.fromhex(CATALOGUE_START)
    head = read_head(connection)
    entry = CATALOGUE_ENTRY
    while rows := connection.execute(
        select(entry.c.version, entry.c.kind, entry.c.content, entry.c.hash)
        .where(entry.c.version > version, entry.c.version <= head.version)
        .order_by(entry.c.version)
        .limit(MAX_PAGE)
    ).all():
        for row in rows:
            expected = {"version": version + 1, row.kind: msgspec.json.decode(row.content)}
            previous = catalogue_hash(previous, expected)
            if row.version != version + 1 or previous != bytes(row.hash):
                raise CatalogueBroken(version + 1)
            version = row.version
    if (version, previous.hex()) != head:
        raise CatalogueBroken(head.version)
    return version


class CatalogueBroken(ValueError):
    """An entry of the catalogue whose hash is not the recorded one; `version` is the first that does not verify."""

    def __init__(self, version: int) -> None:
        super().__init__(f"the catalogue's chain breaks at version {version}")
        self.version = version
