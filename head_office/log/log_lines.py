"""Head office's copy of a location's log, line by line, for audits and branches."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import BigInteger, Connection, func, literal, select, union

from head_office.database.arrays import BIGINT, array
from head_office.database.log_segments import read_lines
from head_office.database.schema import EVENT, QUARANTINE


class LogLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """One event of a log: its place, its hash (hex), its canonical line without newline.

    A line that is not UTF-8, so not of any Larder, stands in `line_base64` instead.
    """

    sequence: int
    hash: str
    line: str | None = None
    line_base64: str | None = None


class LogPage(msgspec.Struct, frozen=True):
    """Consecutive events; `next` is the sequence to go on after, at the log's end too: new events come there."""

    items: list[LogLine]
    next: int


def read_page(connection: Any, location_id: str, after: int, limit: int) -> LogPage:
    """Up to `limit` events of a location's log after a sequence, those in quarantine included."""
    hashes: dict[int, str] = {}
    for table in (EVENT, QUARANTINE):
        rows = connection.execute(
            select(table.c.sequence, table.c.hash).where(
                table.c.location_id == location_id, table.c.sequence > after, table.c.sequence <= after + limit
            )
        )
        hashes |= {row.sequence: bytes(row.hash).hex() for row in rows}
    lines = read_lines(connection, location_id, hashes)
    items = [_line(sequence, hashes[sequence], lines[sequence]) for sequence in sorted(hashes)]
    return LogPage(items, items[-1].sequence if items else after)


def occurred_in(
    connection: Connection,
    location_id: str,
    begin: int | None,
    end: int | None,
    *,
    after: int,
    limit: int,
    newest_first: bool,
) -> list[int]:
    """The sequences of up to `limit` events of a log that occurred in [begin, end), the first or the last, ascending.

    Events in quarantine are included where it could be read when they occurred. Moments are microseconds UTC.
    """
    found = []
    for table in (EVENT, QUARANTINE):
        query = select(table.c.sequence).where(table.c.location_id == location_id, table.c.sequence > after)
        if begin is not None:
            query = query.where(table.c.occurred_at >= literal(begin, BigInteger))
        if end is not None:
            query = query.where(table.c.occurred_at < literal(end, BigInteger))
        found.append(query)
    either = union(*found).subquery("either")
    order = either.c.sequence.desc() if newest_first else either.c.sequence
    return sorted(connection.execute(select(either.c.sequence).order_by(order).limit(limit)).scalars())


def read_at(connection: Connection, location_id: str, sequences: Sequence[int]) -> list[LogLine]:
    """The events of a location's log at some sequences, in the order of the log."""
    hashes: dict[int, str] = {}
    for table in (EVENT, QUARANTINE):
        rows = connection.execute(
            select(table.c.sequence, table.c.hash).where(
                table.c.location_id == location_id, table.c.sequence == func.any(array(sequences, BIGINT))
            )
        )
        hashes |= {row.sequence: bytes(row.hash).hex() for row in rows}
    lines = read_lines(connection, location_id, hashes)
    return [_line(sequence, hashes[sequence], lines[sequence]) for sequence in sorted(hashes)]


def _line(sequence: int, digest: str, line: bytes) -> LogLine:
    try:
        return LogLine(sequence, digest, line.decode())
    except UnicodeDecodeError:
        return LogLine(sequence, digest, line_base64=b64encode(line).decode("ascii"))
