"""The routes of the keys that count at this node: list them; issue, rotate and revoke those of the node alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, Literal

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from branch_node.api import body_examples as examples
from branch_node.api.dependencies import ApiNode, RequestContext, problems
from branch_node.api.read_routes import After, Limit
from branch_node.commands.input_fields import StrictInput
from branch_node.database.keys.api_keys import NodeKeyRecord, list_keys
from branch_node.database.keys.key_changes import IssueKey, RevokeKey, RotateKey
from branch_node.database.queries import BY_ITEM
from branch_node.problems import BAD_CURSOR, BUSY, KEY_OF_GROUP, KEY_REVOKED, NOT_WRITING, UNKNOWN_KEY
from branch_node.records import Page
from shared.runtime.http.application import body_of, documented_answer, documented_body, json_response
from shared.runtime.http.auth import generate_key
from shared.runtime.http.body_faults import Fault, FieldRule
from shared.runtime.http.cursor import page_of
from shared.runtime.http.key_rotation import MOST_OVERLAP_SECONDS, OVERLAP_SECONDS
from shared.runtime.http.scopes import Role, Scope, addition_fault
from shared.runtime.http.strict_json import CheckedDecoder
from shared.runtime.problems import DATABASE_BUSY, DATABASE_UNAVAILABLE, DISK_FULL, INVALID_REQUEST, OVERLOADED
from shared.runtime.text.text_faults import name_fault

MAX_BODY: Final = 4 * 1024
_WRITER: Final = (BUSY, NOT_WRITING, DATABASE_BUSY, DATABASE_UNAVAILABLE, DISK_FULL)


class KeyInput(StrictInput, kw_only=True):
    """A key of this node alone. `scopes` are given beyond those of the role: `restock` to an integration."""

    role: Literal["manager", "purchasing", "staff", "viewer", "integration"] = "manager"
    scopes: Annotated[tuple[Scope, ...], msgspec.Meta(max_length=len(Scope))] = ()
    label: Annotated[str, msgspec.Meta(min_length=1, max_length=200), FieldRule(name_fault)] | None = None

    @staticmethod
    def faults_between(given: Mapping[str, Any]) -> Iterator[Fault]:
        if fault := addition_fault(Role(given.get("role", "manager")), given.get("scopes", ())):
            yield {"field": "scopes", "message": fault}


class RotationInput(StrictInput, kw_only=True):
    """For how many seconds the text until now stays good."""

    overlap_seconds: Annotated[int, msgspec.Meta(ge=0, le=MOST_OVERLAP_SECONDS)] = OVERLAP_SECONDS


class IssuedKey(msgspec.Struct, kw_only=True):
    """The text of the key is answered this once; the node keeps its digest."""

    key_id: str
    key: str
    role: str
    scopes: list[Scope]


class RotatedKey(msgspec.Struct, kw_only=True):
    """A key's new text, answered this once, and until when one before it is good, too; null: none is."""

    key_id: str
    key: str
    previous_until: str | None


def key_routes(node: ApiNode) -> APIRouter:
    """The routes of keys."""
    router = APIRouter(prefix="/v1/keys")
    context = RequestContext(node)
    caller = context.caller(Scope.KEYS)
    _reading(router, node, caller)
    _changing(router, node, context, caller)
    return router


def _reading(router: APIRouter, node: ApiNode, caller: Any) -> None:
    @router.get(
        "",
        dependencies=[caller],
        tags=["keys"],
        summary="The keys that count here, head office's too, revoked ones included",
        responses=problems(INVALID_REQUEST, BAD_CURSOR, DATABASE_BUSY, DATABASE_UNAVAILABLE, OVERLOADED, body=False)
        | {200: documented_answer(Page[NodeKeyRecord], "Keys by id")},
    )
    def listed(after: After = None, limit: Limit = 100) -> Response:
        place = BY_ITEM.read(after)
        with node.store.reading() as connection:
            found = list_keys(connection, place, limit + 1)
        items, cursor = page_of(found, limit, lambda last: BY_ITEM.write(last.key_id))
        return json_response(Page(items=items, next=cursor))


def _changing(router: APIRouter, node: ApiNode, context: RequestContext, caller: Any) -> None:
    read_key = CheckedDecoder(KeyInput, max_bytes=MAX_BODY)
    read_rotation = CheckedDecoder(RotationInput, max_bytes=MAX_BODY)

    @router.post(
        "",
        status_code=201,
        dependencies=[caller],
        tags=["keys"],
        summary="Issue a key of this node alone; its text is answered once",
        description="Each request issues another key, also one sent again after its answer was lost.",
        responses=problems(*_WRITER) | {201: documented_answer(IssuedKey, "The key")},
        openapi_extra=documented_body(KeyInput, example=examples.KEY),
    )
    async def issue_key(request: Request) -> Response:
        given = read_key(await body_of(request) or b"{}")
        made = generate_key()
        await context.submit(IssueKey(made, Role(given.role), given.scopes, given.label))
        scopes = sorted(set(given.scopes))
        return json_response(IssuedKey(key_id=made.key_id, key=made.text, role=given.role, scopes=scopes), 201)

    @router.post(
        "/{key_id}/rotate",
        dependencies=[caller],
        tags=["keys"],
        summary="Give a key of this node another text, answered once; the text until now stays good for a while",
        description="Each request makes another text, also one sent again after its answer was lost. The texts before "
        "stay good until their overlaps end; without an overlap all of them end at once.",
        responses=problems(UNKNOWN_KEY, KEY_OF_GROUP, KEY_REVOKED, *_WRITER)
        | {200: documented_answer(RotatedKey, "The key's new text")},
        openapi_extra=documented_body(RotationInput, example=examples.ROTATION),
    )
    async def rotate_key(key_id: str, request: Request) -> Response:
        given = read_rotation(await body_of(request) or b"{}")
        made = generate_key(key_id)
        until = await context.submit(RotateKey(made, given.overlap_seconds, node.authenticator.invalidate))
        return json_response(RotatedKey(key_id=key_id, key=made.text, previous_until=until))

    @router.post(
        "/{key_id}/revoke",
        dependencies=[caller],
        tags=["keys"],
        summary="Revoke a key of this node, for good",
        responses=problems(UNKNOWN_KEY, KEY_OF_GROUP, *_WRITER, body=False)
        | {200: documented_answer(NodeKeyRecord, "The key as it stands now")},
    )
    async def revoke_key(key_id: str) -> Response:
        return json_response(await context.submit(RevokeKey(key_id, node.authenticator.invalidate)))
