"""What head office's routes share: the service context, permissions, parameters, request bodies, pages of lists."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any, Final, TypeVar

import msgspec
from anyio import CapacityLimiter
from fastapi import Depends, Path, Query
from pydantic import AfterValidator
from sqlalchemy import Connection, Engine
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from head_office.database.notifications import Wakeups
from head_office.problem_translation import translated
from head_office.problems import INVALID_KEY
from head_office.reports.known_at import SettledMoment, report_snapshot
from shared.events import BadQuantity, parse_quantity
from shared.runtime.clock import parse_rfc3339
from shared.runtime.database.engine import snapshot
from shared.runtime.http.application import CURSOR_SCHEMA
from shared.runtime.http.auth import Authenticator, Principal
from shared.runtime.http.cursor import Cursor, Whole, page_of
from shared.runtime.http.scopes import Scope
from shared.runtime.http.strict_json import parse_json, validation_problem
from shared.runtime.problems import FORBIDDEN, INVALID_REQUEST, MALFORMED_JSON, WRONG_LOCATION, Problem
from shared.runtime.text.text_faults import code_fault

MAX_WAIT: Final = 30
MAX_BODY: Final = 4 * 1024 * 1024

T = TypeVar("T")


@dataclass(frozen=True)
class Office:
    """The service context of a route. `ingests` bounds the batches that are ingested at the same time.

    `ingested` is called after each of them.
    """

    engine: Engine
    authenticator: Authenticator
    wakeups: Wakeups
    ingests: CapacityLimiter
    ingested: Callable[[], None] = lambda: None

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One snapshot to read from; errors of the database and refusals of head office's functions become problems."""
        with translated(), snapshot(self.engine) as connection:
            yield connection

    @contextmanager
    def reporting(self, known_at: int | None) -> Iterator[tuple[Connection, SettledMoment | None]]:
        """One snapshot for a report known at a moment (microseconds UTC), and that moment settled, like `reading`."""
        with translated(), report_snapshot(self.engine, known_at) as found:
            yield found

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction: committed at the end, rolled back by any exception, translated like `reading`."""
        with translated(), self.engine.begin() as connection:
            yield connection

    async def long_poll(
        self, request: Request, wait: float, read: Callable[[], tuple[T, bool]], *channels: tuple[str, str | None]
    ) -> T:
        """The result of `read`; where it has nothing new, that of a second read after a notification.

        `read` runs in a thread and also returns whether there is something new. `channels` are those of
        `Wakeups.watch`; waits at most `wait` seconds.
        """
        if not wait:
            return (await run_in_threadpool(read))[0]
        request.scope["larder.waits"] = True
        with self.wakeups.watch(*channels) as watch:
            answer, at_once = await run_in_threadpool(read)
            if not at_once and await watch.wait(wait, request.app.state.stopping):
                answer, _ = await run_in_threadpool(read)
        return answer

    def caller(self, *scopes: Scope) -> Any:
        """The dependency that gives a route its caller, who has one of these scopes. Raises 401, 403, 429."""
        return Depends(self.authenticator.require(*scopes).principal)


# Permissions


def scoped(principal: Principal, location_id: str | None) -> str | None:
    """The location of the answer: the requested one, else the key's, else None (all locations).

    Raises Problem 403 `wrong-location` where the key is for another location.
    """
    if location_id is None:
        return principal.location_id
    principal.check_location(location_id)
    return location_id


def whole_group(principal: Principal) -> None:
    """Raise Problem 403 unless the key is for the whole group."""
    if principal.location_id is not None:
        raise FORBIDDEN(
            f"the key {principal.key_id} is for {principal.location_id} only, this concerns the whole group"
        )


def own_location(principal: Principal) -> str:
    """The location of a branch's key."""
    if principal.location_id is None:
        raise WRONG_LOCATION("this key is for no location; a branch's key is needed")
    return principal.location_id


# Parameters

_IDEMPOTENCY_KEY: Final = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,198}[\x21-\x7e])?")


def idempotency_key(request: Request) -> str | None:
    """The Idempotency-Key of a request, None where it has none. Raises Problem 422 `invalid-idempotency-key`."""
    sent = request.headers.getlist("idempotency-key")
    if len(sent) > 1:
        raise INVALID_KEY("the header stands twice in the request")
    if sent and not _IDEMPOTENCY_KEY.fullmatch(sent[0]):
        raise INVALID_KEY("it is not 1 to 200 printable ASCII characters")
    return sent[0] if sent else None


NO_NUL: Final = r"^[^\x00]*$"
"""The pattern of a text in a query or an address: PostgreSQL takes no NUL."""


def _code(text: str) -> str:
    if fault := code_fault(text):
        raise ValueError(fault)
    return text


def _moment(text: str) -> int:
    # A plus sign that a client did not percent-encode arrives as a blank.
    return parse_rfc3339(text.replace(" ", "+"))[0]


_IN_PATH = (Path(min_length=1, max_length=64), AfterValidator(_code))

LocationPath = Annotated[str, *_IN_PATH]
ItemPath = Annotated[str, *_IN_PATH]
CodePath = Annotated[str, *_IN_PATH]
LocationQuery = Annotated[str | None, Query(min_length=1, max_length=64), AfterValidator(lambda x: x and _code(x))]
ItemQuery = LocationQuery
ItemFilter = Annotated[
    str | None,
    Query(
        min_length=1,
        max_length=64,
        description="This item only, by any of its codes; a code that nobody knows leaves nothing",
    ),
    AfterValidator(lambda x: x and _code(x)),
]
ChangesAfter = Annotated[str | None, Query(**CURSOR_SCHEMA)]
Wait = Annotated[float, Query(ge=0, le=MAX_WAIT, description="Seconds to wait where there is nothing yet")]


AsOfQuery = Annotated[
    str | None,
    Query(
        alias="as_of",
        max_length=64,
        description="As it stood at this moment (RFC 3339 with offset), or at the end of this business date",
    ),
]
From = Annotated[
    str | None,
    Query(alias="from", max_length=64, description="Occurred at this moment, at the start of this date, or after"),
]
To = Annotated[
    str | None,
    Query(alias="to", max_length=64, description="Occurred before this moment, or before the start of this date"),
]


def moment(name: str, text: str | None) -> int | None:
    """Micros of an RFC 3339 parameter, or None where it was not given. Raises Problem 422 `invalid-request`."""
    if text is None:
        return None
    try:
        return _moment(text)
    except ValueError as error:
        raise INVALID_REQUEST(f"{name}: {error}", errors=[{"field": name, "message": str(error)}]) from error


BY_ID: Final[Cursor[str]] = Cursor(str)
BY_PAIR: Final[Cursor[tuple[str, str]]] = Cursor(tuple[str, str])
BY_EVENT: Final[Cursor[tuple[str, int]]] = Cursor(tuple[str, Whole])
"""The cursors of lists in the order of one id, of a location and an id, and of a location and a sequence."""


def listed(
    found: list[T], limit: int, after: Callable[[T], str], out: Callable[[T], Any] | None = None
) -> dict[str, Any]:
    """`{items, next}` of a list read with one member more than `limit`.

    `after` writes the cursor behind a member, `out` makes of a member what is answered (None: the member itself).
    """
    page, following = page_of(found, limit, after)
    return {"items": page if out is None else [out(each) for each in page], "next": following}


# Bodies


class Body(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, kw_only=True):
    """Base of the request bodies of people and tills; read with a StrictDecoder."""


class ListAnswer(msgspec.Struct, frozen=True):
    """Base of a list's answer; each list adds `items`."""

    next: str | None


async def _raw(request: Request) -> bytes:
    return await request.body()


RawBody = Annotated[bytes, Depends(_raw)]
"""The undecoded request body, for routes that decode it themselves."""


class Decoder:
    """Decodes messages of our own services, which may be newer and send unknown fields.

    Raises Problem 400 `malformed-json` or 422 `invalid-request`.
    """

    def __init__(self, target: Any) -> None:
        self._target = target
        self._decode = msgspec.json.Decoder(target).decode

    def __call__(self, raw: bytes) -> Any:
        if b"\\u0000" in raw:
            parse_json(raw, max_bytes=MAX_BODY)
        try:
            return self._decode(raw)
        except msgspec.ValidationError as error:
            raise validation_problem(error, raw, self._target) from error
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise MALFORMED_JSON(str(error)) from error


def quantity(field: str, raw: msgspec.Raw) -> int:
    """Thousandths of a quantity in a body. Raises Problem 422 `invalid-request`."""
    try:
        return parse_quantity(raw)
    except BadQuantity as error:
        raise out_of_range(field, str(error)) from error


def out_of_range(field: str, why: str) -> Problem:
    """422 `invalid-request` about one field."""
    return INVALID_REQUEST(f"{field}: {why}", errors=[{"field": field, "message": why}])
