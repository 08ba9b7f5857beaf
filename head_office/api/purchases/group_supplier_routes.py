"""The routes of the group's suppliers."""

from __future__ import annotations

from enum import Enum
from typing import Final

from fastapi import FastAPI
from starlette.responses import Response

from head_office.api import body_examples as examples
from head_office.api.dependencies import BY_ID, MAX_BODY, CodePath, ListAnswer, Office, RawBody, listed, whole_group
from head_office.catalogue.purchases import group_suppliers
from head_office.problems import BAD_CURSOR, PROBLEMS, SUPPLIER_IN_USE, SUPPLIER_NOT_FOUND
from shared.purchases.suppliers import SupplierBody, SupplierRecord, supplier_record
from shared.runtime.http.application import MAX_LIMIT, After, Limit, documented_answer, documented_body, json_response
from shared.runtime.http.auth import Principal
from shared.runtime.http.scopes import Scope
from shared.runtime.http.strict_json import CheckedDecoder
from shared.runtime.problems import FORBIDDEN, INVALID_REQUEST

TAGS: Final[list[str | Enum]] = ["purchasing"]
_SUPPLIER: Final = "/v1/suppliers/{supplier_id:code}"


class SupplierPage(ListAnswer, frozen=True):
    items: list[SupplierRecord]


_supplier_body: Final = CheckedDecoder(SupplierBody, max_bytes=MAX_BODY)


def add_supplier_routes(app: FastAPI, office: Office) -> None:
    """Add the routes of suppliers."""
    reader, purchaser = office.caller(Scope.REPORTS), office.caller(Scope.PURCHASING)

    @app.get(
        "/v1/suppliers",
        tags=TAGS,
        summary="The suppliers of the group",
        responses={
            200: documented_answer(SupplierPage, "Suppliers in the order of their ids"),
            **PROBLEMS.responses(BAD_CURSOR),
        },
    )
    def list_suppliers(after: After = None, limit: Limit = MAX_LIMIT, _principal: Principal = reader) -> Response:
        beginning = BY_ID.read(after) or ""
        with office.reading() as connection:
            found = group_suppliers.list_suppliers(connection, beginning, limit + 1)
        return json_response(listed(found, limit, lambda each: BY_ID.write(each.supplier_id), supplier_record))

    @app.get(
        _SUPPLIER,
        tags=TAGS,
        summary="One supplier",
        responses={
            200: documented_answer(SupplierRecord, "The supplier"),
            **PROBLEMS.responses(SUPPLIER_NOT_FOUND),
        },
    )
    def read_supplier(supplier_id: CodePath, _principal: Principal = reader) -> Response:
        with office.reading() as connection:
            supplier = group_suppliers.read_supplier(connection, supplier_id)
        return json_response(supplier_record(supplier))

    @app.put(
        _SUPPLIER,
        tags=TAGS,
        summary="Add or change a supplier; every branch takes it over at its next contact",
        description="Takes a key of the whole group.",
        openapi_extra=documented_body(SupplierBody, example=examples.SUPPLIER),
        responses={
            200: documented_answer(SupplierRecord, "The supplier as it stands now"),
            **PROBLEMS.responses(FORBIDDEN, INVALID_REQUEST),
        },
    )
    def put_supplier(supplier_id: CodePath, *, principal: Principal = purchaser, raw: RawBody) -> Response:
        whole_group(principal)
        supplier = _supplier_body(raw).supplier(supplier_id)
        with office.writing() as connection:
            group_suppliers.put_suppliers(connection, [supplier])
        return json_response(supplier_record(supplier))

    @app.delete(
        _SUPPLIER,
        status_code=204,
        tags=TAGS,
        summary="Remove a supplier to whom no order is open",
        description="Takes a key of the whole group. Reorder levels keep its code, and its past orders stay.",
        responses={
            204: {"description": "There is none from here on"},
            **PROBLEMS.responses(FORBIDDEN, SUPPLIER_NOT_FOUND, SUPPLIER_IN_USE),
        },
    )
    def delete_supplier(supplier_id: CodePath, *, principal: Principal = purchaser) -> Response:
        whole_group(principal)
        with office.writing() as connection:
            group_suppliers.remove_supplier(connection, supplier_id)
        return Response(status_code=204)
