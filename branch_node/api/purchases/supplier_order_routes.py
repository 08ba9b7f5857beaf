"""The routes of orders to suppliers: those that were pulled, with what this log says was delivered; and receiving."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from branch_node.api import body_examples as examples
from branch_node.api.dependencies import ApiNode, RequestContext, actor_of, problems
from branch_node.api.read_routes import After, Limit
from branch_node.commands.purchases.receive_inputs import ReceiveInput, receive_of
from branch_node.commands.purchases.receive_order import ReceiveAnswer, ReceiveOrder
from branch_node.database.purchases.pulled_order_lists import (
    BY_PURCHASE_ORDER,
    PurchaseOrdersWanted,
    list_purchase_orders,
    read_purchase_order,
)
from branch_node.problems import (
    BAD_CURSOR,
    BUSY,
    FUTURE_DATE,
    INVALID_KEY,
    INVALID_QUANTITY,
    INVALID_TIME,
    KEY_REUSED,
    NOT_WRITING,
    PURCHASE_ORDER_NOT_FOUND,
    UNIT_DIFFERS,
    UNKNOWN_ITEM,
)
from branch_node.records import Page
from shared.purchases.purchase_order_record import PurchaseOrderRecord
from shared.purchases.purchase_orders import PurchaseOrderState
from shared.runtime.http.application import body_of, documented_answer, documented_body, json_response
from shared.runtime.http.auth import Principal
from shared.runtime.http.body_faults import naming_every_fault
from shared.runtime.http.scopes import Scope
from shared.runtime.http.strict_json import StrictDecoder
from shared.runtime.problems import DATABASE_BUSY, DATABASE_UNAVAILABLE, DISK_FULL, INVALID_REQUEST, OVERLOADED

MAX_BODY: Final = 512 * 1024
_READ: Final = (INVALID_REQUEST, DATABASE_BUSY, DATABASE_UNAVAILABLE, OVERLOADED)
_WRITER: Final = (INVALID_KEY, KEY_REUSED, BUSY, NOT_WRITING, DATABASE_BUSY, DATABASE_UNAVAILABLE, DISK_FULL)


def supplier_order_routes(node: ApiNode) -> APIRouter:
    """The routes below /v1/purchase-orders."""
    router = APIRouter(prefix="/v1/purchase-orders")
    context = RequestContext(node)
    _reading(router, context)
    _receiving(router, context)
    return router


def _reading(router: APIRouter, context: RequestContext) -> None:
    reader = context.caller(Scope.REPORTS, Scope.RESTOCK)

    @router.get(
        "",
        dependencies=[reader],
        tags=["purchases"],
        summary="The orders to suppliers for this branch, in the order of their ids",
        description="As they were pulled from head office last; what was delivered is by this branch's own log.",
        responses=problems(*_READ, BAD_CURSOR, body=False)
        | {200: documented_answer(Page[PurchaseOrderRecord], "Orders by id")},
    )
    def purchase_orders(
        supplier_id: Annotated[str | None, Query(max_length=64)] = None,
        item_id: Annotated[str | None, Query(max_length=64)] = None,
        state: PurchaseOrderState | None = None,
        after: After = None,
        limit: Limit = 100,
    ) -> Response:
        place = BY_PURCHASE_ORDER.read(after)
        wanted = PurchaseOrdersWanted(supplier_id=supplier_id, item_id=item_id, state=state)
        with context.store.reading() as connection:
            return json_response(list_purchase_orders(connection, wanted, after=place, limit=limit))

    @router.get(
        "/{purchase_order_id:code}",
        dependencies=[reader],
        tags=["purchases"],
        summary="One order to a supplier",
        responses=problems(*_READ, PURCHASE_ORDER_NOT_FOUND, body=False)
        | {200: documented_answer(PurchaseOrderRecord, "The order")},
    )
    def purchase_order(purchase_order_id: str) -> Response:
        with context.store.reading() as connection:
            found = read_purchase_order(connection, purchase_order_id)
        if found is None:
            raise PURCHASE_ORDER_NOT_FOUND(
                f"the order {purchase_order_id!r} was not pulled from head office", purchase_order_id=purchase_order_id
            )
        return json_response(found)


def _receiving(router: APIRouter, context: RequestContext) -> None:
    receiver = context.caller(Scope.RESTOCK)
    read = StrictDecoder(ReceiveInput, max_bytes=MAX_BODY)

    @router.post(
        "/{purchase_order_id:code}/receive",
        status_code=201,
        tags=["purchases"],
        summary="Record what was delivered of an order, all of it in one command",
        description=(
            "Each line is a PURCHASE_RECEIVED that refers to the order's line. More than was ordered is recorded as it "
            "came, and so is what comes of a line that was closed."
        ),
        responses=problems(
            *_WRITER, INVALID_QUANTITY, INVALID_TIME, FUTURE_DATE, UNKNOWN_ITEM, UNIT_DIFFERS, PURCHASE_ORDER_NOT_FOUND
        )
        | {201: documented_answer(ReceiveAnswer, "The events as recorded")},
        openapi_extra=documented_body(ReceiveInput, example=examples.RECEIVE) | examples.key_header(),
    )
    async def receive_order(purchase_order_id: str, request: Request, principal: Principal = receiver) -> Response:
        content = naming_every_fault(receive_of, purchase_order_id, read(await body_of(request)))
        command = ReceiveOrder(content, key=context.key(request), actor=actor_of(principal, content.person))
        return json_response(await context.submit(command), 201)
