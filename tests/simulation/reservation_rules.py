"""The rules of reservations, looked at in a branch's log, its tables and its writer's memory."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any

from shared.reservations import Reservation
from shared.stock import fold
from tests.simulation.invariants import Copy
from tests.simulation.reservation_ledger import Promise, ReservationLedger
from tests.simulation.rule_broken import RuleBroken

RESERVATIONS = """
SELECT reservation_id, order_id, source, revision, state, created_at, expires_at, stated_at FROM reservation
"""
LINES = "SELECT reservation_id, item_id, quantity, confirmed, released FROM reservation_line ORDER BY item_id"


def follow_reservations(ledger: ReservationLedger, copy: Copy, begin: int) -> None:
    """Take in the commands that a branch's log has gained from its event number `begin` on (0: the first)."""
    while begin < len(copy.events):
        command = copy.events[begin : begin + copy.events[begin].lines]
        last = command[-1].sequence

        def on_hand(item_id: str, last: int = last) -> int:
            return fold(copy.stories[item_id], known_through=last).on_hand

        ledger.take(command, on_hand)
        begin += len(command)


def tables_are_what_the_log_says(ledger: ReservationLedger, database: sqlite3.Connection) -> None:
    """Rule 6: the rows of reservations are those that follow from the log."""
    lines: dict[str, list[Any]] = {}
    for reservation_id, *line in database.execute(LINES):
        lines.setdefault(reservation_id, []).append(tuple(line))
    rows = {row[0]: (*row, lines.pop(row[0], [])) for row in database.execute(RESERVATIONS)}
    expected = {each.reservation_id: _row(each) for each in ledger.promises.values()}
    if rows != expected or lines:
        wrong = [(rows.get(each), expected.get(each)) for each in rows.keys() | expected if rows.get(each)
                 != expected.get(each)]  # fmt: skip
        raise RuleBroken(
            6, f"{ledger.where}: of reservations (stored, by the log) differ {wrong}; lines of none {lines}"
        )


def memory_is_what_the_log_says(
    ledger: ReservationLedger, remembered: Iterable[Reservation], reserved: Mapping[str, int]
) -> None:
    """Rule 6: the active reservations that the writer remembers, and what it has as reserved of each item."""
    found = {each.reservation_id: _remembered(each) for each in remembered}
    expected = {each.reservation_id: _row(each) for each in ledger.active}
    if found != expected:
        raise RuleBroken(6, f"{ledger.where}: the writer remembers {found}, the log has {expected}")
    if +ledger.reserved != {item_id: quantity for item_id, quantity in reserved.items() if quantity}:
        raise RuleBroken(6, f"{ledger.where}: the writer has {reserved} reserved, the log {+ledger.reserved}")


def _row(promise: Promise) -> tuple[object, ...]:
    return (
        promise.reservation_id, promise.order_id, promise.source, promise.revision, promise.state,
        promise.created_at, promise.expires_at, promise.stated_at, promise.lines,
    )  # fmt: skip


def _remembered(each: Reservation) -> tuple[object, ...]:
    lines = [(line.item_id, line.quantity, line.confirmed, line.released) for line in each.lines]
    return (
        each.reservation_id, each.order_id, each.source, each.revision, each.state.value,
        each.created_at, each.expires_at, each.stated_at, lines,
    )  # fmt: skip
