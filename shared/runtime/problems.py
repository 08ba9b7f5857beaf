"""Problem details of HTTP errors (RFC 9457), and the catalogue of every code that a service may answer.

A problem's JSON is ``{type, title, status, code, detail, hint, ...extras}``. ``code`` is kebab-case and stable,
``detail`` is what is wrong with this request, ``hint`` what to do. ``type`` is ``/problems/{code}`` on the
service that answered, where the catalogue is served. The answer to a request that may record adds ``recorded``: whether
this request took effect.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum
from typing import Any, NoReturn

from starlette.responses import Response

PROBLEM_MEDIA_TYPE = "application/problem+json"
_CODE = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_MAX_TEXT = 2_000
_RESERVED = frozenset({"type", "title", "status", "code", "detail", "hint", "recorded"})
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
SERVER_ERROR = 500
_UNAVAILABLE = 503
RETRY_SECONDS = "2"


class Recorded(StrEnum):
    """Whether the request that a problem answers was recorded. Only after NO may its caller forget the key."""

    NO = "no"
    YES = "yes"  # a refusal that is itself in the log
    UNKNOWN = "unknown"


def recorded_by_default(status: int) -> Recorded:
    """What an answer of this status says that does not say it: below 500 a refusal is decided before anything is
    recorded; from 500 on a commit may have succeeded although its answer was lost."""
    return Recorded.UNKNOWN if status >= SERVER_ERROR else Recorded.NO


class Problem(Exception):
    """An error with an HTTP status and a stable code. Raised anywhere below a route; ``build_app`` answers it.

    ``recorded`` is ``recorded_by_default`` where it is not given.
    """

    def __init__(
        self,
        status: int,
        code: str,
        title: str,
        *,
        detail: str = "",
        hint: str = "",
        recorded: Recorded | None = None,
        extras: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{code}: {detail or title}")
        self.status = status
        self.code = code
        self.title = title
        self.detail = detail
        self.hint = hint
        self.recorded = recorded or recorded_by_default(status)
        self.extras: dict[str, Any] = dict(extras or {})
        self.headers: dict[str, str] = dict(headers or {})
        clash = _RESERVED & self.extras.keys()
        if clash:
            raise ValueError(f"extras of a problem may not be called {sorted(clash)}")

    def body(self, *, recording: bool) -> dict[str, Any]:
        """The members of the problem document, in the order they are written; `recording`: the request may record."""
        document: dict[str, Any] = {
            "type": f"/problems/{self.code}",
            "title": self.title,
            "status": self.status,
            "code": self.code,
        }
        if self.detail:
            document["detail"] = self.detail
        if self.hint:
            document["hint"] = self.hint
        if recording:
            document["recorded"] = str(self.recorded)
        document.update(self.extras)
        return document


@dataclass(frozen=True, slots=True)
class ProblemKind:
    """One code of the catalogue. Calling it makes the problem: ``raise UNKNOWN_ITEM("no item X", nearest=[...])``."""

    code: str
    status: int
    title: str
    hint: str
    recorded: Recorded | None = None

    def __call__(
        self,
        detail: str = "",
        *,
        hint: str | None = None,
        recorded: Recorded | None = None,
        headers: Mapping[str, str] | None = None,
        **extras: Any,
    ) -> Problem:
        return Problem(
            self.status,
            self.code,
            self.title,
            detail=detail,
            hint=self.hint if hint is None else hint,
            recorded=recorded or self.recorded,
            extras=extras,
            headers=headers,
        )


class ProblemCatalogue:
    """Every problem that a service may answer: the common ones below and its own, each code declared once."""

    def __init__(self, *, common: bool = True) -> None:
        self._kinds: dict[str, ProblemKind] = dict(COMMON._kinds) if common else {}
        self._variants: set[ProblemKind] = set()
        self.members: dict[str, Mapping[str, Any]] = dict(COMMON.members) if common else {}
        """The JSON Schemas of the further members that its problems may have, by name."""

    def declare(
        self, code: str, status: int, title: str, hint: str, *, recorded: Recorded | None = None
    ) -> ProblemKind:
        """Add a code; `recorded` as of Problem.

        ValueError for a duplicate, a code that is not kebab-case or a status that is no error.
        """
        if not _CODE.fullmatch(code):
            raise ValueError(f"{code!r} is not kebab-case")
        if not 400 <= status <= 599:
            raise ValueError(f"{status} is not the status of a refusal")
        if code in self._kinds:
            raise ValueError(f"the problem {code!r} is declared twice")
        kind = ProblemKind(code, status, title, hint, recorded)
        self._kinds[code] = kind
        return kind

    def carry(self, members: Mapping[str, Mapping[str, Any]]) -> None:
        """Add members that problems of this catalogue may have: name to JSON Schema. ValueError for a reserved name."""
        clash = _RESERVED & members.keys()
        if clash:
            raise ValueError(f"members of a problem may not be called {sorted(clash)}")
        self.members.update(members)

    def adopt(self, kind: ProblemKind, *, hint: str | None = None) -> ProblemKind:
        """Add a kind that is declared elsewhere for several services; `hint` is what to do at this one."""
        return self.declare(
            kind.code, kind.status, kind.title, kind.hint if hint is None else hint, recorded=kind.recorded
        )

    def own(self, kind: ProblemKind) -> ProblemKind:
        """The kind that this catalogue adopted of this one: with what to do at its service. LookupError if none."""
        return self._kinds[kind.code]

    def vary(self, kind: ProblemKind, status: int, *, hint: str) -> ProblemKind:
        """A kind of this catalogue as some routes answer it: with another status, and what to do there."""
        if self._kinds.get(kind.code) != kind:
            raise ValueError(f"the problem {kind.code!r} is not of this catalogue")
        varied = replace(kind, status=status, hint=hint)
        self._variants.add(varied)
        return varied

    def extend(self, other: ProblemCatalogue) -> None:
        """Add the kinds and members of another catalogue. ValueError where a code exists with another kind."""
        self.carry(other.members)
        for kind in other:
            if self._kinds.setdefault(kind.code, kind) != kind:
                raise ValueError(f"the problem {kind.code!r} is declared twice")

    def get(self, code: str) -> ProblemKind | None:
        return self._kinds.get(code)

    def __contains__(self, code: object) -> bool:
        return code in self._kinds

    def __iter__(self) -> Iterator[ProblemKind]:
        return iter(sorted(self._kinds.values(), key=lambda kind: kind.code))

    def __len__(self) -> int:
        return len(self._kinds)

    def responses(self, *kinds: ProblemKind) -> dict[int | str, dict[str, Any]]:
        """The OpenAPI ``responses`` of a route that may answer these kinds, for FastAPI's argument of that name."""
        by_status: dict[int | str, list[ProblemKind]] = {}
        for kind in kinds:
            if self._kinds.get(kind.code) != kind and kind not in self._variants:
                raise ValueError(f"the problem {kind.code!r} is not of this catalogue")
            by_status.setdefault(kind.status, []).append(kind)
        return {
            status: {
                "description": "; ".join(f"`{kind.code}`: {kind.title}" for kind in listed),
                "content": {PROBLEM_MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
            }
            for status, listed in by_status.items()
        }


COMMON = ProblemCatalogue(common=False)
COMMON.carry(
    {
        "incident": {"type": "string", "description": "Of an internal error; stands in the service's log as well"},
        "max_bytes": {"type": "integer", "description": "How large a body may be"},
        "retry_after": {"type": "integer", "description": "In how many seconds to try again"},
        "key_id": {"type": "string", "description": "The key that lacks the scope"},
        "scopes": {"type": "array", "items": {"type": "string"}, "description": "One of these scopes is needed"},
    }
)
_declare = COMMON.declare

MALFORMED_JSON = _declare(
    "malformed-json", 400, "The body is not the JSON we read", "Send one JSON value in UTF-8, each key once."
)
BAD_REQUEST = _declare("bad-request", 400, "The request cannot be read", "Check the request against /docs.")
UNAUTHENTICATED = _declare(
    "unauthenticated", 401, "No valid key", "Send 'Authorization: Bearer lk_...' with a key of this service."
)
FORBIDDEN = _declare(
    "forbidden",
    403,
    "This key may not do that",
    "Use a key that has one of 'scopes'.",
)
WRONG_LOCATION = _declare(
    "wrong-location", 403, "This key belongs to another location", "Use the key of the location you name."
)
CSRF_FAILED = _declare(
    "csrf-failed", 403, "The form does not belong to this session", "Load the page again and send its form."
)
NOT_FOUND = _declare("not-found", 404, "There is nothing here", "The addresses of this service are listed at /docs.")
METHOD_NOT_ALLOWED = _declare(
    "method-not-allowed", 405, "This address does not take that method", "See the Allow header, or /docs."
)
REQUEST_TIMEOUT = _declare(
    "request-timeout", 408, "The request did not come to its end in time", "Send the request again, in one go."
)
CONFLICT = _declare("conflict", 409, "The request contradicts what is recorded", "Read the present state, then decide.")
BODY_TOO_LARGE = _declare("body-too-large", 413, "The body is too large", "Send less at a time.")
UNSUPPORTED_MEDIA_TYPE = _declare(
    "unsupported-media-type", 415, "The body's type or encoding is not read here", "See /docs for the type to send."
)
INVALID_REQUEST = _declare(
    "invalid-request", 422, "The request is understood but not valid", "Correct the fields named in 'errors'."
)
TOO_MANY_ATTEMPTS = _declare(
    "too-many-attempts", 429, "Too many failed attempts", "Check the key, wait as Retry-After says, try again."
)
TOO_MANY_REQUESTS = _declare(
    "too-many-requests",
    429,
    "Too many requests with this key",
    "Wait as Retry-After says; send several events in one batch.",
)
TOO_MANY_STREAMS = _declare(
    "too-many-streams",
    429,
    "The key has as many streams open as it may",
    "Close one that nobody reads, and try again in a few seconds. One stream carries messages of several types, and a "
    "subscription needs none.",
)
HEADERS_TOO_LARGE = _declare(
    "headers-too-large", 431, "The address and headers are too long", "Send a shorter address and fewer headers."
)
INTERNAL_ERROR = _declare(
    "internal-error",
    500,
    "Something went wrong on our side",
    "Report the incident id; the same request may be sent again.",
)
DATABASE_BUSY = _declare(
    "database-busy", 503, "The database is busy", "Send the same request again, with the same key, in a moment."
)
DATABASE_UNAVAILABLE = _declare(
    "database-unavailable", 503, "The database cannot be reached", "Send the same request again once it is back."
)
OVERLOADED = _declare(
    "overloaded", 503, "Too much is waiting already", "Send the same request again, with the same key, in a moment."
)
DISK_FULL = _declare(
    "disk-full", 507, "The disk is full, nothing was recorded", "Make room on the disk, then send the request again."
)

_BY_STATUS = {
    kind.status: kind
    for kind in (
        BAD_REQUEST,
        UNAUTHENTICATED,
        FORBIDDEN,
        NOT_FOUND,
        METHOD_NOT_ALLOWED,
        REQUEST_TIMEOUT,
        CONFLICT,
        BODY_TOO_LARGE,
        UNSUPPORTED_MEDIA_TYPE,
        INVALID_REQUEST,
        TOO_MANY_ATTEMPTS,
        HEADERS_TOO_LARGE,
    )
}


def kind_of_status(status: int) -> ProblemKind:
    """The kind for a bare HTTP status raised by the framework."""
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    return BAD_REQUEST if status < 500 else INTERNAL_ERROR


MOST_NAMED = 50
"""How many faults a problem names in `errors`."""


def named_faults(errors: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The members of a problem that name these faults: the first MOST_NAMED, and how many more there are."""
    omitted = len(errors) - MOST_NAMED
    return {"errors": list(errors[:MOST_NAMED])} | ({"errors_omitted": omitted} if omitted > 0 else {})


def invalid_request(field: str, message: str) -> NoReturn:
    """Raise 422 ``invalid-request`` for one field, as in ``invalid_request("lines[0].quantity", "four decimals")``."""
    raise INVALID_REQUEST(f"{field}: {message}", errors=[{"field": field, "message": message}])


def ascii_json(value: Any) -> bytes:
    """ASCII JSON of any value: lone surrogates become U+FFFD, NaN and infinities text, long text is truncated.

    Decimals become JSON numbers, exact up to 15 digits, which is what a quantity needs.
    """
    return json.dumps(_safe(value), ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode("ascii")


def _safe(value: Any) -> Any:
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        cut = value if len(value) <= _MAX_TEXT else value[:_MAX_TEXT] + "..."
        return cut.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Decimal):
        if not value.is_finite():
            return str(value)
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, Mapping):
        return {_safe(str(key)): _safe(member) for key, member in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_safe(member) for member in value]
    return _safe(str(value))


def problem_response(problem: Problem, method: str) -> Response:
    """The HTTP answer of a problem to a request of this method. Every 503 says when to come again."""
    headers = problem.headers
    if problem.status == _UNAVAILABLE and "Retry-After" not in headers:
        headers = {**headers, "Retry-After": RETRY_SECONDS}
    return Response(
        ascii_json(problem.body(recording=method not in _SAFE_METHODS)),
        status_code=problem.status,
        headers=headers,
        media_type=PROBLEM_MEDIA_TYPE,
    )
