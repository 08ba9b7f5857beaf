"""What the routes of a branch share: authorization, idempotency keys, and submitting commands to the writer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final, Protocol

from fastapi import Depends
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from branch_node.api.hot_route_middleware import RawRequest, key_header
from branch_node.commands.input_fields import key_fault
from branch_node.database.store import Store
from branch_node.model import Command, nearest_item_codes
from branch_node.problems import INVALID_KEY, PROBLEMS, UNKNOWN_ITEM
from branch_node.subscriptions.branch_subscriptions import BranchSubscriptions
from branch_node.sync.shipping_status import StatusBoard
from branch_node.writer.command_queue import Outcome
from branch_node.writer.writer import Writer
from shared.events import EventType
from shared.runtime.clock import NodeClock
from shared.runtime.http.auth import Authenticator, Principal, ScopeCheck, bearer_key
from shared.runtime.http.scopes import Scope
from shared.runtime.problems import (
    BODY_TOO_LARGE,
    FORBIDDEN,
    INVALID_REQUEST,
    MALFORMED_JSON,
    TOO_MANY_REQUESTS,
    UNAUTHENTICATED,
    UNSUPPORTED_MEDIA_TYPE,
    WRONG_LOCATION,
    Problem,
    ProblemKind,
)
from shared.runtime.telemetry import Telemetry

RECORDING: Final = (Scope.RECORD, Scope.RESTOCK, Scope.CORRECT)
"""One of these scopes is needed to record events; which one depends on the event."""
_SCOPE_OF: Final = {EventType.PURCHASE_RECEIVED: Scope.RESTOCK, EventType.ADJUSTMENT: Scope.CORRECT}

ALWAYS: Final = (UNAUTHENTICATED, FORBIDDEN, WRONG_LOCATION, TOO_MANY_REQUESTS)
"""The problems of every route."""
BODY: Final = (MALFORMED_JSON, BODY_TOO_LARGE, UNSUPPORTED_MEDIA_TYPE, INVALID_REQUEST)
"""The problems of every route with a body."""


class ApiNode(Protocol):
    """The parts of a node that its routes use; `node.Node` is one."""

    location_id: str
    store: Store
    writer: Writer
    clock: NodeClock
    authenticator: Authenticator
    board: StatusBoard
    telemetry: Telemetry
    subscriptions: BranchSubscriptions

    def unshipped(self) -> int:
        """How many events head office has not acknowledged."""

    def not_ready(self) -> str | None:
        """Why the node is not ready to record, or None."""


class RequestContext:
    """Authorizes requests, reads their keys and submits their commands to the node's writer."""

    def __init__(self, node: ApiNode) -> None:
        self._node = node
        self.store = node.store
        self._authenticator = node.authenticator
        self._location_id = node.location_id

    def require(self, *scopes: Scope) -> ScopeCheck:
        """What a route requires: a key with one of these scopes that counts at this location."""
        return self._authenticator.require(*scopes, location_id=self._location_id)

    def caller(self, *scopes: Scope) -> Any:
        """The dependency that gives a route its caller, who has one of these scopes here. Raises 401, 403, 429."""
        return Depends(self.require(*scopes).principal)

    async def authorize_raw(self, given: RawRequest, needed: ScopeCheck) -> Principal:
        """The caller of a hot route, checked. Raises 401, 403, 429, and its `fault` once the key may record."""
        text = bearer_key(given.authorization)
        principal = needed.check(await self._authenticator.admitted(text, given.address))
        if given.fault is not None:
            raise given.fault
        return principal

    def caller_key(self, request: Request) -> str | None:
        """The caller's Idempotency-Key, None where it sent none. Raises 422 `invalid-idempotency-key`."""
        return self.checked_key(key_header(request))

    def checked_key(self, key: str | None) -> str | None:
        """A header's key, checked; None where it is absent. Raises 422 `invalid-idempotency-key`."""
        return None if key is None else self.check_key(key)

    def check_key(self, key: str) -> str:
        """The key, if a caller may use it. Raises 422 `invalid-idempotency-key`."""
        if (fault := key_fault(key)) is not None:
            raise INVALID_KEY(fault)
        return key

    def key(self, request: Request) -> str:
        """The caller's key, else a new one."""
        return self.caller_key(request) or self._node.writer.new_key()

    def new_key(self) -> str:
        return self._node.writer.new_key()

    def knows(self, item_id: str) -> bool:
        """Whether the node has an item."""
        return item_id in self._node.writer.items

    async def submit(self, command: Command) -> Any:
        """Record a command; its answer once it is on disk. Raises its Problem."""
        try:
            return await self._node.writer.submit_from(asyncio.get_running_loop(), (command,), many=False)
        except Problem as problem:
            if problem.code == UNKNOWN_ITEM.code:
                await self.add_nearest_codes(problem)
            raise

    async def submit_all(self, commands: Sequence[Command]) -> list[Outcome]:
        """Record commands; the answer of each, or the exception that refused it, once all is on disk."""
        outcomes: list[Outcome] = await self._node.writer.submit_from(asyncio.get_running_loop(), commands, many=True)
        return outcomes

    async def add_nearest_codes(self, problem: Problem) -> None:
        """Add the codes nearest to an unknown item to its Problem."""
        items = self._node.writer.items
        problem.extras["nearest"] = await run_in_threadpool(
            nearest_item_codes, problem.extras["item_id"], items.values()
        )


def scope_of(event_type: EventType) -> Scope:
    """The scope that recording an event of this type by hand or import takes."""
    return _SCOPE_OF.get(event_type, Scope.RECORD)


def actor_of(principal: Principal, person: str | None) -> str:
    """The actor as recorded in events: the id of the API key, and the person that the request names."""
    return principal.key_id if person is None else f"{principal.key_id}/{person}"


def problems(*kinds: ProblemKind, body: bool = True) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI `responses` of a route: its own problems and the common ones."""
    return PROBLEMS.responses(*ALWAYS, *(BODY if body else ()), *kinds)
