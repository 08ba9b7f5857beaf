"""Verification of the rows of reservations at a branch against the fold of the log.

Works on the snapshot of the Connection it is given and reads only; memory is bounded by a page.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from sqlalchemy import Connection, func, select

from branch_node.database.reservation_rows import reservations_where
from branch_node.database.schema import LOG, RESERVATION, RESERVATION_LINE
from branch_node.database.verification import VerificationFinding
from shared.chain import understand
from shared.events import Event, EventNotUnderstood, EventType, quantity_text
from shared.reservations import NotOfAReservation, Reservation, reservation_of

AT_ONCE: Final = 200
"""How many reservations are folded at a time."""


def count_reservations(connection: Connection) -> int:
    """Count the reservations to verify, about: those that have a row."""
    return connection.execute(select(func.count()).select_from(RESERVATION)).scalar_one()


def verify_reservations(connection: Connection, advance: Callable[[int], None]) -> list[VerificationFinding]:
    """Find the reservations whose rows are not what their events make."""
    findings: list[VerificationFinding] = []
    after = ""
    while ids := _ids(connection, after):
        after = ids[-1]
        events = _events(connection, ids)
        known = reservations_where(connection, RESERVATION.c.reservation_id.in_(ids))
        kept = {each.reservation_id: each for each in known}
        for reservation_id in ids:
            findings += _compared(reservation_id, kept.get(reservation_id), events.get(reservation_id, []))
        advance(len(ids))
    return findings


_OF_A_RESERVATION: Final = LOG.event.c.type != EventType.RESERVATION_REFUSED.value


def _ids(connection: Connection, after: str) -> list[str]:
    """The next reservations that have events or rows, in order of id."""
    event = LOG.event.c
    logged = select(event.reservation_id).where(event.reservation_id > after, _OF_A_RESERVATION).distinct()
    named = [
        logged.order_by(event.reservation_id),
        select(RESERVATION.c.reservation_id)
        .where(RESERVATION.c.reservation_id > after)
        .order_by(RESERVATION.c.reservation_id),
        select(RESERVATION_LINE.c.reservation_id)
        .where(RESERVATION_LINE.c.reservation_id > after)
        .distinct()
        .order_by(RESERVATION_LINE.c.reservation_id),
    ]
    found = {each for query in named for each in connection.execute(query.limit(AT_ONCE)).scalars()}
    return sorted(found)[:AT_ONCE]


def _events(connection: Connection, ids: Sequence[str]) -> dict[str, list[Event]]:
    """The events of reservations by id, in order of sequence; a line that is no event is left out: the chain tells."""
    event = LOG.event.c
    query = select(event.line).where(event.reservation_id.in_(ids), _OF_A_RESERVATION).order_by(event.sequence)
    events: dict[str, list[Event]] = {}
    for line in connection.execute(query).scalars():
        if isinstance(line, str):
            continue
        try:
            found = understand(bytes(line))
        except EventNotUnderstood:
            continue
        events.setdefault(found.reservation_id or "", []).append(found)
    return events


def _compared(reservation_id: str, kept: Reservation | None, events: list[Event]) -> list[VerificationFinding]:
    what = f"the reservation {reservation_id} is not what the log says"
    try:
        folded = reservation_of(events)
    except NotOfAReservation as error:
        return [VerificationFinding(what=what, recorded=_text(kept), computed=f"no reservation: {error}")]
    if kept == folded and kept is not None:
        return []
    return [VerificationFinding(what=what, recorded=_text(kept), computed=_text(folded))]


def _text(reservation: Reservation | None) -> str:
    """What is compared of a reservation, as text."""
    if reservation is None:
        return "none"
    lines = ", ".join(
        f"{line.item_id} {quantity_text(line.quantity)} confirmed {quantity_text(line.confirmed)} "
        f"released {quantity_text(line.released)}"
        for line in reservation.lines
    )
    return (
        f"{reservation.state.value}, order {reservation.order_id} of {reservation.source} revision "
        f"{reservation.revision}, stated at {reservation.stated_at}, created {reservation.created_at}, expires "
        f"{reservation.expires_at}: {lines or 'no lines'}"
    )
