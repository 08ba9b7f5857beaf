"""The routes of the group's reservations, and of which location should serve an order."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from fastapi import FastAPI, Path, Query
from starlette.responses import Response

from head_office.api import body_examples as examples
from head_office.api.dependencies import MAX_BODY, NO_NUL, Body, ItemFilter, LocationQuery, Office, RawBody, quantity
from head_office.api.stock_routes import locations_of
from head_office.catalogue.locations import check_locations
from head_office.database.schema import now
from head_office.problems import BAD_CURSOR, PROBLEMS, UNKNOWN_ITEM, UNKNOWN_LOCATION, UNKNOWN_RESERVATION
from head_office.reservations.availability import ItemQuantity, ServingChoice, availability
from head_office.reservations.reservation_answers import LocatedReservationRecord, ReservationPage, reservation_answers
from head_office.reservations.reservation_search import (
    ReservationFilter,
    ReservationPlace,
    reservations_with_id,
    search_reservations,
)
from shared.checked_fields import CheckedCode, CheckedId, quantity_rule
from shared.events import MAX_LINES
from shared.reservations import ReservationState
from shared.runtime.clock import SECOND
from shared.runtime.http.application import After, Limit, documented_answer, documented_body, json_response
from shared.runtime.http.auth import Principal
from shared.runtime.http.cursor import Cursor, page_of
from shared.runtime.http.scopes import Scope
from shared.runtime.http.strict_json import CheckedDecoder
from shared.runtime.problems import INVALID_REQUEST, WRONG_LOCATION

_BY_PLACE: Final[Cursor[ReservationPlace]] = Cursor(ReservationPlace)
_COMMON: Final = (UNKNOWN_LOCATION, WRONG_LOCATION, INVALID_REQUEST)

MAX_ASKED: Final = MAX_LINES // 2
"""Lines of an order at most, as of a branch's reservation."""


class AskedLineBody(Body, frozen=True):
    """An item by its code, else its barcode, and how much of it, above zero, in its base unit."""

    item_id: CheckedCode
    quantity: Annotated[msgspec.Raw, quantity_rule(1)]


class AvailabilityBody(Body, frozen=True):
    """An order, and the locations that are preferred to serve it, the first one most."""

    lines: Annotated[tuple[AskedLineBody, ...], msgspec.Meta(min_length=1, max_length=MAX_ASKED)]
    prefer: Annotated[tuple[CheckedId, ...], msgspec.Meta(max_length=1_000)] = ()


_availability_body: Final = CheckedDecoder(AvailabilityBody, max_bytes=MAX_BODY)


def add_reservation_routes(app: FastAPI, office: Office, heard_within: int) -> None:
    """Add the routes. `heard_within`: how long ago a branch that serves was heard of at most, in seconds."""
    reader = office.caller(Scope.READ)

    @app.get(
        "/v1/reservations",
        tags=["reservations"],
        summary="The reservations of the group, in the order in which they were made",
        description="From the logs alone: each with how fresh its location's figures are. One that has expired is "
        "EXPIRED, whether or not its branch has told so.",
        responses={
            200: documented_answer(ReservationPage, "Reservations by id"),
            **PROBLEMS.responses(BAD_CURSOR, *_COMMON),
        },
    )
    def list_reservations(
        *,
        order_id: Annotated[str | None, Query(max_length=200, pattern=NO_NUL)] = None,
        source: Annotated[str | None, Query(max_length=64, pattern=NO_NUL)] = None,
        item_id: ItemFilter = None,
        state: ReservationState | None = None,
        location_id: LocationQuery = None,
        after: After = None,
        limit: Limit = 100,
        principal: Principal = reader,
    ) -> Response:
        place = _BY_PLACE.read(after)
        with office.reading() as connection:
            wanted = ReservationFilter(
                location_ids=locations_of(connection, principal, location_id),
                order_id=order_id,
                source=source,
                item_id=item_id,
                state=state,
            )
            moment = now(connection)
            found = search_reservations(connection, wanted, now=moment, after=place, limit=limit + 1)
            page, following = page_of(found, limit, lambda last: _BY_PLACE.write(last.place))
            items = reservation_answers(connection, page, moment)
        return json_response(ReservationPage(items=items, next=following))

    @app.get(
        "/v1/reservations/{reservation_id:code}",
        tags=["reservations"],
        summary="One reservation",
        responses={
            200: documented_answer(LocatedReservationRecord, "The reservation"),
            **PROBLEMS.responses(UNKNOWN_RESERVATION, *_COMMON),
        },
    )
    def read_reservation(
        reservation_id: Annotated[str, Path(min_length=1, max_length=64, pattern=NO_NUL)],
        *,
        location_id: LocationQuery = None,
        principal: Principal = reader,
    ) -> Response:
        with office.reading() as connection:
            places = locations_of(connection, principal, location_id)
            found = reservations_with_id(connection, reservation_id, places)
            if not found:
                raise UNKNOWN_RESERVATION(f"no log has a reservation {reservation_id!r}", reservation_id=reservation_id)
            (record,) = reservation_answers(connection, found[:1], now(connection))
        return json_response(record)

    @app.post(
        "/v1/availability",
        tags=["reservations"],
        summary="Which location should serve an order: enough of every line, and fresh",
        description="Records nothing. The choice is the first of the preferred locations that serves the order; else, "
        "of the others that do, the one for which it takes the smallest share of what is available. A location whose "
        f"branch was not heard of for {heard_within} seconds (the setting `heard_within`), does not ship, has events "
        "that are not here or has one in quarantine never serves: nobody knows what it has sold.",
        openapi_extra=documented_body(AvailabilityBody, example=examples.AVAILABILITY),
        responses={
            200: documented_answer(ServingChoice, "The choice, and every location"),
            **PROBLEMS.responses(UNKNOWN_ITEM, *_COMMON),
        },
    )
    def ask_availability(*, principal: Principal = reader, raw: RawBody) -> Response:
        body = _availability_body(raw)
        lines = [ItemQuantity(line.item_id, quantity("lines", line.quantity)) for line in body.lines]
        for location_id in body.prefer:
            principal.check_location(location_id)
        with office.reading() as connection:
            check_locations(connection, body.prefer)
            answer = availability(
                connection,
                lines,
                prefer=body.prefer,
                location_ids=locations_of(connection, principal, None),
                heard_within=heard_within * SECOND,
            )
        return json_response(answer)
