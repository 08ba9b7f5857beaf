"""The routes of subscriptions, alike at a branch and at head office but for who may call them."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from enum import Enum
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Depends, Path, Query
from starlette.requests import Request
from starlette.responses import Response

from shared.problem_kinds import (
    CURSOR_AHEAD,
    INVALID_KEY,
    KEY_REUSED,
    SUBSCRIPTION_NOT_FOUND,
    TOO_MANY_SUBSCRIPTIONS,
    UNKNOWN_MESSAGE,
    URL_REFUSED,
)
from shared.runtime.http.application import After, Limit, documented_answer, documented_body, json_response
from shared.runtime.http.cursor import BAD_CURSOR
from shared.runtime.http.strict_json import CheckedDecoder
from shared.runtime.problems import INVALID_REQUEST, MALFORMED_JSON, ProblemCatalogue, ProblemKind
from shared.subscriptions.delivery_state import DeliveryState
from shared.subscriptions.subscription_access import SubscriptionAccess
from shared.subscriptions.subscription_desk import SubscriptionDesk
from shared.subscriptions.subscription_inputs import (
    GroupSubscriptionInput,
    ReplayInput,
    SubscriptionChange,
    SubscriptionInput,
    SubscriptionRotationInput,
)
from shared.subscriptions.subscription_records import DeliveryRecord, NewSecret, NewSubscription, SubscriptionRecord

PREFIX: Final = "/v1/subscriptions"
MAX_BODY: Final = 64 * 1024
_KEY: Final = re.compile(r"[ -~]{1,200}", re.ASCII)
_TAGS: Final[list[str | Enum]] = ["subscriptions"]
_EXAMPLE: Final = {"url": "https://shop.example/hooks/stock", "types": ["larder.LowStockDetected"], "label": "Shop"}

_Id = Annotated[str, Path(min_length=1, max_length=64)]
_Location = Annotated[str | None, Query(min_length=1, max_length=64, description="Only of this location")]
_State = Annotated[DeliveryState | None, Query(description="Only in this state")]


class SubscriptionPage(msgspec.Struct):
    items: list[SubscriptionRecord]
    next: str | None


class DeliveryPage(msgspec.Struct):
    items: list[DeliveryRecord]
    next: str | None


def subscription_routes(
    desk: SubscriptionDesk,
    *,
    access: Callable[..., Awaitable[SubscriptionAccess]],
    body: Callable[[Request], Awaitable[bytes]],
    catalogue: ProblemCatalogue,
    always: tuple[ProblemKind, ...],
    of_group: bool,
) -> APIRouter:
    """The routes. `access` authorizes a request, `body` reads its body; `always` are the problems
    of every route, of this `catalogue`. `of_group`: there is more than one location."""
    router = APIRouter(prefix=PREFIX)
    caller = Depends(access)
    raw_body = Depends(body)

    def refusals(*kinds: ProblemKind) -> dict[int | str, dict[str, Any]]:
        # The service's own kinds of these codes, which may say in its own words what to do.
        own = (catalogue.get(each.code) for each in kinds)
        return catalogue.responses(*always, *(each for each in own if each is not None))

    _add_reading(router, desk, caller, refusals)
    _add_changing(router, desk, caller, raw_body, refusals, of_group=of_group)
    _add_sending(router, desk, caller, raw_body, refusals)
    return router


_Refusals = Callable[..., dict[int | str, dict[str, Any]]]


def _add_reading(router: APIRouter, desk: SubscriptionDesk, caller: Any, refusals: _Refusals) -> None:
    @router.get(
        "",
        tags=_TAGS,
        summary="The subscriptions, in the order in which they were made",
        responses=refusals(BAD_CURSOR, INVALID_REQUEST) | {200: documented_answer(SubscriptionPage, "Subscriptions")},
    )
    def listed(after: After = None, limit: Limit = 100, access: SubscriptionAccess = caller) -> Response:
        items, following = desk.page(access, after, limit)
        return json_response(SubscriptionPage(items, following))

    @router.get(
        "/{subscription_id}",
        tags=_TAGS,
        summary="One subscription, and how far it has come",
        responses=refusals(SUBSCRIPTION_NOT_FOUND) | {200: documented_answer(SubscriptionRecord, "The subscription")},
    )
    def shown(subscription_id: _Id, access: SubscriptionAccess = caller) -> Response:
        return json_response(desk.show(access, subscription_id))

    @router.get(
        "/{subscription_id}/deliveries",
        tags=_TAGS,
        summary="What was sent lately, is being tried, or was given up; by location, the newest first",
        description="Of what was delivered, the last 1,000 messages of each location are kept.",
        responses=refusals(SUBSCRIPTION_NOT_FOUND, BAD_CURSOR, INVALID_REQUEST)
        | {200: documented_answer(DeliveryPage, "Deliveries")},
    )
    def deliveries(
        subscription_id: _Id,
        *,
        after: After = None,
        limit: Limit = 100,
        state: _State = None,
        location_id: _Location = None,
        access: SubscriptionAccess = caller,
    ) -> Response:
        items, following = desk.deliveries(
            access, subscription_id, after=after, limit=limit, state=state, location_id=location_id
        )
        return json_response(DeliveryPage(items, following))


def _add_changing(
    router: APIRouter, desk: SubscriptionDesk, caller: Any, raw_body: Any, refusals: _Refusals, *, of_group: bool
) -> None:
    kind = GroupSubscriptionInput if of_group else SubscriptionInput
    read_new: CheckedDecoder[SubscriptionInput] = CheckedDecoder(kind, max_bytes=MAX_BODY)
    read_change = CheckedDecoder(SubscriptionChange, max_bytes=MAX_BODY)

    @router.post(
        "",
        status_code=201,
        tags=_TAGS,
        summary="Have messages posted to an address, each signed with the secret that is answered this once",
        description="The same request with the same `Idempotency-Key` makes one subscription, and is answered with it "
        "as it stands and the secret that signs now: so a lost answer is asked for again. The key is known as long "
        "as the subscription is there.",
        responses=refusals(
            URL_REFUSED, TOO_MANY_SUBSCRIPTIONS, CURSOR_AHEAD, KEY_REUSED, INVALID_KEY, MALFORMED_JSON, INVALID_REQUEST
        )
        | {201: documented_answer(NewSubscription, "The subscription, and its secret")},
        openapi_extra=documented_body(kind, example=_EXAMPLE),
    )
    def create(request: Request, access: SubscriptionAccess = caller, raw: bytes = raw_body) -> Response:
        key = _key(request)
        return json_response(desk.create(access, read_new(raw), key), 201)

    @router.patch(
        "/{subscription_id}",
        tags=_TAGS,
        summary="Change a subscription, pause or resume it; what is left out stays",
        responses=refusals(SUBSCRIPTION_NOT_FOUND, URL_REFUSED, MALFORMED_JSON, INVALID_REQUEST)
        | {200: documented_answer(SubscriptionRecord, "The subscription as it is now")},
        openapi_extra=documented_body(SubscriptionChange, example={"state": "PAUSED"}),
    )
    def change(subscription_id: _Id, access: SubscriptionAccess = caller, raw: bytes = raw_body) -> Response:
        return json_response(desk.change(access, subscription_id, read_change(raw)))

    @router.delete(
        "/{subscription_id}",
        status_code=204,
        tags=_TAGS,
        summary="Remove a subscription; nothing more is sent to it",
        responses=refusals(SUBSCRIPTION_NOT_FOUND),
    )
    def remove(subscription_id: _Id, access: SubscriptionAccess = caller) -> Response:
        desk.remove(access, subscription_id)
        return Response(status_code=204)


def _add_sending(router: APIRouter, desk: SubscriptionDesk, caller: Any, raw_body: Any, refusals: _Refusals) -> None:
    read_rotation = CheckedDecoder(SubscriptionRotationInput, max_bytes=MAX_BODY)
    read_replay = CheckedDecoder(ReplayInput, max_bytes=MAX_BODY)

    @router.post(
        "/{subscription_id}/rotate",
        tags=_TAGS,
        summary="A new secret, answered this once; those before sign beside it for a while",
        description="The same request with the same `Idempotency-Key` makes one secret, and is answered the newest.",
        responses=refusals(SUBSCRIPTION_NOT_FOUND, KEY_REUSED, INVALID_KEY, MALFORMED_JSON, INVALID_REQUEST)
        | {200: documented_answer(NewSecret, "The new secret")},
        openapi_extra=documented_body(SubscriptionRotationInput, example={"overlap_seconds": 3_600}),
    )
    def rotate(
        subscription_id: _Id, request: Request, access: SubscriptionAccess = caller, raw: bytes = raw_body
    ) -> Response:
        key = _key(request)
        given = read_rotation(raw or b"{}")
        return json_response(desk.rotate(access, subscription_id, given, key))

    @router.post(
        "/{subscription_id}/replay",
        status_code=202,
        tags=_TAGS,
        summary="Send again what comes after a cursor, or one message",
        description="The same request with the same `Idempotency-Key` sends once; without that header each request "
        "sends. Receivers know a message by its id.",
        responses=refusals(
            SUBSCRIPTION_NOT_FOUND,
            UNKNOWN_MESSAGE,
            CURSOR_AHEAD,
            KEY_REUSED,
            INVALID_KEY,
            MALFORMED_JSON,
            INVALID_REQUEST,
        )
        | {202: documented_answer(SubscriptionRecord, "The subscription, which begins to send")},
        openapi_extra=documented_body(ReplayInput, example={"after": "start"}),
    )
    def replay(
        subscription_id: _Id, request: Request, access: SubscriptionAccess = caller, raw: bytes = raw_body
    ) -> Response:
        key = _key(request)
        return json_response(desk.replay(access, subscription_id, read_replay(raw), key), 202)


def _key(request: Request) -> str | None:
    """The Idempotency-Key, None where there is none. Raises 422 `invalid-idempotency-key`."""
    sent = request.headers.getlist("idempotency-key")
    if len(sent) > 1:
        raise INVALID_KEY("the header stands twice in the request")
    if sent and not _KEY.fullmatch(sent[0]):
        raise INVALID_KEY("it is not 1 to 200 printable ASCII characters")
    return sent[0] if sent else None
