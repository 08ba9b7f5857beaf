"""Verification of a branch's database: the chain of its log, and the projection against the fold of the log.

Works on the snapshot of the Connection it is given and reads only; memory is bounded by a page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, bindparam, func, select

from branch_node.database.schema import LOG, STOCK
from shared.chain import EMPTY, Head, understand
from shared.event_log import LEAN_COLUMNS, lean_row, read_head
from shared.events import EventNotUnderstood
from shared.projection import load_standings, refold
from shared.runtime.database.row_writes import driver_sql
from shared.stock import Standing
from shared.stock_expressions import voids_in

PAGE: Final = 5_000
ITEMS: Final = 200

Advance = Callable[[int], None]
"""Called with the number of further events or items that are verified."""


class VerificationFinding(msgspec.Struct, frozen=True, kw_only=True):
    """One finding: what is wrong; where, by `sequence` or `item_id`; the recorded and the computed value."""

    what: str
    sequence: int | None = None
    item_id: str | None = None
    recorded: str | None = None
    computed: str | None = None


def count_events(connection: Connection, location_id: str) -> int:
    """Count the events to verify."""
    head = read_head(connection, LOG, location_id)
    return 0 if head is None else head.sequence


def verify_chain(
    connection: Connection, location_id: str, advance: Advance, *, deep: bool = False
) -> VerificationFinding | None:
    """Find the first event that breaks the chain, is missing, or is not the head's; None where there is none.

    `deep` also decodes every line and compares it with the columns beside it, which takes several times as long.
    """
    reached, digest = 0, EMPTY.hash
    for page in _pages(connection, deep=deep):
        for row in page:
            sequence, line, recorded = row[0], row[1], row[2]
            reached += 1
            if sequence != reached:
                return VerificationFinding(what="an event is missing", sequence=reached)
            if isinstance(line, str):
                return VerificationFinding(what="the line is not stored as bytes", sequence=sequence)
            digest = sha256(digest + line).digest()
            if digest != recorded:
                return VerificationFinding(
                    what="the hash is not that of the line", sequence=sequence, recorded=_hex(recorded),
                    computed=digest.hex(),
                )  # fmt: skip
            if deep and (finding := _compare(sequence, bytes(line), tuple(row[2:]))) is not None:
                return finding
        advance(len(page))
    head = read_head(connection, LOG, location_id)
    if head is None or (head.sequence, head.hash) != (reached, digest):
        at = _head_text(head)
        return VerificationFinding(
            what="the head is not the last event", recorded=at, computed=f"{reached} {digest.hex()}"
        )
    return None


def _hex(recorded: object) -> str:
    return bytes(recorded).hex() if isinstance(recorded, bytes | memoryview) else repr(recorded)


def _head_text(head: Head | None) -> str:
    return "none" if head is None else f"{head.sequence} {head.hash.hex()}"


def _pages(connection: Connection, *, deep: bool) -> Iterator[Sequence[Any]]:
    """The log in order, as (sequence, line, hash, the lean columns if deep), on the driver's own cursor."""
    event, after = LOG.event, 0
    lean = [event.c[name] for name in LEAN_COLUMNS] if deep else []
    query = (
        select(event.c.sequence, event.c.line, event.c.hash, *(column.label(f"_{column.name}") for column in lean))
        .where(event.c.sequence > bindparam("after"))
        .order_by(event.c.sequence)
    )
    sql = f"{driver_sql(query, connection.dialect.name)} LIMIT {PAGE}"
    cursor = connection.connection.cursor()
    try:
        while True:
            cursor.execute(sql, (after,))
            page = cursor.fetchall()
            if not page:
                return
            yield page
            after = page[-1][0]
    finally:
        cursor.close()


def _compare(sequence: int, line: bytes, row: tuple[Any, ...]) -> VerificationFinding | None:
    try:
        event = understand(line)
    except EventNotUnderstood as error:
        return VerificationFinding(what=f"the line is no event: {error.reason}", sequence=sequence)
    expected = lean_row(event, bytes(row[0]))
    for name, is_there, should in zip(LEAN_COLUMNS, row[1:], expected, strict=True):
        there = bytes(is_there) if isinstance(is_there, memoryview) else is_there
        if there != should:
            return VerificationFinding(
                what=f"the column {name} is not what the line says", sequence=sequence, recorded=str(there),
                computed=str(should),
            )  # fmt: skip
    return None


def count_items(connection: Connection, location_id: str) -> int:
    """Count the items to fold."""
    return len(_item_ids(connection, location_id))


def _item_ids(connection: Connection, location_id: str) -> list[str]:
    event = LOG.event
    named = connection.execute(select(event.c.item_id).where(event.c.item_id.is_not(None)).distinct()).scalars()
    kept = connection.execute(select(STOCK.c.item_id).where(STOCK.c.location_id == location_id)).scalars()
    return sorted({*named, *kept})


def verify_projection(connection: Connection, location_id: str, advance: Advance) -> list[VerificationFinding]:
    """Find the items whose kept figures are not the fold of the log, and whether the voids differ from the log."""
    findings: list[VerificationFinding] = []
    item_ids = _item_ids(connection, location_id)
    for start in range(0, len(item_ids), ITEMS):
        some = item_ids[start : start + ITEMS]
        kept = load_standings(connection, STOCK, location_id, some)
        folded = refold(connection, LOG, location_id, some)
        for item_id in some:
            have, should = _figures(kept.get(item_id)), _figures(folded.get(item_id))
            if have != should:
                findings.append(
                    VerificationFinding(
                        what="kept figures are not the fold", item_id=item_id, recorded=have, computed=should
                    )
                )
        advance(len(some))
    event, voided = LOG.event, LOG.voided
    logged_voids = voids_in(event, event.c.location_id == location_id)
    kept_voids = select(voided.c.location_id, voided.c.sequence, voided.c.by_sequence).where(
        voided.c.location_id == location_id
    )
    for one, other in ((logged_voids, kept_voids), (kept_voids, logged_voids)):
        if connection.execute(select(func.count()).select_from(one.except_(other).subquery())).scalar_one():
            findings.append(VerificationFinding(what="the table of voids is not what the log says"))
            break
    return findings


def _figures(standing: Standing | None) -> str:
    """The compared figures as text; the bound `latest` is none."""
    if standing is None:
        standing = Standing()
    counted = "never" if standing.last_count is None else str(standing.last_count.sequence)
    return (
        f"on hand {standing.on_hand}, reserved {standing.reserved}, last count {counted}, "
        f"to be counted again {standing.recount}"
    )
