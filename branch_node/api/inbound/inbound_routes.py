"""The route on which other systems tell of their orders. It takes no key: the signature is the key."""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import Enum
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from branch_node.api import body_examples as examples
from branch_node.api.dependencies import BODY, ApiNode, RequestContext
from branch_node.api.hot_route_middleware import body_of
from branch_node.api.inbound.source_routes import PATH
from branch_node.commands.inbound.order_event_commands import order_event_command
from branch_node.commands.inbound.told_events import OrderEventAnswer
from branch_node.database.schema import SOURCES
from branch_node.problems import (
    AMBIGUOUS_BARCODE,
    BUSY,
    FUTURE_DATE,
    INVALID_SIGNATURE,
    INVALID_TIME,
    KEY_REUSED,
    NOT_WRITING,
    ORDER_SUPERSEDED,
    PROBLEMS,
    SIGNATURE_EXPIRED,
    STRICT_ITEM,
    TOO_MANY_LINES,
    TOO_MANY_RESERVATIONS,
    UNKNOWN_ITEM,
    UNKNOWN_TOLD_ORDER,
)
from shared.event_record import Number
from shared.events import quantity_json
from shared.orders.cloud_events import (
    MAX_EVENT_BYTES,
    PLAIN,
    STRUCTURED,
    CloudEventInput,
    InboundEvent,
    read_cloud_event,
)
from shared.orders.order_event_inputs import (
    OrderPlacedData,
    OrderShippedData,
    key_of,
    kind_of,
    order_event_of,
)
from shared.orders.order_outcomes import OrderOutcome
from shared.orders.order_sources import OrderSource, order_source
from shared.runtime.http.application import documented_answer, documented_body, json_response
from shared.runtime.http.auth import address_of
from shared.runtime.http.rate_limits import RateLimiter
from shared.runtime.problems import (
    BODY_TOO_LARGE,
    DATABASE_BUSY,
    DATABASE_UNAVAILABLE,
    DISK_FULL,
    OVERLOADED,
    TOO_MANY_ATTEMPTS,
    TOO_MANY_REQUESTS,
    Problem,
)
from shared.runtime.webhooks.webhook_signatures import (
    HEADERS,
    NEW_SECRET_BYTES,
    InvalidSignature,
    SignatureExpired,
    secret_of,
    verify,
)

_TAGS: Final[list[str | Enum]] = ["orders of other systems"]
_NO_SECRET: Final = secret_of(bytes(NEW_SECRET_BYTES))
"""What a signature is compared with where there is no such source, so that the time taken is the same."""
_WRONG_A_SECOND: Final = 0.5
_WRONG_AT_ONCE: Final = 30
"""How many wrong signatures an address may send before it is answered 429, and how fast it may send more."""

_ABOUT: Final = (
    "One CloudEvent 1.0: whole as `application/cloudevents+json`, or its attributes as `ce-…` headers and its data as "
    "JSON. It is signed as Standard Webhooks has it (`webhook-id`, `webhook-timestamp`, `webhook-signature`) with the "
    "secret of the source; there is no other key. Types are `order.placed`, `order.shipped`, `order.cancelled` and "
    "`order.returned`, also with a prefix as in `com.shop.order.placed`; others are answered `ignored`. Members that "
    "are not named here are ignored.\n\n"
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


class _Signatures:
    """Checks who sent a request, before anything of it is parsed; one that nobody signed is not even read."""

    def __init__(self, node: ApiNode) -> None:
        self._node = node
        self._wrong = RateLimiter(_WRONG_A_SECOND, _WRONG_AT_ONCE)

    def check_there(self, request: Request) -> None:
        """Refuse a request without a signature before its body is read. Raises 401 `invalid-signature`, 429."""
        missing = [name for name in HEADERS if name not in _signed(request)]
        if missing:
            raise self._refusal(request, f"the header {missing[0]} is missing, or stands there twice")

    async def source_of(self, name: str, request: Request, body: bytes) -> OrderSource:
        """The source that signed the request. Raises 401 `invalid-signature`, `signature-expired`, 429."""
        now, confirmed = self._node.clock.read()
        found = await run_in_threadpool(self._look_up, name, now)
        secrets = [_NO_SECRET] if found is None else [each.secret for each in found.secrets]
        try:
            verify(secrets, _signed(request), body, now if confirmed else None)
            if found is None:
                raise InvalidSignature("no signature was made with a secret that is known here")
        except InvalidSignature as error:
            raise self._refusal(request, str(error)) from error
        except SignatureExpired as error:
            if found is None:
                raise self._refusal(request, "no signature was made with a secret that is known here") from error
            raise SIGNATURE_EXPIRED(str(error)) from error
        return found

    def _look_up(self, name: str, now: int) -> OrderSource | None:
        with self._node.store.reading() as connection:
            return order_source(connection, SOURCES, name, now)

    def _refusal(self, request: Request, detail: str) -> Problem:
        wait = self._wrong.wait(address_of(request), self._node.clock.monotonic())
        if not wait:
            return INVALID_SIGNATURE(detail)
        seconds = math.ceil(wait)
        return TOO_MANY_ATTEMPTS(
            "too many wrong signatures from this address", headers={"Retry-After": str(seconds)}, retry_after=seconds
        )


def inbound_routes(node: ApiNode) -> APIRouter:
    """The route below /v1/inbound/orders."""
    router = APIRouter(prefix=PATH)
    context = RequestContext(node)
    signatures = _Signatures(node)

    @router.post(
        "/{source:code}",
        tags=_TAGS,
        summary="Tell of an order of another system: it was placed, shipped, cancelled or returned",
        description=_ABOUT,
        responses=PROBLEMS.responses(
            *BODY, INVALID_SIGNATURE, SIGNATURE_EXPIRED, TOO_MANY_ATTEMPTS, TOO_MANY_REQUESTS, INVALID_TIME,
            FUTURE_DATE, UNKNOWN_ITEM, AMBIGUOUS_BARCODE, KEY_REUSED, ORDER_SUPERSEDED, UNKNOWN_TOLD_ORDER,
            STRICT_ITEM, TOO_MANY_LINES, TOO_MANY_RESERVATIONS, BUSY, NOT_WRITING, OVERLOADED, DATABASE_BUSY,
            DATABASE_UNAVAILABLE, DISK_FULL,
        )
        | {200: documented_answer(InboundAnswer, "What became of it, for ever")},
        openapi_extra=_documentation(),
    )  # fmt: skip
    async def take_event(source: str, request: Request) -> Response:
        signatures.check_there(request)
        body = await body_of(request)
        if len(body) > MAX_EVENT_BYTES:
            raise BODY_TOO_LARGE(f"an event has at most {MAX_EVENT_BYTES} bytes", max_bytes=MAX_EVENT_BYTES)
        teller = await signatures.source_of(source, request, body)
        node.authenticator.count_signed(teller.source)
        event = read_cloud_event(request.headers, body)
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


def _signed(request: Request) -> Mapping[str, str]:
    """The headers of the signature. One that stands twice counts as missing: parties differ in which they take."""
    found = {name: request.headers.getlist(name) for name in HEADERS}
    return {name: values[0] for name, values in found.items() if len(values) == 1}


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


def _documentation() -> dict[str, Any]:
    """The request as OpenAPI documents it: both modes of its body, the headers of the signature, no key."""
    whole = documented_body(_StructuredBody, example=examples.ORDER_EVENT, media_type=STRUCTURED)
    data = documented_body(OrderShippedData, example=examples.ORDER_EVENT_DATA, media_type=PLAIN)
    content = whole["requestBody"]["content"] | data["requestBody"]["content"]
    text = {"type": "string"}
    attributes = ("ce-specversion", "ce-id", "ce-source", "ce-type", "ce-time")
    headers = [{"name": name, "in": "header", "required": True, "schema": text} for name in HEADERS] + [
        {"name": name, "in": "header", "schema": text, "description": "In binary mode"} for name in attributes
    ]
    return {"requestBody": {"required": True, "content": content}, "parameters": headers, "security": []}
