"""Look-ups in a branch's log for commands and pages: single events, those of a transfer, a balance in the past.

Each works on the Connection it is given: the writer's inside its transaction, a GET route's on a snapshot.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import msgspec
from sqlalchemy import BigInteger, BindParameter, ColumnElement, Connection, Select, Text, bindparam, select

from branch_node.database.schema import KEPT_ANSWER, LOG, SALE_ORDER, TRANSFER_TOKEN
from branch_node.model import OrderState
from shared.chain import Sealed, understand
from shared.events import Event, EventType
from shared.projection import balances
from shared.runtime.database.row_writes import driver_sql
from shared.stock import Standing
from shared.stock_expressions import EventScope

ORDER_COLUMNS = tuple(column.name for column in SALE_ORDER.columns)


def sealed_where(connection: Connection, condition: ColumnElement[bool], limit: int | None = None) -> list[Sealed]:
    """Read the events for which a condition on the event table holds, in order of sequence."""
    event = LOG.event
    query = select(event.c.line, event.c.hash).where(condition).order_by(event.c.sequence).limit(limit)
    return [_sealed(row) for row in connection.execute(query)]


def _sealed(row: Any) -> Sealed:
    line = bytes(row.line)
    return Sealed(understand(line), line, bytes(row.hash))


def event_by_id(connection: Connection, event_id: str) -> Sealed | None:
    """Read one event by its id; None where there is none, or where the text is no id."""
    try:
        wanted = bytes.fromhex(event_id.replace("-", ""))
    except ValueError:
        return None
    found = sealed_where(connection, LOG.event.c.event_id == wanted)
    return found[0] if found else None


def voids_of(connection: Connection, sequences: Sequence[int]) -> dict[int, int]:
    """Find the voids of these events: sequence -> sequence of the void or reversal."""
    if not sequences:
        return {}
    voided = LOG.voided
    rows = connection.execute(
        select(voided.c.sequence, voided.c.by_sequence).where(voided.c.sequence.in_(list(sequences)))
    )
    return {row.sequence: row.by_sequence for row in rows}


def events_of_reservation(connection: Connection, reservation_id: str, known_through: int) -> list[Event]:
    """Read the events of a reservation up to a sequence, in order; refusals are none."""
    event = LOG.event.c
    of_it = (event.reservation_id == reservation_id) & (event.type != EventType.RESERVATION_REFUSED.value)
    return [each.event for each in sealed_where(connection, of_it & (event.sequence <= known_through))]


def standing_then(connection: Connection, location_id: str, item_id: str, *, known_through: int) -> Standing:
    """Fold from the log what stood of an item once the event `known_through` was recorded."""
    given = {"location_id": location_id, "item_id": item_id, "known_through": known_through}
    row = connection.execute(_standing_query(), given).one()
    return Standing(on_hand=row.on_hand, reserved=row.reserved, recount=bool(row.recount))


@lru_cache(maxsize=1)
def _standing_query() -> Select[Any]:
    # Built once: building costs ten times as much as running, and a repeated batch runs it for every event.
    pair = select(
        bindparam("location_id", type_=Text).label("location_id"), bindparam("item_id", type_=Text).label("item_id")
    ).subquery("pairs")
    return balances(LOG, pair, EventScope(known_through=bindparam("known_through", type_=BigInteger)))


def item_used(connection: Connection, item_id: str) -> bool:
    """Whether any event but a definition names the item: then its base unit is fixed."""
    event = LOG.event
    query = select(event.c.sequence).where(event.c.item_id == item_id, event.c.type != "ITEM_DEFINED").limit(1)
    return connection.execute(query).first() is not None


def recorded_by(connection: Connection, moment: int, before: int) -> int:
    """Find the last sequence below `before` recorded at or before a moment (microseconds UTC), 0 where there is none.

    Looked for from the end: what was recorded before a wrong clock was settled may lie later than what came after.
    """
    event = LOG.event

    def early(sequence: int) -> bool:
        line = connection.execute(select(event.c.line).where(event.c.sequence == sequence)).scalar_one()
        return understand(bytes(line)).recorded_at <= moment

    high, step = before, 1
    low = max(0, high - step)
    while low > 0 and not early(low):
        high, step = low, step * 2
        low = max(0, high - step)
    while high - low > 1:
        middle = (low + high) // 2
        if early(middle):
            low = middle
        else:
            high = middle
    return low


def newest_of_item(connection: Connection, item_id: str, after: int, before: int, most: int) -> list[Sealed]:
    """Read the newest events of an item between two sequences, at most `most`, in order of sequence."""
    event = LOG.event.c
    newest = (
        select(event.sequence)
        .where(event.item_id == item_id, event.sequence > after, event.sequence < before)
        .order_by(event.sequence.desc())
        .limit(most)
    )
    # First the sequences, from an index, so that no more lines are read than are answered.
    return sealed_where(connection, event.sequence.in_(connection.execute(newest).scalars().all()))


def first_by_key(connection: Connection, keys: Sequence[str]) -> dict[str, Sealed]:
    """Read the first event of each command that was recorded under one of these keys, by key."""
    found = {}
    for line, digest in rows_for_any(connection, _by_key_sql, keys):
        event = understand(bytes(line))
        if event.command_key is not None:
            found[event.command_key] = Sealed(event, bytes(line), bytes(digest))
    return found


def kept_answers(connection: Connection, keys: Sequence[str] | None) -> dict[str, tuple[str, bytes]]:
    """Read (digest, answer) of commands that took effect without an event, by key; keys None: of one, if any."""
    kept = KEPT_ANSWER.c
    query = select(kept.command_key, kept.command_digest, kept.answer)
    query = query.limit(1) if keys is None else query.where(kept.command_key.in_(keys))
    return {row.command_key: (row.command_digest, bytes(row.answer)) for row in connection.execute(query)}


def orders_named(connection: Connection, order_ids: Sequence[str]) -> list[OrderState]:
    """Read the orders with these ids, of every source."""
    return [order_state_of(row) for row in rows_for_any(connection, _orders_sql, order_ids)]


def order_state_of(row: Sequence[Any]) -> OrderState:
    """What a row says of its order, given in the order of ORDER_COLUMNS."""
    order_id, source, revision, cancelled, occurred_at, stated_at, sequences = row
    return OrderState(
        order_id=order_id,
        source=source,
        revision=revision,
        cancelled=bool(cancelled),
        occurred_at=occurred_at,
        stated_at=stated_at,
        sequences=tuple(msgspec.json.decode(sequences, type=list[int])),
    )


def order_row(state: OrderState) -> tuple[object, ...]:
    """Make the row of an order, in the order of ORDER_COLUMNS."""
    sequences = msgspec.json.encode(state.sequences).decode("ascii")
    place = (state.order_id, state.source)
    return (*place, state.revision, state.cancelled, state.occurred_at, state.stated_at, sequences)


def rows_for_any(connection: Connection, sql: Callable[[int, str], str], values: Sequence[str]) -> list[Any]:
    """Read the rows for any of these values on the driver's cursor; `sql` makes the statement, by the number of its
    placeholders and the dialect."""
    if not values:
        return []
    # The placeholders are filled up to the next power of two, for few different statements.
    places = 1 << (len(values) - 1).bit_length()
    cursor = connection.connection.cursor()
    try:
        cursor.execute(sql(places, connection.dialect.name), [*values, *[values[-1]] * (places - len(values))])
        return list(cursor.fetchall())
    finally:
        cursor.close()


@lru_cache(maxsize=32)
def _by_key_sql(places: int, dialect: str) -> str:
    event = LOG.event
    wanted: list[BindParameter[str]] = [bindparam(f"key_{place}") for place in range(places)]
    return driver_sql(select(event.c.line, event.c.hash).where(event.c.command_key.in_(wanted)), dialect)


@lru_cache(maxsize=32)
def _orders_sql(places: int, dialect: str) -> str:
    wanted: list[BindParameter[str]] = [bindparam(f"order_{place}") for place in range(places)]
    return driver_sql(select(SALE_ORDER).where(SALE_ORDER.c.order_id.in_(wanted)), dialect)


def events_of_transfer(connection: Connection, transfer_id: str) -> list[Event]:
    """Read every event of a transfer, in order of sequence. Runs for each instruction, so on the driver's cursor."""
    return [
        understand(bytes(row[0])) for row in _rows_of(connection, _transfer_sql(connection.dialect.name), transfer_id)
    ]


def highest_token(connection: Connection, transfer_id: str) -> int:
    """Read the highest fencing token seen for a transfer, 0 if none."""
    rows = _rows_of(connection, _token_sql(connection.dialect.name), transfer_id)
    return int(rows[0][0]) if rows else 0


def _rows_of(connection: Connection, sql: str, parameter: str) -> Sequence[Any]:
    cursor = connection.connection.cursor()
    try:
        cursor.execute(sql, (parameter,))
        return cursor.fetchall()
    finally:
        cursor.close()


@lru_cache(maxsize=4)
def _transfer_sql(dialect: str) -> str:
    event = LOG.event
    its = event.c.transfer_id == bindparam("transfer_id")
    return driver_sql(select(event.c.line).where(its).order_by(event.c.sequence), dialect)


@lru_cache(maxsize=4)
def _token_sql(dialect: str) -> str:
    its = TRANSFER_TOKEN.c.transfer_id == bindparam("transfer_id")
    return driver_sql(select(TRANSFER_TOKEN.c.token).where(its), dialect)
