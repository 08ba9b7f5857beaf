"""Which commands of a log answer what head office asked of its branch, kept beside the log as events arrive.

An answer is known by the key on the first event of its command. Works inside the transaction of the Connection it is
given. What an answer says is read from the log: `shared.orders.order_outcomes`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from psycopg import Cursor
from sqlalchemy import Connection, select, text

from head_office.database.log_segments import frames
from head_office.database.packed_arrays import bigints, texts
from head_office.database.schema import ORDER_ANSWER, QUARANTINE
from shared.chain import understand
from shared.events import Event, EventNotUnderstood
from shared.orders.inbound_orders import INBOUND_KEYS, is_asked
from shared.wire import frame_lines

_MARK: Final = INBOUND_KEYS.encode()
# Of one key the earliest command counts, also where a retry of the quarantine folds it last.
_UPSERT: Final = """
INSERT INTO order_answer (location_id, command_key, sequence, lines)
SELECT %s, * FROM unnest(%s::text[], %s::bigint[], %s::bigint[])
ON CONFLICT (location_id, command_key) DO UPDATE SET sequence = excluded.sequence, lines = excluded.lines
    WHERE excluded.sequence < order_answer.sequence
"""
_DELETE: Final = text("DELETE FROM order_answer WHERE location_id = :location_id AND command_key = ANY(:keys)")


class LoggedAnswer(NamedTuple):
    """A command that answers: its key, its first event's sequence, and how many events it has."""

    command_key: str
    sequence: int
    lines: int


def answer_of(event: Event) -> LoggedAnswer | None:
    """The answer that begins with an event, if one does."""
    key = event.command_key
    if key is None or event.line != 1 or not is_asked(key):
        return None
    return LoggedAnswer(key, event.sequence, event.lines)


def store_answers(cursor: Cursor[Any], location_id: str, answers: Iterable[LoggedAnswer]) -> None:
    """Write answers, in one statement where there are any. `cursor` has the dumpers of `register_packed_arrays`."""
    first = _earliest(answers)
    if first:
        keys, sequences, lines = zip(*first, strict=True)
        cursor.execute(_UPSERT, (location_id, texts(keys), bigints(sequences), bigints(lines)))


def stored_answers(connection: Connection, location_id: str) -> set[LoggedAnswer]:
    """Read the answers of a location as they are kept."""
    row = ORDER_ANSWER.c
    query = select(row.command_key, row.sequence, row.lines).where(row.location_id == location_id)
    return {LoggedAnswer(*each) for each in connection.execute(query)}


def logged_answers(connection: Connection, location_id: str) -> set[LoggedAnswer]:
    """The answers of a location as its folded events have them, read from every line of the log.

    Raises wire.BadBatch where a stored frame no longer unpacks.
    """
    held = select(QUARANTINE.c.sequence).where(
        QUARANTINE.c.location_id == location_id, QUARANTINE.c.released_at.is_(None)
    )
    unfolded = set(connection.execute(held).scalars())
    found: list[LoggedAnswer] = []
    for frame in frames(connection, location_id):
        for sequence, line in enumerate(frame_lines(frame), frame.first_sequence):
            # Few lines are an answer's, and looking for the mark costs next to nothing beside decoding one.
            if _MARK not in line or sequence in unfolded:
                continue
            try:
                answer = answer_of(understand(line))
            except EventNotUnderstood:
                continue  # its row says that it was folded: verification finds that it cannot be
            if answer is not None:
                found.append(answer)
    return set(_earliest(found))


def correct_answers(
    connection: Connection, cursor: Cursor[Any], location_id: str, kept: set[LoggedAnswer], logged: set[LoggedAnswer]
) -> None:
    """Make what is kept what the log says."""
    wrong = [each.command_key for each in kept - logged]
    if wrong:
        connection.execute(_DELETE, {"location_id": location_id, "keys": wrong})
    store_answers(cursor, location_id, logged - kept)


def _earliest(answers: Iterable[LoggedAnswer]) -> Sequence[LoggedAnswer]:
    found: dict[str, LoggedAnswer] = {}
    for each in answers:
        known = found.get(each.command_key)
        if known is None or each.sequence < known.sequence:
            found[each.command_key] = each
    return list(found.values())
