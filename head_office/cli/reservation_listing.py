"""`larder head-office reservations`."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from head_office.catalogue.items import check_seen
from head_office.catalogue.locations import check_locations
from head_office.cli.office_completion import complete_item, complete_location
from head_office.cli.office_database import DatabaseUrl, Directory, report
from head_office.cli.stock_commands import last_contact
from head_office.database.schema import now
from head_office.reports.freshness import freshness
from head_office.reservations.reservation_answers import reservation_answers
from head_office.reservations.reservation_search import LocatedReservation, ReservationFilter, search_reservations
from shared.event_record import moment_text
from shared.events import quantity_text
from shared.reservations import ReservationState
from shared.runtime.cli.output import UTC, AsJson, print_json, print_table, short_time

LINES_SHOWN: Final = 3


def reservations(
    *,
    location: Annotated[
        str | None, typer.Option("--location", help="Of this location only.", autocompletion=complete_location)
    ] = None,
    order: Annotated[str | None, typer.Option("--order", help="Of this order only.")] = None,
    source: Annotated[str | None, typer.Option("--source", help="Of orders of this system only.")] = None,
    item: Annotated[
        str | None, typer.Option("--item", help="Of this item only, by any of its codes.", autocompletion=complete_item)
    ] = None,
    state: Annotated[
        ReservationState | None, typer.Option("--state", case_sensitive=False, help="In this state only.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1_000, help="How many reservations at most.")] = 100,
    folder: Directory = None,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Reservations of the group by their logs, the newest first; each with its freshness.

    One that has expired is EXPIRED, whether or not its branch has told so. It is confirmed and released at its branch.
    """
    with report(folder, database_url, None) as (connection, _):
        if location is not None:
            check_locations(connection, [location])
        if item is not None:
            check_seen(connection, item)
        wanted = ReservationFilter(
            location_ids=None if location is None else [location],
            order_id=order,
            source=source,
            item_id=item,
            state=state,
        )
        moment = now(connection)
        found = search_reservations(connection, wanted, now=moment, newest_first=True, limit=limit)
        fresh = freshness(connection, {each.location_id for each in found})
        records = reservation_answers(connection, found, moment)
    if as_json:
        print_json({"items": records, "next": None})
        return
    print_table(
        "Reservations, times in UTC",
        (
            *("reservation", "order", "source", "location", "state", "made@", "expires@", "lines~"),
            *("last contact@", "behind#"),
        ),
        [
            (
                each.reservation.reservation_id,
                each.reservation.order_id,
                each.reservation.source,
                each.location_id,
                record.state.value,
                short_time(moment_text(each.reservation.created_at), UTC),
                short_time(moment_text(each.reservation.expires_at), UTC),
                _lines(each, is_open=record.state is ReservationState.ACTIVE),
                last_contact(fresh[each.location_id]),
                fresh[each.location_id].behind or None,
            )
            for each, record in zip(found, records, strict=True)
        ],
    )


def _lines(found: LocatedReservation, *, is_open: bool) -> str:
    """The items in words: how much was reserved, and of an active one how much still is where that differs."""
    lines = found.reservation.lines
    shown = [
        f"{line.item_id} {quantity_text(line.quantity)} {line.unit}"
        + (f" ({quantity_text(line.open)} open)" if is_open and line.open != line.quantity else "")
        for line in lines[:LINES_SHOWN]
    ]
    more = len(lines) - len(shown)
    return ", ".join([*shown, *([f"and {more} more"] if more else [])])
