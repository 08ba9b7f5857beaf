"""The routes of locations."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from fastapi import FastAPI
from sqlalchemy import Connection
from starlette.responses import Response

from head_office.api import body_examples as examples
from head_office.api.dependencies import (
    BY_ID,
    MAX_BODY,
    Body,
    ListAnswer,
    LocationPath,
    Office,
    RawBody,
    listed,
    scoped,
)
from head_office.catalogue import api_keys, locations
from head_office.problems import (
    LOCATION_EXISTS,
    LOCATION_NOT_FOUND,
    PROBLEMS,
)
from head_office.reports.freshness import freshness
from head_office.reports.open_counts import OpenCountOut, open_counts_out
from head_office.reports.report_records import FreshnessOut, freshness_out
from shared.catalogue_messages import CatalogueLocation
from shared.checked_fields import CheckedId, Name
from shared.events import Text
from shared.messages import HeadMessage
from shared.runtime.http.application import MAX_LIMIT, After, Limit, documented_answer, documented_body, json_response
from shared.runtime.http.auth import Principal
from shared.runtime.http.body_faults import FieldRule
from shared.runtime.http.scopes import Role, Scope
from shared.runtime.http.strict_json import CheckedDecoder
from shared.runtime.problems import INVALID_REQUEST

Zone = Annotated[Text, FieldRule(locations.zone_fault)]
DayStart = Annotated[int, msgspec.Meta(ge=0, le=1_439)]
TimeOfDay = Annotated[str, msgspec.Meta(pattern=locations.TIME_OF_DAY, max_length=5)]
_REPORT_TIME: Final = locations.time_of_day(locations.REPORT_TIME)


class LocationBody(Body, frozen=True):
    """A location. `timezone` is an IANA name, `day_start` minutes after local midnight (240 is 04:00).

    `report_time`: when its purchasing report is made each morning, on its wall clock.
    """

    name: Name
    timezone: Zone
    day_start: DayStart = locations.DAY_START
    report_time: TimeOfDay = _REPORT_TIME


class NewLocationBody(Body, frozen=True):
    """A location to be added."""

    location_id: CheckedId
    name: Name
    timezone: Zone
    day_start: DayStart = locations.DAY_START
    report_time: TimeOfDay = _REPORT_TIME


class NewLocationOut(msgspec.Struct, frozen=True):
    """A location just added, and the key of its branch, shown this once."""

    location_id: str
    name: str
    timezone: str
    day_start: int
    report_time: str
    key_id: str
    key: str


class ChangedLocationOut(msgspec.Struct, frozen=True):
    """A location as it was changed."""

    location_id: str
    name: str
    timezone: str
    day_start: int
    report_time: str


class LocationOut(msgspec.Struct, frozen=True):
    """A location, where head office's copy of its log ends, and how fresh that is."""

    location_id: str
    name: str
    timezone: str
    day_start: int
    report_time: str
    head: HeadMessage
    freshness: FreshnessOut
    open_counts: list[OpenCountOut]


class LocationPage(ListAnswer, frozen=True):
    items: list[LocationOut]


_location_body: Final = CheckedDecoder(LocationBody, max_bytes=MAX_BODY)
_new_location_body: Final = CheckedDecoder(NewLocationBody, max_bytes=MAX_BODY)


def add_location_routes(app: FastAPI, office: Office) -> None:
    """Add the routes of locations."""
    admin = office.caller(Scope.ADMINISTER)

    @app.get(
        "/v1/locations",
        tags=["locations"],
        summary="The locations of the group",
        responses={200: documented_answer(LocationPage, "In the order of their ids")},
    )
    def list_locations(
        after: After = None,
        limit: Limit = MAX_LIMIT,
        principal: Principal = office.caller(Scope.READ, Scope.COORDINATE),  # noqa: B008 - evaluated once, on purpose
    ) -> Response:
        beginning = BY_ID.read(after) or ""
        with office.reading() as connection:
            found = locations.list_locations(
                connection, after=beginning, limit=limit + 1, location_id=scoped(principal, None)
            )
            page = listed(found, limit, lambda each: BY_ID.write(each.location_id))
            return json_response({**page, "items": _with_heads(connection, page["items"])})

    @app.post(
        "/v1/locations",
        status_code=201,
        tags=["locations"],
        summary="Add a location; answers the key of its branch, once",
        openapi_extra=documented_body(NewLocationBody, example=examples.NEW_LOCATION),
        responses={
            201: documented_answer(NewLocationOut, "The location and its branch's key"),
            **PROBLEMS.responses(LOCATION_EXISTS, INVALID_REQUEST),
        },
    )
    def add_location(*, principal: Principal = admin, raw: RawBody) -> Response:
        del principal
        body = _new_location_body(raw)
        with office.writing() as connection:
            location = CatalogueLocation(
                location_id=body.location_id, name=body.name, timezone=body.timezone, day_start=body.day_start
            )
            locations.add(connection, location, locations.read_time_of_day(body.report_time))
            made = api_keys.issue(connection, Role.BRANCH, body.location_id, f"node of {body.location_id}")
        out = NewLocationOut(**msgspec.structs.asdict(body), key_id=made.key_id, key=made.text)
        return json_response(out, 201)

    @app.put(
        "/v1/locations/{location_id:code}",
        tags=["locations"],
        summary="Change a location; what is recorded keeps its business dates",
        openapi_extra=documented_body(LocationBody, example=examples.LOCATION),
        responses={
            200: documented_answer(ChangedLocationOut, "The location"),
            **PROBLEMS.responses(LOCATION_NOT_FOUND, INVALID_REQUEST),
        },
    )
    def change_location(location_id: LocationPath, *, principal: Principal = admin, raw: RawBody) -> Response:
        del principal
        body = _location_body(raw)
        location = CatalogueLocation(
            location_id=location_id, name=body.name, timezone=body.timezone, day_start=body.day_start
        )
        with office.writing() as connection:
            locations.change(connection, location, locations.read_time_of_day(body.report_time))
        return json_response(ChangedLocationOut(location_id, **msgspec.structs.asdict(body)))


def _with_heads(connection: Connection, found: list[CatalogueLocation]) -> list[LocationOut]:
    names = [each.location_id for each in found]
    fresh = freshness(connection, names)
    heads = locations.read_heads(connection, names)
    times = locations.report_times(connection, names)
    return [
        LocationOut(
            each.location_id,
            each.name,
            each.timezone,
            each.day_start,
            locations.time_of_day(times[each.location_id]),
            heads[each.location_id],
            freshness_out(fresh[each.location_id]),
            open_counts_out(fresh[each.location_id]),
        )
        for each in found
    ]
