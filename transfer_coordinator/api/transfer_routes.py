"""The coordinator's routes: create, list, show and cancel transfers.

A route that writes queues a command for the next round and waits for its result; one that reads does so in a thread.
Callers with `wait` are woken by the round that ends their transfer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Annotated, Any, Final, TypeVar
from urllib.parse import quote

import msgspec
from fastapi import Depends, FastAPI, Path, Query
from pydantic import AfterValidator
from sqlalchemy import Engine
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from shared.runtime.client import Unreachable
from shared.runtime.clock import Clock
from shared.runtime.database.engine import snapshot, translate_driver_errors
from shared.runtime.http.application import documented_answer, documented_body, json_response
from shared.runtime.http.auth import Authenticator, Principal
from shared.runtime.http.body_faults import naming_every_fault
from shared.runtime.http.cursor import Cursor, Whole
from shared.runtime.http.scopes import Scope
from shared.runtime.problems import (
    BODY_TOO_LARGE,
    FORBIDDEN,
    INVALID_REQUEST,
    MALFORMED_JSON,
    OVERLOADED,
    TOO_MANY_REQUESTS,
    UNAUTHENTICATED,
    UNSUPPORTED_MEDIA_TYPE,
    WRONG_LOCATION,
    Problem,
    ProblemKind,
    Recorded,
)
from shared.runtime.text.nearest_codes import Candidate, nearest_codes
from shared.runtime.text.text_faults import code_fault
from transfer_coordinator.api import transfer_queries
from transfer_coordinator.api.transfer_records import TransferDetail, TransferDocument, detail, document, sums
from transfer_coordinator.api.transfer_requests import (
    TransferRequest,
    TransferWanted,
    check_key,
    check_request,
    read_body,
    transfer_of,
)
from transfer_coordinator.database.transfer_reader import load
from transfer_coordinator.office.group_catalogue import Catalogue
from transfer_coordinator.problems import (
    ALREADY_RECEIVED,
    BAD_CURSOR,
    DEADLINE_PASSED,
    INVALID_KEY,
    KEY_REUSED,
    MODE_NOT_OFFERED,
    NO_CATALOGUE,
    PROBLEMS,
    SAME_LOCATION,
    TRANSFER_ENDED,
    UNKNOWN_ITEM,
    UNKNOWN_LOCATION,
    UNKNOWN_TRANSFER,
)
from transfer_coordinator.saga.adoption import UNADOPTABLE
from transfer_coordinator.saga.planner import TransferRecord
from transfer_coordinator.saga.saga import State, Transfer
from transfer_coordinator.worker.mailboxes import Cancel, Create
from transfer_coordinator.worker.worker import CoordinatorWorker

MAX_WAIT: Final = 30.0
MAX_LIMIT: Final = 1_000

T = TypeVar("T")


class TransferPage(msgspec.Struct, frozen=True):
    """One page of a list; `next` is the `after` of the one that follows, absent at the end."""

    items: list[TransferDocument]
    next: str | None


@dataclass
class TransferApi:
    """The parts that the routes use. `has_rounds_thread`: whether a thread runs the worker's rounds."""

    engine: Engine
    worker: CoordinatorWorker
    catalogue: Catalogue
    authenticator: Authenticator
    clock: Clock
    new_id: Callable[[int], str]
    has_rounds_thread: Callable[[], bool]

    @property
    def office_away(self) -> bool:
        """Whether head office gave no answer to the last call."""
        return isinstance(self.worker.head_office_error, Unreachable)

    @property
    def reader(self) -> Any:
        """The dependency that gives a route its caller, who may read transfers. Raises 401, 403, 429."""
        return Depends(self.authenticator.require(Scope.READ, Scope.TRANSFER).principal)

    @property
    def mover(self) -> Any:
        """As `reader`, for who may create and cancel transfers."""
        return Depends(self.authenticator.require(Scope.TRANSFER).principal)

    def read(self, transfer_id: str) -> TransferRecord | None:
        with translate_driver_errors(), snapshot(self.engine) as connection:
            found = load(connection, [transfer_id]).get(transfer_id)
        return None if found is None else found.record

    async def submit(self, command: Create | Cancel, future: Future[T]) -> T:
        """Queue a command and wait for its result. Raises the Problem that refuses it."""
        self.worker.round_queue.submit(command)
        if not self.has_rounds_thread():
            # No thread does it: a command of the command line, or a simulation.
            await run_in_threadpool(self.worker.round, sweep=False)
        return await asyncio.wrap_future(future)

    async def with_catalogue(self, requested: TransferRequest) -> Transfer:
        """The transfer with units from the catalogue. Raises Problem 422, or 503 before the catalogue was pulled."""
        known = self.catalogue.loaded
        if known is None:
            known = await run_in_threadpool(self.catalogue.known)
        try:
            return transfer_of(requested, known)
        except Problem:
            # What is not known may be new, so the catalogue is refreshed before anything is refused.
            arrived = self.clock.monotonic()
            answered = await run_in_threadpool(self.catalogue.refresh, arrived)
            known = await run_in_threadpool(self.catalogue.known)
        if not answered and known.version == 0:
            raise NO_CATALOGUE("head office was not reached since the start", recorded=Recorded.NO)
        try:
            return transfer_of(requested, known)
        except Problem as problem:
            if problem.code == UNKNOWN_ITEM.code:
                problem.extras["nearest"] = await run_in_threadpool(self.catalogue.nearest, problem.extras["item_id"])
            if problem.code == UNKNOWN_LOCATION.code:
                candidates = (Candidate(code, name) for code, name in known.locations.items())
                problem.extras["nearest"] = nearest_codes(problem.extras["location_id"], candidates)
            raise

    async def check_deadline(self, requested: TransferRequest) -> None:
        """Raise Problem 422 where the deadline has passed, unless the transfer exists: then the request is repeated."""
        if requested.deadline is None or requested.deadline > self.clock.now():
            return
        if await run_in_threadpool(self.read, requested.transfer_id) is None:
            raise DEADLINE_PASSED("a transfer needs a deadline that is still to come")

    def check_location(self, location_id: str) -> None:
        """Raise Problem 422 where the group is known and has no such location."""
        known = self.catalogue.known()
        if known.version and location_id not in known.locations:
            candidates = (Candidate(code, name) for code, name in known.locations.items())
            near = nearest_codes(location_id, candidates)
            raise UNKNOWN_LOCATION(f"there is no location {location_id}", location_id=location_id, nearest=near)

    async def visible(self, transfer_id: str, principal: Principal) -> TransferRecord:
        """A transfer that this caller may read. Raises Problem 404, 403."""
        record = await run_in_threadpool(self.read, transfer_id)
        if record is None:
            raise UNKNOWN_TRANSFER(f"there is no transfer {transfer_id}", transfer_id=transfer_id)
        check_involved(principal, record.transfer.source, record.transfer.destination)
        return record


def check_involved(principal: Principal, source: str, destination: str) -> None:
    """Raise Problem 403 where the key is of a location other than the two sites."""
    if principal.location_id not in {None, source, destination}:
        raise WRONG_LOCATION(
            f"the key {principal.key_id} is for {principal.location_id}; the transfer is from {source} to {destination}"
        )


def _code(text: str) -> str:
    if fault := code_fault(text):
        raise ValueError(fault)
    return text


TransferPath = Annotated[str, Path(min_length=1, max_length=64), AfterValidator(_code)]
LocationQuery = Annotated[
    str | None, Query(min_length=1, max_length=64), AfterValidator(lambda text: text and _code(text))
]
Listable = StrEnum("Listable", {name: name for name in (*State, UNADOPTABLE)})  # type: ignore[misc]
Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT, description="How many at most")]
After = Annotated[str | None, Query(max_length=1_000, description="`next` of the page before")]
Wait = Annotated[float, Query(ge=0, description=f"Seconds to wait for the end, at most {MAX_WAIT:g}")]

_KEY_HEADER: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "schema": {"type": "string"},
    "description": "Made and kept before the first try. Without it, and without a `transfer_id`, each request makes a "
    "transfer of its own; a cancel without it that is sent again is answered 409 once the transfer has ended.",
    "example": "desk-1:2026-11-28:0042",
}
_EXAMPLE: Final = {
    "transfer_id": "t-4711",
    "source": "BEY-01",
    "destination": "BEY-02",
    "mode": "immediate",
    "lines": [{"item_id": "tomato", "quantity": 2.5}],
}
_CURSOR: Final[Cursor[tuple[int, str]]] = Cursor(tuple[Whole, str])
_EVERY: Final = (UNAUTHENTICATED, FORBIDDEN, WRONG_LOCATION, TOO_MANY_REQUESTS, INVALID_REQUEST)
_ANSWER: Final = "The transfer as it stands"


def _responses(*kinds: ProblemKind) -> dict[int | str, dict[str, Any]]:
    return PROBLEMS.responses(*_EVERY, *kinds)


def add_routes(app: FastAPI, api: TransferApi) -> None:
    """Add the routes of transfers."""

    def answer(record: TransferRecord, status: int = 200) -> Response:
        headers = {"Location": f"/v1/transfers/{quote(record.transfer.transfer_id)}"} if status == 202 else None
        return json_response(document(record, api.clock.now(), office_away=api.office_away), status, headers)

    async def ended(
        request: Request, transfer_id: str, wait: float, act: Callable[[], Awaitable[TransferRecord]]
    ) -> TransferRecord:
        """The record that `act` gives, or, waiting, the one at the transfer's end or when the time is over."""
        if wait <= 0:
            return await act()
        request.scope["larder.waits"] = True
        with api.worker.waiters.wait_for(transfer_id) as waiting:
            record = await act()
            if record.ended:
                return record
            end = await waiting.end(min(wait, MAX_WAIT), request.app.state.stopping)
        return end or await run_in_threadpool(api.read, transfer_id) or record

    @app.post(
        "/v1/transfers",
        status_code=202,
        tags=["transfers"],
        summary="Move goods from one location to another",
        description="The key of the command is `transfer_id`, else the `Idempotency-Key`: the same request again gives "
        "the same transfer. With `wait` the answer comes when it has ended, or as it stands when the time is over. "
        "A body that is refused gets one problem for all its faults, each in `errors`; whether its locations and items "
        "are known and its deadline is still to come is checked once it has no other fault.",
        openapi_extra=documented_body(TransferWanted, example=_EXAMPLE) | {"parameters": [_KEY_HEADER]},
        responses={
            202: documented_answer(TransferDocument, _ANSWER),
            **_responses(
                MALFORMED_JSON, BODY_TOO_LARGE, UNSUPPORTED_MEDIA_TYPE, KEY_REUSED, INVALID_KEY, UNKNOWN_LOCATION,
                UNKNOWN_ITEM, SAME_LOCATION, MODE_NOT_OFFERED, DEADLINE_PASSED, NO_CATALOGUE, OVERLOADED,
            ),
        },
    )  # fmt: skip
    async def create_transfer(request: Request, wait: Wait = 0, principal: Principal = api.mover) -> Response:
        if any(each != "identity" for each in request.headers.getlist("content-encoding")):
            raise UNSUPPORTED_MEDIA_TYPE("a packed body is not read here")
        body, key = read_body(await request.body()), check_key(request.headers.get("idempotency-key"))
        new_id = api.new_id(api.clock.now())
        requested = naming_every_fault(partial(check_request, key=key, new_id=new_id), body)
        check_involved(principal, requested.source, requested.destination)
        transfer = await api.with_catalogue(requested)
        await api.check_deadline(requested)

        def act() -> Awaitable[TransferRecord]:
            command = Create(
                transfer=transfer,
                created_by=principal.key_id,
                digest=requested.digest,
                command_key=key,
                future=Future(),
            )
            return api.submit(command, command.future)

        return answer(await ended(request, transfer.transfer_id, wait, act), 202)

    @app.get(
        "/v1/transfers",
        tags=["transfers"],
        summary="Transfers, the newest first",
        responses={200: documented_answer(TransferPage, "One page"), **_responses(BAD_CURSOR, UNKNOWN_LOCATION)},
    )
    def list_transfers(
        state: Listable | None = None,
        location_id: LocationQuery = None,
        after: After = None,
        limit: Limit = 100,
        principal: Principal = api.reader,
    ) -> Response:
        if location_id is not None:
            principal.check_location(location_id)
        with translate_driver_errors(), snapshot(api.engine) as connection:
            page = transfer_queries.listed(
                connection,
                state=None if state is None else state.value,
                location_id=location_id or principal.location_id,
                after=_CURSOR.read(after) or transfer_queries.FIRST,
                limit=limit,
                now=api.clock.now(),
            )
        if location_id is not None and not page.items:
            api.check_location(location_id)
        return json_response(TransferPage(page.items, None if page.next is None else _CURSOR.write(page.next)))

    @app.get(
        "/v1/transfers/{transfer_id:code}",
        tags=["transfers"],
        summary="One transfer, its facts from the logs, and its journal",
        responses={200: documented_answer(TransferDetail, _ANSWER), **_responses(UNKNOWN_TRANSFER)},
    )
    async def show_transfer(
        request: Request,
        transfer_id: TransferPath,
        wait: Wait = 0,
        principal: Principal = api.reader,
    ) -> Response:
        await ended(request, transfer_id, wait, lambda: api.visible(transfer_id, principal))
        await api.visible(transfer_id, principal)

        def read() -> TransferDetail:
            with translate_driver_errors(), snapshot(api.engine) as connection:
                record = load(connection, [transfer_id])[transfer_id].record
                journal = transfer_queries.journal(connection, transfer_id)
                return detail(record, journal, api.clock.now(), office_away=api.office_away)

        return json_response(await run_in_threadpool(read))

    @app.post(
        "/v1/transfers/{transfer_id:code}/cancel",
        status_code=202,
        tags=["transfers"],
        summary="Cancel a transfer, as long as nothing of it was received",
        description="The sites are instructed to refuse it; goods that left come back. With `wait` the answer comes "
        "when it has ended. With an `Idempotency-Key` it may be sent again after a lost answer.",
        openapi_extra={"parameters": [_KEY_HEADER]},
        responses={
            202: documented_answer(TransferDocument, "The cancellation is recorded"),
            **_responses(UNKNOWN_TRANSFER, TRANSFER_ENDED, ALREADY_RECEIVED, INVALID_KEY, OVERLOADED),
        },
    )
    async def cancel_transfer(
        request: Request,
        transfer_id: TransferPath,
        wait: Wait = 0,
        principal: Principal = api.mover,
    ) -> Response:
        before = await api.visible(transfer_id, principal)
        key = check_key(request.headers.get("idempotency-key"))
        cancelled = before.transfer.cancel_requested_at is not None and before.state is not State.COMPLETED
        if before.ended and cancelled and key is not None:
            return answer(before, 202)  # sent again, as its answer was lost: this is its success
        if before.ended:
            raise TRANSFER_ENDED(f"{transfer_id} is {before.state}", state=before.state)
        _check_not_received(before)

        async def act() -> TransferRecord:
            command: Cancel = Cancel(transfer_id=transfer_id, by=principal.key_id, future=Future())
            return await api.submit(command, command.future) or before

        record = await ended(request, transfer_id, wait, act)
        if record.state is State.COMPLETED:
            raise ALREADY_RECEIVED(f"{transfer_id} was received before it could be cancelled", state=record.state)
        _check_not_received(record)
        return answer(record, 202)


def _check_not_received(record: TransferRecord) -> None:
    if sums(record).settled:
        raise ALREADY_RECEIVED(
            f"{record.transfer.destination} has received goods of {record.transfer.transfer_id}", state=record.state
        )
