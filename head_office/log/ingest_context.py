"""The rows that the check and the fold of a frame of events need: one statement for each kind, only where needed.

Works on the driver's own cursor, with binary results, inside the transaction that holds the location's head.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from psycopg import Cursor

from head_office.database.packed_arrays import bigints, texts
from head_office.log.decoder import Decoded
from head_office.log.fold_check import MAX_BALANCE, IngestContext, Target
from head_office.log.stock_fold import StockFold
from shared.events import Event
from shared.projection import MOVEMENT_COLUMNS
from shared.stock import Movement, Place, Standing, movement

MAX_ITEMS: Final = 5_000

_STANDINGS: Final = """
SELECT wanted, s.on_hand, s.reserved, s.counted_at, s.counted_sequence, s.latest_at, s.latest_sequence, s.recount,
    u.unit
FROM unnest(%s::text[]) AS wanted
    LEFT JOIN stock AS s ON s.location_id = %s AND s.item_id = wanted
    LEFT JOIN item_unit AS u ON u.location_id = %s AND u.item_id = wanted
"""
_WHOLE_LOCATION: Final = """
SELECT s.item_id, s.on_hand, s.reserved, s.counted_at, s.counted_sequence, s.latest_at, s.latest_sequence, s.recount,
    u.unit
FROM stock AS s LEFT JOIN item_unit AS u ON u.location_id = s.location_id AND u.item_id = s.item_id
WHERE s.location_id = %s LIMIT %s
"""
# LATERAL … OFFSET 0 makes each of them one index probe a value: without statistics, as after a first backlog, the
# planner would rather walk another index of the location from end to end.
_TARGETS: Final = f"""
SELECT e.*, EXISTS (SELECT FROM voided AS v WHERE v.location_id = %(location_id)s AND v.sequence = e.sequence)
FROM unnest(%(sequences)s::bigint[]) AS wanted CROSS JOIN LATERAL (
    SELECT event_id, item_id, transfer_id, {", ".join(MOVEMENT_COLUMNS)} FROM event
    WHERE location_id = %(location_id)s AND sequence = wanted OFFSET 0
) AS e
"""
_MOVED_ONCE: Final = """
SELECT e.* FROM unnest(%(transfers)s::text[]) AS wanted CROSS JOIN LATERAL (
    SELECT type, transfer_id, item_id FROM event
    WHERE location_id = %(location_id)s AND transfer_id = wanted AND type IN ('TRANSFER_OUT', 'TRANSFER_REVERSED')
    OFFSET 0
) AS e
"""


@dataclass(slots=True)
class IngestState:
    """The state of a location during an ingest: the context of the fold check, and what stands of each item."""

    context: IngestContext
    fold: StockFold = field(default_factory=StockFold)
    loaded: set[str | None] = field(default_factory=lambda: {None})
    whole: bool = False  # whether the standings of all items are loaded

    def lacks(self, decoded: Decoded) -> bool:
        """Whether rows must be loaded before these events can be checked."""
        return bool(decoded.looked_up) or not (self.whole or decoded.items <= self.loaded)


def load_location(cursor: Cursor[Any], state: IngestState) -> None:
    """Load what stands of all items, at most MAX_ITEMS; faster than `load_frame` where many events come."""
    cursor.execute(_WHOLE_LOCATION, (state.context.location_id, MAX_ITEMS + 1))
    rows = cursor.fetchall()
    _add_standings(state, rows)
    state.loaded.update(row[0] for row in rows)
    state.whole = len(rows) <= MAX_ITEMS


def load_frame(cursor: Cursor[Any], state: IngestState, decoded: Decoded) -> None:
    """Load into `state` what the events of `decoded` touch or refer to."""
    wanted = [item for item in decoded.items if item is not None and item not in state.loaded]
    if wanted and not state.whole:
        location_id = state.context.location_id
        _add_standings(state, cursor.execute(_STANDINGS, (texts(wanted), location_id, location_id)))
        state.loaded.update(wanted)
    if decoded.looked_up:
        _look_up(cursor, state.context, decoded)


def _add_standings(state: IngestState, rows: Iterable[tuple[Any, ...]]) -> None:
    context = state.context
    for item_id, on_hand, reserved, counted_at, counted_sequence, at, sequence, recount, unit in rows:
        if unit is not None:
            context.units[item_id] = unit
        if on_hand is not None:
            last_count = None if counted_at is None else Place(counted_at, counted_sequence)
            state.fold.standings[item_id] = Standing(on_hand, reserved, last_count, Place(at, sequence), recount)
            if abs(on_hand) > MAX_BALANCE or reserved > MAX_BALANCE:
                context.overflowing.add(item_id)


def _look_up(cursor: Cursor[Any], context: IngestContext, decoded: Decoded) -> None:
    events, location_id = decoded.looked_up, context.location_id
    targets = {each.voided_sequence for each in events if each.voided_sequence is not None}
    # Those among them become targets when they are accepted themselves.
    before = [each for each in targets if each not in decoded.sequences]
    if before:
        cursor.execute(_TARGETS, {"location_id": location_id, "sequences": bigints(before)})
        for row in cursor:
            _add_target(context, row)
    transfers = {each.transfer_id for each in events if each.transfer_id is not None}
    if transfers:
        cursor.execute(_MOVED_ONCE, {"location_id": location_id, "transfers": texts(transfers)})
        context.moved_once.update(cursor.fetchall())


def _add_target(context: IngestContext, row: tuple[Any, ...]) -> None:
    event_id, item_id, transfer_id, *values, is_voided = row
    moved = Movement(**dict(zip(MOVEMENT_COLUMNS, values, strict=True)))
    context.targets[moved.sequence] = Target(bytes(event_id), moved.type, item_id, transfer_id, moved)
    if is_voided:
        context.voided.add(moved.sequence)


def target_of(event: Event, event_id: bytes) -> Target:
    """Make the target of an accepted event that is voided in its own frame."""
    return Target(event_id, event.type.value, event.item_id, event.transfer_id, movement(event))
