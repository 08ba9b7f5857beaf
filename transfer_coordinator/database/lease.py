"""The lease on a transfer: one coordinator at a time drives it, under a fencing token that only grows.

It is kept on the transfer's row and expires by the database's clock. Acquiring it raises the token, and every later
write of the saga names the token of its lease (`WHERE token = mine`): no row means that the lease is lost, and then
nothing may be written for that transfer. All functions work on many transfers at once, in the transaction of the
Connection they are given, and lock rows in the order of their ids, so that two coordinators do not deadlock. Times are
microseconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import msgspec
from sqlalchemy import Connection, text


class Lease(NamedTuple):
    """A lease held by a coordinator."""

    token: int
    expires_at: int


MINE: Final = "t.token = given.token AND t.lease_holder = :holder AND t.lease_expires_at > larder_now()"
"""The condition of every write of a saga, on `transfer AS t` and the rows `given`."""

_FREE: Final = "ended_at IS NULL AND (lease_expires_at IS NULL OR lease_expires_at <= (SELECT larder_now()))"
_ACQUIRE: Final = """
WITH free AS MATERIALIZED (
    SELECT transfer_id FROM transfer WHERE {wanted} AND {free}
    ORDER BY {order} LIMIT :most FOR UPDATE SKIP LOCKED
)
UPDATE transfer AS t
SET token = t.token + 1, lease_holder = :holder, lease_expires_at = larder_now() + :length
FROM free WHERE t.transfer_id = free.transfer_id
RETURNING t.transfer_id, t.token, t.lease_expires_at
"""
_ACQUIRE_DUE: Final = text(_ACQUIRE.format(wanted="due_at <= (SELECT larder_now())", free=_FREE, order="due_at"))
_ACQUIRE_NAMED: Final = text(_ACQUIRE.format(wanted="transfer_id = ANY(:names)", free=_FREE, order="transfer_id"))

_HELD: Final = """
WITH given AS MATERIALIZED (
    SELECT * FROM json_to_recordset(CAST(:leases AS json)) AS g (transfer_id text, token bigint, above bigint)
), locked AS MATERIALIZED (
    SELECT t.transfer_id FROM transfer AS t JOIN given USING (transfer_id) ORDER BY t.transfer_id FOR UPDATE OF t
)
UPDATE transfer AS t SET {change}
FROM given JOIN locked USING (transfer_id)
WHERE t.transfer_id = given.transfer_id AND {mine}
RETURNING t.transfer_id, t.token, t.lease_expires_at
"""
_RENEW: Final = text(_HELD.format(change="lease_expires_at = larder_now() + :length", mine=MINE))
_RELEASE: Final = text(_HELD.format(change="lease_holder = NULL, lease_expires_at = NULL", mine=MINE))
_RAISE: Final = text(
    _HELD.format(change="token = t.token + given.above, lease_expires_at = larder_now() + :length", mine=MINE)
)


def acquire_due(connection: Connection, holder: str, length: int, most: int) -> dict[str, Lease]:
    """Acquire up to `most` open transfers that are due and not held, the longest due first."""
    rows = connection.execute(_ACQUIRE_DUE, {"holder": holder, "length": length, "most": most})
    return {row.transfer_id: Lease(row.token, row.lease_expires_at) for row in rows}


def acquire(connection: Connection, holder: str, length: int, names: Sequence[str]) -> dict[str, Lease]:
    """Acquire those of the named open transfers that are not held or locked by another coordinator."""
    if not names:
        return {}
    bound = {"holder": holder, "length": length, "most": len(names), "names": list(names)}
    return {
        row.transfer_id: Lease(row.token, row.lease_expires_at) for row in connection.execute(_ACQUIRE_NAMED, bound)
    }


def renew(connection: Connection, holder: str, length: int, tokens: Mapping[str, int]) -> dict[str, Lease]:
    """Extend the leases under these tokens to `length` from now; those missing from the result are lost."""
    return _held(connection, _RENEW, {"holder": holder, "length": length}, {each: (tokens[each], 0) for each in tokens})


def release(connection: Connection, holder: str, tokens: Mapping[str, int]) -> None:
    """Release the leases under these tokens, so that another coordinator need not wait for their expiry."""
    _held(connection, _RELEASE, {"holder": holder}, {each: (tokens[each], 0) for each in tokens})


def raise_tokens(
    connection: Connection, holder: str, length: int, seen: Mapping[str, tuple[int, int]]
) -> dict[str, Lease]:
    """Raise our token above a higher one that head office has seen and fenced us with.

    `seen` is (token held, highest token seen) by transfer. Those missing from the result are lost: another coordinator
    on the same database acquired them, and the higher token is its.
    """
    above = {each: (token, highest + 1 - token) for each, (token, highest) in seen.items() if highest > token}
    return _held(connection, _RAISE, {"holder": holder, "length": length}, above)


def _held(
    connection: Connection, statement: object, bound: dict[str, object], given: Mapping[str, tuple[int, int]]
) -> dict[str, Lease]:
    if not given:
        return {}
    rows = [{"transfer_id": each, "token": token, "above": above} for each, (token, above) in given.items()]
    found = connection.execute(statement, bound | {"leases": msgspec.json.encode(rows).decode()})  # type: ignore[call-overload]
    return {row.transfer_id: Lease(row.token, row.lease_expires_at or 0) for row in found}
