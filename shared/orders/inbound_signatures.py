"""Events that other systems sign: who sent a request is known before anything of it is parsed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from shared.orders.cloud_events import MAX_EVENT_BYTES, PLAIN, STRUCTURED, InboundEvent, read_cloud_event
from shared.orders.order_sources import OrderSource
from shared.problem_kinds import INVALID_SIGNATURE, SIGNATURE_EXPIRED
from shared.runtime.http.application import body_of, documented_body
from shared.runtime.http.auth import address_of
from shared.runtime.http.rate_limits import RateLimiter
from shared.runtime.problems import (
    BODY_TOO_LARGE,
    INVALID_REQUEST,
    MALFORMED_JSON,
    TOO_MANY_ATTEMPTS,
    TOO_MANY_REQUESTS,
    UNSUPPORTED_MEDIA_TYPE,
    Problem,
    ProblemCatalogue,
    ProblemKind,
)
from shared.runtime.webhooks.webhook_signatures import (
    HEADERS,
    NEW_SECRET_BYTES,
    InvalidSignature,
    SignatureExpired,
    secret_of,
    verify,
)

_NO_SECRET: Final = secret_of(bytes(NEW_SECRET_BYTES))
"""What a signature is compared with where there is no such source, so that the time taken is the same."""
_NOT_KNOWN: Final = "no signature was made with a secret that is known here"
_WRONG_A_SECOND: Final = 0.5
_WRONG_AT_ONCE: Final = 30
"""How many wrong signatures an address may send before it is answered 429, and how fast it may send more."""
_ATTRIBUTES: Final = ("ce-specversion", "ce-id", "ce-source", "ce-type", "ce-time")

SIGNED_EVENT: Final = (
    "One CloudEvent 1.0: whole as `application/cloudevents+json`, or its attributes as `ce-…` headers and its data as "
    "JSON. It is signed as Standard Webhooks has it (`webhook-id`, `webhook-timestamp`, `webhook-signature`) with the "
    "secret of the source; there is no other key. Types are `order.placed`, `order.shipped`, `order.cancelled` and "
    "`order.returned`, also with a prefix as in `com.shop.order.placed`; others are answered `ignored`. Members that "
    "are not named here are ignored."
)
"""What the documentation of a route that takes them says of the request."""


class SignedEvent(NamedTuple):
    """An event, and the source that signed it."""

    source: OrderSource
    event: InboundEvent


class SignedEvents:
    """Takes the signed events of one service.

    `look_up` finds a source with the secrets that count at a moment; it may use the database, and is called in a
    thread. `read_clock` gives the time, microseconds UTC, and whether it is known to be right: where it is not, no
    signature is too old. `count` is told of the source of each signed request, and raises 429 beyond its rate.
    """

    def __init__(
        self,
        *,
        look_up: Callable[[str, int], OrderSource | None],
        read_clock: Callable[[], tuple[int, bool]],
        monotonic: Callable[[], float],
        count: Callable[[str], None],
        catalogue: ProblemCatalogue,
    ) -> None:
        self._look_up = look_up
        self._read_clock = read_clock
        self._monotonic = monotonic
        self._count = count
        self._catalogue = catalogue
        self._wrong = RateLimiter(_WRONG_A_SECOND, _WRONG_AT_ONCE)

    def problems(self) -> tuple[ProblemKind, ...]:
        """What `take` raises, of this service's catalogue, for the route's documentation."""
        return (
            MALFORMED_JSON, BODY_TOO_LARGE, UNSUPPORTED_MEDIA_TYPE, INVALID_REQUEST, TOO_MANY_ATTEMPTS,
            TOO_MANY_REQUESTS, self._catalogue.own(INVALID_SIGNATURE), self._catalogue.own(SIGNATURE_EXPIRED),
        )  # fmt: skip

    async def take(self, source: str, request: Request) -> SignedEvent:
        """The event of a request that a source signed; its data is not read yet.

        Raises 401 `invalid-signature`, `signature-expired`, 413, 429 before anything is parsed, then 400, 415, 422.
        """
        self._check_there(request)
        body = await body_of(request)
        if len(body) > MAX_EVENT_BYTES:
            raise BODY_TOO_LARGE(f"an event has at most {MAX_EVENT_BYTES} bytes", max_bytes=MAX_EVENT_BYTES)
        found = await self._signer(source, request, body)
        self._count(found.source)
        return SignedEvent(found, read_cloud_event(request.headers, body))

    def _check_there(self, request: Request) -> None:
        """Refuse a request without a signature before its body is read."""
        missing = [name for name in HEADERS if name not in _signed(request)]
        if missing:
            raise self._refusal(request, f"the header {missing[0]} is missing, or stands there twice")

    async def _signer(self, name: str, request: Request, body: bytes) -> OrderSource:
        now, confirmed = self._read_clock()
        found = await run_in_threadpool(self._look_up, name, now)
        secrets = [_NO_SECRET] if found is None else [each.secret for each in found.secrets]
        try:
            verify(secrets, _signed(request), body, now if confirmed else None)
            if found is None:
                raise InvalidSignature(_NOT_KNOWN)
        except InvalidSignature as error:
            raise self._refusal(request, str(error)) from error
        except SignatureExpired as error:
            if found is None:
                raise self._refusal(request, _NOT_KNOWN) from error
            raise self._catalogue.own(SIGNATURE_EXPIRED)(str(error)) from error
        return found

    def _refusal(self, request: Request, detail: str) -> Problem:
        wait = self._wrong.wait(address_of(request), self._monotonic())
        if not wait:
            return self._catalogue.own(INVALID_SIGNATURE)(detail)
        seconds = math.ceil(wait)
        return TOO_MANY_ATTEMPTS(
            "too many wrong signatures from this address", headers={"Retry-After": str(seconds)}, retry_after=seconds
        )


def _signed(request: Request) -> Mapping[str, str]:
    """The headers of the signature. One that stands twice counts as missing: parties differ in which they take."""
    found = {name: request.headers.getlist(name) for name in HEADERS}
    return {name: values[0] for name, values in found.items() if len(values) == 1}


def signed_event_documentation(
    whole: Any, data: Any, *, whole_example: Mapping[str, Any], data_example: Mapping[str, Any]
) -> dict[str, Any]:
    """The request as OpenAPI documents it: both modes of its body, the headers of the signature, no key.

    `whole` is the type of a whole event, `data` of the data alone; each takes its example.
    """
    structured = documented_body(whole, example=whole_example, media_type=STRUCTURED)
    binary = documented_body(data, example=data_example, media_type=PLAIN)
    content = structured["requestBody"]["content"] | binary["requestBody"]["content"]
    text = {"type": "string"}
    headers = [{"name": name, "in": "header", "required": True, "schema": text} for name in HEADERS] + [
        {"name": name, "in": "header", "schema": text, "description": "In binary mode"} for name in _ATTRIBUTES
    ]
    return {"requestBody": {"required": True, "content": content}, "parameters": headers, "security": []}
