"""`/v1/messages`: what the log of a location publishes, as a list and as a stream, and the documents about them."""

from __future__ import annotations

from importlib.metadata import version

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from head_office.api.dependencies import LocationQuery, Office, scoped
from head_office.catalogue import locations
from head_office.database.schema import LOG_CHANNEL
from head_office.log.office_outbox import office_outbox
from head_office.problems import BAD_CURSOR, CURSOR_AHEAD, PROBLEMS, UNKNOWN_LOCATION
from shared.outbox.message_requests import (
    END,
    START,
    LastEventId,
    MessagesAfter,
    MessageTypes,
    cursor_of,
    documented_list,
    documented_schemas,
    documented_stream,
    message_page,
    schemas_page,
    types_of,
)
from shared.outbox.message_stream import MessageStreams
from shared.outbox.outbox_reader import OutboxReader
from shared.runtime.http.application import Limit, json_response
from shared.runtime.http.auth import Principal
from shared.runtime.http.scopes import Scope
from shared.runtime.http.streams.event_stream import ServerSentEvents
from shared.runtime.problems import INVALID_REQUEST, OVERLOADED, TOO_MANY_STREAMS, WRONG_LOCATION, invalid_request
from shared.subscriptions.async_api import async_api

_READ = (INVALID_REQUEST, BAD_CURSOR, CURSOR_AHEAD, UNKNOWN_LOCATION, WRONG_LOCATION, OVERLOADED)


def add_message_routes(app: FastAPI, office: Office) -> None:
    """Add the routes of published messages."""
    reader = OutboxReader(office_outbox(office.reading))
    streams = MessageStreams(reader, lambda location_id: office.wakeups.watch((LOG_CHANNEL, location_id)))
    subscribed = office.authenticator.require(Scope.MESSAGES)
    a_reader = office.caller(Scope.MESSAGES)

    def location_of(principal: Principal, location_id: str | None) -> str:
        """The location of the answer: the requested one, else the key's own."""
        wanted = scoped(principal, location_id)
        if wanted is None:
            invalid_request("location_id", "messages are those of one location's log: name it")
        with office.reading() as connection:
            locations.check_locations(connection, [wanted])
        return wanted

    @app.get(
        "/v1/messages",
        tags=["messages"],
        summary="What the log of a location publishes, in its order: CloudEvents",
        responses=PROBLEMS.responses(*_READ) | {200: documented_list()},
    )
    def listed(
        location_id: LocationQuery = None,
        after: MessagesAfter = START,
        types: MessageTypes = None,
        limit: Limit = 100,
        principal: Principal = a_reader,
    ) -> Response:
        return message_page(reader, location_of(principal, location_id), after, types, limit)

    @app.get(
        "/v1/messages/stream",
        tags=["messages"],
        summary="The same as server-sent events, each message as it comes",
        response_class=ServerSentEvents,
        responses=PROBLEMS.responses(*_READ, TOO_MANY_STREAMS) | {200: documented_stream()},
    )
    def stream(  # noqa: PLR0917 - parameters of the route
        request: Request,
        location_id: LocationQuery = None,
        after: MessagesAfter = END,
        types: MessageTypes = None,
        last_event_id: LastEventId = None,
        principal: Principal = a_reader,
    ) -> Response:
        wanted = types_of(types)
        place = location_of(principal, location_id)
        cursor = cursor_of(reader, place, last_event_id or after)
        return streams.answer(
            place,
            cursor,
            wanted,
            key_id=principal.key_id,
            recheck=lambda: subscribed.recheck(request),
            stopping=request.app.state.stopping,
        )

    @app.get(
        "/v1/messages/schemas",
        tags=["messages"],
        summary="The JSON Schema of every type of message",
        responses=PROBLEMS.responses() | {200: documented_schemas()},
        dependencies=[a_reader],
    )
    def schemas() -> Response:
        return schemas_page()

    @app.get("/asyncapi.json", include_in_schema=False)
    def document() -> Response:
        return json_response(async_api(app.title, version("larder")))
