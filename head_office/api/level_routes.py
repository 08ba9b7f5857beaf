"""The routes of the locations' reorder levels."""

from __future__ import annotations

from typing import Final

from fastapi import FastAPI
from starlette.responses import Response

from head_office.api import body_examples as examples
from head_office.api.dependencies import BY_ID, MAX_BODY, ItemPath, ListAnswer, LocationPath, Office, RawBody, listed
from head_office.catalogue import location_levels, locations
from head_office.catalogue.location_levels import LevelChange, LocationLevel
from head_office.problems import (
    LEVEL_NOT_FOUND,
    LOCATION_NOT_FOUND,
    PROBLEMS,
    UNKNOWN_ITEM,
    UNKNOWN_LOCATION,
)
from shared.levels.level_record import ReorderLevelBody, ReorderLevelRecord, level_record
from shared.levels.reorder_levels import ReorderLevel
from shared.runtime.http.application import MAX_LIMIT, After, Limit, documented_answer, documented_body, json_response
from shared.runtime.http.auth import Principal
from shared.runtime.http.scopes import Scope
from shared.runtime.http.strict_json import CheckedDecoder
from shared.runtime.problems import INVALID_REQUEST, WRONG_LOCATION

_PLACE: Final = "/v1/reorder-levels/{location_id:code}/{item_id:code}"


class LevelPage(ListAnswer, frozen=True):
    items: list[ReorderLevelRecord]


_level_body: Final = CheckedDecoder(ReorderLevelBody, max_bytes=MAX_BODY)


def add_level_routes(app: FastAPI, office: Office) -> None:
    """Add the routes of reorder levels."""
    reader, purchaser = office.caller(Scope.REPORTS), office.caller(Scope.PURCHASING)

    @app.get(
        "/v1/reorder-levels/{location_id:code}",
        tags=["catalogue"],
        summary="The reorder levels of a location",
        responses={
            200: documented_answer(LevelPage, "Levels in the order of their items"),
            **PROBLEMS.responses(LOCATION_NOT_FOUND, WRONG_LOCATION),
        },
    )
    def list_levels(
        location_id: LocationPath, after: After = None, limit: Limit = MAX_LIMIT, principal: Principal = reader
    ) -> Response:
        principal.check_location(location_id)
        beginning = BY_ID.read(after) or ""
        with office.reading() as connection:
            locations.read(connection, location_id)
            found = location_levels.list_levels(connection, location_id, beginning, limit + 1)
        return json_response(listed(found, limit, lambda each: BY_ID.write(each.item_id), _listed))

    @app.get(
        _PLACE,
        tags=["catalogue"],
        summary="The reorder level of an item at a location",
        responses={
            200: documented_answer(ReorderLevelRecord, "The level"),
            **PROBLEMS.responses(LOCATION_NOT_FOUND, LEVEL_NOT_FOUND, WRONG_LOCATION),
        },
    )
    def read_level(location_id: LocationPath, item_id: ItemPath, principal: Principal = reader) -> Response:
        principal.check_location(location_id)
        with office.reading() as connection:
            locations.read(connection, location_id)
            level = location_levels.read_level(connection, location_id, item_id)
        return json_response(level_record(item_id, level, location_id=location_id))

    @app.put(
        _PLACE,
        tags=["catalogue"],
        summary="Set the reorder level of an item at a location; its branch takes it over at its next contact",
        openapi_extra=documented_body(ReorderLevelBody, example=examples.LEVEL),
        responses={
            200: documented_answer(ReorderLevelRecord, "The level as it stands now"),
            **PROBLEMS.responses(UNKNOWN_LOCATION, UNKNOWN_ITEM, WRONG_LOCATION, INVALID_REQUEST),
        },
    )
    def put_level(
        location_id: LocationPath, item_id: ItemPath, *, principal: Principal = purchaser, raw: RawBody
    ) -> Response:
        principal.check_location(location_id)
        level = _level_body(raw).level()
        _put(office, location_id, item_id, level)
        return json_response(level_record(item_id, level, location_id=location_id))

    @app.delete(
        _PLACE,
        status_code=204,
        tags=["catalogue"],
        summary="Remove the reorder level of an item at a location; one that the branch has set itself acts again",
        responses={
            204: {"description": "There is none from here on"},
            **PROBLEMS.responses(UNKNOWN_LOCATION, UNKNOWN_ITEM, WRONG_LOCATION),
        },
    )
    def delete_level(location_id: LocationPath, item_id: ItemPath, *, principal: Principal = purchaser) -> Response:
        principal.check_location(location_id)
        _put(office, location_id, item_id, None)
        return Response(status_code=204)


def _put(office: Office, location_id: str, item_id: str, level: ReorderLevel | None) -> None:
    with office.writing() as connection:
        location_levels.put_levels(connection, [LevelChange(location_id, item_id, level)])


def _listed(each: LocationLevel) -> ReorderLevelRecord:
    return level_record(each.item_id, each.level, location_id=each.location_id)
