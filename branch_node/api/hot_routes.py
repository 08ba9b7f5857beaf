"""The handlers of the hot routes, which tills and checkouts call all day: events, orders, reservations."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from branch_node.api.dependencies import RECORDING, RequestContext, actor_of, scope_of
from branch_node.api.hot_route_middleware import HotRoute, RawRequest, RawResponse
from branch_node.commands.event_commands import EventAnswer, RecordEvent
from branch_node.commands.event_inputs import BatchEventInput, BatchInput, EventInput, entry_of
from branch_node.commands.input_fields import key_fault
from branch_node.commands.order_inputs import OrderInput, order_of
from branch_node.commands.orders import RecordOrder
from branch_node.commands.reservations.reservation_commands import ConfirmReservation, Reserve
from branch_node.commands.reservations.reservation_inputs import (
    ConfirmationInput,
    ReservationInput,
    confirmation_content,
    reservation_content,
)
from branch_node.commands.reservations.reservation_refusals import unless_refused
from branch_node.problems import INVALID_KEY, UNKNOWN_ITEM
from shared.reservations import reservation_record
from shared.runtime.http.auth import Principal
from shared.runtime.http.body_faults import naming_every_fault
from shared.runtime.http.entity_tags import IfMatch, read_if_match
from shared.runtime.http.scopes import Scope
from shared.runtime.http.strict_json import StrictDecoder
from shared.runtime.problems import (
    INTERNAL_ERROR,
    Problem,
    ascii_json,
)

MAX_BODY: Final = 1024 * 1024


MAX_BATCH_BODY: Final = 4 * 1024 * 1024


MOST_HELPED: Final = 5
"""How many unknown items of a batch get the nearest codes."""


_encode: Final = msgspec.json.Encoder().encode


class BatchAnswer(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The result of one event of a batch: `event` if it was recorded, else `problem`."""

    key: str
    status: int
    event: EventAnswer | None = None
    problem: dict[str, Any] | None = None


class BatchAnswers(msgspec.Struct, kw_only=True):
    """One answer for each event, in the order sent."""

    items: list[BatchAnswer]


class HotHandlers:
    """The handlers of the hot routes, called by the middleware and by the application's routes."""

    def __init__(self, context: RequestContext) -> None:
        self._context = context
        self.recording = context.require(*RECORDING)
        """What `event` and `batch` require; the type of an event requires its own of these scopes."""
        self.selling = context.require(Scope.SELL)
        self._read_event = StrictDecoder(EventInput, max_bytes=MAX_BODY)
        self._read_batch = StrictDecoder(BatchInput, max_bytes=MAX_BATCH_BODY)
        self._read_order = StrictDecoder(OrderInput, max_bytes=MAX_BODY)
        self._read_reservation = StrictDecoder(ReservationInput, max_bytes=MAX_BODY)
        self._read_confirmation = StrictDecoder(ConfirmationInput, max_bytes=MAX_BODY)

    @property
    def routes(self) -> dict[str, HotRoute]:
        """The hot routes by path, for the middleware."""
        hot = (
            HotRoute("/v1/events", self.event),
            HotRoute("/v1/orders", self.order),
            HotRoute("/v1/events/batch", self.batch),
            HotRoute("/v1/reservations", self.reserve),
            HotRoute("/v1/reservations/{reservation_id}/confirm", self.confirm),
        )
        return {route.path: route for route in hot}

    async def event(self, given: RawRequest) -> RawResponse:
        context = self._context
        principal = await context.authorize_raw(given, self.recording)
        key = context.checked_key(given.idempotency_key) or context.new_key()
        if_match = read_if_match(given.if_match)
        command = naming_every_fault(_command, principal, key, if_match, self._read_event(await given.read()))
        return RawResponse(201, _encode(await context.submit(command)))

    async def order(self, given: RawRequest) -> RawResponse:
        context = self._context
        principal = await context.authorize_raw(given, self.selling)
        key = context.checked_key(given.idempotency_key)
        content = naming_every_fault(order_of, self._read_order(await given.read()))
        command = RecordOrder(content, key=key, actor=actor_of(principal, content.person))
        return RawResponse(201, _encode(await context.submit(command)))

    async def reserve(self, given: RawRequest) -> RawResponse:
        context = self._context
        principal = await context.authorize_raw(given, self.selling)
        content = naming_every_fault(reservation_content, self._read_reservation(await given.read()))
        key = context.checked_key(given.idempotency_key)
        command = Reserve(content, key=key, actor=actor_of(principal, content.person))
        return RawResponse(201, _encode(reservation_record(unless_refused(await context.submit(command)))))

    async def confirm(self, given: RawRequest) -> RawResponse:
        """`given.code` is the reservation's id."""
        context = self._context
        principal = await context.authorize_raw(given, self.selling)
        body = self._read_confirmation(await given.read() or b"{}")
        content = naming_every_fault(confirmation_content, given.code, body)
        key = context.checked_key(given.idempotency_key) or context.new_key()
        command = ConfirmReservation(content, key=key, actor=actor_of(principal, content.person))
        return RawResponse(200, _encode(reservation_record(await context.submit(command))))

    async def batch(self, given: RawRequest) -> RawResponse:
        context = self._context
        principal = await context.authorize_raw(given, self.recording)
        events = self._read_batch(await given.read()).events
        keys = [each.key or context.new_key() for each in events]
        commands: list[RecordEvent] = []
        refused: list[Problem | None] = []  # None where a command stands in `commands`
        for each, key in zip(events, keys, strict=True):
            try:
                commands.append(naming_every_fault(_batch_command, principal, key, each))
                refused.append(None)
            except Problem as refusal:
                refused.append(refusal)
        outcomes = iter(await context.submit_all(commands) if commands else [])
        results = [next(outcomes) if problem is None else problem for problem in refused]
        unknown = [each for each in results if isinstance(each, Problem) and each.code == UNKNOWN_ITEM.code]
        for problem in unknown[:MOST_HELPED]:
            await context.add_nearest_codes(problem)
        answers = [_batch_answer(key, result) for key, result in zip(keys, results, strict=True)]
        return RawResponse(200, _encode(BatchAnswers(items=answers)))


def _command(principal: Principal, key: str, if_match: IfMatch | None, given: EventInput) -> RecordEvent:
    principal.check_scope(scope_of(given.type))
    entry = entry_of(given)
    return RecordEvent(entry, key=key, actor=actor_of(principal, entry.person), if_match=if_match)


def _batch_command(principal: Principal, key: str, given: BatchEventInput) -> RecordEvent:
    if given.key is not None and (fault := key_fault(given.key)) is not None:
        raise INVALID_KEY(fault, errors=[{"field": "key", "message": fault}])
    return _command(principal, key, None, given)


def _batch_answer(key: str, result: Any) -> BatchAnswer:
    if not isinstance(result, BaseException):
        return BatchAnswer(key=key, status=201, event=result)
    problem = result if isinstance(result, Problem) else INTERNAL_ERROR("this was not foreseen")
    return BatchAnswer(
        key=key, status=problem.status, problem=msgspec.json.decode(ascii_json(problem.body(recording=True)))
    )
