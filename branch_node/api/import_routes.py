"""The routes of imports: begin one, record its rows, finish it; list, show and undo them."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from branch_node.api import body_examples as examples
from branch_node.api.dependencies import RECORDING, ApiNode, RequestContext, actor_of, problems
from branch_node.api.import_scopes import ImportScopes
from branch_node.api.read_routes import After, Limit
from branch_node.commands.event_inputs import BatchEventInput, entry_of
from branch_node.commands.item_inputs import item_of
from branch_node.imports.import_inputs import (
    ImportAnswer,
    ImportEndInput,
    ImportInput,
    ImportOutcome,
    ImportOutcomes,
    ImportRowsInput,
    ImportUndoInput,
    ImportUndone,
    count_of_rows,
    import_answer,
)
from branch_node.imports.recorders.local_recorders import chunk_commands
from branch_node.imports.register.import_lifecycle import (
    MISTAKE,
    VOIDS,
    BeginImport,
    FinishImport,
    ImportEnd,
    ImportPlan,
    UndoStep,
)
from branch_node.imports.register.import_runs import (
    BY_IMPORT,
    FileRegistration,
    ImportPlace,
    ImportState,
    find_import,
    imports_after,
    standing_totals,
)
from branch_node.imports.register.row_commands import KeyedContent, RowRecorded
from branch_node.imports.register.row_keys import key_beginning
from branch_node.problems import (
    BAD_CURSOR,
    BUSY,
    IMPORT_BEING_UNDONE,
    IMPORT_FILE_DIFFERS,
    IMPORT_INTERRUPTED,
    IMPORT_KEYS_DIFFER,
    NOT_WRITING,
    UNKNOWN_IMPORT,
)
from branch_node.records import Page
from shared.runtime.http.application import body_of, documented_answer, documented_body, json_response
from shared.runtime.http.auth import Principal
from shared.runtime.http.body_faults import naming_every_fault
from shared.runtime.http.scopes import Scope
from shared.runtime.http.strict_json import CheckedDecoder, StrictDecoder
from shared.runtime.problems import (
    DATABASE_BUSY,
    DATABASE_UNAVAILABLE,
    DISK_FULL,
    INVALID_REQUEST,
    Problem,
    ascii_json,
    invalid_request,
)

MAX_BODY: Final = 16 * 1024
MAX_ROWS_BODY: Final = 4 * 1024 * 1024
BODY_LIMITS: Final = {"/v1/imports": MAX_BODY}

_WRITER: Final = (BUSY, NOT_WRITING, DATABASE_BUSY, DATABASE_UNAVAILABLE, DISK_FULL)


def import_routes(node: ApiNode) -> APIRouter:
    """The routes of imports."""
    router = APIRouter(prefix="/v1/imports")
    context = RequestContext(node)
    _running(router, context)
    _reading(router, node, context)
    return router


def _running(router: APIRouter, context: RequestContext) -> None:
    recorder = context.caller(*RECORDING)
    read_begin = CheckedDecoder(ImportInput, max_bytes=MAX_BODY)
    read_rows = StrictDecoder(ImportRowsInput, max_bytes=MAX_ROWS_BODY)
    read_end = CheckedDecoder(ImportEndInput, max_bytes=MAX_BODY)

    @router.post(
        "",
        tags=["recording"],
        summary="Begin the import of a file, or go on with it; its rows are sent in chunks",
        responses=problems(IMPORT_FILE_DIFFERS, IMPORT_KEYS_DIFFER, IMPORT_BEING_UNDONE, *_WRITER)
        | {200: documented_answer(ImportPlan, "The import, and what the keys of its rows are made of")},
        openapi_extra=documented_body(ImportInput, example=examples.IMPORT),
    )
    async def begin(request: Request, principal: Principal = recorder) -> Response:
        given = FileRegistration(**msgspec.structs.asdict(read_begin(await body_of(request))))
        return json_response(await context.submit(BeginImport(given, actor=actor_of(principal, None))))

    @router.post(
        "/{import_id}/rows",
        tags=["recording"],
        summary="Record a chunk of an import's rows in one transaction, each with an outcome of its own",
        responses=problems(UNKNOWN_IMPORT, IMPORT_INTERRUPTED, *_WRITER)
        | {200: documented_answer(ImportOutcomes, "One outcome for each event, then for each count")},
        openapi_extra=documented_body(ImportRowsInput, example=examples.IMPORT_ROWS),
    )
    async def rows(import_id: str, request: Request, principal: Principal = recorder) -> Response:
        body = read_rows(await body_of(request))
        with context.store.reading() as connection:
            source = find_import(connection, import_id).source
        scopes = ImportScopes(principal, context.knows)
        items = scopes.definable([naming_every_fault(item_of, item.item_id, item) for item in body.items])
        keyed: list[KeyedContent] = []
        refused: dict[int, Problem] = {}

        def take(place: int, row: KeyedContent) -> None:
            problem = scopes.refusal(row)
            if problem is None:
                keyed.append(row)
            else:
                refused[place] = problem

        for place, event in enumerate(body.events):
            try:
                take(place, naming_every_fault(_event, event, source))
            except Problem as refusal:
                refused[place] = refusal
        for place, count in enumerate(body.counts, start=len(body.events)):
            _check_key(count.key, source)
            take(place, KeyedContent(count.key, naming_every_fault(count_of_rows, count, source)))
        answers = await context.submit_all(chunk_commands(import_id, source, items, keyed, actor_of(principal, None)))
        recorded = iter(_outcomes(answers, len(keyed)))
        total = len(body.events) + len(body.counts)
        outcomes = [_refused(refused[place]) if place in refused else next(recorded) for place in range(total)]
        return json_response(ImportOutcomes(outcomes=outcomes))

    @router.post(
        "/{import_id}/finish",
        dependencies=[recorder],
        tags=["recording"],
        summary="Mark an import as whole",
        responses=problems(UNKNOWN_IMPORT, IMPORT_INTERRUPTED, *_WRITER)
        | {200: documented_answer(ImportAnswer, "The import")},
        openapi_extra=documented_body(ImportEndInput, example=examples.IMPORT_END),
    )
    async def finish(import_id: str, request: Request) -> Response:
        end = ImportEnd(**msgspec.structs.asdict(read_end(await body_of(request))))
        await context.submit(FinishImport(import_id, end))
        return json_response(await run_in_threadpool(_shown, context, import_id))


def _event(given: BatchEventInput, source: str) -> KeyedContent:
    if given.key is None:
        invalid_request("key", "each row needs its key")
    _check_key(given.key, source)
    if given.source is not None and given.source != source:
        invalid_request("source", f"the rows of this import are from {source!r}")
    return KeyedContent(given.key, msgspec.structs.replace(entry_of(given), source=source))


def _check_key(key: str, source: str) -> None:
    """An import records under keys of its own source: another one's real rows would conflict with it."""
    begin = key_beginning(source)
    if not key.startswith(begin):
        invalid_request("key", f"the keys of this import begin with {begin!r}")


def _outcomes(answers: list[Any], rows: int) -> list[ImportOutcome]:
    """The outcomes of a chunk. Raises what refused the chunk as a whole."""
    for answer in (*answers[: len(answers) - rows - 1], answers[-1]):
        if isinstance(answer, BaseException):
            raise answer
    outcomes = []
    for answer in answers[len(answers) - rows - 1 : -1]:
        if isinstance(answer, RowRecorded):
            outcomes.append(ImportOutcome(sequence=answer.sequence, new=answer.new))
            continue
        if not isinstance(answer, Problem) or answer.status >= 500:
            raise answer
        outcomes.append(_refused(answer))
    return outcomes


def _refused(problem: Problem) -> ImportOutcome:
    return ImportOutcome(problem=msgspec.json.decode(ascii_json(problem.body(recording=True))))


def _shown(context: RequestContext, import_id: str) -> ImportAnswer:
    with context.store.reading() as connection:
        return import_answer(find_import(connection, import_id), standing_totals(connection, import_id))


def _reading(router: APIRouter, node: ApiNode, context: RequestContext) -> None:
    reader, corrector = context.caller(Scope.READ), context.caller(Scope.CORRECT)
    read_undo = CheckedDecoder(ImportUndoInput, max_bytes=MAX_BODY)

    @router.get(
        "",
        dependencies=[reader],
        tags=["reading"],
        summary="The imports of files, the newest first",
        responses=problems(BAD_CURSOR, INVALID_REQUEST, DATABASE_BUSY, DATABASE_UNAVAILABLE, body=False)
        | {200: documented_answer(Page[ImportAnswer], "Imports")},
    )
    async def listed(after: After = None, limit: Limit = 100) -> Response:
        place = BY_IMPORT.read(after)
        return json_response(await run_in_threadpool(_page, node, place, limit))

    @router.get(
        "/{import_id}",
        dependencies=[reader],
        tags=["reading"],
        summary="One import, with what stands in the log because of it",
        responses=problems(UNKNOWN_IMPORT, DATABASE_BUSY, DATABASE_UNAVAILABLE, body=False)
        | {200: documented_answer(ImportAnswer, "The import")},
    )
    async def shown(import_id: str) -> Response:
        return json_response(await run_in_threadpool(_shown, context, import_id))

    @router.post(
        "/{import_id}/undo",
        tags=["recording"],
        summary="Void the next events of an import that still stand; sent again until none does",
        description=f"At most {VOIDS} events at a time. Once none stands, the file can be imported again.",
        responses=problems(UNKNOWN_IMPORT, *_WRITER) | {200: documented_answer(ImportUndone, "How many were voided")},
        openapi_extra=documented_body(ImportUndoInput, example=examples.IMPORT_UNDO),
    )
    async def undo(import_id: str, request: Request, principal: Principal = corrector) -> Response:
        given = read_undo(await body_of(request) or b"{}")
        actor = actor_of(principal, None)
        voided = await context.submit(UndoStep(import_id, actor=actor, reason=given.reason or MISTAKE))
        answer = await run_in_threadpool(_shown, context, import_id)
        more = answer.state != ImportState.UNDONE
        return json_response(ImportUndone(import_id=import_id, voided=voided, state=answer.state, more=more))


def _page(node: ApiNode, after: ImportPlace | None, limit: int) -> Page[ImportAnswer]:
    with node.store.reading() as connection:
        found = imports_after(connection, after, limit + 1)
    more = found[limit - 1] if len(found) > limit else None
    items = [import_answer(each) for each in found[:limit]]
    return Page(items=items, next=None if more is None else BY_IMPORT.write((more.began_at, more.import_id)))
