"""The routes of the systems that may tell of orders: add one, list them, give one another secret, remove it.

They are alike at a branch and at head office but for who may call them.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any, Final

from fastapi import APIRouter, Depends
from starlette.responses import Response

from shared.orders.source_desk import SourceDesk
from shared.orders.source_records import (
    OrderSourcePage,
    RemovedSource,
    SecretRotationInput,
    SourceInput,
    SourceWithSecret,
)
from shared.problem_kinds import SOURCE_EXISTS, TOO_MANY_SECRETS, TOO_MANY_SOURCES, UNKNOWN_SOURCE
from shared.runtime.http.application import After, Limit, body_of, documented_answer, documented_body, json_response
from shared.runtime.http.cursor import BAD_CURSOR
from shared.runtime.http.strict_json import CheckedDecoder
from shared.runtime.problems import (
    BODY_TOO_LARGE,
    DATABASE_BUSY,
    DATABASE_UNAVAILABLE,
    DISK_FULL,
    INVALID_REQUEST,
    MALFORMED_JSON,
    OVERLOADED,
    UNSUPPORTED_MEDIA_TYPE,
    ProblemCatalogue,
    ProblemKind,
)

PREFIX: Final = "/v1/inbound/sources"
MAX_BODY: Final = 4 * 1024
SOURCE_EXAMPLE: Final = {"source": "webshop", "hold_days": 14}
ROTATION_EXAMPLE: Final = {"overlap_seconds": 86400}
_BODY: Final = (MALFORMED_JSON, BODY_TOO_LARGE, UNSUPPORTED_MEDIA_TYPE, INVALID_REQUEST)
_WRITING: Final = (DATABASE_BUSY, DATABASE_UNAVAILABLE, DISK_FULL)
_TAGS: Final[list[str | Enum]] = ["orders of other systems"]

_Refusals = Callable[..., dict[int | str, dict[str, Any]]]


def source_routes(
    desk: SourceDesk,
    *,
    caller: Any,
    catalogue: ProblemCatalogue,
    always: tuple[ProblemKind, ...],
    writing: tuple[ProblemKind, ...] = (),
) -> APIRouter:
    """The routes below /v1/inbound/sources.

    `caller` is the dependency that authorizes a request. `always` are the problems of every route, `writing` further
    ones of those that change something, of this `catalogue`.
    """
    router = APIRouter(prefix=PREFIX, dependencies=[caller])

    def refusals(*kinds: ProblemKind) -> dict[int | str, dict[str, Any]]:
        return catalogue.responses(*always, *(catalogue.own(each) for each in kinds))

    def changing(*kinds: ProblemKind) -> dict[int | str, dict[str, Any]]:
        return refusals(*kinds, *_WRITING, *writing)

    _add_changing(router, desk, Depends(body_of), changing)
    _add_reading(router, desk, refusals)
    return router


def _add_changing(router: APIRouter, desk: SourceDesk, raw_body: Any, refusals: _Refusals) -> None:
    read_source = CheckedDecoder(SourceInput, max_bytes=MAX_BODY)
    read_rotation = CheckedDecoder(SecretRotationInput, max_bytes=MAX_BODY)

    @router.post(
        "",
        status_code=201,
        tags=_TAGS,
        summary="Add a system that may tell of its orders; its secret is answered once",
        description="Where the answer was lost, rotate the secret: a source that is there is not added again.",
        responses=refusals(*_BODY, SOURCE_EXISTS, TOO_MANY_SOURCES)
        | {201: documented_answer(SourceWithSecret, "The source, and its secret")},
        openapi_extra=documented_body(SourceInput, example=SOURCE_EXAMPLE),
    )
    def add_source(raw: bytes = raw_body) -> Response:
        return json_response(desk.add(read_source(raw)), 201)

    @router.post(
        "/{source:code}/rotate",
        tags=_TAGS,
        summary="Give a source another secret, answered once; those until now count for a while",
        description="Each request makes another secret, also one sent again after its answer was lost.",
        responses=refusals(*_BODY, UNKNOWN_SOURCE, TOO_MANY_SECRETS)
        | {200: documented_answer(SourceWithSecret, "The source, and its new secret")},
        openapi_extra=documented_body(SecretRotationInput, example=ROTATION_EXAMPLE),
    )
    def rotate_secret(source: str, raw: bytes = raw_body) -> Response:
        return json_response(desk.rotate(source, read_rotation(raw or b"{}")))

    @router.delete(
        "/{source:code}",
        tags=_TAGS,
        summary="Remove a source: nothing that it signs is taken any more",
        responses=refusals(UNKNOWN_SOURCE)
        | {200: documented_answer(RemovedSource, "The source; what it told of stays in the log")},
    )
    def remove_source(source: str) -> Response:
        return json_response(desk.remove(source))


def _add_reading(router: APIRouter, desk: SourceDesk, refusals: _Refusals) -> None:
    @router.get(
        "",
        tags=_TAGS,
        summary="The systems that may tell of orders",
        responses=refusals(INVALID_REQUEST, BAD_CURSOR, DATABASE_BUSY, DATABASE_UNAVAILABLE, OVERLOADED)
        | {200: documented_answer(OrderSourcePage, "Sources by name")},
    )
    def listed(after: After = None, limit: Limit = 100) -> Response:
        return json_response(desk.page(after, limit))
