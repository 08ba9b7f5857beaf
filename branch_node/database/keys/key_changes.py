"""The commands that change the keys of a node: issue, rotate and revoke one, and record when each was last used."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from sqlalchemy import Connection, Update, bindparam, select, update

from branch_node.database.keys.api_keys import key_record, own_key, store_key
from branch_node.database.schema import API_KEY
from branch_node.model import Command, Decision, View, Write
from branch_node.problems import KEY_REVOKED
from shared.event_record import moment_text
from shared.runtime.http.auth import NewKey
from shared.runtime.http.key_rotation import earlier_line, last_good
from shared.runtime.http.scopes import Role, Scope


class IssueKey(Command):
    """Store a key that was made for this node's API. Answered with None."""

    def __init__(self, made: NewKey, role: Role, scopes: Collection[Scope], label: str | None) -> None:
        self._made, self._role, self._scopes, self._label = made, role, scopes, label

    def decide(self, view: View) -> Decision:
        location_id, now = view.location.location_id, view.now

        def write(connection: Connection) -> None:
            store_key(
                connection,
                self._made,
                self._role,
                location_id,
                scopes=self._scopes,
                label=self._label,
                issued_at=now,
            )

        return Decision(writes=[write])


class RotateKey(Command):
    """Give a key of this node the text that was made; the one until now stays good for `overlap_seconds`.

    Answered with the moment until when, as text, or None. Raises Problem: 404 `unknown-key`, 409 `key-of-the-group`,
    `key-revoked`. `keys_changed` is called after the commit.
    """

    def __init__(self, made: NewKey, overlap_seconds: int, keys_changed: Callable[[], None]) -> None:
        self._made, self._overlap, self._keys_changed = made, overlap_seconds, keys_changed

    def decide(self, view: View) -> Decision:
        row = own_key(view.connection, self._made.key_id)
        if row.revoked_at is not None:
            raise KEY_REVOKED(f"{row.key_id} is revoked since {moment_text(row.revoked_at)}")
        earlier = earlier_line(row.earlier_texts, row.key_hash, view.now, self._overlap)
        until = last_good(earlier)
        change = (
            update(API_KEY)
            .where(API_KEY.c.key_id == row.key_id)
            .values(
                key_hash=self._made.digest,
                earlier_texts=earlier,
            )
        )
        return Decision(
            writes=[_change(change)],
            answer=None if until is None else moment_text(until),
            after_commit=[self._keys_changed],
        )


class RevokeKey(Command):
    """Revoke a key of this node, for good; one that was revoked stays as it is. Answered with its NodeKeyRecord.

    Raises Problem: 404 `unknown-key`, 409 `key-of-the-group`. `keys_changed` is called after the commit.
    """

    def __init__(self, key_id: str, keys_changed: Callable[[], None]) -> None:
        self._key_id, self._keys_changed = key_id, keys_changed

    def decide(self, view: View) -> Decision:
        row = own_key(view.connection, self._key_id)
        record = key_record(row)
        if row.revoked_at is not None:
            return Decision(answer=record)
        record.revoked_at = moment_text(view.now)
        change = update(API_KEY).where(API_KEY.c.key_id == self._key_id).values(revoked_at=view.now)
        return Decision(
            writes=[_change(change)],
            answer=record,
            after_commit=[self._keys_changed],
        )


class RecordKeyUses(Command):
    """Record when keys were last used (microseconds UTC). Answered with None."""

    def __init__(self, uses: Mapping[str, int]) -> None:
        self._uses = uses

    def decide(self, view: View) -> Decision:
        known = set(view.connection.execute(select(API_KEY.c.key_id)).scalars())
        rows = [{"used": key_id, "at": at} for key_id, at in self._uses.items() if key_id in known]
        change = update(API_KEY).where(API_KEY.c.key_id == bindparam("used")).values(last_used_at=bindparam("at"))

        def write(connection: Connection) -> None:
            if rows:
                connection.execute(change, rows)

        return Decision(writes=[write])


def _change(statement: Update) -> Write:
    def write(connection: Connection) -> None:
        connection.execute(statement)

    return write
