"""The facts of transfers in head office's copy of the logs, and the transfers that have new facts.

With the facts come the sites and lines of the kept instructions: a coordinator that does not know the transfer adopts
it by them.

A fact is an event that names a transfer; one that was voided since (a reversed TRANSFER_OUT) remains a fact. The cursor
of `changes` holds a sequence for each location: a location's events are committed in that order under the lock of its
head, in whatever order the transactions of several locations end, so none is skipped. Events released from the
quarantine have old sequences; they are followed by their release numbers. Works inside the transaction of the
Connection it is given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Row, text

from head_office.database.log_segments import read_lines
from shared.events import EventType, Id, code_fault
from shared.messages import ChangesPage, Fact, InstructionLine, InstructionStep, TransferFacts
from shared.runtime.http.cursor import BadCursor, Cursor, Whole

MAX_PAGE: Final = 1_000
MAX_CURSOR: Final = 60_000

_WITH_REASON: Final = frozenset({EventType.TRANSFER_REFUSED, EventType.TRANSFER_LOST, EventType.ADJUSTMENT})
_Reached = dict[Id, tuple[Whole, Whole]]
_CURSOR: Final[Cursor[_Reached]] = Cursor(_Reached, longest=MAX_CURSOR)


class _Reason(msgspec.Struct):
    reason: str | None = None


_decode_reason: Final = msgspec.json.Decoder(_Reason).decode


class _Instructed(msgspec.Struct):
    source: Id
    destination: Id
    lines: tuple[InstructionLine, ...]


_decode_instructed: Final = msgspec.json.Decoder(_Instructed).decode

# In the order of preference: the lines of the first three are those requested, the lines of the others those sent.
_STEPS_BY_PREFERENCE: Final = (
    InstructionStep.OUT,
    InstructionStep.REFUSE_OUT,
    InstructionStep.REFUSE_IN,
    InstructionStep.IN,
    InstructionStep.REVERSE,
)
_INSTRUCTED: Final = text(
    f"""
    SELECT requested.transfer_id, kept.body
    FROM unnest(CAST(:transfer_ids AS text[])) AS requested (transfer_id)
    CROSS JOIN LATERAL (
        SELECT body FROM instruction WHERE instruction.transfer_id = requested.transfer_id
        ORDER BY array_position(ARRAY[{", ".join(f"'{step}'" for step in _STEPS_BY_PREFERENCE)}], step), token DESC,
            location_id
        LIMIT 1
    ) AS kept
    """
)


# OFFSET 0 keeps the planner from turning the look-ups by transfer into a scan of the whole log.
_FACTS: Final = text(
    """
    SELECT requested.transfer_id, token.highest, fact.*
    FROM unnest(CAST(:transfer_ids AS text[])) WITH ORDINALITY AS requested (transfer_id, place)
    CROSS JOIN LATERAL (
        SELECT max(token) AS highest FROM transfer_token WHERE transfer_id = requested.transfer_id
    ) AS token
    LEFT JOIN LATERAL (
        SELECT location_id, sequence, type, item_id, occurred_at,
            CASE WHEN type = 'TRANSFER_REVERSED' THEN (
                SELECT abs(sent.on_hand_change) FROM event AS sent
                WHERE sent.location_id = event.location_id AND sent.sequence = event.voided_sequence
            ) ELSE coalesce(abs(in_transit_change), on_hand_change) END AS quantity,
            coalesce(
                -- A quarantined event is known from its release on.
                (SELECT released_at FROM quarantine
                 WHERE quarantine.location_id = event.location_id AND quarantine.sequence = event.sequence),
                (SELECT received_at FROM ingest_batch
                 WHERE ingest_batch.location_id = event.location_id AND last_sequence >= event.sequence
                 ORDER BY last_sequence LIMIT 1)
            ) AS received_at
        FROM event WHERE event.transfer_id = requested.transfer_id AND event.transfer_id IS NOT NULL
        ORDER BY location_id, sequence OFFSET 0
    ) AS fact ON true
    ORDER BY requested.place, fact.location_id, fact.sequence
    """
)


def facts(connection: Connection, transfer_ids: Sequence[str]) -> list[TransferFacts]:
    """All facts of each transfer, with its sites and lines as instructed, in the order of `transfer_ids`.

    Facts are in the order of location and sequence.
    """
    if not transfer_ids:
        return []
    requested = list(dict.fromkeys(transfer_ids))
    # Read before the facts: an instruction deleted between the two is of a transfer that is over by its facts.
    kept = {
        row.transfer_id: _decode_instructed(row.body)
        for row in connection.execute(_INSTRUCTED, {"transfer_ids": requested})
    }
    rows = connection.execute(_FACTS, {"transfer_ids": requested}).all()
    reasons = _reasons(connection, rows)
    found: dict[str, TransferFacts] = {}
    for row in rows:
        transfer = found.get(row.transfer_id)
        if transfer is None:
            instructed = kept.get(row.transfer_id)
            transfer = TransferFacts(
                transfer_id=row.transfer_id,
                highest_token=row.highest or 0,
                facts=[],
                source=None if instructed is None else instructed.source,
                destination=None if instructed is None else instructed.destination,
                lines=() if instructed is None else instructed.lines,
            )
            found[row.transfer_id] = transfer
        if row.sequence is not None:
            transfer.facts.append(
                Fact(
                    location_id=row.location_id,
                    sequence=row.sequence,
                    type=EventType(row.type),
                    item_id=row.item_id,
                    quantity=row.quantity,
                    reason=reasons.get((row.location_id, row.sequence)),
                    occurred_at=row.occurred_at,
                    received_at=row.received_at,
                )
            )
    return [found[each] for each in transfer_ids]


def _reasons(connection: Connection, rows: Sequence[Row[Any]]) -> dict[tuple[str, int], str | None]:
    """The reasons, which are in the canonical lines only, of the few events that have one."""
    wanted: dict[str, list[int]] = {}
    for row in rows:
        if row.type in _WITH_REASON:
            wanted.setdefault(row.location_id, []).append(row.sequence)
    return {
        (location_id, sequence): _decode_reason(line).reason
        for location_id, sequences in wanted.items()
        for sequence, line in read_lines(connection, location_id, sequences).items()
    }


# A restored head office has fewer events than a cursor may name, so positions are cut to what there is. Locations take
# turns, so that a busy one does not delay the others; those without new facts come first, with their position.
_CHANGES: Final = text(
    """
    WITH reached AS (
        SELECT head.location_id,
            least(coalesce(given.sequence, 0), head.sequence) AS sequence,
            least(coalesce(given.release, 0), coalesce((
                SELECT max(release_number) FROM quarantine WHERE quarantine.location_id = head.location_id
            ), 0)) AS release
        FROM head LEFT JOIN unnest(
            CAST(:locations AS text[]), CAST(:sequences AS bigint[]), CAST(:releases AS bigint[])
        ) AS given (location_id, sequence, release) ON given.location_id = head.location_id
    )
    SELECT reached.location_id, reached.sequence AS from_sequence, reached.release AS from_release,
        fresh.turn, fresh.sequence, fresh.release, fresh.transfer_id
    FROM reached LEFT JOIN LATERAL (
        (SELECT row_number() OVER (ORDER BY sequence) AS turn, sequence, CAST(NULL AS bigint) AS release, transfer_id
         FROM event
         WHERE location_id = reached.location_id AND transfer_id IS NOT NULL AND sequence > reached.sequence
         ORDER BY sequence LIMIT :limit + 1)
        UNION ALL
        (SELECT row_number() OVER (ORDER BY release_number), NULL, release_number, (
             SELECT transfer_id FROM event
             WHERE event.location_id = quarantine.location_id AND event.sequence = quarantine.sequence
         )
         FROM quarantine WHERE location_id = reached.location_id AND release_number > reached.release
         ORDER BY release_number LIMIT :limit + 1)
    ) AS fresh ON true
    ORDER BY fresh.turn NULLS FIRST, reached.location_id, fresh.release
    LIMIT :limit + 1 + (SELECT count(*) FROM head)
    """
)


def changes(connection: Connection, cursor: str | None, limit: int = MAX_PAGE) -> ChangesPage:
    """The facts, whole, of up to `limit` transfers that got facts after the cursor (None: from the beginning).

    Raises BadCursor.
    """
    at = read_cursor(cursor)
    limit = min(limit, MAX_PAGE)
    given = {
        "locations": list(at),
        "sequences": [sequence for sequence, _ in at.values()],
        "releases": [release for _, release in at.values()],
    }
    rows = connection.execute(_CHANGES, {**given, "limit": limit}).all()
    more = sum(row.turn is not None for row in rows) > limit
    transfers: dict[str, None] = {}
    started: set[str] = set()
    for row in rows:
        if row.turn is not None and row.transfer_id is not None and row.transfer_id not in transfers:
            if len(transfers) == limit:
                more = True
                break
            transfers[row.transfer_id] = None
        if row.location_id not in started:
            started.add(row.location_id)
            at[row.location_id] = (row.from_sequence, row.from_release)
        sequence, release = at[row.location_id]
        at[row.location_id] = (
            sequence if row.sequence is None else row.sequence,
            release if row.release is None else row.release,
        )
    return ChangesPage(facts(connection, list(transfers)), write_cursor(at), more)


def read_cursor(cursor: str | None) -> _Reached:
    """The sequence and release number reached at each location. Raises BadCursor."""
    if not cursor:
        return {}
    at = _CURSOR.decode(cursor)
    if any(code_fault(location_id) for location_id in at):
        raise BadCursor("the cursor names what cannot be a location")
    return at


def write_cursor(at: Mapping[str, tuple[int, int]]) -> str:
    """The text of the positions. Coordinators keep it in their databases, so its format stays."""
    return _CURSOR.write(dict(sorted(at.items())))
