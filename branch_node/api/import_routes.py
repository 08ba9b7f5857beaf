"""The route by which an import claims its file's name. Its rows are sent to `POST /v1/events/batch`."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from branch_node.api import body_examples as examples
from branch_node.api.dependencies import RECORDERS, ApiNode, RequestContext, problems
from branch_node.api.hot_route_middleware import body_of
from branch_node.commands.input_fields import Source, StrictInput
from branch_node.imports.file_claim import ClaimFile, FileClaim, FileRegistration
from branch_node.problems import BUSY, IMPORT_FILE_DIFFERS, IMPORT_KEYS_DIFFER, NOT_WRITING
from shared.checked_fields import CheckedKey
from shared.events import MAX_SEQUENCE, HexHash
from shared.runtime.clock import format_rfc3339
from shared.runtime.http.application import documented_answer, documented_body, json_response
from shared.runtime.http.strict_json import CheckedDecoder
from shared.runtime.problems import DATABASE_BUSY, DATABASE_UNAVAILABLE, DISK_FULL

MAX_BODY: Final = 16 * 1024


class ImportInput(StrictInput, kw_only=True):
    """A file about to be imported: its name is part of its rows' keys, so it may stand for one content only."""

    source: Source
    file: CheckedKey
    size: Annotated[int, msgspec.Meta(ge=0, le=MAX_SEQUENCE, description="Of the unpacked content, in bytes")]
    sha256: Annotated[HexHash, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z", description="Of the unpacked content")]
    known_by: Annotated[
        CheckedKey, msgspec.Meta(description="What rows are known by: `line`, or `column` and its name")
    ]


class ImportAnswer(msgspec.Struct, kw_only=True):
    """`began_at` is when this file was first imported; null where it is now."""

    began_at: str | None


def import_routes(node: ApiNode) -> APIRouter:
    """The routes of an import."""
    router = APIRouter(prefix="/v1")
    context = RequestContext(node)
    read = CheckedDecoder(ImportInput, max_bytes=MAX_BODY)

    @router.post(
        "/imports",
        tags=["recording"],
        summary="Claim a file's name for its content, before its rows are recorded",
        responses=problems(
            IMPORT_FILE_DIFFERS, IMPORT_KEYS_DIFFER, BUSY, NOT_WRITING, DATABASE_BUSY, DATABASE_UNAVAILABLE, DISK_FULL
        )
        | {200: documented_answer(ImportAnswer, "When the file was first imported")},
        openapi_extra=documented_body(ImportInput, example=examples.IMPORT),
    )
    async def claim_file(request: Request) -> Response:
        await context.authorize(request, RECORDERS)
        given = read(await body_of(request))
        claim: FileClaim = await context.submit(ClaimFile(FileRegistration(**msgspec.structs.asdict(given))))
        return json_response(ImportAnswer(began_at=None if claim.began_at is None else format_rfc3339(claim.began_at)))

    return router
