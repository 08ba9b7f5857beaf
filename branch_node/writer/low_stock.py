"""Marks the events that took an item's available stock from above its reorder level to it or below.

The mark is a part of the sealed event, so what stands after a command is found here before it is sealed, for items
that have a level alone. An item's available stock is the sum over its codes, by their standings; the mark says it where
there are several.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

import msgspec
from sqlalchemy import Connection

from branch_node.database.stock.level_rows import acting_levels
from shared.events import FIELD_SCHEMAS, MAX_QUANTITY, Event, LowStock, check
from shared.levels.reorder_levels import ReorderLevel, is_low, to_order
from shared.stock import Movement, Standing, advance_event, fold, history, movement

_NO_BOUND: Final = 1 << 80  # more than any stock


class WatchedItem(msgspec.Struct, frozen=True, eq=False):
    """An item with a reorder level, and all codes under which the log has it. Compared by identity, which is fast."""

    level: ReorderLevel
    codes: tuple[str, ...]


def watched_items(
    levels: Mapping[str, ReorderLevel], codes_of_items: Mapping[str, Sequence[str]]
) -> dict[str, WatchedItem]:
    """Find the watched item of each code. `levels` act, by item; `codes_of_items` is of those that are mapped."""
    watched = (WatchedItem(level, tuple(codes_of_items.get(item_id, (item_id,)))) for item_id, level in levels.items())
    return {code: item for item in watched for code in item.codes}


def read_watched(connection: Connection, codes_of_items: Mapping[str, Sequence[str]]) -> dict[str, WatchedItem]:
    """Read the levels that act and find their watched items, as `watched_items`."""
    return watched_items(acting_levels(connection), codes_of_items)


class StandingsView(Protocol):
    """What stands before a command."""

    def standing(self, item_id: str) -> Standing: ...

    def movements(self, item_id: str) -> list[Movement]: ...

    def events_at(self, sequences: Sequence[int]) -> list[Event]: ...


def mark_low_stock(
    events: Sequence[Event], watched: Mapping[str, WatchedItem], last_sequence: int, view: StandingsView
) -> None:
    """Mark the last event of each item that became low by a command's `events`, which follow `last_sequence`.

    Raises EventNotUnderstood, as sealing them would.
    """
    if not watched:
        return
    touched: dict[WatchedItem, list[tuple[int, Event]]] = {}
    for sequence, event in enumerate(events, last_sequence + 1):
        item = watched.get(event.item_id or "")
        if item is not None:
            touched.setdefault(item, []).append((sequence, event))
    for item, numbered in touched.items():
        before = {code: _available(view.standing(code)) for code in item.codes}
        available = sum(before.values())
        # Nearly every command is done with here: the item is low already, or stays far above.
        if is_low(item.level, available) or not is_low(item.level, available - _most_taken(numbered)):
            continue
        available = sum((before | _available_after(numbered, view)).values())
        if is_low(item.level, available):
            event = numbered[-1][1]
            # A quantity of the log has a bound, which this one passes where far more was taken than there was.
            quantity = min(to_order(item.level, available), MAX_QUANTITY)
            event.low = LowStock(
                # Which codes are one item is not in the log, so their sum is.
                available=available if len(item.codes) > 1 else None,
                reorder_point=item.level.reorder_point,
                reorder_quantity=quantity,
            )
            event.v = max(event.v, FIELD_SCHEMAS["low"])


def _most_taken(numbered: Sequence[tuple[int, Event]]) -> int:
    """By how much these events lower what is available at most; without a bound where one counts or voids."""
    taken = 0
    for _, event in numbered:
        if event.counted is not None or event.voided_sequence is not None:
            return _NO_BOUND
        taken += abs(event.quantity or 0)
    return taken


def _available_after(numbered: Sequence[tuple[int, Event]], view: StandingsView) -> dict[str, int]:
    """What is available of each code once these events are folded, each with the sequence that it will have."""
    standings: dict[str, Standing] = {}
    refold: set[str] = set()
    for sequence, event in numbered:
        event.sequence = sequence
        check(event)
        code = event.item_id or ""
        target = None
        if event.voided_sequence is not None:
            own = (each for number, each in numbered if number == event.voided_sequence)
            target = movement(next(own, None) or view.events_at([event.voided_sequence])[0])
        after = advance_event(standings.get(code) or view.standing(code), event, target)
        if after is None:
            refold.add(code)
        else:
            standings[code] = after
    available = {code: _available(standing) for code, standing in standings.items()}
    for code in refold:
        new = [movement(event) for _, event in numbered if event.item_id == code]
        available[code] = _available_of([*view.movements(code), *new])
    return available


def _available(standing: Standing) -> int:
    return standing.on_hand - standing.reserved


def _available_of(movements: Sequence[Movement]) -> int:
    """As `_available` of the standing that these movements fold to, whose `reserved` is the sum before expiry."""
    standing = history(movements, as_of=None, known_through=None).standing
    return fold(movements).on_hand - sum(each.reserved_change or 0 for each in standing)
