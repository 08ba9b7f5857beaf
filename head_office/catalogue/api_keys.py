"""The API keys of the whole group: head office issues and revokes them, and keeps their hashes only.

Works inside the transaction of the Connection it is given; changes go into the catalogue, where branches and the
coordinator learn of those that people hold.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final, NamedTuple

import msgspec
from sqlalchemy import Connection, Engine, Row, bindparam, func, insert, select, update

from head_office.catalogue.catalogue_history import Change, lock, publish
from head_office.catalogue.locations import check_locations
from head_office.database.office_schema import API_KEY
from head_office.database.schema import now
from head_office.problems import KEY_REVOKED, LAST_ADMIN_KEY, UNKNOWN_KEY
from shared.catalogue_messages import CatalogueKey
from shared.runtime.clock import format_rfc3339
from shared.runtime.database.engine import translate_driver_errors
from shared.runtime.http.auth import NewKey, StoredKey, generate_key
from shared.runtime.http.key_rotation import (
    MOST_OVERLAP_SECONDS,
    OVERLAP_SECONDS,
    earlier_line,
    last_good,
    read_earlier,
)
from shared.runtime.http.scopes import Role, Scope, addition_fault, known_scopes
from shared.runtime.problems import invalid_request
from shared.runtime.text.text_faults import name_fault

MACHINES: Final = frozenset({Role.BRANCH, Role.COORDINATOR})
"""Roles whose keys only head office checks: they are not published to branches and the coordinator."""

_GROUP_ONLY: Final = frozenset({Role.ADMIN, Role.COORDINATOR})


class Key(NamedTuple):
    """A key as it is listed; times are microseconds UTC."""

    key_id: str
    role: str
    location_id: str | None
    label: str | None
    issued_at: int
    revoked_at: int | None
    scopes: tuple[str, ...] = ()
    previous_until: int | None = None
    last_used_at: int | None = None


class KeyRecord(msgspec.Struct, frozen=True):
    """A key as it is listed; its text is kept nowhere.

    `scopes`: those beyond the role's. `previous_until`: until then a text before a rotation is good, too.
    `last_used_at`: when it was last used at head office, to within two minutes.
    """

    key_id: str
    role: str
    location_id: str | None
    label: str | None
    issued_at: str
    revoked_at: str | None
    scopes: tuple[str, ...]
    previous_until: str | None
    last_used_at: str | None


def key_record(key: Key) -> KeyRecord:
    return KeyRecord(
        key.key_id,
        key.role,
        key.location_id,
        key.label,
        format_rfc3339(key.issued_at),
        _time(key.revoked_at),
        key.scopes,
        _time(key.previous_until),
        _time(key.last_used_at),
    )


def _time(micros: int | None) -> str | None:
    return None if micros is None else format_rfc3339(micros)


def check_place(role: Role, location_id: str | None) -> None:
    """Refuse a location that a key of this role cannot have. Raises Problem 422 `invalid-request`."""
    if role is Role.BRANCH and location_id is None:
        invalid_request("location_id", "a branch's key is for one location: name it")
    if role in _GROUP_ONLY and location_id is not None:
        invalid_request("location_id", f"a key with the role {role} is for the whole group: leave it out")


def check_scopes(role: Role, scopes: Collection[Scope]) -> None:
    """Refuse scopes that a key of this role cannot be given. Raises Problem 422 `invalid-request`."""
    if fault := addition_fault(role, scopes):
        invalid_request("scopes", fault)


def issue(
    connection: Connection,
    role: Role,
    location_id: str | None = None,
    label: str | None = None,
    scopes: Collection[Scope] = (),
) -> NewKey:
    """Make a key; its text is in the answer and nowhere else. A branch's key is for one location, an admin's for none.

    `scopes` are given beyond those of the role. Raises Problem 422: `unknown-location`, `invalid-request`.
    """
    check_place(role, location_id)
    check_scopes(role, scopes)
    if label is not None and (fault := name_fault(label)):
        invalid_request("label", fault)
    lock(connection)
    if location_id is not None:
        check_locations(connection, [location_id])
    made = generate_key()
    row = connection.execute(
        insert(API_KEY)
        .values(
            key_id=made.key_id,
            key_hash=made.digest,
            role=role.value,
            location_id=location_id,
            label=label,
            issued_at=now(connection),
            scopes=sorted(set(scopes)),
        )
        .returning(*API_KEY.c)
    ).one()
    publish(connection, [_change(row)])
    return made


def revoke(connection: Connection, key_id: str) -> Key:
    """Revoke a key, for good; one that was revoked stays as it is.

    Raises Problem: 404 `unknown-key`, 409 `last-admin-key`.
    """
    lock(connection)
    row = connection.execute(select(API_KEY).where(API_KEY.c.key_id == key_id)).one_or_none()
    if row is None:
        raise UNKNOWN_KEY(f"there is no key {key_id}")
    if row.revoked_at is None:
        if row.role == Role.ADMIN and not _another_admin(connection, key_id):
            raise LAST_ADMIN_KEY(f"{key_id} is the only admin key left")
        row = connection.execute(
            update(API_KEY).where(API_KEY.c.key_id == key_id).values(revoked_at=now(connection)).returning(*API_KEY.c)
        ).one()
        publish(connection, [_change(row)])
    return _listed(row)


def rotate(connection: Connection, key_id: str, overlap_seconds: int = OVERLAP_SECONDS) -> tuple[NewKey, Key]:
    """Give a key another text; the text until now stays good for `overlap_seconds`, as `earlier_line` says.

    Raises Problem: 404 `unknown-key`, 409 `key-revoked`, 422 `invalid-request`.
    """
    if not 0 <= overlap_seconds <= MOST_OVERLAP_SECONDS:
        invalid_request("overlap_seconds", f"an overlap is 0 to {MOST_OVERLAP_SECONDS} seconds")
    lock(connection)
    row = connection.execute(select(API_KEY).where(API_KEY.c.key_id == key_id)).one_or_none()
    if row is None:
        raise UNKNOWN_KEY(f"there is no key {key_id}")
    if row.revoked_at is not None:
        raise KEY_REVOKED(f"{key_id} is revoked since {format_rfc3339(row.revoked_at)}")
    made = generate_key(key_id)
    earlier = earlier_line(row.earlier_texts, row.key_hash, now(connection), overlap_seconds)
    row = connection.execute(
        update(API_KEY)
        .where(API_KEY.c.key_id == key_id)
        .values(key_hash=made.digest, earlier_texts=earlier)
        .returning(*API_KEY.c)
    ).one()
    publish(connection, [_change(row)])
    return made, _listed(row)


def record_uses(connection: Connection, uses: Mapping[str, int]) -> None:
    """Record when keys were last used (microseconds UTC); never set back."""
    if uses:
        statement = (
            update(API_KEY)
            .where(API_KEY.c.key_id == bindparam("used"))
            .values(last_used_at=func.greatest(func.coalesce(API_KEY.c.last_used_at, 0), bindparam("at")))
        )
        # In one order everywhere, so that two of head office's processes do not wait for each other.
        connection.execute(statement, [{"used": key_id, "at": uses[key_id]} for key_id in sorted(uses)])


def list_keys(connection: Connection, after: str = "", limit: int = 1_000) -> list[Key]:
    """Keys in the order of their ids, revoked ones included."""
    query = select(API_KEY).where(API_KEY.c.key_id > after).order_by(API_KEY.c.key_id).limit(limit)
    return [_listed(row) for row in connection.execute(query)]


class DatabaseKeys:
    """The KeyStore of head office's API: one look-up in the database each, remembered by the Authenticator.

    Raises Problem 503 where the database is away.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def lookup(self, key_id: str) -> StoredKey | None:
        with translate_driver_errors(), self._engine.connect() as connection:
            row = connection.execute(select(API_KEY).where(API_KEY.c.key_id == key_id)).one_or_none()
        if row is None:
            return None
        return StoredKey(
            row.key_id,
            row.key_hash,
            Role(row.role),
            row.location_id,
            row.revoked_at is not None,
            known_scopes(row.scopes),
            read_earlier(row.earlier_texts),
        )


def _another_admin(connection: Connection, key_id: str) -> bool:
    found = connection.execute(
        select(API_KEY.c.key_id)
        .where(API_KEY.c.role == Role.ADMIN.value, API_KEY.c.revoked_at.is_(None), API_KEY.c.key_id != key_id)
        .limit(1)
    )
    return found.first() is not None


def _change(row: Row[tuple[object, ...]]) -> Change:
    key = CatalogueKey(
        key_id=row.key_id,
        key_hash=row.key_hash,
        role=row.role,
        location_id=row.location_id,
        revoked_at=row.revoked_at,
        scopes=tuple(row.scopes),
        earlier_texts=row.earlier_texts,
    )
    return Change(key, row.location_id, published=Role(row.role) not in MACHINES)


def _listed(row: Row[tuple[object, ...]]) -> Key:
    return Key(
        row.key_id,
        row.role,
        row.location_id,
        row.label,
        row.issued_at,
        row.revoked_at,
        tuple(row.scopes),
        last_good(row.earlier_texts),
        row.last_used_at,
    )
