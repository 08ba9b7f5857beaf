"""Stock in the plain words of shops' software: `/api/inventory`, straight from the log's database and its writer."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from branch_node.api import body_examples as examples
from branch_node.api.dependencies import ApiNode, RequestContext, actor_of, problems
from branch_node.api.tagged_stock import tagged_stock
from branch_node.commands.adjustments.adjust_inputs import AdjustInput, adjustment_of
from branch_node.commands.adjustments.adjust_stock import AdjustAnswer, AdjustStock, StockAdjusted
from branch_node.commands.preconditions import item_with_barcode, no_item_named
from branch_node.model import nearest_item_codes
from branch_node.problems import (
    AMBIGUOUS_BARCODE,
    BUSY,
    INVALID_EVENT,
    INVALID_KEY,
    INVALID_QUANTITY,
    KEY_REUSED,
    NOT_WRITING,
    STOCK_CHANGED,
    STRICT_ITEM,
    UNKNOWN_ITEM,
)
from shared.event_record import Number
from shared.runtime.http.application import body_of, documented_answer, documented_body, json_response
from shared.runtime.http.auth import Principal
from shared.runtime.http.body_faults import naming_every_fault
from shared.runtime.http.entity_tags import quoted, read_if_match
from shared.runtime.http.scopes import Scope
from shared.runtime.http.strict_json import StrictDecoder
from shared.runtime.problems import (
    DATABASE_BUSY,
    DATABASE_UNAVAILABLE,
    DISK_FULL,
    INVALID_REQUEST,
    OVERLOADED,
    invalid_request,
)
from shared.runtime.text.text_faults import code_fault

MAX_BODY: Final = 16 * 1024
ADJUSTING: Final = (Scope.SELL, Scope.RESTOCK, Scope.CORRECT)
"""One of these scopes is needed to adjust; which one depends on the reason and the sign."""

Sku = Annotated[str, Query(min_length=1, max_length=200, description="An item's code, else its barcode")]


class AvailabilityAnswer(msgspec.Struct, kw_only=True):
    """What can be sold now: on hand − reserved. Below zero where more was sold than the book had."""

    available_to_sell: Number


def inventory_routes(node: ApiNode) -> APIRouter:
    """The routes below `/api/inventory`."""
    router = APIRouter(prefix="/api/inventory")
    context = RequestContext(node)
    _adjusting(router, context)
    _reading(router, node, context)
    return router


def _adjusting(router: APIRouter, context: RequestContext) -> None:
    caller = context.caller(*ADJUSTING)
    read = StrictDecoder(AdjustInput, max_bytes=MAX_BODY)

    @router.post(
        "/adjust",
        tags=["inventory"],
        summary="Change the stock of an item by so much, for a reason",
        description="RESTOCK is recorded as PURCHASE_RECEIVED, RETURN as CUSTOMER_RETURN, SALE as ORDER_DEDUCTION, "
        "DAMAGE as WASTE_RECORDED, CORRECTION and any other text as ADJUSTMENT. An ADJUSTMENT takes the scope "
        "`correct`, else a change above zero takes `restock` and one below zero `sell`.",
        responses=problems(
            INVALID_KEY, KEY_REUSED, INVALID_QUANTITY, INVALID_EVENT, UNKNOWN_ITEM, AMBIGUOUS_BARCODE, STRICT_ITEM,
            STOCK_CHANGED, BUSY, NOT_WRITING, DATABASE_BUSY, DATABASE_UNAVAILABLE, DISK_FULL,
        )
        | {200: documented_answer(AdjustAnswer, "The stock right after it; its ETag in the header")},
        openapi_extra=documented_body(AdjustInput, example=examples.ADJUST)
        | examples.headers(examples.key_header(), examples.if_match_header()),
    )  # fmt: skip
    async def adjust(request: Request, principal: Principal = caller) -> Response:
        if_match = read_if_match(request.headers.getlist("if-match"))
        content = naming_every_fault(adjustment_of, read(await body_of(request)))
        principal.check_scope(content.scope)
        actor = actor_of(principal, None)
        command = AdjustStock(content, key=context.key(request), actor=actor, if_match=if_match)
        answer: StockAdjusted = await context.submit(command)
        return json_response(answer.body, headers={"ETag": quoted(answer.tag)})


def _reading(router: APIRouter, node: ApiNode, context: RequestContext) -> None:
    @router.get(
        "/availability",
        dependencies=[context.caller(Scope.READ)],
        tags=["inventory"],
        summary="How much of an item can be sold now",
        responses=problems(
            INVALID_REQUEST, UNKNOWN_ITEM, AMBIGUOUS_BARCODE, DATABASE_BUSY, DATABASE_UNAVAILABLE, OVERLOADED,
            body=False,
        )
        | {200: documented_answer(AvailabilityAnswer, "What is available; the ETag of the stock in the header")},
    )  # fmt: skip
    def availability(sku: Sku) -> Response:
        if fault := code_fault(sku):
            invalid_request("sku", fault)
        stock, tag = tagged_stock(node, _item_of(node, sku))
        answer: Any = AvailabilityAnswer(available_to_sell=stock.available)
        return json_response(answer, headers={"ETag": quoted(tag)})


def _item_of(node: ApiNode, sku: str) -> str:
    """The item with this code, else with this barcode. Raises Problem 422 `unknown-item`, 409 `ambiguous-barcode`."""
    items = node.writer.items
    if sku in items:
        return sku
    meant = item_with_barcode(node.writer.items_with_barcode(sku), sku)
    if meant is None:
        raise UNKNOWN_ITEM(no_item_named(sku), item_id=sku, nearest=nearest_item_codes(sku, items.values()))
    return meant
