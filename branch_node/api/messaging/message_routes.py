"""`/v1/messages`: what the log publishes, as a list and as a stream, and the documents about them."""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, Query
from starlette.requests import Request
from starlette.responses import Response

from branch_node.api.dependencies import ApiNode, RequestContext, problems
from branch_node.database.branch_outbox import branch_outbox
from branch_node.database.queries import MAX_PAGE
from branch_node.problems import BAD_CURSOR, CURSOR_AHEAD
from shared.chain import Head
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
from shared.runtime.http.application import json_response
from shared.runtime.http.auth import Principal
from shared.runtime.http.scopes import Scope
from shared.runtime.http.streams.event_stream import ServerSentEvents
from shared.runtime.http.streams.watches import Watches
from shared.runtime.problems import DATABASE_BUSY, DATABASE_UNAVAILABLE, INVALID_REQUEST, OVERLOADED, TOO_MANY_STREAMS
from shared.subscriptions.async_api import async_api

Limit = Annotated[int, Query(ge=1, le=MAX_PAGE, description="How many at most")]

_READ = (INVALID_REQUEST, BAD_CURSOR, CURSOR_AHEAD, DATABASE_BUSY, DATABASE_UNAVAILABLE, OVERLOADED)


def add_message_routes(app: FastAPI, node: ApiNode) -> None:
    """Add the routes, and a watch on the writer's commits for the streams."""
    context = RequestContext(node)
    reader = OutboxReader(branch_outbox(node.store, node.location_id))
    commits = Watches()

    def committed(_head: Head) -> None:
        commits.wake()

    node.writer.on_commit(committed)
    streams = MessageStreams(reader, lambda _location_id: commits.watch())

    subscriber = context.require(Scope.MESSAGES)
    a_reader = Depends(subscriber.principal)
    router = APIRouter(prefix="/v1/messages", tags=["messages"], dependencies=[a_reader])

    @router.get(
        "",
        summary="What the log publishes, in its order: CloudEvents",
        responses=problems(*_READ, body=False) | {200: documented_list()},
    )
    def listed(after: MessagesAfter = START, types: MessageTypes = None, limit: Limit = 100) -> Response:
        return message_page(reader, node.location_id, after, types, limit)

    @router.get(
        "/stream",
        summary="The same as server-sent events, each message as it comes",
        response_class=ServerSentEvents,
        responses=problems(*_READ, TOO_MANY_STREAMS, body=False) | {200: documented_stream()},
    )
    def stream(
        request: Request,
        after: MessagesAfter = END,
        types: MessageTypes = None,
        last_event_id: LastEventId = None,
        principal: Principal = a_reader,
    ) -> Response:
        wanted = types_of(types)
        cursor = cursor_of(reader, node.location_id, last_event_id or after)
        return streams.answer(
            node.location_id,
            cursor,
            wanted,
            key_id=principal.key_id,
            recheck=lambda: subscriber.recheck(request),
            stopping=request.app.state.stopping,
        )

    @router.get(
        "/schemas",
        summary="The JSON Schema of every type of message",
        responses=problems(body=False) | {200: documented_schemas()},
    )
    def schemas() -> Response:
        return schemas_page()

    app.include_router(router)

    @app.get("/asyncapi.json", include_in_schema=False)
    def document() -> Response:
        return json_response(async_api(app.title, version("larder")))
