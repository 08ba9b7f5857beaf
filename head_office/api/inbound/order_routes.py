"""The routes on which other systems tell head office of their orders, and on which people see what became of them.

The first takes no key: the signature is the key.
"""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Path, Query
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from head_office.api import body_examples as examples
from head_office.api.dependencies import NO_NUL, LocationQuery, Office, scoped
from head_office.api.inbound.source_access import office_signed_events
from head_office.catalogue.locations import check_locations
from head_office.database.schema import now
from head_office.orders.order_course import RoutedOrderState
from head_office.orders.order_intake import Preferred, tell
from head_office.orders.order_records import (
    BY_ORDER,
    OrderFilter,
    OrderShort,
    RoutedOrderPage,
    RoutedOrderRecord,
    find_order,
    list_orders,
    order_record,
    order_summaries,
    shorts_out,
)
from head_office.orders.routed_orders import ASKED, OrderName, ToldAnswer
from head_office.problems import (
    BAD_CURSOR,
    FUTURE_DATE,
    INVALID_TIME,
    KEY_REUSED,
    ORDER_ELSEWHERE,
    PROBLEMS,
    TOO_MANY_OPEN_ORDERS,
    TOO_MANY_ORDER_EVENTS,
    UNKNOWN_ITEM,
    UNKNOWN_LOCATION,
    UNKNOWN_ORDER,
    UNKNOWN_TOLD_ORDER,
)
from shared.checked_fields import CheckedId
from shared.orders.cloud_events import CloudEventInput, InboundEvent
from shared.orders.inbound_signatures import SIGNED_EVENT, SignedEvent, signed_event_documentation
from shared.orders.order_event_inputs import OrderPlacedData, OrderShippedData, kind_of
from shared.orders.order_outcomes import OrderOutcome
from shared.orders.source_records import PATH
from shared.runtime.clock import SECOND, Clock
from shared.runtime.http.application import After, Limit, documented_answer, json_response
from shared.runtime.http.auth import Principal
from shared.runtime.http.cursor import page_of
from shared.runtime.http.scopes import Scope
from shared.runtime.problems import DATABASE_BUSY, DATABASE_UNAVAILABLE, DISK_FULL, INVALID_REQUEST, WRONG_LOCATION

_TAGS: Final[list[str | Enum]] = ["orders of other systems"]
_ABOUT: Final = (
    f"{SIGNED_EVENT}\n\n"
    "Besides, `data` may name the location (`location_id`), or those that are preferred (`prefer`); an order that is "
    "placed goes to the first location that serves it, as `POST /v1/availability` has it. It is asked, and its log "
    "decides: 202 with `asked`, and `GET /v1/inbound/orders/{source}/{order_id}` tells what became of it. Where it is "
    "refused, the next that can is asked; from silence nothing follows. What ships, comes back or is cancelled goes to "
    "the location that has the order.\n\n"
    "A 2xx is final for the sender; only 409, 422, 429 and 5xx are worth sending again. The same event (`source` and "
    "`id` of the CloudEvent) has one effect and one answer, however often it is sent; other lines, another order, type "
    "or location under its id are refused: 409 `key-reused`. Events may come in any order."
)


class RoutedAnswer(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What an event is answered; `id` and `type` are its own.

    `asked`: `location_id` is asked to take it. `unavailable`: no location can serve it; `short` is what the nearest
    lacks, empty where enough may be somewhere whose figures cannot be trusted.
    """

    id: str
    type: str
    order_id: str | None
    outcome: Annotated[
        str,
        msgspec.Meta(
            extra_json_schema={"enum": [ASKED, "ignored", "cancelled", "unavailable", "superseded", "noted", "nothing"]}
        ),
    ]
    location_id: str | None = None
    short: list[OrderShort] = []


class _PlacedData(OrderPlacedData, kw_only=True, omit_defaults=True):
    """What is placed, and where: at `location_id`, else where it can be, the preferred ones first."""

    location_id: CheckedId | None = None
    prefer: Preferred = ()


class _ShippedData(OrderShippedData, kw_only=True, omit_defaults=True):
    """A parcel, and where it left, where that is not the location that has the order."""

    location_id: CheckedId | None = None


class _WholeEvent(CloudEventInput, kw_only=True):
    """A whole event, for the documentation."""

    data: Annotated[_PlacedData | None, msgspec.Meta(description="What is told; see the type")] = None


class _OrderMember(msgspec.Struct):
    """The order that data names."""

    order_id: str


def office_order_routes(office: Office, clock: Clock, heard_within: int) -> APIRouter:
    """The routes below /v1/inbound/orders. `heard_within`: how many seconds ago a branch that is asked was heard of."""
    router = APIRouter(prefix=PATH)
    signed = office_signed_events(office, clock)
    reader = office.caller(Scope.READ)
    answers: dict[int | str, dict[str, Any]] = {
        200: documented_answer(RoutedAnswer, "What became of it, for ever"),
        202: documented_answer(RoutedAnswer, "A location is asked"),
    }

    def take(given: SignedEvent) -> ToldAnswer:
        kind = kind_of(given.event.type)
        if kind is None:
            return ToldAnswer(outcome=OrderOutcome.IGNORED.value)
        with office.writing() as connection:
            return tell(
                connection,
                given.source,
                given.event,
                kind,
                now=now(connection),
                heard_within=heard_within * SECOND,
            )

    @router.post(
        "/{source:code}",
        tags=_TAGS,
        summary="Tell of an order of another system: it was placed, shipped, cancelled or returned",
        description=_ABOUT,
        responses=PROBLEMS.responses(
            *signed.problems(), INVALID_TIME, FUTURE_DATE, UNKNOWN_ITEM, UNKNOWN_LOCATION, KEY_REUSED, ORDER_ELSEWHERE,
            UNKNOWN_TOLD_ORDER, TOO_MANY_ORDER_EVENTS, TOO_MANY_OPEN_ORDERS, DATABASE_BUSY, DATABASE_UNAVAILABLE,
            DISK_FULL,
        )
        | answers,
        openapi_extra=signed_event_documentation(
            _WholeEvent, _ShippedData, whole_example=examples.ORDER_EVENT, data_example=examples.ORDER_EVENT_DATA
        ),
    )  # fmt: skip
    async def take_event(source: str, request: Request) -> Response:
        given = await signed.take(source, request)
        answer = await run_in_threadpool(take, given)
        status = 202 if answer.outcome == ASKED else 200
        return json_response(_answered(given.event, answer), status=status)

    @router.get(
        "",
        tags=_TAGS,
        summary="The orders that other systems told head office of, by source and id",
        description="`ASKED` waits for the location in `waits_for`: its freshness says whether it is heard of.",
        responses={
            200: documented_answer(RoutedOrderPage, "A page of orders"),
            **PROBLEMS.responses(BAD_CURSOR, WRONG_LOCATION, UNKNOWN_LOCATION, INVALID_REQUEST),
        },
    )
    def list_routed(
        *,
        source: Annotated[str | None, Query(max_length=64, pattern=NO_NUL)] = None,
        state: RoutedOrderState | None = None,
        location_id: LocationQuery = None,
        after: After = None,
        limit: Limit = 100,
        principal: Principal = reader,
    ) -> Response:
        place = BY_ORDER.read(after)
        wanted = OrderFilter(source=source, state=state, location_id=scoped(principal, location_id))
        with office.reading() as connection:
            if wanted.location_id is not None:
                check_locations(connection, [wanted.location_id])
            found = list_orders(connection, wanted, after=place, limit=limit + 1)
            page, following = page_of(found, limit, lambda last: BY_ORDER.write(last.name))
            items = order_summaries(connection, page)
        return json_response(RoutedOrderPage(items=items, next=following))

    @router.get(
        "/{source:code}/{order_id:code}",
        tags=_TAGS,
        summary="An order that another system told of: what was told, who was asked, and what they answered",
        description="A key of one location sees the orders that it was asked for, and what was asked of it.",
        responses={
            200: documented_answer(RoutedOrderRecord, "The order"),
            **PROBLEMS.responses(UNKNOWN_ORDER, INVALID_REQUEST),
        },
    )
    def read_order(
        source: Annotated[str, Path(min_length=1, max_length=64, pattern=NO_NUL)],
        order_id: Annotated[str, Path(min_length=1, max_length=100, pattern=NO_NUL)],
        *,
        principal: Principal = reader,
    ) -> Response:
        own = None if principal.location_id is None else [principal.location_id]
        with office.reading() as connection:
            found = find_order(connection, OrderName(source, order_id))
            if found is None or (own and not any(each.asked.location_id in own for each in found.asks)):
                raise UNKNOWN_ORDER(f"nothing was told of an order {order_id!r} of {source!r}")
            record = order_record(connection, found, own)
        return json_response(record)

    return router


def _answered(event: InboundEvent, answer: ToldAnswer) -> RoutedAnswer:
    ignored = answer.outcome == OrderOutcome.IGNORED.value
    return RoutedAnswer(
        id=event.id,
        type=event.type,
        order_id=None if ignored or event.data is None else _order_id(event.data),
        outcome=answer.outcome,
        location_id=answer.location_id,
        short=shorts_out(answer.short),
    )


def _order_id(data: bytes) -> str:
    return msgspec.json.decode(data, type=_OrderMember).order_id
