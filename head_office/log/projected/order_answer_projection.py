"""Which commands of a log answer what head office asked of its branch, kept beside the log as events arrive.

An answer is known by the key on the first event of its command. Works inside the transaction of the Connection it is
given. What an answer says is read from the log: `shared.orders.order_outcomes`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from psycopg import Cursor
from sqlalchemy import Connection, select, text

from head_office.database.packed_arrays import bigints, texts
from head_office.database.schema import ORDER_ANSWER
from head_office.log.projected.marked_events import marked_events
from shared.events import Event
from shared.orders.inbound_orders import is_asked

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
    found: list[LoggedAnswer] = []
    for marked in marked_events(connection, location_id):
        found += answers_in(marked.events)
    return earliest_answers(found)


def answers_in(events: Iterable[Event]) -> list[LoggedAnswer]:
    """The answers that begin with some of these events."""
    return [answer for event in events if (answer := answer_of(event)) is not None]


def earliest_answers(answers: Iterable[LoggedAnswer]) -> set[LoggedAnswer]:
    """Of each key the earliest command: that is the answer."""
    return set(_earliest(answers))


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
