"""The route on which other systems tell of their orders. It takes no key: the signature is the key."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Final

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from branch_node.api import body_examples as examples
from branch_node.api.dependencies import ApiNode, RequestContext
from branch_node.api.inbound.source_access import branch_source_desk
from branch_node.commands.inbound.order_event_commands import order_event_command
from branch_node.commands.inbound.told_events import OrderEventAnswer
from branch_node.problems import (
    AMBIGUOUS_BARCODE,
    BUSY,
    FUTURE_DATE,
    INVALID_TIME,
    KEY_REUSED,
    NOT_WRITING,
    ORDER_SUPERSEDED,
    PROBLEMS,
    STRICT_ITEM,
    TOO_MANY_LINES,
    TOO_MANY_RESERVATIONS,
    UNKNOWN_ITEM,
    UNKNOWN_TOLD_ORDER,
)
from shared.event_record import Number
from shared.events import quantity_json
from shared.orders.cloud_events import (
    CloudEventInput,
    InboundEvent,
)
from shared.orders.inbound_signatures import SIGNED_EVENT, SignedEvents, signed_event_documentation
from shared.orders.order_event_inputs import (
    OrderPlacedData,
    OrderShippedData,
    key_of,
    kind_of,
    order_event_of,
)
from shared.orders.order_outcomes import OrderOutcome
from shared.orders.source_records import PATH
from shared.runtime.http.application import documented_answer, json_response
from shared.runtime.problems import (
    DATABASE_BUSY,
    DATABASE_UNAVAILABLE,
    DISK_FULL,
    OVERLOADED,
)

_TAGS: Final[list[str | Enum]] = ["orders of other systems"]
_ABOUT: Final = (
    f"{SIGNED_EVENT}\n\n"
    "A 200 is final whatever the `outcome`; only 409, 422, 429 and 5xx are worth sending again. The same event "
    "(`source` and `id` of the CloudEvent) has one effect and one answer, however often it is sent, also with another "
    "`time` or with other members; other lines, another order or type under its id are refused: 409 `key-reused`. "
    "Events may come in any order."
)


class ShortItem(msgspec.Struct, kw_only=True):
    """An item of which less is available than is asked for beyond what the order holds."""

    item_id: str
    unit: str
    asked: Number
    available: Number


class InboundAnswer(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What became of an event; `id` and `type` are its own. `short`: what an order that is `unavailable` lacks."""

    id: str
    type: str
    order_id: str | None
    outcome: OrderOutcome
    reservation_id: str | None = None
    short: list[ShortItem] = []


class _StructuredBody(CloudEventInput, kw_only=True):
    """A whole event, for the documentation."""

    data: Annotated[OrderPlacedData | None, msgspec.Meta(description="What is told; see the type")] = None


def inbound_routes(node: ApiNode) -> APIRouter:
    """The route below /v1/inbound/orders."""
    router = APIRouter(prefix=PATH)
    context = RequestContext(node)
    signed = SignedEvents(
        look_up=branch_source_desk(node).find,
        read_clock=node.clock.read,
        monotonic=node.clock.monotonic,
        count=node.authenticator.count_signed,
        catalogue=PROBLEMS,
    )

    @router.post(
        "/{source:code}",
        tags=_TAGS,
        summary="Tell of an order of another system: it was placed, shipped, cancelled or returned",
        description=_ABOUT,
        responses=PROBLEMS.responses(
            *signed.problems(), INVALID_TIME, FUTURE_DATE, UNKNOWN_ITEM, AMBIGUOUS_BARCODE, KEY_REUSED,
            ORDER_SUPERSEDED, UNKNOWN_TOLD_ORDER, STRICT_ITEM, TOO_MANY_LINES, TOO_MANY_RESERVATIONS, BUSY,
            NOT_WRITING, OVERLOADED, DATABASE_BUSY, DATABASE_UNAVAILABLE, DISK_FULL,
        )
        | {200: documented_answer(InboundAnswer, "What became of it, for ever")},
        openapi_extra=signed_event_documentation(
            _StructuredBody,
            OrderShippedData,
            whole_example=examples.ORDER_EVENT,
            data_example=examples.ORDER_EVENT_DATA,
        ),
    )  # fmt: skip
    async def take_event(source: str, request: Request) -> Response:
        teller, event = await signed.take(source, request)
        kind = kind_of(event.type)
        if kind is None:
            return json_response(_answer(event, None, OrderEventAnswer(outcome=OrderOutcome.IGNORED)))
        told = order_event_of(kind, teller.source, event)
        command = order_event_command(
            told,
            key=key_of(teller.source, event),
            actor=f"inbound/{teller.source}",
            hold_days=teller.hold_days,
        )
        return json_response(_answer(event, told.content.order_id, await context.submit(command)))

    return router


def _answer(event: InboundEvent, order_id: str | None, answer: OrderEventAnswer) -> InboundAnswer:
    return InboundAnswer(
        id=event.id,
        type=event.type,
        order_id=order_id,
        outcome=answer.outcome,
        reservation_id=answer.reservation_id,
        short=[
            ShortItem(
                item_id=each.item_id,
                unit=each.unit,
                asked=quantity_json(each.asked),
                available=quantity_json(each.available),
            )
            for each in answer.short
        ],
    )
