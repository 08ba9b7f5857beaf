"""Head office's copy of a location's log, line by line, for audits and branches."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import msgspec
from sqlalchemy import select

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


def _line(sequence: int, digest: str, line: bytes) -> LogLine:
    try:
        return LogLine(sequence, digest, line.decode())
    except UnicodeDecodeError:
        return LogLine(sequence, digest, line_base64=b64encode(line).decode("ascii"))
