"""What head office's copy of the logs says of transfers, and which transfers got something new to say.

With them goes what was asked, from the instructions that are kept: a coordinator that never heard of a transfer learns
from it between which locations it is.

A fact is an event that names a transfer; one that was voided since (a reversed TRANSFER_OUT) remains a fact. The cursor
of `changes` holds a sequence for each location: a location's events are committed in that order under the lock of its
head, whatever order the transactions of several locations end in, so nothing is ever passed over. Events that came out
of the quarantine carry old sequences; they are followed by their release numbers. Works inside the transaction of the
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


class _Asked(msgspec.Struct):
    source: Id
    destination: Id
    lines: tuple[InstructionLine, ...]


_decode_asked: Final = msgspec.json.Decoder(_Asked).decode

# The first two name the goods as they were asked for, the others as they left.
_TELLING: Final = (
    InstructionStep.OUT,
    InstructionStep.REFUSE_OUT,
    InstructionStep.REFUSE_IN,
    InstructionStep.IN,
    InstructionStep.REVERSE,
)
_ASKED: Final = text(
    f"""
    SELECT asked.transfer_id, kept.body
    FROM unnest(CAST(:transfer_ids AS text[])) AS asked (transfer_id)
    CROSS JOIN LATERAL (
        SELECT body FROM instruction WHERE instruction.transfer_id = asked.transfer_id
        ORDER BY array_position(ARRAY[{", ".join(f"'{step}'" for step in _TELLING)}], step), token DESC, location_id
        LIMIT 1
    ) AS kept
    """
)


# OFFSET 0 keeps the planner from turning the look-ups by transfer into a scan of the whole log, whatever it guesses.
_FACTS: Final = text(
    """
    SELECT asked.transfer_id, token.highest, fact.*
    FROM unnest(CAST(:transfer_ids AS text[])) WITH ORDINALITY AS asked (transfer_id, place)
    CROSS JOIN LATERAL (
        SELECT max(token) AS highest FROM transfer_token WHERE transfer_id = asked.transfer_id
    ) AS token
    LEFT JOIN LATERAL (
        SELECT location_id, sequence, type, item_id, occurred_at,
            CASE WHEN type = 'TRANSFER_REVERSED' THEN (
                SELECT abs(sent.on_hand_change) FROM event AS sent
                WHERE sent.location_id = event.location_id AND sent.sequence = event.voided_sequence
            ) ELSE coalesce(abs(in_transit_change), on_hand_change) END AS quantity,
            coalesce(
                -- One that was quarantined is known from its release on.
                (SELECT released_at FROM quarantine
                 WHERE quarantine.location_id = event.location_id AND quarantine.sequence = event.sequence),
                (SELECT received_at FROM ingest_batch
                 WHERE ingest_batch.location_id = event.location_id AND last_sequence >= event.sequence
                 ORDER BY last_sequence LIMIT 1)
            ) AS received_at
        FROM event WHERE event.transfer_id = asked.transfer_id AND event.transfer_id IS NOT NULL
        ORDER BY location_id, sequence OFFSET 0
    ) AS fact ON true
    ORDER BY asked.place, fact.location_id, fact.sequence
    """
)


def facts(connection: Connection, transfer_ids: Sequence[str]) -> list[TransferFacts]:
    """Everything the logs say of each transfer, and what was asked of it, in the order of `transfer_ids`.

    Facts are by location and sequence.
    """
    if not transfer_ids:
        return []
    asked = list(dict.fromkeys(transfer_ids))
    # Before the facts: what is swept out between the two is over by then, and the facts say so.
    kept = {row.transfer_id: _decode_asked(row.body) for row in connection.execute(_ASKED, {"transfer_ids": asked})}
    rows = connection.execute(_FACTS, {"transfer_ids": asked}).all()
    reasons = _reasons(connection, rows)
    found: dict[str, TransferFacts] = {}
    for row in rows:
        about = found.get(row.transfer_id)
        if about is None:
            said = kept.get(row.transfer_id)
            about = TransferFacts(
                transfer_id=row.transfer_id,
                highest_token=row.highest or 0,
                facts=[],
                source=None if said is None else said.source,
                destination=None if said is None else said.destination,
                lines=() if said is None else said.lines,
            )
            found[row.transfer_id] = about
        if row.sequence is not None:
            about.facts.append(
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
    """Reasons stand in the canonical lines only; the few events that have one are read from the log."""
    wanted: dict[str, list[int]] = {}
    for row in rows:
        if row.type in _WITH_REASON:
            wanted.setdefault(row.location_id, []).append(row.sequence)
    return {
        (location_id, sequence): _decode_reason(line).reason
        for location_id, sequences in wanted.items()
        for sequence, line in read_lines(connection, location_id, sequences).items()
    }


# A head office that was restored has less than it told of, so nobody's position is ahead of what there is. Locations
# take turns, so that a busy one does not hold up the others; those without news come first, with their position.
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
        news.turn, news.sequence, news.release, news.transfer_id
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
    ) AS news ON true
    ORDER BY news.turn NULLS FIRST, reached.location_id, news.release
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
    begun: set[str] = set()
    for row in rows:
        if row.turn is not None and row.transfer_id is not None and row.transfer_id not in transfers:
            if len(transfers) == limit:
                more = True
                break
            transfers[row.transfer_id] = None
        if row.location_id not in begun:
            begun.add(row.location_id)
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
