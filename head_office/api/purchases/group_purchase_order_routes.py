"""The routes of orders to suppliers."""

from __future__ import annotations

from enum import Enum
from typing import Final
from urllib.parse import quote

from fastapi import FastAPI
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from head_office.api import body_examples as examples
from head_office.api.dependencies import (
    BY_ID,
    MAX_BODY,
    CodePath,
    ItemFilter,
    ItemQuery,
    ListAnswer,
    LocationQuery,
    Office,
    RawBody,
    idempotency_key,
    listed,
)
from head_office.api.stock_routes import locations_of
from head_office.catalogue.purchases.purchase_order_bodies import (
    PurchaseOrderBody,
    PurchaseOrderChangeBody,
    PurchaseOrderClosingBody,
)
from head_office.catalogue.purchases.purchase_order_changes import (
    change_order,
    close_order,
    locked_order,
    make_orders,
    read_order,
)
from head_office.problems import (
    BAD_CURSOR,
    INVALID_KEY,
    KEY_REUSED,
    PROBLEMS,
    PURCHASE_ORDER_EXISTS,
    PURCHASE_ORDER_NOT_FOUND,
    UNKNOWN_ITEM,
    UNKNOWN_LOCATION,
    UNKNOWN_SUPPLIER,
)
from head_office.reports.purchasing.purchase_order_search import (
    GroupOrderFilter,
    purchase_order_records,
    search_purchase_orders,
)
from shared.purchases.purchase_order_record import PurchaseOrderRecord
from shared.purchases.purchase_orders import MAX_ORDER_LINES, PurchaseOrder, PurchaseOrderState
from shared.runtime.http.application import After, Limit, documented_answer, documented_body, json_response
from shared.runtime.http.auth import Principal
from shared.runtime.http.scopes import Scope
from shared.runtime.http.strict_json import CheckedDecoder
from shared.runtime.problems import INVALID_REQUEST, WRONG_LOCATION

TAGS: Final[list[str | Enum]] = ["purchasing"]
_ORDER: Final = "/v1/purchase-orders/{purchase_order_id:code}"


class GroupPurchaseOrderPage(ListAnswer, frozen=True):
    items: list[PurchaseOrderRecord]


_new_body: Final = CheckedDecoder(PurchaseOrderBody, max_bytes=MAX_BODY)
_change_body: Final = CheckedDecoder(PurchaseOrderChangeBody, max_bytes=MAX_BODY)
_closing_body: Final = CheckedDecoder(PurchaseOrderClosingBody, max_bytes=MAX_BODY)


def add_purchase_order_routes(app: FastAPI, office: Office) -> None:
    """Add the routes of orders to suppliers."""
    _add_reading(app, office)
    _add_writing(app, office)


def _add_reading(app: FastAPI, office: Office) -> None:
    reader = office.caller(Scope.REPORTS)

    @app.get(
        "/v1/purchase-orders",
        tags=TAGS,
        summary="Orders to suppliers, with what was delivered by the logs",
        description="OPEN while something of a line is to come; else CLOSED where a rest was given up, else RECEIVED. "
        "A delivery that is voided opens its line again.",
        responses={
            200: documented_answer(GroupPurchaseOrderPage, "Orders in the order of their ids"),
            **PROBLEMS.responses(BAD_CURSOR, UNKNOWN_LOCATION, WRONG_LOCATION, INVALID_REQUEST),
        },
    )
    def list_purchase_orders(
        *,
        location_id: LocationQuery = None,
        supplier_id: ItemQuery = None,
        item_id: ItemFilter = None,
        state: PurchaseOrderState | None = None,
        after: After = None,
        limit: Limit = 100,
        principal: Principal = reader,
    ) -> Response:
        beginning = BY_ID.read(after) or ""
        with office.reading() as connection:
            places = locations_of(connection, principal, location_id)
            wanted = GroupOrderFilter(
                location_id=None if places is None else places[0],
                supplier_id=supplier_id,
                item_id=item_id,
                state=state,
            )
            found = search_purchase_orders(connection, wanted, after=beginning, limit=limit + 1)
        return json_response(listed(found, limit, lambda each: BY_ID.write(each.purchase_order_id)))

    @app.get(
        _ORDER,
        tags=TAGS,
        summary="One order to a supplier, with what was delivered by the logs",
        responses={
            200: documented_answer(PurchaseOrderRecord, "The order"),
            **PROBLEMS.responses(PURCHASE_ORDER_NOT_FOUND, WRONG_LOCATION),
        },
    )
    def read_purchase_order(purchase_order_id: CodePath, principal: Principal = reader) -> Response:
        with office.reading() as connection:
            order = read_order(connection, purchase_order_id)
            principal.check_location(order.location_id)
            return json_response(_record(connection, order))


def _add_writing(app: FastAPI, office: Office) -> None:
    purchaser = office.caller(Scope.PURCHASING)

    @app.post(
        "/v1/purchase-orders",
        status_code=201,
        tags=TAGS,
        summary="Order from a supplier for a location; its branch takes the order over at its next contact",
        description="The same content with the same `purchase_order_id` is answered with the order as it stands. "
        "Without an id the order is given one, once for each `Idempotency-Key`; so a lost answer is asked for again. "
        f"An order has at most {MAX_ORDER_LINES} lines, in base units of their items; two may be of one item.",
        openapi_extra=documented_body(PurchaseOrderBody, example=examples.PURCHASE_ORDER),
        responses={
            201: documented_answer(PurchaseOrderRecord, "The order"),
            **PROBLEMS.responses(
                PURCHASE_ORDER_EXISTS,
                KEY_REUSED,
                INVALID_KEY,
                UNKNOWN_SUPPLIER,
                UNKNOWN_ITEM,
                UNKNOWN_LOCATION,
                WRONG_LOCATION,
                INVALID_REQUEST,
            ),
        },
    )
    def make_purchase_order(request: Request, *, principal: Principal = purchaser, raw: RawBody) -> Response:
        new = _new_body(raw).new_order(idempotency_key(request))
        principal.check_location(new.location_id)
        with office.writing() as connection:
            ((order, _),) = make_orders(connection, [new])
            record = _record(connection, order)
        return json_response(
            record, 201, {"Location": f"/v1/purchase-orders/{quote(order.purchase_order_id, safe='')}"}
        )

    @app.patch(
        _ORDER,
        tags=TAGS,
        summary="Change when an order is due, or its note",
        description="What is left out stays, null clears. Of what is ordered nothing is changed once it was sent: "
        "close the lines, and order anew.",
        openapi_extra=documented_body(PurchaseOrderChangeBody, example=examples.PURCHASE_ORDER_CHANGE),
        responses={
            200: documented_answer(PurchaseOrderRecord, "The order as it stands now"),
            **PROBLEMS.responses(PURCHASE_ORDER_NOT_FOUND, WRONG_LOCATION, INVALID_REQUEST),
        },
    )
    def change_purchase_order(
        purchase_order_id: CodePath, *, principal: Principal = purchaser, raw: RawBody
    ) -> Response:
        body = _change_body(raw)
        with office.writing() as connection:
            order = locked_order(connection, purchase_order_id)
            principal.check_location(order.location_id)
            return json_response(_record(connection, change_order(connection, order, due=body.due, note=body.note)))

    @app.post(
        _ORDER + "/close",
        tags=TAGS,
        summary="Wait for nothing more of an order, or of some of its lines",
        description="What is still delivered on them is recorded all the same. Once closed, a line stays closed; the "
        "same request again is answered alike.",
        openapi_extra=documented_body(PurchaseOrderClosingBody, example=examples.PURCHASE_ORDER_CLOSING),
        responses={
            200: documented_answer(PurchaseOrderRecord, "The order as it stands now"),
            **PROBLEMS.responses(PURCHASE_ORDER_NOT_FOUND, WRONG_LOCATION, INVALID_REQUEST),
        },
    )
    def close_purchase_order(
        purchase_order_id: CodePath, *, principal: Principal = purchaser, raw: RawBody
    ) -> Response:
        body = _closing_body(raw)
        with office.writing() as connection:
            order = locked_order(connection, purchase_order_id)
            principal.check_location(order.location_id)
            return json_response(_record(connection, close_order(connection, order, body.lines, body.reason)))


def _record(connection: Connection, order: PurchaseOrder) -> PurchaseOrderRecord:
    (record,) = purchase_order_records(connection, [order])
    return record
