"""The projections made anew from the log, in one pass over its rows, and held against what is kept.

Set-based and linear: no event of a location is read more than a few times, whatever the number of its items. Works
inside the transaction of the Connection it is given.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
from sqlalchemy import Connection, select, text

from head_office.database.schema import HEAD
from head_office.log.ingest import lock_head

# What stands of every item. `latest` is the last place of all its events, voided ones too.
_STOCK: Final = """
WITH standing AS NOT MATERIALIZED (
    SELECT e.* FROM event AS e
        LEFT JOIN voided AS v ON v.location_id = e.location_id AND v.sequence = e.sequence
    WHERE e.location_id = ANY(:locations) AND e.item_id IS NOT NULL AND v.sequence IS NULL
), counts AS MATERIALIZED (
    SELECT DISTINCT ON (location_id, item_id) location_id, item_id, occurred_at, sequence, counted
    FROM standing WHERE counted IS NOT NULL
    ORDER BY location_id, item_id, occurred_at DESC, sequence DESC
), latest AS (
    SELECT DISTINCT ON (location_id, item_id) location_id, item_id, occurred_at, sequence
    FROM event WHERE location_id = ANY(:locations) AND item_id IS NOT NULL
    ORDER BY location_id, item_id, occurred_at DESC, sequence DESC
), moves AS (
    SELECT e.location_id, e.item_id,
        sum(e.on_hand_change) FILTER (
            WHERE c.sequence IS NULL OR (e.occurred_at, e.sequence) > (c.occurred_at, c.sequence)
        ) AS on_hand,
        sum(e.reserved_change) AS reserved,
        bool_or(
            e.sequence > c.sequence AND (e.occurred_at, e.sequence) < (c.occurred_at, c.sequence)
        ) FILTER (WHERE e.type = 'TRANSFER_IN') AS came
    FROM standing AS e LEFT JOIN counts AS c ON c.location_id = e.location_id AND c.item_id = e.item_id
    GROUP BY e.location_id, e.item_id
), back AS (
    SELECT DISTINCT b.location_id, b.item_id
    FROM event AS b
        JOIN event AS sent ON sent.location_id = b.location_id AND sent.sequence = b.voided_sequence
        JOIN counts AS c ON c.location_id = b.location_id AND c.item_id = b.item_id
    WHERE b.location_id = ANY(:locations) AND b.transfer_id IS NOT NULL AND b.type = 'TRANSFER_REVERSED'
        AND b.sequence > c.sequence AND (sent.occurred_at, sent.sequence) < (c.occurred_at, c.sequence)
)
SELECT l.location_id, l.item_id, (coalesce(c.counted, 0) + coalesce(m.on_hand, 0))::bigint AS on_hand,
    coalesce(m.reserved, 0)::bigint AS reserved, c.occurred_at AS counted_at, c.sequence AS counted_sequence,
    l.occurred_at AS latest_at, l.sequence AS latest_sequence,
    coalesce(m.came, false) OR back.item_id IS NOT NULL AS recount
FROM latest AS l
    LEFT JOIN moves AS m ON m.location_id = l.location_id AND m.item_id = l.item_id
    LEFT JOIN counts AS c ON c.location_id = l.location_id AND c.item_id = l.item_id
    LEFT JOIN back ON back.location_id = l.location_id AND back.item_id = l.item_id
"""

_TRANSFERS: Final = """
SELECT e.location_id, e.transfer_id, e.item_id,
    coalesce(sum(e.in_transit_change) FILTER (WHERE e.type = 'TRANSFER_OUT'), 0)::bigint AS sent,
    coalesce(sum(-sent.on_hand_change) FILTER (WHERE e.type = 'TRANSFER_REVERSED'), 0)::bigint AS reversed,
    coalesce(sum(-e.in_transit_change) FILTER (WHERE e.type = 'TRANSFER_IN'), 0)::bigint AS received,
    coalesce(sum(-e.in_transit_change) FILTER (WHERE e.type = 'TRANSFER_LOST'), 0)::bigint AS lost,
    min(e.occurred_at) AS first_at
FROM event AS e LEFT JOIN event AS sent ON e.type = 'TRANSFER_REVERSED' AND sent.location_id = e.location_id
    AND sent.sequence = e.voided_sequence
WHERE e.location_id = ANY(:locations) AND e.transfer_id IS NOT NULL AND e.item_id IS NOT NULL
    AND e.type IN ('TRANSFER_OUT', 'TRANSFER_REVERSED', 'TRANSFER_IN', 'TRANSFER_LOST')
GROUP BY e.location_id, e.transfer_id, e.item_id
"""

_VOIDED: Final = """
SELECT location_id, voided_sequence AS sequence, sequence AS by_sequence FROM event
WHERE location_id = ANY(:locations) AND voided_sequence IS NOT NULL
"""

FROM_THE_LOG: Final = {"stock": _STOCK, "transfer_line": _TRANSFERS, "voided": _VOIDED}
"""What each derived table must hold for the given locations, as the log has it, in the order of its columns."""

PROJECTIONS: Final = ("stock", "transfer_line")


class Rebuilt(msgspec.Struct, frozen=True, kw_only=True):
    """What a rebuild did: rows of each projection, and how many of them were wrong, missing or too many before."""

    locations: int
    rows: dict[str, int]
    corrected: dict[str, int]


def rebuild(connection: Connection, location_id: str | None = None) -> Rebuilt:
    """Make the projections of a location (None: of all) anew. Holds the heads until the transaction ends.

    Rows that are right stay as they are. Raises UnknownLocation.
    """
    everywhere = connection.execute(select(HEAD.c.location_id).order_by(HEAD.c.location_id)).scalars().all()
    locations = list(everywhere) if location_id is None else [location_id]
    for each in locations:
        lock_head(connection, each)
    rows: dict[str, int] = {}
    corrected: dict[str, int] = {}
    for table in PROJECTIONS:
        rows[table], corrected[table] = _rebuild(connection, table, locations)
    return Rebuilt(locations=len(locations), rows=rows, corrected=corrected)


def _rebuild(connection: Connection, table: str, locations: Sequence[str]) -> tuple[int, int]:
    named = {"locations": list(locations)}
    fresh = f"rebuilt_{table}"
    connection.execute(text(f"CREATE TEMPORARY TABLE {fresh} ON COMMIT DROP AS {FROM_THE_LOG[table]}"), named)
    rows = int(connection.execute(text(f"SELECT count(*) FROM {fresh}")).scalar_one())
    differing = text(
        f"SELECT count(*) FROM ((TABLE {fresh} EXCEPT SELECT * FROM {table} WHERE location_id = ANY(:locations))"
        f" UNION ALL (SELECT * FROM {table} WHERE location_id = ANY(:locations) EXCEPT TABLE {fresh})) AS differing"
    )
    corrected = int(connection.execute(differing, named).scalar_one())
    if corrected:
        connection.execute(text(f"DELETE FROM {table} WHERE location_id = ANY(:locations)"), named)
        connection.execute(text(f"INSERT INTO {table} SELECT * FROM {fresh}"))
    connection.execute(text(f"DROP TABLE {fresh}"))
    return rows, corrected
