"""The common part of a service's pages: templates, sign in and out, static files, problems as pages."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Coroutine, Sequence
from importlib.resources import files
from typing import Any, Final
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Depends, FastAPI
from fastapi.routing import APIRoute
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from shared.runtime.clock import Clock
from shared.runtime.http.scopes import Scope, ScopeRequirement
from shared.runtime.pages import words
from shared.runtime.pages.forms import CSRF_FIELD, MAX_FIELDS, Form, is_small, read_form
from shared.runtime.pages.sessions import Session, Sessions, check_csrf
from shared.runtime.problems import BODY_TOO_LARGE, NOT_FOUND, SERVER_ERROR, Problem, Recorded

SIGN_IN: Final = "/sign-in"
_TYPES: Final = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
# The browser may cache a file for ever: its address changes with its content.
_FOREVER: Final = {"Cache-Control": "public, max-age=31536000, immutable"}
_SEE_OTHER: Final = 303
_HIDDEN_FIELDS: Final = frozenset({CSRF_FIELD, "key", "pass_over"})

Handler = Callable[[Request], Response]
# A path of this service: begins with one slash, not two, holds no backslash and no control characters.
_LOCAL_ADDRESS: Final = re.compile(r"/(?![/\\])[\x21-\x5b\x5d-\x7e]*")


class SignInRequired(Exception):
    """The request has no session. `back` is the address to return to after sign in."""

    def __init__(self, back: str) -> None:
        super().__init__("nobody is signed in")
        self.back = back


class PageRoute(APIRoute):
    """A route of `Site.router`: problems become pages, and a request without session is redirected to sign in."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def page(request: Request) -> Response:
            site: Site = request.app.state.site
            try:
                return await handle(request)
            except SignInRequired as required:
                return redirect(f"{SIGN_IN}?{urlencode({'next': required.back})}")
            except Problem as problem:
                form = getattr(request.state, "form", None)
                if form is not None and problem.status >= SERVER_ERROR:
                    return site.form_again(request, problem, form)
                return site.refusal(request, problem)

        return page


class Site:
    """The pages of one service. Add the service's own to `router`, then mount it with `add_to`.

    `package` is the service's, whose `templates/` come before the common ones. `name` is shown on every page,
    `sections` are (address, name). `check` raises Problem for a session that may not use the pages.
    """

    def __init__(
        self,
        *,
        package: str,
        name: Callable[[], str],
        sections: Sequence[tuple[str, str]],
        sessions: Sessions,
        clock: Clock,
        check: Callable[[Session], None] = lambda _session: None,
    ) -> None:
        self.router = APIRouter(route_class=PageRoute, include_in_schema=False)
        self.clock = clock
        self._name = name
        self._sections = tuple(sections)
        self._needed: dict[str, tuple[Scope, ...]] = {}
        self._sessions = sessions
        self._check = check
        self._files = {path.name: path.read_bytes() for path in (files(__package__) / "static").iterdir()}
        self.templates = Environment(
            loader=ChoiceLoader([PackageLoader(package), PackageLoader(__package__)]),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self.templates.globals["static"] = self._address_of
        self.templates.filters |= {
            "exact": words.exact_time,
            "aged": words.aged_time,
            "age": words.age,
            "day": words.day_text,
            "span": words.span,
            "words": words.in_words,
            "query": urlencode,
        }
        self._add_routes()

    def add_to(self, app: FastAPI) -> None:
        """Mount the pages."""
        app.state.site = self
        app.include_router(self.router)

    def page(
        self, request: Request, template: str, *, status: int = 200, now: int | None = None, **given: Any
    ) -> Response:
        """A page. The templates also get `site`, `sections`, `session`, `path` and `now` (microseconds UTC)."""
        session: Session | None = getattr(request.state, "session", None)
        text = self.templates.get_template(template).render(
            site=self._name(),
            sections=[each for each in self._sections if self._offered(each[0], session)],
            session=session,
            path=_path_of(request),
            now=self.clock.now() if now is None else now,
            **given,
        )
        return HTMLResponse(text, status)

    def _offered(self, address: str, session: Session | None) -> bool:
        """Whether a section is shown: not to somebody whose key may not open it."""
        return session is None or session.principal.may(*self._needed.get(address, (Scope.READ,)))

    def refusal(self, request: Request, problem: Problem) -> Response:
        """A problem as a page."""
        response = self.page(request, "problem.html", status=problem.status, problem=problem)
        response.headers.update(problem.headers)
        return response

    def form_again(self, request: Request, problem: Problem, form: Form) -> Response:
        """A form that was not answered for want of the service: what was typed, its key, and a button to send it again.
        Needs neither database nor session."""
        response = self.page(
            request,
            "form_again.html",
            status=problem.status,
            problem=problem,
            fields=[(name, text) for name, text in form.items() if text],
            shown=[(name, text) for name, text in form.items() if text and name not in _HIDDEN_FIELDS],
            unknown=problem.recorded is Recorded.UNKNOWN,
        )
        response.headers.update(problem.headers)
        return response

    def get(self, address: str, handler: Handler, *scopes: Scope) -> None:
        """Add a route for GETs of an address with a session that has one of these scopes, else `read`:
        `handler(request)`, in a thread."""
        requirement = self.requirement(*scopes or (Scope.READ,))
        self._needed[address] = requirement.scopes
        needed = Depends(requirement.session)
        self.router.add_api_route(address, handler, methods=["GET"], dependencies=[needed], response_model=None)

    def post(self, address: str, handler: Handler, *scopes: Scope, most_fields: int = MAX_FIELDS) -> None:
        """Add a route for forms of at most `most_fields` fields POSTed to an address with a session that has one of
        these scopes: `handler(request)`, in a thread."""
        needed = Depends(PageRequirement(self, *scopes, most_fields=most_fields).form)
        self.router.add_api_route(address, handler, methods=["POST"], dependencies=[needed], response_model=None)

    def requirement(self, *scopes: Scope) -> PageRequirement:
        """What a page requires: a session that has one of these scopes."""
        return PageRequirement(self, *scopes)

    @staticmethod
    def session(request: Request) -> Session:
        """The session of the request, in a handler of `get` or `post`."""
        session: Session = request.state.session
        return session

    @staticmethod
    def form(request: Request) -> Form:
        """The submitted form, in a handler of `post`."""
        form: Form = request.state.form
        return form

    # Dependencies

    async def require_session(self, request: Request) -> Session:
        """The session of the request. Raises SignInRequired, or Problem 403 for a key that may not read."""
        session = await self._sessions.session(request)
        if session is None:
            query = f"?{request.url.query}" if request.url.query else ""
            raise SignInRequired(_path_of(request) + query)
        self._check_access(session)
        request.state.session = session
        return session

    async def require_form(self, request: Request) -> Form:
        """The form of a POST with a session. Raises SignInRequired, which carries the fields, or Problem."""
        return await self.form_of(request, MAX_FIELDS)

    async def form_of(self, request: Request, most_fields: int) -> Form:
        """As `require_form`, with at most `most_fields` fields."""
        if not is_small(request):
            await self.require_session(request)  # a large body is not read for nobody
        form = await read_form(request, most_fields)
        request.state.form = form
        try:
            session = await self.require_session(request)
        except SignInRequired:
            raise SignInRequired(f"{_path_of(request)}?{form.query()}") from None
        check_csrf(session, form[CSRF_FIELD])
        return form

    def _check_access(self, session: Session) -> None:
        session.principal.check_scope(Scope.READ)
        self._check(session)

    # Common routes

    def _add_routes(self) -> None:
        @self.router.get("/static/{version}/{name}")
        async def static(version: str, name: str) -> Response:  # noqa: ARG001 - the version is for the browser
            content = self._files.get(name)
            if content is None:
                raise NOT_FOUND("there is no such file")
            return Response(content, headers=_FOREVER, media_type=_TYPES[name.rpartition(".")[2]])

        @self.router.get(SIGN_IN)
        async def sign_in(request: Request) -> Response:
            back = _local_address(request.query_params.get("next", "/"))
            if await self._sessions.session(request) is not None:
                return redirect(back)
            return self.page(request, "sign_in.html", back=back, problem=None)

        @self.router.post(SIGN_IN)
        async def submit_sign_in(request: Request) -> Response:
            if not is_small(request):
                raise BODY_TOO_LARGE("a form of so many bytes is not read here")
            form = await read_form(request)
            back = _local_address(form["next"])
            response = redirect(back)
            try:
                session = await run_in_threadpool(self._sessions.login, form["key"], response, request)
                self._check_access(session)
            except Problem as problem:
                page = self.page(request, "sign_in.html", status=problem.status, back=back, problem=problem)
                page.headers.update(problem.headers)
                return page
            return response

        @self.router.post("/sign-out", dependencies=[Depends(self.require_form)])
        async def sign_out(request: Request) -> Response:
            response = redirect(SIGN_IN)
            self._sessions.logout(request, response)
            return response

    def _address_of(self, name: str) -> str:
        return f"/static/{hashlib.sha256(self._files[name]).hexdigest()[:12]}/{name}"


class PageRequirement(ScopeRequirement):
    """The requirement of a page."""

    def __init__(self, site: Site, *scopes: Scope, most_fields: int = MAX_FIELDS) -> None:
        super().__init__(*scopes)
        self._site = site
        self._most_fields = most_fields

    async def session(self, request: Request) -> Session:
        """A dependency: the session. Raises SignInRequired, or Problem 403."""
        session = await self._site.require_session(request)
        session.principal.check_scope(*self.scopes)
        return session

    async def form(self, request: Request) -> Form:
        """A dependency: the submitted form. Raises SignInRequired, which carries the fields, or Problem."""
        form = await self._site.form_of(request, self._most_fields)
        self._site.session(request).principal.check_scope(*self.scopes)
        return form


def _path_of(request: Request) -> str:
    """The path of a request as it was sent: a code in it may hold what only stands encoded in an address."""
    raw: bytes = request.scope.get("raw_path") or quote(request.scope["path"]).encode("ascii")
    return raw.partition(b"?")[0].decode("ascii", "replace")


def redirect(address: str) -> Response:
    """Redirect to a GET: the answer to a successful POST."""
    return RedirectResponse(address, _SEE_OTHER)


def _local_address(address: str) -> str:
    # Any other address would be an open redirect.
    return address if _LOCAL_ADDRESS.fullmatch(address) else "/"
