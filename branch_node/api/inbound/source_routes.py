"""The routes of the systems that may tell of orders: add one, list them, give one another secret, remove it."""

from __future__ import annotations

import secrets
from enum import Enum
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from branch_node.api import body_examples as examples
from branch_node.api.dependencies import ApiNode, RequestContext, problems
from branch_node.api.hot_route_middleware import body_of
from branch_node.api.read_routes import After, Limit
from branch_node.commands.inbound.source_changes import AddSource, RemoveSource, RotateSecret
from branch_node.commands.input_fields import StrictInput
from branch_node.database.schema import SOURCES
from branch_node.problems import (
    BAD_CURSOR,
    BUSY,
    NOT_WRITING,
    SOURCE_EXISTS,
    TOO_MANY_SECRETS,
    TOO_MANY_SOURCES,
    UNKNOWN_SOURCE,
)
from branch_node.records import Page
from shared.checked_fields import Source
from shared.event_record import Moment, moment_text
from shared.orders.order_sources import BY_SOURCE, OrderSource, order_sources
from shared.runtime.http.application import documented_answer, documented_body, json_response
from shared.runtime.http.body_faults import FieldRule
from shared.runtime.http.cursor import page_of
from shared.runtime.http.key_rotation import MOST_OVERLAP_SECONDS, OVERLAP_SECONDS
from shared.runtime.http.scopes import Scope
from shared.runtime.http.strict_json import CheckedDecoder
from shared.runtime.problems import DATABASE_BUSY, DATABASE_UNAVAILABLE, DISK_FULL, INVALID_REQUEST, OVERLOADED
from shared.runtime.webhooks.webhook_signatures import NEW_SECRET_BYTES, secret_bytes, secret_of

PATH: Final = "/v1/inbound/orders"
"""Where the events of each source are sent, below its name."""
MAX_BODY: Final = 4 * 1024
_WRITER: Final = (BUSY, NOT_WRITING, DATABASE_BUSY, DATABASE_UNAVAILABLE, DISK_FULL)
_TAGS: Final[list[str | Enum]] = ["orders of other systems"]


def _secret_fault(text: str) -> str | None:
    try:
        secret_bytes(text)
    except ValueError as error:
        return str(error)
    return None


Secret = Annotated[
    str,
    msgspec.Meta(max_length=100, description="whsec_ and the base64 of 24 to 64 random bytes; made if left out"),
    FieldRule(_secret_fault),
]


class SourceInput(StrictInput, kw_only=True):
    """A system that is to tell of orders. `hold_days`: how long an order is reserved that names no expiry."""

    source: Source
    secret: Secret | None = None
    hold_days: Annotated[int, msgspec.Meta(ge=1, le=366)] = 14


class SecretRotationInput(StrictInput, kw_only=True):
    """The secret from now on, and for how many seconds those until now count, too."""

    secret: Secret | None = None
    overlap_seconds: Annotated[int, msgspec.Meta(ge=0, le=MOST_OVERLAP_SECONDS)] = OVERLAP_SECONDS


class SourceWithSecret(msgspec.Struct, kw_only=True):
    """The secret is answered this once. `path` is where events are sent."""

    source: str
    secret: str
    path: str


class RemovedSource(msgspec.Struct, kw_only=True):
    """A source from which nothing is taken any more."""

    source: str


class SecretRecord(msgspec.Struct, kw_only=True):
    """A secret that counts, without its text; `expires_at` of one that was replaced."""

    created_at: Moment
    expires_at: Moment | None


class OrderSourceRecord(msgspec.Struct, kw_only=True):
    """A system that may tell of orders. `path` is where its events are sent."""

    source: str
    path: str
    hold_days: int
    created_at: Moment
    secrets: list[SecretRecord]


def source_routes(node: ApiNode) -> APIRouter:
    """The routes below /v1/inbound/sources."""
    router = APIRouter(prefix="/v1/inbound/sources")
    context = RequestContext(node)
    caller = context.caller(Scope.CORRECT)
    _changing(router, context, caller)
    _reading(router, node, caller)
    return router


def _changing(router: APIRouter, context: RequestContext, caller: Any) -> None:
    read_source = CheckedDecoder(SourceInput, max_bytes=MAX_BODY)
    read_rotation = CheckedDecoder(SecretRotationInput, max_bytes=MAX_BODY)

    @router.post(
        "",
        status_code=201,
        dependencies=[caller],
        tags=_TAGS,
        summary="Add a system that may tell of its orders; its secret is answered once",
        description="Where the answer was lost, rotate the secret: a source that is there is not added again.",
        responses=problems(SOURCE_EXISTS, TOO_MANY_SOURCES, *_WRITER)
        | {201: documented_answer(SourceWithSecret, "The source, and its secret")},
        openapi_extra=documented_body(SourceInput, example=examples.SOURCE),
    )
    async def add_source(request: Request) -> Response:
        given = read_source(await body_of(request))
        secret = given.secret or secret_of(secrets.token_bytes(NEW_SECRET_BYTES))
        await context.submit(AddSource(given.source, secret, given.hold_days))
        return json_response(_with_secret(given.source, secret), 201)

    @router.post(
        "/{source:code}/rotate",
        dependencies=[caller],
        tags=_TAGS,
        summary="Give a source another secret, answered once; those until now count for a while",
        description="Each request makes another secret, also one sent again after its answer was lost.",
        responses=problems(UNKNOWN_SOURCE, TOO_MANY_SECRETS, *_WRITER)
        | {200: documented_answer(SourceWithSecret, "The source, and its new secret")},
        openapi_extra=documented_body(SecretRotationInput, example=examples.SECRET_ROTATION),
    )
    async def rotate_secret(source: str, request: Request) -> Response:
        given = read_rotation(await body_of(request) or b"{}")
        secret = given.secret or secret_of(secrets.token_bytes(NEW_SECRET_BYTES))
        await context.submit(RotateSecret(source, secret, given.overlap_seconds))
        return json_response(_with_secret(source, secret))

    @router.delete(
        "/{source:code}",
        dependencies=[caller],
        tags=_TAGS,
        summary="Remove a source: nothing that it signs is taken any more",
        responses=problems(UNKNOWN_SOURCE, *_WRITER, body=False)
        | {200: documented_answer(RemovedSource, "The source; what it told of stays in the log")},
    )
    async def remove_source(source: str) -> Response:
        await context.submit(RemoveSource(source))
        return json_response(RemovedSource(source=source))


def _reading(router: APIRouter, node: ApiNode, caller: Any) -> None:
    @router.get(
        "",
        dependencies=[caller],
        tags=_TAGS,
        summary="The systems that may tell of orders",
        responses=problems(INVALID_REQUEST, BAD_CURSOR, DATABASE_BUSY, DATABASE_UNAVAILABLE, OVERLOADED, body=False)
        | {200: documented_answer(Page[OrderSourceRecord], "Sources by name")},
    )
    def listed(after: After = None, limit: Limit = 100) -> Response:
        place = BY_SOURCE.read(after)
        with node.store.reading() as connection:
            found = order_sources(connection, SOURCES, place, limit + 1, node.clock.now())
        items, following = page_of(found, limit, lambda last: BY_SOURCE.write(last.source))
        return json_response(Page(items=[_record(each) for each in items], next=following))


def _with_secret(source: str, secret: str) -> SourceWithSecret:
    return SourceWithSecret(source=source, secret=secret, path=f"{PATH}/{source}")


def _record(found: OrderSource) -> OrderSourceRecord:
    return OrderSourceRecord(
        source=found.source,
        path=f"{PATH}/{found.source}",
        hold_days=found.hold_days,
        created_at=moment_text(found.created_at),
        secrets=[
            SecretRecord(
                created_at=moment_text(each.created_at),
                expires_at=None if each.expires_at is None else moment_text(each.expires_at),
            )
            for each in found.secrets
        ],
    )
