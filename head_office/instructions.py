"""What the coordinator asks branches to record: kept until a fact answers it, fenced by the transfer's highest token.

Works inside the transaction of the Connection it is given. Locks are taken in one order everywhere, tokens by
(transfer, source) and then locations by id, so that two batches never wait for each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
from sqlalchemy import Connection, Exists, case, delete, func, select
from sqlalchemy.dialects.postgresql import insert

from head_office.arrays import BIGINT, BYTES, TEXT, array, unnest
from head_office.locations import known
from head_office.schema import EVENT
from head_office.schema_office import INSTRUCTION, INSTRUCTION_HEAD, INSTRUCTIONS_CHANNEL, TRANSFER_TOKEN
from shared.events import EventType
from shared.messages import (
    Instruction,
    InstructionAnswer,
    InstructionOutcome,
    InstructionPage,
    InstructionStep,
)

MAX_PAGE: Final = 1_000
SWEEP_EVERY: Final = 1_000

_OUT: Final = (EventType.TRANSFER_OUT, EventType.TRANSFER_REFUSED)
_IN: Final = (EventType.TRANSFER_IN, EventType.TRANSFER_LOST, EventType.TRANSFER_REFUSED)
ANSWERS: Final[dict[InstructionStep, tuple[EventType, ...]]] = {
    InstructionStep.OUT: _OUT,
    InstructionStep.REFUSE_OUT: _OUT,
    InstructionStep.IN: _IN,
    InstructionStep.REFUSE_IN: _IN,
    InstructionStep.REVERSE: (EventType.TRANSFER_REVERSED,),
}
"""The facts at the instructed location after which a step is no longer open."""

_COLUMNS: Final = (
    ("location_id", TEXT),
    ("transfer_id", TEXT),
    ("step", TEXT),
    ("number", BIGINT),
    ("token", BIGINT),
    ("body", BYTES),
)

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Instruction).decode


def put(connection: Connection, instructions: Sequence[Instruction]) -> list[InstructionAnswer]:
    """Take instructions, at most 1,000, in order; one answer each.

    One under a token below the highest seen for its transfer is `fenced`. The same step again, under the same or a
    higher token, takes the place of the one before and gets a new number, so that the branch sees it.
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
            taken.pop(place, None)  # the later one of a batch stands, at its own place in the order
            taken[place] = each
        answers.append(
            InstructionAnswer(transfer_id=each.transfer_id, step=each.step, outcome=outcome, highest_token=token)
        )
    if taken:
        _store(connection, list(taken.values()))
    return answers


def _raise_tokens(connection: Connection, instructions: Sequence[Instruction]) -> dict[str, int]:
    """The highest token of each transfer with these counted in; their rows stay locked until the transaction ends."""
    asked: dict[tuple[str, str], int] = {}
    for each in instructions:
        key = (each.transfer_id, each.source)
        asked[key] = max(each.token, asked.get(key, 0))
    if not asked:
        return {}
    rows = sorted((transfer_id, source, token) for (transfer_id, source), token in asked.items())
    wanted = unnest("wanted", (("transfer_id", TEXT), ("location_id", TEXT), ("token", BIGINT)), rows)
    upsert = insert(TRANSFER_TOKEN).from_select(
        ["transfer_id", "location_id", "token"],
        select(wanted).order_by(wanted.c.transfer_id, wanted.c.location_id),
    )
    upsert = upsert.on_conflict_do_update(
        index_elements=["transfer_id", "location_id"],
        set_={"token": func.greatest(TRANSFER_TOKEN.c.token, upsert.excluded.token)},
    )
    connection.execute(upsert)
    return highest_tokens(connection, [row[0] for row in rows])


def highest_tokens(connection: Connection, transfer_ids: Sequence[str]) -> dict[str, int]:
    """The highest token seen for each transfer; those never instructed are left out."""
    query = (
        select(TRANSFER_TOKEN.c.transfer_id, func.max(TRANSFER_TOKEN.c.token).label("token"))
        .where(TRANSFER_TOKEN.c.transfer_id == func.any(array(transfer_ids)))
        .group_by(TRANSFER_TOKEN.c.transfer_id)
    )
    return {row.transfer_id: row.token for row in connection.execute(query)}


def _store(connection: Connection, instructions: Sequence[Instruction]) -> None:
    counts: dict[str, int] = {}
    for each in instructions:
        counts[each.location_id] = counts.get(each.location_id, 0) + 1
    last = _take_numbers(connection, sorted(counts.items()))
    following = {location_id: last[location_id] - count for location_id, count in counts.items()}
    rows: list[tuple[str, str, str, int, int, bytes]] = []
    for each in instructions:
        number = following[each.location_id] = following[each.location_id] + 1
        body = _encode(msgspec.structs.replace(each, number=0))
        rows.append((each.location_id, each.transfer_id, each.step.value, number, each.token, body))
    given = unnest("given", _COLUMNS, rows)
    upsert = insert(INSTRUCTION).from_select([name for name, _ in _COLUMNS], select(given))
    connection.execute(
        upsert.on_conflict_do_update(
            index_elements=["location_id", "transfer_id", "step"],
            set_={name: upsert.excluded[name] for name in ("number", "token", "body")},
        )
    )
    for location_id, count in counts.items():
        # Answered ones are of no more use; swept now and then, under the location's lock, they cost next to nothing.
        if last[location_id] % SWEEP_EVERY < count:
            connection.execute(delete(INSTRUCTION).where(INSTRUCTION.c.location_id == location_id, _answered()))
    names = func.unnest(array(sorted(counts))).column_valued("location_id")
    connection.execute(select(func.pg_notify(INSTRUCTIONS_CHANNEL, names)))


def _take_numbers(connection: Connection, counts: Sequence[tuple[str, int]]) -> dict[str, int]:
    """The last of `count` new numbers for each location. Its row stays locked, so numbers are committed in order."""
    wanted = unnest("wanted", (("location_id", TEXT), ("count", BIGINT)), counts)
    upsert = insert(INSTRUCTION_HEAD).from_select(
        ["location_id", "number"], select(wanted).order_by(wanted.c.location_id)
    )
    rows = connection.execute(
        upsert.on_conflict_do_update(
            index_elements=["location_id"],
            set_={"number": INSTRUCTION_HEAD.c.number + upsert.excluded.number},
        ).returning(INSTRUCTION_HEAD.c.location_id, INSTRUCTION_HEAD.c.number)
    )
    return {row.location_id: row.number for row in rows}


def page(connection: Connection, location_id: str, after: int, limit: int = MAX_PAGE) -> InstructionPage:
    """The open instructions of a location with numbers above `after`, in order; `next` passes over answered ones."""
    # Read first: numbers are committed in order, so none at or below this one can still appear.
    last = connection.execute(
        select(INSTRUCTION_HEAD.c.number).where(INSTRUCTION_HEAD.c.location_id == location_id)
    ).scalar_one_or_none()
    if last is None or last <= after:
        return InstructionPage([], after if last is None else min(after, last))
    rows = connection.execute(
        select(INSTRUCTION.c.number, INSTRUCTION.c.body)
        .where(
            INSTRUCTION.c.location_id == location_id,
            INSTRUCTION.c.number > after,
            INSTRUCTION.c.number <= last,
            ~_answered(),
        )
        .order_by(INSTRUCTION.c.number)
        .limit(limit)
    ).all()
    found = [msgspec.structs.replace(_decode(row.body), number=row.number) for row in rows]
    return InstructionPage(found, rows[-1].number if len(rows) == limit else last)


def _answered() -> Exists:
    answer = EVENT.alias("answer")
    by_step = case(
        *(
            (INSTRUCTION.c.step == step.value, answer.c.type.in_([kind.value for kind in kinds]))
            for step, kinds in ANSWERS.items()
        ),
        else_=False,
    )
    return (
        select(answer.c.sequence)
        .where(
            answer.c.location_id == INSTRUCTION.c.location_id,
            answer.c.transfer_id == INSTRUCTION.c.transfer_id,
            by_step,
        )
        .correlate(INSTRUCTION)
        .exists()
    )
