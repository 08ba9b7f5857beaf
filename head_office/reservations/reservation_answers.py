"""How head office answers reservations: the record of the branch, where it is, and how fresh that is."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from sqlalchemy import Connection

from head_office.reports.freshness import freshness
from head_office.reports.report_records import FreshnessOut, freshness_out
from head_office.reservations.reservation_search import LocatedReservation
from shared.reservations import ReservationRecord, reservation_record_as


class LocatedReservationRecord(ReservationRecord, kw_only=True):
    """A reservation as the log of its location has it, as far as it has arrived."""

    location_id: str
    freshness: FreshnessOut


class ReservationPage(msgspec.Struct, frozen=True, kw_only=True):
    """Reservations by id, which is the order in which they were made."""

    items: list[LocatedReservationRecord]
    next: str | None


def reservation_answers(
    connection: Connection, found: Iterable[LocatedReservation], now: int
) -> list[LocatedReservationRecord]:
    """The records of reservations; one that has expired by `now` is EXPIRED, whether or not its event has arrived."""
    listed = list(found)
    fresh = freshness(connection, {each.location_id for each in listed})
    records = {location_id: freshness_out(each) for location_id, each in fresh.items()}
    return [
        reservation_record_as(
            LocatedReservationRecord,
            each.reservation,
            now,
            location_id=each.location_id,
            freshness=records[each.location_id],
        )
        for each in listed
    ]
