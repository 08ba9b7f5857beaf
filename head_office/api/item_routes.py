"""The routes of items and of the items that branches proposed."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from fastapi import FastAPI
from starlette.responses import Response

from head_office.api import body_examples as examples
from head_office.api.dependencies import (
    BY_ID,
    BY_PAIR,
    MAX_BODY,
    Body,
    ItemPath,
    ListAnswer,
    LocationPath,
    Office,
    RawBody,
    listed,
    whole_group,
)
from head_office.catalogue import item_proposals, items
from head_office.catalogue.catalogue_history import EntryOutcome
from head_office.problems import (
    ITEM_NOT_FOUND,
    NOT_WAITING,
    PROBLEMS,
    UNIT_DIFFERS,
    UNIT_FIXED,
    UNKNOWN_ITEM,
    UNKNOWN_LOCATION,
)
from shared.catalogue_messages import CatalogueItem
from shared.checked_fields import CheckedCode, Name
from shared.events import Id
from shared.runtime.clock import format_rfc3339
from shared.runtime.http.application import MAX_LIMIT, After, Limit, documented_answer, documented_body, json_response
from shared.runtime.http.auth import Principal
from shared.runtime.http.scopes import Scope
from shared.runtime.http.strict_json import CheckedDecoder, StrictDecoder
from shared.runtime.problems import INVALID_REQUEST


class ItemBody(Body, frozen=True):
    """An item. `strict_at` names the locations where a decrease below zero by hand is refused."""

    name: Name
    unit: CheckedCode
    category: Name | None = None
    barcode: CheckedCode | None = None
    strict_at: Annotated[tuple[Id, ...], msgspec.Meta(max_length=1_000)] = ()


class MapBody(Body, frozen=True):
    """The group's item that a branch's item is mapped to."""

    item_id: Id


class AcceptBody(Body, frozen=True):
    """The item's name in the group; needed where the branch did not define the item."""

    name: Name | None = None


class WaitingOut(msgspec.Struct, frozen=True):
    """A code of a branch that is neither accepted nor mapped yet. `name` is null where nobody defined it.

    `unit` is that of its events; `defined_at` is when it was defined, or recorded first.
    """

    location_id: str
    item_id: str
    name: str | None
    unit: str
    category: str | None
    barcode: str | None
    strict: bool
    defined_at: str


class AliasOut(msgspec.Struct, frozen=True):
    """At this location, `alias` is the group's `item_id`."""

    location_id: str
    alias: str
    item_id: str


class ItemPage(ListAnswer, frozen=True):
    items: list[CatalogueItem]


class WaitingPage(ListAnswer, frozen=True):
    items: list[WaitingOut]


class AliasPage(ListAnswer, frozen=True):
    items: list[AliasOut]


_item_body: Final = CheckedDecoder(ItemBody, max_bytes=MAX_BODY)
_map_body: Final = StrictDecoder(MapBody, max_bytes=MAX_BODY)
_accept_body: Final = StrictDecoder(AcceptBody, max_bytes=MAX_BODY)


def add_item_routes(app: FastAPI, office: Office) -> None:
    """Add the routes of items."""
    reader = office.caller(Scope.READ, Scope.COORDINATE)
    corrector = office.caller(Scope.CORRECT)

    @app.get(
        "/v1/items",
        tags=["catalogue"],
        summary="The items of the group",
        responses={200: documented_answer(ItemPage, "Items in the order of their ids")},
    )
    def list_items(after: After = None, limit: Limit = MAX_LIMIT, principal: Principal = reader) -> Response:
        del principal
        beginning = BY_ID.read(after) or ""
        with office.reading() as connection:
            found = items.list_items(connection, beginning, limit + 1)
        return json_response(listed(found, limit, lambda item: BY_ID.write(item.item_id)))

    @app.get(
        "/v1/items/{item_id:code}",
        tags=["catalogue"],
        summary="One item",
        responses={200: documented_answer(CatalogueItem, "The item"), **PROBLEMS.responses(ITEM_NOT_FOUND)},
    )
    def read_item(item_id: ItemPath, principal: Principal = reader) -> Response:
        del principal
        with office.reading() as connection:
            return json_response(items.read(connection, item_id))

    @app.put(
        "/v1/items/{item_id:code}",
        tags=["catalogue"],
        summary="Add an item, or change one; its unit is fixed after its first event",
        openapi_extra=documented_body(ItemBody, example=examples.ITEM),
        responses={
            200: documented_answer(CatalogueItem, "The item"),
            201: documented_answer(CatalogueItem, "The item, which is new"),
            **PROBLEMS.responses(UNIT_FIXED, UNKNOWN_LOCATION, INVALID_REQUEST),
        },
    )
    def put_item(item_id: ItemPath, *, principal: Principal = corrector, raw: RawBody) -> Response:
        whole_group(principal)
        body = _item_body(raw)
        item = CatalogueItem(
            item_id=item_id,
            name=body.name,
            unit=body.unit,
            category=body.category,
            barcode=body.barcode,
            strict_at=body.strict_at,
        )
        with office.writing() as connection:
            (outcome,) = items.put(connection, [item])
            return json_response(items.read(connection, item_id), 201 if outcome is EntryOutcome.ADDED else 200)

    _add_waiting_routes(app, office)


def _add_waiting_routes(app: FastAPI, office: Office) -> None:
    corrector = office.caller(Scope.CORRECT)

    @app.get(
        "/v1/items-waiting",
        tags=["catalogue"],
        summary="Codes of branches that are neither items of the group nor mapped to one, each of its branch alone",
        responses={200: documented_answer(WaitingPage, "In the order of locations and items")},
    )
    def list_waiting(after: After = None, limit: Limit = MAX_LIMIT, principal: Principal = corrector) -> Response:
        whole_group(principal)
        place = BY_PAIR.read(after) or ("", "")
        with office.reading() as connection:
            found = item_proposals.list_waiting(connection, place, limit + 1)
        page = listed(found, limit, lambda each: BY_PAIR.write((each.location_id, each.item_id)), _waiting_out)
        return json_response(page)

    @app.post(
        "/v1/items-waiting/{location_id:code}/{item_id:code}/accept",
        status_code=201,
        tags=["catalogue"],
        summary="Make a branch's item one of the group; the body may be left out where the branch gave it a name",
        openapi_extra=_optional(documented_body(AcceptBody, example=examples.ACCEPTED)),
        responses={
            201: documented_answer(CatalogueItem, "The item"),
            **PROBLEMS.responses(NOT_WAITING, UNIT_FIXED, INVALID_REQUEST),
        },
    )
    def accept_waiting(
        location_id: LocationPath, item_id: ItemPath, *, principal: Principal = corrector, raw: RawBody
    ) -> Response:
        whole_group(principal)
        body = _accept_body(raw or b"{}")
        with office.writing() as connection:
            return json_response(item_proposals.accept(connection, location_id, item_id, body.name), 201)

    @app.put(
        "/v1/items-waiting/{location_id:code}/{item_id:code}/map",
        tags=["catalogue"],
        summary="Map a branch's own item to an item of the group",
        openapi_extra=documented_body(MapBody, example=examples.MAPPING),
        responses={
            200: documented_answer(AliasOut, "The mapping"),
            **PROBLEMS.responses(NOT_WAITING, UNKNOWN_ITEM, UNIT_DIFFERS, INVALID_REQUEST),
        },
    )
    def map_waiting(
        location_id: LocationPath, item_id: ItemPath, *, principal: Principal = corrector, raw: RawBody
    ) -> Response:
        whole_group(principal)
        body = _map_body(raw)
        with office.writing() as connection:
            return json_response(AliasOut(*item_proposals.map_to(connection, location_id, item_id, body.item_id)))

    @app.get(
        "/v1/items-mapped",
        tags=["catalogue"],
        summary="The mappings of branches' own items to items of the group",
        responses={200: documented_answer(AliasPage, "In the order of locations and their items")},
    )
    def list_mapped(after: After = None, limit: Limit = MAX_LIMIT, principal: Principal = corrector) -> Response:
        whole_group(principal)
        place = BY_PAIR.read(after) or ("", "")
        with office.reading() as connection:
            found = item_proposals.list_aliases(connection, place, limit + 1)
        page = listed(
            found, limit, lambda each: BY_PAIR.write((each.location_id, each.alias)), lambda each: AliasOut(*each)
        )
        return json_response(page)


def _optional(body: dict[str, Any]) -> dict[str, Any]:
    return {"requestBody": {**body["requestBody"], "required": False}}


def _waiting_out(each: item_proposals.ItemProposal) -> WaitingOut:
    return WaitingOut(
        each.location_id,
        each.item_id,
        each.name,
        each.unit,
        each.category,
        each.barcode,
        each.strict,
        format_rfc3339(each.occurred_at),
    )
