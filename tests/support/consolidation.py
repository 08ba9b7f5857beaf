"""A branch's log without a branch, and head office's copy of it looked at from outside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Engine, select, text

from head_office.database.log_segments import segments
from head_office.database.schema import EVENT, HEAD, LOCATION, LOG, QUARANTINE, RESERVATION, RESERVATION_LINE, STOCK
from head_office.log.ingest import ingest
from shared import chain, event_log, stock, wire
from shared.chain import EMPTY, GENESIS, follow
from shared.events import Event, EventNotUnderstood
from shared.messages import EventsAnswer
from shared.projection import standing_of
from shared.reservations import Reservation, ReservationState, ReservedLine, reservation_of
from shared.stock import Movement
from tests.support.events import seal_all

PLACE = "BEY-01"


def open_location(connection: Connection, location_id: str = PLACE) -> None:
    """An empty log at head office."""
    connection.execute(
        LOCATION.insert().values(
            location_id=location_id, name=location_id, timezone="Asia/Beirut", day_start=240, added_at=0
        )
    )
    event_log.create_head(connection, LOG, location_id)


class Branch:
    """The log of one location: canonical lines with their hashes, made of events or of any bytes."""

    def __init__(self, location_id: str = PLACE) -> None:
        self.location_id = location_id
        self.lines: list[bytes] = []
        self.hashes: list[bytes] = [GENESIS]

    def record(self, events: Sequence[Event], epoch: int = 1) -> Branch:
        """Append unplaced events, sealed."""
        head = type(EMPTY)(epoch, len(self.lines), self.hashes[-1])
        for each in events:
            each.location_id = self.location_id
        return self.scrawl([sealed.line for sealed in seal_all(list(events), head)])

    def scrawl(self, lines: Sequence[bytes]) -> Branch:
        """Append lines as they are, whatever they say."""
        self.hashes += follow(self.hashes[-1], lines)
        self.lines += lines
        return self

    def pack(self, first: int, last: int, *, epoch: int = 1) -> bytes:
        """The body that ships the events from `first` to `last`."""
        return wire.pack(
            self.location_id,
            epoch,
            first,
            self.hashes[first - 1],
            self.lines[first - 1 : last],
            last_hash=self.hashes[last],
        )

    def ship(self, engine: Engine, first: int = 1, last: int | None = None, *, epoch: int = 1) -> EventsAnswer:
        """Ship in a transaction of its own."""
        body = self.pack(first, len(self.lines) if last is None else last, epoch=epoch)
        with engine.begin() as connection:
            return ingest(connection, wire.unpack(body))


class OldVersion:
    """Head office as it was before it understood events whose note begins with "new"."""

    @staticmethod
    def understand(line: bytes) -> Event:
        event = chain.understand(line)
        if (event.note or "").startswith("new"):
            raise EventNotUnderstood("this version does not know it yet")
        return event


def log_of(connection: Connection, location_id: str = PLACE) -> list[bytes]:
    """The lines that head office has, and that they tile their segments."""
    lines: list[bytes] = []
    for frame, held in segments(connection, location_id):
        assert frame.first_sequence == len(lines) + 1
        lines += held
    return lines


def movements(connection: Connection, location_id: str, item_id: str) -> list[Movement]:
    """Straight from the table, not through our own query."""
    columns = [column for column in EVENT.columns if column.name in Movement.__struct_fields__]
    rows = connection.execute(select(*columns).where(EVENT.c.location_id == location_id, EVENT.c.item_id == item_id))
    return [Movement(**row._mapping) for row in rows]


def assert_projection_is_the_fold(connection: Connection) -> None:
    """Rule 6, for every item and every reservation of every location."""
    assert_reservations_are_the_fold(connection)
    rows = {(row.location_id, row.item_id): standing_of(row) for row in connection.execute(select(STOCK))}
    pairs = connection.execute(
        select(EVENT.c.location_id, EVENT.c.item_id).where(EVENT.c.item_id.is_not(None)).distinct()
    )
    assert set(rows) == {tuple(pair) for pair in pairs}
    for (location_id, item_id), standing in rows.items():
        story = movements(connection, location_id, item_id)
        told = stock.fold(story)
        # The projection keeps what is reserved before any of it expires; reads leave out what has expired.
        promised = sum(
            each.reserved_change or 0 for each in stock.history(story, as_of=None, known_through=None).standing
        )
        assert (standing.on_hand, standing.reserved) == (told.on_hand, promised), (location_id, item_id)
        assert (standing.last_count, standing.recount) == (told.last_count, told.recount), (location_id, item_id)


def assert_reservations_are_the_fold(connection: Connection) -> None:
    """What is kept of every reservation of every location is what its events, read from the log, make of it."""
    kept = {
        (row.location_id, row.reservation_id): rows_of_table(connection, row.location_id, row.reservation_id)
        for row in connection.execute(select(RESERVATION.c.location_id, RESERVATION.c.reservation_id))
    }
    told: dict[tuple[str, str], list[Event]] = {}
    for location_id in connection.execute(select(HEAD.c.location_id)).scalars():
        held = quarantined(connection, location_id)
        for sequence, line in enumerate(log_of(connection, location_id), start=1):
            event = None if sequence in held else chain.understand(line)
            if event is not None and event.reservation_id is not None and event.type != "RESERVATION_REFUSED":
                told.setdefault((location_id, event.reservation_id), []).append(event)
    assert kept == {key: reservation_of(events) for key, events in told.items()}


def rows_of_table(connection: Connection, location_id: str, reservation_id: str) -> Reservation:
    """Straight from the tables, not through our own query."""
    line = RESERVATION_LINE.c
    lines = connection.execute(
        select(RESERVATION_LINE).where(line.location_id == location_id, line.reservation_id == reservation_id)
    ).all()
    row = connection.execute(
        select(RESERVATION).where(
            RESERVATION.c.location_id == location_id, RESERVATION.c.reservation_id == reservation_id
        )
    ).one()
    fields = row._asdict()
    del fields["location_id"]
    return Reservation(
        **fields | {"state": ReservationState(row.state)},
        lines=tuple(
            ReservedLine(
                item_id=each.item_id,
                unit=each.unit,
                quantity=each.quantity,
                confirmed=each.confirmed,
                released=each.released,
            )
            for each in sorted(lines, key=lambda each: each.item_id)
        ),
    )


def quarantined(connection: Connection, location_id: str = PLACE) -> dict[int, str]:
    """The reasons of what lies in quarantine, by sequence."""
    rows = connection.execute(
        select(QUARANTINE.c.sequence, QUARANTINE.c.reason).where(
            QUARANTINE.c.location_id == location_id, QUARANTINE.c.released_at.is_(None)
        )
    )
    return {row.sequence: row.reason for row in rows}


def figures(connection: Connection) -> dict[str, list[tuple[Any, ...]]]:
    """Everything derived from the log but the moments of its arrival."""
    tables = {
        "event": "*",
        "voided": "*",
        "stock": "*",
        "transfer_line": "*",
        "item_unit": "location_id, item_id, unit",
        "reservation": "*",
        "reservation_line": "*",
        "order_answer": "*",
        "delivered_line": "*",
    }
    found = {
        name: [tuple(row) for row in connection.execute(text(f"SELECT {columns} FROM {name} ORDER BY 1, 2, 3"))]
        for name, columns in tables.items()
    }
    heads = select(HEAD.c.location_id, HEAD.c.epoch, HEAD.c.sequence, HEAD.c.hash, HEAD.c.occurred_at)
    found["head"] = [tuple(row) for row in connection.execute(heads.order_by(HEAD.c.location_id))]
    held = select(QUARANTINE.c.location_id, QUARANTINE.c.sequence, QUARANTINE.c.hash, QUARANTINE.c.reason)
    held = held.where(QUARANTINE.c.released_at.is_(None)).order_by(*held.selected_columns)
    found["quarantine"] = [tuple(row) for row in connection.execute(held)]
    return found
