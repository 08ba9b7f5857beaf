"""The routes of the node's clock: show it, confirm it, list and repair what it dated wrongly."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Annotated, Final

import msgspec
from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from branch_node.api import body_examples as examples
from branch_node.api.dependencies import ApiNode, RequestContext, actor_of, problems
from branch_node.api.read_routes import After, Limit
from branch_node.clock.clock_repair import RedateEvents, redating_commands
from branch_node.clock.clock_settlement import SettleClock, clock_state
from branch_node.clock.misdated_events import RedatingRecord, misdated_events, redating_record
from branch_node.commands.input_fields import StrictInput, moment
from branch_node.database import queries
from branch_node.problems import (
    BAD_CURSOR,
    BUSY,
    CLOCK_OUT_OF_RANGE,
    CLOCK_UNCONFIRMED,
    INVALID_TIME,
    NOT_WRITING,
    STRICT_ITEM,
)
from branch_node.records import Page
from shared.checked_fields import Moment
from shared.event_record import moment_text
from shared.events import MAX_SEQUENCE
from shared.runtime.clock import NodeClock
from shared.runtime.http.application import body_of, documented_answer, documented_body, json_response
from shared.runtime.http.auth import Principal
from shared.runtime.http.cursor import page_of
from shared.runtime.http.scopes import Scope
from shared.runtime.http.strict_json import StrictDecoder
from shared.runtime.problems import DATABASE_BUSY, DATABASE_UNAVAILABLE, DISK_FULL, INVALID_REQUEST, OVERLOADED, Problem

MAX_BODY: Final = 1024
MOST_COMMANDS: Final = 200
"""How many commands one request repairs."""


class ConfirmInput(StrictInput, kw_only=True):
    """`now` is the true time where the computer's clock cannot be set right; without it that clock is confirmed."""

    now: Moment | None = None


class RepairInput(StrictInput, kw_only=True):
    """`pass_over`: how many commands were refused in the requests before, and are not tried again."""

    pass_over: Annotated[int, msgspec.Meta(ge=0, le=MAX_SEQUENCE)] = 0


class ClockRecord(msgspec.Struct, kw_only=True):
    """The node's time and the computer's, whether it is confirmed, and when and by whom it was settled last.

    `wrong`: events were recorded at a wrong time; the list of repairs has those that are not repaired.
    """

    now: str
    computer: str
    confirmed: bool
    settled_at: str | None
    settled_by: str | None
    wrong: bool


class RepairRefusal(msgspec.Struct, kw_only=True):
    """A command that could not be recorded again; its events stay as they are."""

    sequence: int
    code: str
    detail: str


class RepairAnswer(msgspec.Struct, kw_only=True):
    """How many events were voided and recorded again; `more`: the next request goes on.

    That is so too where the node failed after it had recorded some of them.
    """

    repaired: int
    refused: list[RepairRefusal]
    more: bool


def settlement(clock: NodeClock, by: str, true_time: int | None = None) -> SettleClock:
    """The command that confirms the computer's clock, or another time. Raises 409 `clock-out-of-range`."""
    try:
        return SettleClock(clock, clock.compare(clock.computer if true_time is None else true_time), by=by)
    except ValueError as error:
        raise CLOCK_OUT_OF_RANGE(f"the computer's clock cannot be right: {error}") from error


def repair_clock(node: ApiNode, actor: str, pass_over: int, record: Callable[[RedateEvents], int]) -> RepairAnswer:
    """Repair what the next MOST_COMMANDS commands repair; the first `pass_over` that are due are left out.

    `record` records one and answers how many events it repaired. Raises 409 `clock-unconfirmed`, and what `record`
    raises where nothing was recorded before it.
    """
    if not node.clock.confirmed:
        raise CLOCK_UNCONFIRMED("what was dated wrongly is known once the clock is settled")
    with node.store.reading() as connection:
        found = misdated_events(connection, newest_first=True, by_hand=True)
        due = list(islice(redating_commands(found, actor), pass_over, pass_over + MOST_COMMANDS + 1))
    answer = RepairAnswer(repaired=0, refused=[], more=len(due) > MOST_COMMANDS)
    for command in due[:MOST_COMMANDS]:
        try:
            answer.repaired += record(command)
        except Problem as problem:
            if problem.code == STRICT_ITEM.code:
                first = command.content.sequences[0]
                answer.refused.append(RepairRefusal(sequence=first, code=problem.code, detail=problem.detail))
            elif answer.repaired:
                return msgspec.structs.replace(answer, more=True)
            else:
                raise
    return answer


def _record(node: ApiNode) -> ClockRecord:
    with node.store.reading() as connection:
        state = clock_state(connection, node.clock)
    return ClockRecord(
        now=moment_text(state.now),
        computer=moment_text(state.computer),
        confirmed=state.confirmed,
        settled_at=None if state.settled_at is None else moment_text(state.settled_at),
        settled_by=state.settled_by,
        wrong=state.wrong,
    )


def clock_routes(node: ApiNode) -> APIRouter:
    """The routes of the clock."""
    router = APIRouter(prefix="/v1/clock")
    context = RequestContext(node)
    _reading(router, node, context)
    _settling(router, node, context)
    return router


def _reading(router: APIRouter, node: ApiNode, context: RequestContext) -> None:
    @router.get(
        "",
        dependencies=[context.caller(Scope.READ)],
        tags=["reading"],
        summary="The node's clock, and whether it is to be trusted",
        responses=problems(DATABASE_BUSY, DATABASE_UNAVAILABLE, OVERLOADED, body=False)
        | {200: documented_answer(ClockRecord, "The clock")},
    )
    async def clock() -> Response:
        return json_response(await run_in_threadpool(_record, node))

    @router.get(
        "/repairs",
        dependencies=[context.caller(Scope.READ)],
        tags=["reading"],
        summary="What a wrong clock dated, and when it was",
        responses=problems(INVALID_REQUEST, BAD_CURSOR, DATABASE_BUSY, DATABASE_UNAVAILABLE, OVERLOADED, body=False)
        | {200: documented_answer(Page[RedatingRecord], "Events by sequence")},
    )
    async def repairs(after: After = None, limit: Limit = 100) -> Response:
        start = queries.BY_SEQUENCE.read(after) or 0

        def read() -> Page[RedatingRecord]:
            with node.store.reading() as connection:
                found = [redating_record(each) for each in islice(misdated_events(connection, after=start), limit + 1)]
            items, cursor = page_of(found, limit, lambda last: queries.BY_SEQUENCE.write(last.sequence))
            return Page(items=items, next=cursor)

        return json_response(await run_in_threadpool(read))


def _settling(router: APIRouter, node: ApiNode, context: RequestContext) -> None:
    corrector = context.caller(Scope.CORRECT)
    read_confirm = StrictDecoder(ConfirmInput, max_bytes=MAX_BODY)
    read_repair = StrictDecoder(RepairInput, max_bytes=MAX_BODY)
    writer = (BUSY, NOT_WRITING, DATABASE_BUSY, DATABASE_UNAVAILABLE, DISK_FULL)

    @router.post(
        "/confirm",
        tags=["recording"],
        summary="Confirm that the computer's clock is right: it is the node's time from here on",
        responses=problems(INVALID_TIME, CLOCK_OUT_OF_RANGE, *writer)
        | {200: documented_answer(ClockRecord, "The clock")},
        openapi_extra=documented_body(ConfirmInput, example=examples.CONFIRM),
    )
    async def confirm(request: Request, principal: Principal = corrector) -> Response:
        true_time = moment(read_confirm(await body_of(request) or b"{}").now, "now")
        await context.submit(settlement(node.clock, actor_of(principal, None), true_time))
        return json_response(await run_in_threadpool(_record, node))

    @router.post(
        "/repairs",
        tags=["recording"],
        summary=f"Void what a wrong clock dated and record it again, {MOST_COMMANDS} commands at a time",
        responses=problems(CLOCK_UNCONFIRMED, *writer) | {200: documented_answer(RepairAnswer, "What was repaired")},
        openapi_extra=documented_body(RepairInput, example=examples.REPAIR),
    )
    async def repair(request: Request, principal: Principal = corrector) -> Response:
        pass_over = read_repair(await body_of(request) or b"{}").pass_over

        def record(command: RedateEvents) -> int:
            repaired: int = node.writer.submit(command).result()
            return repaired

        return json_response(await run_in_threadpool(repair_clock, node, actor_of(principal, None), pass_over, record))
