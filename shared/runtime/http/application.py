"""The FastAPI application of every service: problems, docs that need no internet, health and metrics.

Hot routes take ``Request``, read the body with a ``StrictDecoder`` and answer with ``json_response``;
``documented_body`` gives FastAPI's ``openapi_extra`` the schema of such a body, so that the OpenAPI document is as
complete as for other routes.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from importlib.resources import files
from typing import Annotated, Any, Final

import msgspec
from fastapi import Depends, FastAPI, Query
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from shared.runtime.database.engine import translate_driver_errors
from shared.runtime.http.body_faults import MOST_COUNTED
from shared.runtime.http.cursor import MAX_CURSOR
from shared.runtime.http.docs_page import add_docs, problem_page, wants_html
from shared.runtime.http.json_schemas import answer_schema_of, body_schema_of
from shared.runtime.http.middleware import BodyBudget, ServiceMiddleware
from shared.runtime.http.strict_json import parse_json
from shared.runtime.problems import (
    INVALID_REQUEST,
    MALFORMED_JSON,
    MOST_NAMED,
    PROBLEM_MEDIA_TYPE,
    UNSUPPORTED_MEDIA_TYPE,
    Problem,
    ProblemCatalogue,
    Recorded,
    kind_of_status,
    named_faults,
    problem_response,
)
from shared.runtime.telemetry import Telemetry

MAX_BODY = 1024 * 1024
Check = Callable[[], str | None]
Hook = Callable[[], None]
_encode = msgspec.json.Encoder().encode

MAX_LIMIT: Final = 1_000
"""Entries of a page of a list at most."""
# The alphabet is documented and not checked here: another text is a `bad-cursor`, like every cursor that is not ours.
CURSOR_SCHEMA: Final[dict[str, Any]] = {
    "description": "`next` of the page before",
    "json_schema_extra": {"pattern": "^[A-Za-z0-9_-]*$"},
}
After = Annotated[str | None, Query(max_length=MAX_CURSOR, **CURSOR_SCHEMA)]
Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT, description="How many at most")]


def json_response(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """An answer encoded by msgspec: Structs, dicts, lists; a Decimal is written as text, so give numbers as Raw."""
    return Response(_encode(value), status, headers, "application/json")


PACKED = partial(UNSUPPORTED_MEDIA_TYPE, "a packed body is not read here")


async def body_of(request: Request) -> bytes:
    """The request's body. Raises 415 for a compressed one."""
    if any(each != "identity" for each in request.headers.getlist("content-encoding")):
        raise PACKED()
    return await request.body()


def read_guide(package: str) -> str:
    """The guide of a service: `guide.md` in the package of its routes."""
    return (files(package) / "guide.md").read_text(encoding="utf-8")


def build_app(
    *,
    title: str,
    version: str,
    guide: str = "",
    catalogue: ProblemCatalogue,
    telemetry: Telemetry,
    ready: Mapping[str, Check] | None = None,
    max_body: int = MAX_BODY,
    body_limits: Mapping[str, int] | None = None,
    own_budget: Collection[str] = (),
    on_start: Sequence[Hook] = (),
    on_stop: Sequence[Hook] = (),
) -> FastAPI:
    """An application with ``/docs /openapi.json /problems /healthz /readyz /metrics``; every error is a problem.

    ``guide`` is Markdown that stands above the operations at ``/docs``, and in the OpenAPI document's description.
    ``ready`` names the readiness checks: each returns None, or why it fails, or raises Problem or a driver's error; it
    runs in a thread. ``body_limits`` is bytes by exact path, ``max_body`` for other paths;
    ``own_budget`` are the paths whose routes bound the memory of their bodies themselves. The hooks run in a thread
    too, ``on_stop`` in reverse order, each even where another or a start failed.

    ``app.state.stopping`` is an ``asyncio.Event`` set when the server begins to stop: routes that wait must end then.
    """

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stops:
            for hook in on_stop:
                stops.push_async_callback(asyncio.to_thread, hook)
            # Routes are matched in order, at half a microsecond each: a service's own come before the common ones.
            routes = app.router.routes
            routes[:] = [*routes[common:], *routes[:common]]
            for hook in on_start:
                await asyncio.to_thread(hook)
            yield

    app = FastAPI(
        title=title,
        version=version,
        description=guide,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        # Ours are at /metrics. FastAPI's look on every request for what would receive them, for as long as a look-up of
        # the key takes.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
        # A redirect loses the body of a POST, and with some clients the key.
        redirect_slashes=False,
        strict_content_type=False,
        dependencies=[Depends(_check_query)],
    )
    app.router.route_class = StrictRoute
    app.state.stopping = asyncio.Event()
    app.state.catalogue = catalogue
    app.state.telemetry = telemetry
    app.add_middleware(
        ServiceMiddleware,
        max_body=max_body,
        body_limits=body_limits or {},
        statistics=telemetry.requests,
        budget=BodyBudget(),
        own_budget=own_budget,
    )
    _add_handlers(app)
    _add_health(app, telemetry, dict(ready or {}))
    add_docs(app, catalogue)
    common = len(app.router.routes)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign] # FastAPI's documented way
    return app


class StrictRoute(APIRoute):
    """A route whose pydantic body is read by ``parse_json``: ``APIRouter(route_class=StrictRoute)``.

    FastAPI alone accepts NaN, the last of duplicate keys, and lone surrogates that end in a 500. Routes declared on
    the application itself are of this class. Hot routes use a ``StrictDecoder`` instead.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def strict(request: Request) -> Response:
            return await handle(_StrictRequest(request.scope, request.receive))

        return strict


async def _check_query(request: Request) -> None:
    """Reject unknown query parameters: `?location=` for `?location_id=` would answer for all locations."""
    if not request.scope["query_string"]:
        return
    route = request.scope["route"]
    if not route.include_in_schema:
        return  # a page: older links may carry parameters that are gone
    known = set(_query_names(route.dependant))
    unknown = [name for name in request.query_params if name not in known]
    if unknown:
        names = [name[:100].encode("utf-8", "replace").decode() for name in unknown]
        which = f"known are {', '.join(sorted(known))}" if known else "it takes none"
        errors = [{"field": f"query.{name}", "message": "unknown query parameter"} for name in names]
        raise INVALID_REQUEST(f"there is no query parameter {names[0]!r} here: {which}", **named_faults(errors))


def _query_names(dependant: Dependant) -> Iterator[str]:
    yield from (field.alias for field in dependant.query_params)
    for inner in dependant.dependencies:
        yield from _query_names(inner)


class _StrictRequest(Request):
    async def json(self) -> Any:
        # The middleware has limited the body already.
        raw = await self.body()
        return parse_json(raw, max_bytes=len(raw))


def _add_handlers(app: FastAPI) -> None:
    @app.exception_handler(Problem)
    async def _problem(request: Request, problem: Problem) -> Response:
        return _answer(request, problem)

    @app.exception_handler(RequestValidationError)
    async def _invalid(request: Request, error: RequestValidationError) -> Response:
        return _answer(request, _validation_problem(error))

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> Response:
        if isinstance(error.__cause__, Problem):
            # Raised while FastAPI read the body, for example by the body limit.
            return _answer(request, error.__cause__)
        if error.status_code == 400 and error.__cause__ is not None:
            return _answer(request, MALFORMED_JSON("the body could not be read"))
        if error.status_code < 400:
            return Response(status_code=error.status_code, headers=error.headers)
        kind = kind_of_status(error.status_code)
        problem = kind(str(error.detail), headers=error.headers)
        problem.status = error.status_code
        return _answer(request, problem)


def _answer(request: Request, problem: Problem) -> Response:
    """The problem as its document; as a page for somebody who typed the address into a browser."""
    if request.method in {"GET", "HEAD"} and wants_html(request.headers.get("accept", "")):
        return problem_page(problem)
    return problem_response(problem, request.method)


def _validation_problem(error: RequestValidationError) -> Problem:
    found = error.errors()
    if any(each["type"] == "json_invalid" for each in found):
        return MALFORMED_JSON("the body is not JSON")
    # Place and message only: the input itself may be NaN, half a surrogate pair, a secret, or a megabyte.
    errors = [_fault(each) for each in found]
    said = "; ".join(f"{each['field']}: {each['message']}" for each in errors[:5])
    return INVALID_REQUEST(said, **named_faults(errors))


def _fault(found: Any) -> dict[str, Any]:
    fault = {"field": ".".join(map(str, found["loc"])) or "body", "message": str(found["msg"])}
    allowed = _QUOTED.findall(str(found.get("ctx", {}).get("expected", "")))
    return fault | ({"allowed": allowed} if allowed and found["type"] in {"enum", "literal_error"} else {})


_QUOTED = re.compile(r"'([^']*)'")


def _add_health(app: FastAPI, telemetry: Telemetry, checks: dict[str, Check]) -> None:
    @app.get("/healthz", tags=["service"], summary="Alive: the process answers")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get(
        "/readyz",
        tags=["service"],
        summary="Ready: everything needed to serve is there",
        responses={503: {"description": "Something is missing; 'checks' says what"}},
    )
    def readyz() -> Response:
        failed = {name: why for name, check in checks.items() if (why := _run_check(check)) is not None}
        named = {name: failed.get(name, "ok") for name in checks}
        status = "not ready" if failed else "ready"
        return json_response({"status": status, "checks": named}, 503 if failed else 200)

    @app.get("/metrics", include_in_schema=False)
    def metrics() -> Response:
        return Response(telemetry.exposition(), media_type=telemetry.content_type)


def _run_check(check: Check) -> str | None:
    try:
        with translate_driver_errors():
            return check()
    except Problem as problem:
        return problem.detail or problem.title


def documented_body(
    target: Any, *, example: Any, description: str = "", media_type: str = "application/json"
) -> dict[str, Any]:
    """``openapi_extra`` for a route that reads its body itself: the schema of a msgspec type, written out in place.

    ``example`` is a body that the type takes; ValidationError here where it does not.
    """
    msgspec.json.decode(_encode(example), type=target)
    content = {media_type: {"schema": body_schema_of(target), "example": example}}
    body: dict[str, Any] = {"required": True, "content": content}
    if description:
        body["description"] = description
    return {"requestBody": body}


def documented_answer(target: Any, description: str) -> dict[str, Any]:
    """One member of FastAPI's ``responses``: ``responses={200: documented_answer(EventOut, "The event")}``."""
    content = {"application/json": {"schema": answer_schema_of(target)}}
    return {"description": description, "content": content}


def problem_schema(catalogue: ProblemCatalogue) -> dict[str, Any]:
    """The JSON Schema of the problems of a catalogue, with every member that one of them may have."""
    return {**_PROBLEM_SCHEMA, "properties": {**_PROBLEM_SCHEMA["properties"], **catalogue.members}}


_PROBLEM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "title": "Problem",
    "description": "RFC 9457. Further members depend on the code; every code is described at /problems.",
    "required": ["type", "title", "status", "code"],
    "properties": {
        "type": {"type": "string", "description": "Where the code is described"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string", "description": "Stable; for programs"},
        "detail": {"type": "string", "description": "What is wrong with this request"},
        "hint": {"type": "string", "description": "What to do"},
        "errors": {
            "type": "array",
            "description": f"The faults of the request, the first {MOST_NAMED} of them",
            "items": {
                "type": "object",
                "required": ["field", "message"],
                "properties": {
                    "field": {"type": "string", "description": "Where, as `lines[0].item_id`; `body` is the whole"},
                    "message": {"type": "string"},
                    "allowed": {"type": "array", "description": "The values of a closed list"},
                },
            },
        },
        "errors_omitted": {
            "type": "integer",
            "description": f"How many further faults `errors` leaves out; counting stops at {MOST_COUNTED}",
        },
        "recorded": {
            "type": "string",
            "enum": list(Recorded),
            "description": "In answers to POST, PUT and DELETE: whether this request was recorded. Only after `no` may "
            "its Idempotency-Key be forgotten, and only where every earlier try with it was answered `no` as well.",
        },
    },
}


def _openapi(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        parts = document.setdefault("components", {})
        schemas = parts.setdefault("schemas", {})
        for replaced in ("HTTPValidationError", "ValidationError"):
            schemas.pop(replaced, None)
        schemas["Problem"] = problem_schema(app.state.catalogue)
        parts["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer", "description": "An API key, lk_..."}}
        refusal = {"content": {PROBLEM_MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}}
        for methods in document.get("paths", {}).values():
            for operation in methods.values():
                responses = operation["responses"]
                if "HTTPValidationError" in str(responses.get("422")):
                    responses["422"] = {"description": "`invalid-request`", **refusal}
                responses.setdefault("default", {"description": "A refusal; see /problems", **refusal})
                if "service" not in operation.get("tags", ()):
                    operation.setdefault("security", [{"key": []}])
        app.openapi_schema = document
    return app.openapi_schema
