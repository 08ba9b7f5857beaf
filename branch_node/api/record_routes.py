"""The routes that record. They parse the body with `shared.runtime.http.strict_json` and await the writer."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Depends
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from branch_node.api import body_examples as examples
from branch_node.api.dependencies import RequestContext, actor_of, problems
from branch_node.api.hot_route_middleware import raw_request_of, response_of
from branch_node.api.hot_routes import MAX_BATCH_BODY, MAX_BODY, BatchAnswers, HotHandlers
from branch_node.commands.correction_inputs import ReviewInput, VoidInput, review_of, void_of
from branch_node.commands.corrections import ReviewEvent, VoidAnswer, VoidEvent
from branch_node.commands.count_inputs import CountContent, CountInput, count_of
from branch_node.commands.counts import CountAnswer, RecordCount, add_movements, looks_back
from branch_node.commands.event_commands import EventAnswer
from branch_node.commands.event_inputs import BatchInput, EventInput
from branch_node.commands.item_definitions import DefineItem
from branch_node.commands.item_inputs import ItemInput, item_of
from branch_node.commands.order_inputs import CancelInput, OrderInput, cancel_of
from branch_node.commands.orders import CancelOrder, OrderAnswer
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
    PURCHASE_ORDER_LINE_DIFFERS,
    STOCK_CHANGED,
    STRICT_ITEM,
    TOO_MANY_AREAS,
    TYPE_NOT_BY_HAND,
    UNIT_DIFFERS,
    UNIT_FIXED,
    UNKNOWN_EVENT,
    UNKNOWN_ITEM,
    UNKNOWN_ORDER,
)
from branch_node.records import BranchEventRecord, ItemRecord
from shared.runtime.http.application import body_of, documented_answer, documented_body, json_response
from shared.runtime.http.auth import Principal
from shared.runtime.http.body_faults import naming_every_fault
from shared.runtime.http.scopes import Scope
from shared.runtime.http.strict_json import StrictDecoder
from shared.runtime.problems import (
    DATABASE_BUSY,
    DATABASE_UNAVAILABLE,
    DISK_FULL,
    Problem,
    Recorded,
)

BODY_LIMITS: Final = {"/v1/events/batch": MAX_BATCH_BODY}

_EVERY_FAULT: Final = (
    "A body that is refused gets one problem for all its faults: "
    "`errors` names each, `code` and `detail` are of the first. "
    "What the node itself is asked for (whether it has the item, in which unit, at what time of its clock) "
    "is checked once the body has no other fault."
)

_OF_AN_ORDER: Final = (
    'A delivery, or a return to the supplier, whose `reference` is `{kind: "purchase-order", id, line}` counts for '
    "that line of the order, also of one that was not pulled yet. "
)

_KEY: Final = (INVALID_KEY, KEY_REUSED)
_WRITER: Final = (BUSY, NOT_WRITING, DATABASE_BUSY, DATABASE_UNAVAILABLE, DISK_FULL)
_EVENT: Final = (TYPE_NOT_BY_HAND, INVALID_QUANTITY, INVALID_TIME, FUTURE_DATE, UNKNOWN_ITEM, UNIT_DIFFERS, STRICT_ITEM)


def recording_routes(context: RequestContext, hot: HotHandlers) -> APIRouter:
    """The POST and PUT routes of a node."""
    router = APIRouter(prefix="/v1")
    _hot_routes(router, hot)
    _document_routes(router, context)
    _correction_routes(router, context)
    return router


def _hot_routes(router: APIRouter, hot: HotHandlers) -> None:
    @router.post(
        "/events",
        dependencies=[Depends(hot.recording.principal)],
        status_code=201,
        tags=["recording"],
        summary="Record one event by hand",
        description=_OF_AN_ORDER + _EVERY_FAULT,
        responses=problems(*_KEY, INVALID_EVENT, *_EVENT, PURCHASE_ORDER_LINE_DIFFERS, STOCK_CHANGED, *_WRITER)
        | {201: documented_answer(EventAnswer, "The event as recorded")},
        openapi_extra=documented_body(EventInput, example=examples.EVENT)
        | examples.headers(examples.key_header(), examples.if_match_header()),
    )
    async def record_event(request: Request) -> Response:
        return response_of(await hot.event(raw_request_of(request)))

    @router.post(
        "/events/batch",
        dependencies=[Depends(hot.recording.principal)],
        tags=["recording"],
        summary="Record up to 1,000 events, each under a key and with an answer of its own",
        description="Events of a wrong type of JSON or with unknown fields refuse the whole batch. " + _EVERY_FAULT,
        responses=problems(*_WRITER) | {200: documented_answer(BatchAnswers, "One answer for each event")},
        openapi_extra=documented_body(BatchInput, example=examples.BATCH),
    )
    async def record_batch(request: Request) -> Response:
        return response_of(await hot.batch(raw_request_of(request)))

    @router.post(
        "/orders",
        dependencies=[Depends(hot.selling.principal)],
        status_code=201,
        tags=["recording"],
        summary="Record an order, all lines or none; a higher revision replaces it",
        description=_EVERY_FAULT,
        responses=problems(
            *_KEY, INVALID_QUANTITY, INVALID_TIME, FUTURE_DATE, UNKNOWN_ITEM, UNIT_DIFFERS, STRICT_ITEM,
            ORDER_SUPERSEDED, ORDER_CANCELLED, *_WRITER,
        )
        | {201: documented_answer(OrderAnswer, "What this statement of the order recorded")},
        openapi_extra=documented_body(OrderInput, example=examples.ORDER) | examples.key_header(examples.OF_THE_ORDER),
    )  # fmt: skip
    async def record_order(request: Request) -> Response:
        return response_of(await hot.order(raw_request_of(request)))


def _document_routes(router: APIRouter, context: RequestContext) -> None:
    seller, recorder = context.caller(Scope.SELL), context.caller(Scope.RECORD)
    read_cancel = StrictDecoder(CancelInput, max_bytes=MAX_BODY)
    read_count = StrictDecoder(CountInput, max_bytes=MAX_BODY)

    @router.post(
        "/orders/{order_id:code}/cancel",
        tags=["recording"],
        summary="Cancel an order: all its lines are voided",
        responses=problems(*_KEY, UNKNOWN_ORDER, ORDER_CANCELLED, *_WRITER)
        | {200: documented_answer(OrderAnswer, "The voids of its lines")},
        openapi_extra=documented_body(CancelInput, example=examples.CANCEL)
        | examples.key_header(examples.OF_THE_CANCEL),
    )
    async def cancel_order(order_id: str, request: Request, principal: Principal = seller) -> Response:
        content = naming_every_fault(cancel_of, order_id, read_cancel(await body_of(request) or b"{}"))
        actor = actor_of(principal, content.person)
        return json_response(await context.submit(CancelOrder(content, key=context.caller_key(request), actor=actor)))

    @router.post(
        "/counts",
        status_code=201,
        tags=["recording"],
        summary="Record a count, by item and area",
        description=_EVERY_FAULT,
        responses=problems(
            *_KEY,
            INVALID_QUANTITY,
            INVALID_TIME,
            FUTURE_DATE,
            UNKNOWN_ITEM,
            UNIT_DIFFERS,
            AREA_DIFFERS,
            COUNT_POSTED,
            TOO_MANY_AREAS,
            *_WRITER,
        )
        | {201: documented_answer(CountAnswer, "What was posted, and what waits")},
        openapi_extra=documented_body(CountInput, example=examples.COUNT) | examples.key_header(examples.OF_THE_COUNT),
    )
    async def record_count(request: Request, principal: Principal = recorder) -> Response:
        content = naming_every_fault(count_of, read_count(await body_of(request)))
        command = RecordCount(content, key=context.caller_key(request), actor=actor_of(principal, content.person))
        answer: CountAnswer = await context.submit(command)
        if looks_back(content):
            await run_in_threadpool(_look_back, context, answer, content)
        return json_response(answer, 201)


def _look_back(context: RequestContext, answer: CountAnswer, content: CountContent) -> None:
    try:
        with context.store.reading() as connection:
            add_movements(connection, answer, content)
    except Problem as problem:
        # The count stands; sent again with its key it is answered whole.
        problem.recorded = Recorded.UNKNOWN
        raise


def _correction_routes(router: APIRouter, context: RequestContext) -> None:
    corrector = context.caller(Scope.CORRECT)
    read_void = StrictDecoder(VoidInput, max_bytes=MAX_BODY)
    read_review = StrictDecoder(ReviewInput, max_bytes=MAX_BODY)
    read_item = StrictDecoder(ItemInput, max_bytes=MAX_BODY)

    @router.post(
        "/events/{event_id:code}/void",
        status_code=201,
        tags=["recording"],
        summary="Void an event, or with `whole` all that its command recorded: it counts in no figure",
        responses=problems(*_KEY, UNKNOWN_EVENT, NOT_VOIDABLE, ALREADY_VOIDED, *_WRITER)
        | {201: documented_answer(VoidAnswer, "The void, and what still stands of the same command")},
        openapi_extra=documented_body(VoidInput, example=examples.VOID) | examples.key_header(examples.OF_THE_VOID),
    )
    async def void_event(event_id: str, request: Request, principal: Principal = corrector) -> Response:
        content = naming_every_fault(void_of, event_id, read_void(await body_of(request)))
        command = VoidEvent(content, key=context.key(request), actor=actor_of(principal, content.person))
        return json_response(await context.submit(command), 201)

    @router.post(
        "/events/{event_id:code}/review",
        status_code=201,
        tags=["recording"],
        summary="Record that a person reviewed an event",
        responses=problems(*_KEY, UNKNOWN_EVENT, *_WRITER) | {201: documented_answer(BranchEventRecord, "The review")},
        openapi_extra=documented_body(ReviewInput, example=examples.REVIEW) | examples.key_header(),
    )
    async def review_event(event_id: str, request: Request, principal: Principal = corrector) -> Response:
        content = naming_every_fault(review_of, event_id, read_review(await body_of(request) or b"{}"))
        command = ReviewEvent(content, key=context.key(request), actor=actor_of(principal, content.person))
        return json_response(await context.submit(command), 201)

    @router.put(
        "/items/{item_id:code}",
        tags=["recording"],
        summary="Define an item that head office does not have yet",
        responses=problems(*_KEY, ITEM_OF_GROUP, UNIT_FIXED, *_WRITER)
        | {200: documented_answer(ItemRecord, "The item")},
        openapi_extra=documented_body(ItemInput, example=examples.ITEM) | examples.key_header(examples.OF_THE_ITEM),
    )
    async def define_item(item_id: str, request: Request, principal: Principal = corrector) -> Response:
        content = naming_every_fault(item_of, item_id, read_item(await body_of(request)))
        key = context.caller_key(request)
        command = DefineItem(content, key=key or context.new_key(), actor=principal.key_id, keeps=key is not None)
        return json_response(await context.submit(command))
