"""The routes that record. They read the body themselves (`shared.runtime.http.strict_json`) and await the writer."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from branch_node.api.dependencies import MANAGERS, RECORDERS, RequestContext, actor_of, problems
from branch_node.api.hot_route_middleware import HotRoute, RawRequest, RawResponse, body_of, raw_request_of, response_of
from branch_node.commands.command_inputs import (
    CancelInput,
    CountInput,
    ItemInput,
    OrderInput,
    ReviewInput,
    VoidInput,
    cancel_of,
    count_of,
    item_of,
    order_of,
    review_of,
    void_of,
)
from branch_node.commands.corrections import ReviewEvent, VoidEvent
from branch_node.commands.counts import CountAnswer, RecordCount
from branch_node.commands.event_commands import EventAnswer, RecordEvent
from branch_node.commands.event_inputs import BatchEventInput, BatchInput, EventInput, entry_of
from branch_node.commands.item_definitions import DefineItem
from branch_node.commands.orders import CancelOrder, OrderAnswer, RecordOrder
from branch_node.problems import (
    ALREADY_VOIDED,
    AREA_DIFFERS,
    BUSY,
    COUNT_POSTED,
    FUTURE_DATE,
    INVALID_EVENT,
    INVALID_KEY,
    INVALID_QUANTITY,
    INVALID_TIME,
    ITEM_OF_GROUP,
    KEY_REUSED,
    NOT_VOIDABLE,
    NOT_WRITING,
    ORDER_CANCELLED,
    ORDER_SUPERSEDED,
    STRICT_ITEM,
    TYPE_NOT_BY_HAND,
    UNIT_DIFFERS,
    UNIT_FIXED,
    UNKNOWN_EVENT,
    UNKNOWN_ITEM,
    UNKNOWN_ORDER,
)
from branch_node.records import ItemRecord
from shared.event_record import EventRecord
from shared.events import EventType
from shared.runtime.http.application import documented_answer, documented_body, json_response
from shared.runtime.http.auth import Principal
from shared.runtime.http.strict_json import StrictDecoder
from shared.runtime.problems import (
    DATABASE_BUSY,
    DATABASE_UNAVAILABLE,
    DISK_FULL,
    INTERNAL_ERROR,
    Problem,
    problem_response,
)

MAX_BODY: Final = 1024 * 1024
MAX_BATCH_BODY: Final = 4 * 1024 * 1024
BODY_LIMITS: Final = {"/v1/events/batch": MAX_BATCH_BODY}
HELPED: Final = 5
"""How many of a batch's unknown items are answered with the nearest codes."""

_KEY: Final = (INVALID_KEY, KEY_REUSED)
_WRITER: Final = (BUSY, NOT_WRITING, DATABASE_BUSY, DATABASE_UNAVAILABLE, DISK_FULL)
_EVENT: Final = (TYPE_NOT_BY_HAND, INVALID_QUANTITY, INVALID_TIME, FUTURE_DATE, UNKNOWN_ITEM, UNIT_DIFFERS, STRICT_ITEM)
_KEY_HEADER: Final = {
    "parameters": [
        {
            "name": "Idempotency-Key",
            "in": "header",
            "schema": {"type": "string", "minLength": 1, "maxLength": 200},
            "description": "Made and kept before the first try: the same key and content have one effect, one answer.",
        }
    ]
}


_encode: Final = msgspec.json.Encoder().encode


class BatchAnswer(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What became of one event of a batch: `event` where it was recorded, else `problem`."""

    key: str
    status: int
    event: EventAnswer | None = None
    problem: dict[str, Any] | None = None


class BatchAnswers(msgspec.Struct, kw_only=True):
    """One answer for each event, in the order sent."""

    items: list[BatchAnswer]


class HotHandlers:
    """The handlers of the routes that tills call all day."""

    def __init__(self, asking: RequestContext) -> None:
        self._asking = asking
        self._read_event = StrictDecoder(EventInput, max_bytes=MAX_BODY)
        self._read_batch = StrictDecoder(BatchInput, max_bytes=MAX_BATCH_BODY)
        self._read_order = StrictDecoder(OrderInput, max_bytes=MAX_BODY)

    @property
    def routes(self) -> dict[str, HotRoute]:
        """By exact path, for the fast lane."""
        hot = (
            HotRoute("/v1/events", self.event),
            HotRoute("/v1/orders", self.order),
            HotRoute("/v1/events/batch", self.batch),
        )
        return {route.path: route for route in hot}

    async def event(self, given: RawRequest) -> RawResponse:
        asking = self._asking
        principal = await asking.holder(given, RECORDERS)
        key = asking.key_or_none(given.idempotency_key) or asking.new_key()
        command = _command(principal, self._read_event(given.body), key)
        return RawResponse(201, _encode(await asking.ask(command)))

    async def order(self, given: RawRequest) -> RawResponse:
        asking = self._asking
        principal = await asking.holder(given, RECORDERS)
        key = asking.key_or_none(given.idempotency_key)
        content = order_of(self._read_order(given.body))
        command = RecordOrder(content, key=key, actor=actor_of(principal, content.person))
        return RawResponse(201, _encode(await asking.ask(command)))

    async def batch(self, given: RawRequest) -> RawResponse:
        asking = self._asking
        principal = await asking.holder(given, RECORDERS)
        events = self._read_batch(given.body).events
        keys = [each.key or asking.new_key() for each in events]
        commands: list[RecordEvent] = []
        refused: list[Problem | None] = []  # None where a command stands in `commands`
        for each, key in zip(events, keys, strict=True):
            try:
                commands.append(_batch_command(asking, principal, each, key))
                refused.append(None)
            except Problem as refusal:
                refused.append(refusal)
        outcomes = iter(await asking.ask_all(commands) if commands else [])
        results = [next(outcomes) if problem is None else problem for problem in refused]
        unknown = [each for each in results if isinstance(each, Problem) and each.code == UNKNOWN_ITEM.code]
        for problem in unknown[:HELPED]:
            await asking.help_with(problem)
        answers = [_batch_answer(key, result) for key, result in zip(keys, results, strict=True)]
        return RawResponse(200, _encode(BatchAnswers(items=answers)))


def recording_routes(asking: RequestContext, hot: HotHandlers) -> APIRouter:
    """The POST and PUT routes of a node."""
    router = APIRouter(prefix="/v1")
    _hot_routes(router, hot)
    _document_routes(router, asking)
    _correction_routes(router, asking)
    return router


def _hot_routes(router: APIRouter, hot: HotHandlers) -> None:
    @router.post(
        "/events",
        status_code=201,
        tags=["recording"],
        summary="Record one event by hand",
        responses=problems(*_KEY, INVALID_EVENT, *_EVENT, *_WRITER)
        | {201: documented_answer(EventAnswer, "The event as recorded")},
        openapi_extra=documented_body(EventInput) | _KEY_HEADER,
    )
    async def record_event(request: Request) -> Response:
        return response_of(await hot.event(await raw_request_of(request)))

    @router.post(
        "/events/batch",
        tags=["recording"],
        summary="Record up to 1,000 events, each under a key and with an answer of its own",
        responses=problems(*_WRITER) | {200: documented_answer(BatchAnswers, "One answer for each event")},
        openapi_extra=documented_body(BatchInput),
    )
    async def record_batch(request: Request) -> Response:
        return response_of(await hot.batch(await raw_request_of(request)))

    @router.post(
        "/orders",
        status_code=201,
        tags=["recording"],
        summary="Record an order, all lines or none; a higher revision states it anew",
        responses=problems(
            *_KEY, INVALID_QUANTITY, INVALID_TIME, FUTURE_DATE, UNKNOWN_ITEM, UNIT_DIFFERS, STRICT_ITEM,
            ORDER_SUPERSEDED, ORDER_CANCELLED, *_WRITER,
        )
        | {201: documented_answer(OrderAnswer, "What this statement of the order recorded")},
        openapi_extra=documented_body(OrderInput) | _KEY_HEADER,
    )  # fmt: skip
    async def record_order(request: Request) -> Response:
        return response_of(await hot.order(await raw_request_of(request)))


def _command(principal: Principal, given: EventInput, key: str) -> RecordEvent:
    if given.type is EventType.ADJUSTMENT:
        principal.check_role(*MANAGERS)
    entry = entry_of(given)
    return RecordEvent(entry, key=key, actor=actor_of(principal, entry.person))


def _batch_command(asking: RequestContext, principal: Principal, given: BatchEventInput, key: str) -> RecordEvent:
    if given.key is not None:
        asking.check_key(given.key)
    return _command(principal, given, key)


def _batch_answer(key: str, result: Any) -> BatchAnswer:
    if not isinstance(result, BaseException):
        return BatchAnswer(key=key, status=201, event=result)
    problem = result if isinstance(result, Problem) else INTERNAL_ERROR("this was not foreseen")
    return BatchAnswer(key=key, status=problem.status, problem=msgspec.json.decode(problem_response(problem).body))


def _document_routes(router: APIRouter, asking: RequestContext) -> None:
    read_cancel = StrictDecoder(CancelInput, max_bytes=MAX_BODY)
    read_count = StrictDecoder(CountInput, max_bytes=MAX_BODY)

    @router.post(
        "/orders/{order_id:code}/cancel",
        tags=["recording"],
        summary="Take a whole order back",
        responses=problems(*_KEY, UNKNOWN_ORDER, ORDER_CANCELLED, *_WRITER)
        | {200: documented_answer(OrderAnswer, "The voids of its lines")},
        openapi_extra=documented_body(CancelInput) | _KEY_HEADER,
    )
    async def cancel_order(order_id: str, request: Request) -> Response:
        principal = await asking.who(request, RECORDERS)
        content = cancel_of(order_id, read_cancel(await body_of(request) or b"{}"))
        actor = actor_of(principal, content.person)
        return json_response(await asking.ask(CancelOrder(content, key=asking.given_key(request), actor=actor)))

    @router.post(
        "/counts",
        status_code=201,
        tags=["recording"],
        summary="Record a count, by item and area",
        responses=problems(
            *_KEY,
            INVALID_QUANTITY,
            INVALID_TIME,
            FUTURE_DATE,
            UNKNOWN_ITEM,
            UNIT_DIFFERS,
            AREA_DIFFERS,
            COUNT_POSTED,
            *_WRITER,
        )
        | {201: documented_answer(CountAnswer, "What was posted, and what waits")},
        openapi_extra=documented_body(CountInput) | _KEY_HEADER,
    )
    async def record_count(request: Request) -> Response:
        principal = await asking.who(request, RECORDERS)
        content = count_of(read_count(await body_of(request)))
        actor = actor_of(principal, content.person)
        return json_response(await asking.ask(RecordCount(content, key=asking.given_key(request), actor=actor)), 201)


def _correction_routes(router: APIRouter, asking: RequestContext) -> None:
    read_void = StrictDecoder(VoidInput, max_bytes=MAX_BODY)
    read_review = StrictDecoder(ReviewInput, max_bytes=MAX_BODY)
    read_item = StrictDecoder(ItemInput, max_bytes=MAX_BODY)

    @router.post(
        "/events/{event_id:code}/void",
        status_code=201,
        tags=["recording"],
        summary="Take an event out of every figure",
        responses=problems(*_KEY, UNKNOWN_EVENT, NOT_VOIDABLE, ALREADY_VOIDED, *_WRITER)
        | {201: documented_answer(EventRecord, "The void")},
        openapi_extra=documented_body(VoidInput) | _KEY_HEADER,
    )
    async def void_event(event_id: str, request: Request) -> Response:
        principal = await asking.who(request, MANAGERS)
        content = void_of(event_id, read_void(await body_of(request)))
        command = VoidEvent(content, key=asking.key(request), actor=actor_of(principal, content.person))
        return json_response(await asking.ask(command), 201)

    @router.post(
        "/events/{event_id:code}/review",
        status_code=201,
        tags=["recording"],
        summary="Say that an event was looked at",
        responses=problems(*_KEY, UNKNOWN_EVENT, *_WRITER) | {201: documented_answer(EventRecord, "The review")},
        openapi_extra=documented_body(ReviewInput) | _KEY_HEADER,
    )
    async def review_event(event_id: str, request: Request) -> Response:
        principal = await asking.who(request, MANAGERS)
        content = review_of(event_id, read_review(await body_of(request) or b"{}"))
        command = ReviewEvent(content, key=asking.key(request), actor=actor_of(principal, content.person))
        return json_response(await asking.ask(command), 201)

    @router.put(
        "/items/{item_id:code}",
        tags=["recording"],
        summary="Define an item that head office does not have yet",
        responses=problems(*_KEY, ITEM_OF_GROUP, UNIT_FIXED, *_WRITER)
        | {200: documented_answer(ItemRecord, "The item")},
        openapi_extra=documented_body(ItemInput) | _KEY_HEADER,
    )
    async def define_item(item_id: str, request: Request) -> Response:
        principal = await asking.who(request, MANAGERS)
        content = item_of(item_id, read_item(await body_of(request)))
        command = DefineItem(content, key=asking.key(request), actor=principal.key_id)
        return json_response(await asking.ask(command))
