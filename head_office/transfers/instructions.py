"""Instructions of the coordinator to branches: open until a fact answers them, fenced by the transfer's highest token.

Answered ones are kept until their transfer is over: a coordinator that lost its database knows from them alone where
goods in transit are going.

Works inside the transaction of the Connection it is given. Locks are taken in one order everywhere, tokens by
(transfer, source) and then locations by id, so that two batches do not deadlock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

import msgspec
from sqlalchemy import Connection, text

from head_office.catalogue.locations import known
from head_office.database.location_numbers import take_numbers
from head_office.database.office_schema import INSTRUCTION_HEAD, INSTRUCTIONS_CHANNEL
from shared.messages import Instruction, InstructionAnswer, InstructionOutcome, InstructionPage
from shared.transfers import ANSWERS, in_transit_sql

MAX_PAGE: Final = 1_000
SWEEP_EVERY: Final = 1_000

# The rule of `shared.transfers.answered` in SQL. A subquery for one value and not EXISTS, which the planner may turn
# into a scan of the whole log.
_ANSWERED: Final = (
    "coalesce((SELECT true FROM event WHERE event.location_id = instruction.location_id"
    " AND event.transfer_id = instruction.transfer_id AND event.type = ANY (CASE instruction.step "
    + " ".join(f"WHEN '{step}' THEN ARRAY[{', '.join(map(repr, map(str, kinds)))}]" for step, kinds in ANSWERS.items())
    + " END) LIMIT 1), false)"
)

# Rows are locked in one order, so that two batches do not deadlock. Tokens of the same transfer under another source,
# which no correct coordinator sends, count as well.
_RAISE_TOKENS: Final = text(
    """
    WITH given AS (
        SELECT * FROM unnest(CAST(:transfer_ids AS text[]), CAST(:sources AS text[]), CAST(:tokens AS bigint[]))
            AS given (transfer_id, location_id, token)
        ORDER BY transfer_id, location_id
    ), raised AS (
        INSERT INTO transfer_token (transfer_id, location_id, token) SELECT * FROM given
        ON CONFLICT (transfer_id, location_id) DO UPDATE SET token = greatest(transfer_token.token, excluded.token)
        RETURNING transfer_id, token
    )
    SELECT transfer_id, max(token) AS token FROM (
        SELECT * FROM raised
        UNION ALL SELECT transfer_id, token FROM transfer_token WHERE transfer_id = ANY (CAST(:transfer_ids AS text[]))
    ) AS every GROUP BY transfer_id
    """
)

_STORE: Final = text(
    f"""
    WITH stored AS (
        INSERT INTO instruction (location_id, transfer_id, step, number, token, body)
        SELECT * FROM unnest(
            CAST(:location_ids AS text[]), CAST(:transfer_ids AS text[]), CAST(:steps AS text[]),
            CAST(:numbers AS bigint[]), CAST(:tokens AS bigint[]), CAST(:bodies AS bytea[])
        )
        ON CONFLICT (location_id, transfer_id, step)
        DO UPDATE SET number = excluded.number, token = excluded.token, body = excluded.body
    )
    SELECT pg_notify('{INSTRUCTIONS_CHANNEL}', location_id)
    FROM unnest(CAST(:changed AS text[])) AS changed (location_id)
    """
)

# The opposite of `shared.transfers.TransferTotals.over` in SQL; not zero also where only one of the two logs is known.
_NOT_OVER: Final = (
    "coalesce((SELECT true FROM transfer_line AS line WHERE line.transfer_id = instruction.transfer_id"
    f" GROUP BY line.item_id HAVING sum({in_transit_sql('line')}) <> 0 LIMIT 1), false)"
)

_SWEEP: Final = text(f"DELETE FROM instruction WHERE location_id = :location_id AND {_ANSWERED} AND NOT {_NOT_OVER}")

# One statement, so one moment: numbers are committed in order, so none up to the last one can still appear.
_PAGE: Final = text(
    f"""
    SELECT instruction_head.number AS last, wanted.number, wanted.body
    FROM instruction_head LEFT JOIN LATERAL (
        SELECT number, body FROM instruction
        WHERE location_id = instruction_head.location_id AND number > :after AND number <= instruction_head.number
            AND NOT {_ANSWERED}
        ORDER BY number LIMIT :limit
    ) AS wanted ON true
    WHERE instruction_head.location_id = :location_id
    ORDER BY wanted.number
    """
)

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Instruction).decode


def put(connection: Connection, instructions: Sequence[Instruction]) -> list[InstructionAnswer]:
    """Store instructions, at most 1,000, in order; one answer each.

    One under a token below the highest seen for its transfer is `fenced`. The same step again, under the same or a
    higher token, replaces the one before and gets a new number, so that the branch reads it.
    """
    places = known(connection, (each.location_id for each in instructions))
    highest = _raise_tokens(connection, [each for each in instructions if each.location_id in places])
    answers: list[InstructionAnswer] = []
    taken: dict[tuple[str, str, str], Instruction] = {}
    for each in instructions:
        if each.location_id not in places:
            outcome, token = InstructionOutcome.UNKNOWN_LOCATION, 0
        else:
            token = highest[each.transfer_id]
            outcome = InstructionOutcome.FENCED if each.token < token else InstructionOutcome.ACCEPTED
        if outcome is InstructionOutcome.ACCEPTED:
            place = (each.location_id, each.transfer_id, each.step.value)
            taken.pop(place, None)  # the later one of a batch counts, at its own place in the order
            taken[place] = each
        answers.append(
            InstructionAnswer(transfer_id=each.transfer_id, step=each.step, outcome=outcome, highest_token=token)
        )
    if taken:
        _store(connection, list(taken.values()))
    return answers


def _raise_tokens(connection: Connection, instructions: Sequence[Instruction]) -> dict[str, int]:
    """The highest token of each transfer including these; their rows stay locked until the transaction ends."""
    tokens: dict[tuple[str, str], int] = {}
    for each in instructions:
        key = (each.transfer_id, each.source)
        tokens[key] = max(each.token, tokens.get(key, 0))
    if not tokens:
        return {}
    given = {
        "transfer_ids": [transfer_id for transfer_id, _ in tokens],
        "sources": [source for _, source in tokens],
        "tokens": list(tokens.values()),
    }
    return {row.transfer_id: row.token for row in connection.execute(_RAISE_TOKENS, given)}


def _store(connection: Connection, instructions: Sequence[Instruction]) -> None:
    locations = [each.location_id for each in instructions]
    counts = Counter(locations)
    given = take_numbers(connection, INSTRUCTION_HEAD, locations)
    connection.execute(
        _STORE,
        {
            "location_ids": locations,
            "transfer_ids": [each.transfer_id for each in instructions],
            "steps": [each.step.value for each in instructions],
            "numbers": given,
            "tokens": [each.token for each in instructions],
            "bodies": [_encode(msgspec.structs.replace(each, number=0)) for each in instructions],
            "changed": sorted(counts),
        },
    )
    last = dict(zip(locations, given, strict=True))
    for location_id, count in counts.items():
        # Instructions of transfers that are over are of no more use; deleting them now and then, under the location's
        # lock, costs next to nothing.
        if last[location_id] % SWEEP_EVERY < count:
            connection.execute(_SWEEP, {"location_id": location_id})


def page(connection: Connection, location_id: str, after: int, limit: int = MAX_PAGE) -> InstructionPage:
    """The open instructions of a location with numbers above `after`, in order.

    `next` skips answered ones; it is below `after` where head office was restored and has assigned fewer numbers.
    """
    rows = connection.execute(_PAGE, {"location_id": location_id, "after": after, "limit": limit}).all()
    if not rows:
        return InstructionPage([], 0)
    found = [msgspec.structs.replace(_decode(row.body), number=row.number) for row in rows if row.number is not None]
    return InstructionPage(found, found[-1].number if len(found) == limit else rows[0].last)


_OPEN: Final = text(
    f"""
    SELECT open.number, open.body
    FROM unnest(CAST(:locations AS text[])) AS wanted (location_id)
    CROSS JOIN LATERAL (
        SELECT number, body FROM instruction
        WHERE instruction.location_id = wanted.location_id AND NOT {_ANSWERED}
        ORDER BY number LIMIT :each OFFSET 0
    ) AS open
    ORDER BY wanted.location_id, open.number
    """
)


def open_instructions(connection: Connection, location_ids: Sequence[str], each: int) -> list[Instruction]:
    """The oldest open instructions of these locations, at most `each` of a location, by location and number."""
    rows = connection.execute(_OPEN, {"locations": sorted(location_ids), "each": each})
    return [msgspec.structs.replace(_decode(row.body), number=row.number) for row in rows]
