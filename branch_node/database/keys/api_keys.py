"""The API keys that this node accepts: issued here, issued by head office, and the key of this machine's commands."""

from __future__ import annotations

import secrets
from collections.abc import Collection
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Row, select

from branch_node.database.schema import API_KEY
from branch_node.database.store import Store
from branch_node.problems import KEY_OF_GROUP, UNKNOWN_KEY
from shared.event_record import moment_text
from shared.runtime.database.row_writes import upsert
from shared.runtime.http.auth import NewKey, StoredKey, digest_of, generate_key
from shared.runtime.http.key_rotation import last_good, read_earlier
from shared.runtime.http.scopes import Role, Scope, known_scopes

LOCAL: Final = "localcli"
"""The key id, and so the actor, of `larder branch …` commands on the node's own machine."""

OWN_ROLES: Final = (Role.MANAGER, Role.PURCHASING, Role.STAFF, Role.VIEWER, Role.INTEGRATION)
"""The roles of keys that a node issues itself."""


class NodeKeyRecord(msgspec.Struct, kw_only=True):
    """A key as it is listed; its text is kept nowhere.

    `issued_here`: this node issued it; the others are head office's. `scopes`: those beyond the role's.
    `previous_until`: until then a text before a rotation is good, too. `last_used_at`: when it was last used
    here, to within two minutes.
    """

    key_id: str
    role: str
    scopes: list[str]
    location_id: str | None
    label: str | None
    issued_here: bool
    issued_at: str | None
    previous_until: str | None
    last_used_at: str | None
    revoked_at: str | None


class BranchKeys:
    """A `KeyStore` over the node's database; `local_key` is the key of this machine's commands."""

    def __init__(self, store: Store, local_key: str) -> None:
        self._store = store
        self._local = StoredKey(LOCAL, digest_of(local_key), Role.MANAGER, added=frozenset({Scope.KEYS}))

    def lookup(self, key_id: str) -> StoredKey | None:
        if key_id == LOCAL:
            return self._local
        with self._store.reading() as connection:
            row = connection.execute(select(API_KEY).where(API_KEY.c.key_id == key_id)).one_or_none()
        if row is None:
            return None
        return StoredKey(
            row.key_id,
            row.key_hash,
            Role(row.role),
            row.location_id,
            row.revoked_at is not None,
            known_scopes(row.scopes.split()),
            read_earlier(row.earlier_texts),
        )


def new_local_key() -> str:
    """A new key for this machine's commands, valid while the serving process runs."""
    return f"lk_{LOCAL}_{secrets.token_urlsafe(32)}"


def has_own_key(connection: Connection) -> bool:
    """Whether any key was issued here."""
    return connection.execute(select(API_KEY.c.key_id).where(API_KEY.c.issued_here).limit(1)).first() is not None


def issue_manager_key(connection: Connection, location_id: str, issued_at: int | None = None) -> NewKey:
    """Issue a manager's key for the node's API; only its digest is stored. `issued_at` is in microseconds UTC."""
    key = generate_key()
    store_key(connection, key, Role.MANAGER, location_id, issued_at=issued_at)
    return key


def store_key(
    connection: Connection,
    key: NewKey,
    role: Role,
    location_id: str,
    *,
    scopes: Collection[Scope] = (),
    label: str | None = None,
    issued_at: int | None = None,
) -> None:
    """Store the digest of a key that was made for the node's API. Storing it again changes nothing."""
    row = {
        "key_id": key.key_id,
        "key_hash": key.digest,
        "role": role.value,
        "location_id": location_id,
        "revoked_at": None,
        "issued_here": True,
        "scopes": " ".join(sorted(set(scopes))),
        "label": label,
        "issued_at": issued_at,
    }
    upsert(connection, API_KEY, [row])


def own_key(connection: Connection, key_id: str) -> Row[Any]:
    """The row of a key that was issued here. Raises Problem: 404 `unknown-key`, 409 `key-of-the-group`."""
    row = connection.execute(select(API_KEY).where(API_KEY.c.key_id == key_id)).one_or_none()
    if row is None:
        raise UNKNOWN_KEY(f"there is no key {key_id} here")
    if not row.issued_here:
        raise KEY_OF_GROUP(f"head office issued {key_id}")
    return row


def list_keys(connection: Connection, after: str | None, limit: int) -> list[NodeKeyRecord]:
    """The keys that count here, in the order of their ids, revoked ones included; without that of this machine."""
    query = select(API_KEY).where(API_KEY.c.key_id > (after or "")).order_by(API_KEY.c.key_id).limit(limit)
    return [key_record(row) for row in connection.execute(query)]


def key_record(row: Row[Any]) -> NodeKeyRecord:
    """The record of a row of the table of keys."""
    return NodeKeyRecord(
        key_id=row.key_id,
        role=row.role,
        scopes=row.scopes.split(),
        location_id=row.location_id,
        label=row.label,
        issued_here=bool(row.issued_here),
        issued_at=_time(row.issued_at),
        previous_until=_time(last_good(row.earlier_texts)),
        last_used_at=_time(row.last_used_at),
        revoked_at=_time(row.revoked_at),
    )


def _time(micros: int | None) -> str | None:
    return None if micros is None else moment_text(micros)
