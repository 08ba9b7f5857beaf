"""The facts of transfers in head office's copy of the logs.

With the facts come the sites and lines of the kept instructions: a coordinator that does not know the transfer adopts
it by them.

A fact is an event that names a transfer; one that was voided since (a reversed TRANSFER_OUT) remains a fact. Works
inside the transaction of the Connection it is given.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Row, text

from head_office.database.log_segments import read_lines_of
from shared.events import EventType, Id
from shared.messages import Fact, InstructionLine, InstructionStep, TransferFacts

_WITH_REASON: Final = frozenset({EventType.TRANSFER_REFUSED, EventType.TRANSFER_LOST, EventType.ADJUSTMENT})


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
    wanted = [(row.location_id, row.sequence) for row in rows if row.type in _WITH_REASON]
    return {place: _decode_reason(line).reason for place, line in read_lines_of(connection, wanted).items()}
