"""The route by which the commands of this machine have the running node issue a key."""

from __future__ import annotations

from typing import Final, Literal

import msgspec
from fastapi import APIRouter
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from branch_node.api import body_examples as examples
from branch_node.api.dependencies import ApiNode, RequestContext, problems
from branch_node.api.hot_route_middleware import body_of
from branch_node.commands.input_fields import StrictInput
from branch_node.database.api_keys import store_manager_key
from branch_node.model import Command, Decision, View
from branch_node.problems import BUSY, NOT_WRITING
from shared.runtime.http.application import documented_answer, documented_body, json_response
from shared.runtime.http.auth import NewKey, generate_key
from shared.runtime.http.scopes import Scope
from shared.runtime.http.strict_json import StrictDecoder
from shared.runtime.problems import DATABASE_BUSY, DATABASE_UNAVAILABLE, DISK_FULL

MAX_BODY: Final = 1024


class KeyInput(StrictInput, kw_only=True):
    """The role of the key."""

    role: Literal["manager"] = "manager"


class IssuedKey(msgspec.Struct, kw_only=True):
    """The text of the key is answered this once; the node keeps its digest."""

    key_id: str
    key: str


class IssueKey(Command):
    """Store a key that was made for this node's API. Answered with None."""

    def __init__(self, made: NewKey) -> None:
        self._made = made

    def decide(self, view: View) -> Decision:
        location_id = view.location.location_id

        def write(connection: Connection) -> None:
            store_manager_key(connection, location_id, self._made)

        return Decision(writes=[write])


def key_routes(node: ApiNode) -> APIRouter:
    """The route of keys."""
    router = APIRouter(prefix="/v1")
    context = RequestContext(node)
    read = StrictDecoder(KeyInput, max_bytes=MAX_BODY)

    @router.post(
        "/keys",
        status_code=201,
        dependencies=[context.caller(Scope.KEYS)],
        tags=["recording"],
        summary="Issue a manager key of this node",
        description="Each request issues another key, also one sent again after its answer was lost.",
        responses=problems(BUSY, NOT_WRITING, DATABASE_BUSY, DATABASE_UNAVAILABLE, DISK_FULL)
        | {201: documented_answer(IssuedKey, "The key")},
        openapi_extra=documented_body(KeyInput, example=examples.KEY),
    )
    async def issue_key(request: Request) -> Response:
        read(await body_of(request) or b"{}")
        made = generate_key()
        await context.submit(IssueKey(made))
        return json_response(IssuedKey(key_id=made.key_id, key=made.text), 201)

    return router
