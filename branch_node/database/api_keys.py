"""The API keys that this node accepts: issued here, issued by head office, and the key of this machine's commands."""

from __future__ import annotations

import secrets
from typing import Final

from sqlalchemy import Connection, select

from branch_node.database.schema import API_KEY
from branch_node.database.store import Store
from shared.runtime.database.row_writes import upsert
from shared.runtime.http.auth import NewKey, StoredKey, digest_of, generate_key
from shared.runtime.http.scopes import Role, Scope

LOCAL: Final = "localcli"
"""The key id, and so the actor, of `larder branch …` commands on the node's own machine."""


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
        return StoredKey(row.key_id, row.key_hash, Role(row.role), row.location_id, row.revoked_at is not None)


def new_local_key() -> str:
    """A new key for this machine's commands, valid while the serving process runs."""
    return f"lk_{LOCAL}_{secrets.token_urlsafe(32)}"


def has_own_key(connection: Connection) -> bool:
    """Whether any key was issued here."""
    return connection.execute(select(API_KEY.c.key_id).where(API_KEY.c.issued_here).limit(1)).first() is not None


def issue_manager_key(connection: Connection, location_id: str) -> NewKey:
    """Issue a manager's key for the node's API; only its digest is stored."""
    key = generate_key()
    store_manager_key(connection, location_id, key)
    return key


def store_manager_key(connection: Connection, location_id: str, key: NewKey) -> None:
    """Store the digest of a manager's key that was made for the node's API. Storing it again changes nothing."""
    row = {
        "key_id": key.key_id,
        "key_hash": key.digest,
        "role": Role.MANAGER.value,
        "location_id": location_id,
        "revoked_at": None,
        "issued_here": True,
    }
    upsert(connection, API_KEY, [row])
