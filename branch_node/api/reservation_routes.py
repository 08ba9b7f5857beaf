"""The routes of reservations: reserve, confirm, release, and the reservations as they are now."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query
from starlette.requests import Request
from starlette.responses import Response

from branch_node.api import body_examples as examples
from branch_node.api.dependencies import ApiNode, RequestContext, actor_of, problems
from branch_node.api.hot_route_middleware import raw_request_of, response_of
from branch_node.api.hot_routes import MAX_BODY, HotHandlers
from branch_node.api.read_routes import After, Limit
from branch_node.commands.reservations.reservation_commands import ReleaseReservation
from branch_node.commands.reservations.reservation_inputs import (
    ConfirmationInput,
    ReleaseInput,
    ReservationInput,
    release_content,
)
from branch_node.database.reservation_lists import BY_RESERVATION, ReservationsWanted, list_reservations
from branch_node.database.reservation_rows import reservation_with_id
from branch_node.problems import (
    BAD_CURSOR,
    BUSY,
    INVALID_KEY,
    INVALID_QUANTITY,
    INVENTORY_UNAVAILABLE,
    KEY_REUSED,
    MORE_THAN_OPEN,
    NOT_WRITING,
    ORDER_CANCELLED,
    ORDER_SUPERSEDED,
    RESERVATION_ENDED,
    TOO_MANY_RESERVATIONS,
    UNIT_DIFFERS,
    UNKNOWN_ITEM,
    UNKNOWN_RESERVATION,
)
from branch_node.records import Page
from shared.reservations import ReservationRecord, ReservationState, reservation_record
from shared.runtime.http.application import body_of, documented_answer, documented_body, json_response
from shared.runtime.http.auth import Principal
from shared.runtime.http.body_faults import naming_every_fault
from shared.runtime.http.scopes import Scope
from shared.runtime.http.strict_json import StrictDecoder
from shared.runtime.problems import DATABASE_BUSY, DATABASE_UNAVAILABLE, DISK_FULL, INVALID_REQUEST, OVERLOADED

_WRITER: Final = (INVALID_KEY, KEY_REUSED, BUSY, NOT_WRITING, DATABASE_BUSY, DATABASE_UNAVAILABLE, DISK_FULL)
_READ: Final = (INVALID_REQUEST, DATABASE_BUSY, DATABASE_UNAVAILABLE, OVERLOADED)
_TAGS: Final[list[str | Enum]] = ["reservations"]


def reservation_routes(node: ApiNode, hot: HotHandlers) -> APIRouter:
    """The routes below /v1/reservations."""
    router = APIRouter(prefix="/v1/reservations")
    context = RequestContext(node)
    _reserving(router, hot)
    _ending(router, context, hot)
    _reading(router, context, node)
    return router


def _reserving(router: APIRouter, hot: HotHandlers) -> None:
    @router.post(
        "",
        dependencies=[Depends(hot.selling.principal)],
        status_code=201,
        tags=_TAGS,
        summary="Reserve all lines of an order, or none; a higher revision states it anew",
        description=(
            "Reserves what of the order is not confirmed yet, nor sold by `POST /v1/orders`. Where too little is "
            "available nothing is reserved and the refusal is recorded: 409 `inventory-unavailable`, `recorded: yes`."
        ),
        responses=problems(
            *_WRITER, INVALID_QUANTITY, UNKNOWN_ITEM, UNIT_DIFFERS, INVENTORY_UNAVAILABLE, ORDER_SUPERSEDED,
            ORDER_CANCELLED, RESERVATION_ENDED, TOO_MANY_RESERVATIONS,
        )
        | {201: documented_answer(ReservationRecord, "The reservation")},
        openapi_extra=documented_body(ReservationInput, example=examples.RESERVATION)
        | examples.key_header(examples.OF_THE_RESERVATION),
    )  # fmt: skip
    async def reserve_stock(request: Request) -> Response:
        return response_of(await hot.reserve(raw_request_of(request)))


def _ending(router: APIRouter, context: RequestContext, hot: HotHandlers) -> None:
    seller = context.caller(Scope.SELL)
    read_release = StrictDecoder(ReleaseInput, max_bytes=MAX_BODY)

    @router.post(
        "/{reservation_id:code}/confirm",
        dependencies=[Depends(hot.selling.principal)],
        tags=_TAGS,
        summary="Confirm what was sent of a reservation, in full or in part: it leaves the stock",
        responses=problems(
            *_WRITER,
            INVALID_QUANTITY,
            UNKNOWN_ITEM,
            UNIT_DIFFERS,
            UNKNOWN_RESERVATION,
            RESERVATION_ENDED,
            MORE_THAN_OPEN,
        )
        | {200: documented_answer(ReservationRecord, "The reservation")},
        openapi_extra=documented_body(ConfirmationInput, example=examples.CONFIRMATION) | examples.key_header(),
    )
    async def confirm_reservation(reservation_id: str, request: Request) -> Response:
        return response_of(await hot.confirm(raw_request_of(request, reservation_id)))

    @router.post(
        "/{reservation_id:code}/release",
        tags=_TAGS,
        summary="Give back everything that a reservation has open",
        responses=problems(*_WRITER, UNKNOWN_RESERVATION, RESERVATION_ENDED)
        | {200: documented_answer(ReservationRecord, "The reservation")},
        openapi_extra=documented_body(ReleaseInput, example=examples.RELEASE) | examples.key_header(),
    )
    async def release_reservation(reservation_id: str, request: Request, principal: Principal = seller) -> Response:
        body = read_release(await body_of(request) or b"{}")
        content = naming_every_fault(release_content, reservation_id, body)
        actor = actor_of(principal, content.person)
        command = ReleaseReservation(content, key=context.key(request), actor=actor)
        return json_response(reservation_record(await context.submit(command)))


def _reading(router: APIRouter, context: RequestContext, node: ApiNode) -> None:
    reader = context.caller(Scope.READ)

    @router.get(
        "",
        dependencies=[reader],
        tags=_TAGS,
        summary="The reservations, in the order in which they were made",
        responses=problems(*_READ, BAD_CURSOR, body=False)
        | {200: documented_answer(Page[ReservationRecord], "Reservations by id")},
    )
    def reservations(  # noqa: PLR0917 - query parameters
        order_id: Annotated[str | None, Query(max_length=100)] = None,
        source: Annotated[str | None, Query(max_length=40)] = None,
        item_id: Annotated[str | None, Query(max_length=64)] = None,
        state: ReservationState | None = None,
        after: After = None,
        limit: Limit = 100,
    ) -> Response:
        place = BY_RESERVATION.read(after)
        wanted = ReservationsWanted(order_id=order_id, source=source, item_id=item_id, state=state)
        with node.store.reading() as connection:
            return json_response(list_reservations(connection, wanted, now=node.clock.now(), after=place, limit=limit))

    @router.get(
        "/{reservation_id:code}",
        dependencies=[reader],
        tags=_TAGS,
        summary="One reservation",
        responses=problems(*_READ, UNKNOWN_RESERVATION, body=False)
        | {200: documented_answer(ReservationRecord, "The reservation")},
    )
    def reservation(reservation_id: str) -> Response:
        with node.store.reading() as connection:
            found = reservation_with_id(connection, reservation_id)
        if found is None:
            raise UNKNOWN_RESERVATION(f"there is no reservation {reservation_id!r}", reservation_id=reservation_id)
        return json_response(reservation_record(found, node.clock.now()))
