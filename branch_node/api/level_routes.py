"""The routes of this branch's reorder levels: head office's are shown, own ones are set where it has none."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Final

from fastapi import APIRouter, Path
from starlette.requests import Request
from starlette.responses import Response

from branch_node.api import body_examples as examples
from branch_node.api.dependencies import ApiNode, RequestContext, problems
from branch_node.api.read_routes import After, Limit
from branch_node.database.queries import BY_ITEM
from branch_node.database.stock.level_rows import acting_level, acting_page, delete_levels, store_levels
from branch_node.database.stock.stock_figures import codes_of
from branch_node.model import Command, Decision, View
from branch_node.problems import (
    BAD_CURSOR,
    BUSY,
    LEVEL_NOT_FOUND,
    LEVEL_OF_GROUP,
    NOT_WRITING,
    UNKNOWN_ITEM,
)
from branch_node.records import Page
from shared.levels.level_record import ReorderLevelBody, ReorderLevelRecord, level_record
from shared.levels.reorder_levels import ReorderLevel
from shared.runtime.http.application import body_of, documented_answer, documented_body, json_response
from shared.runtime.http.cursor import page_of
from shared.runtime.http.scopes import Scope
from shared.runtime.http.strict_json import CheckedDecoder
from shared.runtime.problems import (
    DATABASE_BUSY,
    DATABASE_UNAVAILABLE,
    DISK_FULL,
    INVALID_REQUEST,
    OVERLOADED,
)

MAX_BODY: Final = 4096
_READ: Final = (INVALID_REQUEST, DATABASE_BUSY, DATABASE_UNAVAILABLE, OVERLOADED)
_WRITER: Final = (BUSY, NOT_WRITING, DATABASE_BUSY, DATABASE_UNAVAILABLE, DISK_FULL)
_ItemId = Annotated[str, Path(min_length=1, max_length=64)]


class SetLevel(Command):
    """Set this branch's own reorder level of an item; none: remove it. Answered with the code of the item.

    A code that stands for an item of the group names that item. Raises 422 `unknown-item`, 409 `level-of-the-group`.
    """

    def __init__(self, item_id: str, level: ReorderLevel | None) -> None:
        self.item_id = item_id
        self.level = level

    def decide(self, view: View) -> Decision:
        item = view.item(self.item_id)
        if item is None:
            raise UNKNOWN_ITEM(f"there is no item {self.item_id!r}", item_id=self.item_id)
        item_id = item.stands_for or self.item_id
        level, set_here = acting_level(view.connection, item_id) or (None, True)
        if not set_here:
            raise LEVEL_OF_GROUP(f"head office has a reorder level of {item_id}", item_id=item_id)
        if level == self.level:
            return Decision(answer=item_id)
        write = (
            partial(delete_levels, item_ids=[item_id], set_here=True)
            if self.level is None
            else partial(store_levels, levels={item_id: self.level}, set_here=True)
        )
        return Decision(writes=[write], levels_changed=True, answer=item_id)


def level_routes(node: ApiNode) -> APIRouter:
    """The routes of reorder levels."""
    router = APIRouter(prefix="/v1")
    context = RequestContext(node)
    _reading(router, context)
    _setting(router, context)
    return router


def _reading(router: APIRouter, context: RequestContext) -> None:
    reader = context.caller(Scope.REPORTS)

    @router.get(
        "/reorder-levels",
        tags=["reading"],
        summary="The reorder levels that act here",
        responses=problems(*_READ, BAD_CURSOR, body=False)
        | {200: documented_answer(Page[ReorderLevelRecord], "Levels in the order of their items")},
        dependencies=[reader],
    )
    def list_levels(after: After = None, limit: Limit = 100) -> Response:
        beginning = BY_ITEM.read(after) or ""
        with context.store.reading() as connection:
            found = acting_page(connection, beginning, limit + 1)
        listed, following = page_of(found, limit, lambda last: BY_ITEM.write(last[0]))
        records = [level_record(item_id, level, set_here=set_here) for item_id, level, set_here in listed]
        return json_response(Page(items=records, next=following))

    @router.get(
        "/reorder-levels/{item_id:code}",
        tags=["reading"],
        summary="The reorder level of an item that acts here",
        responses=problems(*_READ, LEVEL_NOT_FOUND, body=False)
        | {200: documented_answer(ReorderLevelRecord, "The level")},
        dependencies=[reader],
    )
    def read_level(item_id: _ItemId) -> Response:
        with context.store.reading() as connection:
            meant, _ = codes_of(connection, item_id)
            found = acting_level(connection, meant)
        if found is None:
            raise LEVEL_NOT_FOUND(f"{meant} has no reorder level here", item_id=meant)
        level, set_here = found
        return json_response(level_record(meant, level, set_here=set_here))


def _setting(router: APIRouter, context: RequestContext) -> None:
    read_body = CheckedDecoder(ReorderLevelBody, max_bytes=MAX_BODY)
    corrector = context.caller(Scope.CORRECT)

    @router.put(
        "/reorder-levels/{item_id:code}",
        dependencies=[corrector],
        tags=["recording"],
        summary="Set this branch's own reorder level of an item, where head office has none",
        responses=problems(UNKNOWN_ITEM, LEVEL_OF_GROUP, *_WRITER)
        | {200: documented_answer(ReorderLevelRecord, "The level as it stands now")},
        openapi_extra=documented_body(ReorderLevelBody, example=examples.LEVEL),
    )
    async def put_level(item_id: _ItemId, request: Request) -> Response:
        level = read_body(await body_of(request)).level()
        meant = await context.submit(SetLevel(item_id, level))
        return json_response(level_record(meant, level, set_here=True))

    @router.delete(
        "/reorder-levels/{item_id:code}",
        dependencies=[corrector],
        status_code=204,
        tags=["recording"],
        summary="Remove this branch's own reorder level of an item",
        responses=problems(INVALID_REQUEST, UNKNOWN_ITEM, LEVEL_OF_GROUP, *_WRITER, body=False)
        | {204: {"description": "There is none from here on"}},
    )
    async def delete_level(item_id: _ItemId) -> Response:
        await context.submit(SetLevel(item_id, None))
        return Response(status_code=204)
