"""The pages ``/docs`` and ``/problems``, and a problem as a page.

``/docs`` is Swagger UI, from this package: FastAPI's own page loads it from the internet. Without scripts it lists the
same operations in plain HTML.
"""

from __future__ import annotations

import html
from importlib.resources import files
from typing import Any, Final

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from shared.runtime.problems import NOT_FOUND, Problem, ProblemCatalogue, ProblemKind, ascii_json

_STATIC: Final = files("shared.runtime.http") / "static"
_FILES: Final = {
    "docs.css": "text/css",
    "docs.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "swagger-ui-bundle.js": "text/javascript",
}
_FOR_AN_HOUR: Final = {"Cache-Control": "public, max-age=3600"}
# Swagger UI draws its icons from data: addresses and sets styles of single elements; scripts come from here alone.
_DOCS_POLICY: Final = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
}


def add_docs(app: FastAPI, catalogue: ProblemCatalogue) -> None:
    """Add ``/docs``, its files, ``/problems`` and ``/problems/{code}``, the address in a problem's ``type``."""

    @app.get("/docs", include_in_schema=False)
    def docs() -> HTMLResponse:
        return HTMLResponse(_docs(app.openapi()), headers=_DOCS_POLICY)

    @app.get("/docs/{name}", include_in_schema=False)
    def file(name: str) -> Response:
        if name not in _FILES:
            raise NOT_FOUND("the page has no such file")
        folder = _STATIC / "swagger-ui" if name.startswith("swagger-ui") else _STATIC
        return Response((folder / name).read_bytes(), media_type=_FILES[name], headers=_FOR_AN_HOUR)

    @app.get("/problems", include_in_schema=False)
    def problems(request: Request) -> Response:
        return _html_or_json(request, "Problems", list(catalogue))

    @app.get("/problems/{code}", include_in_schema=False)
    def problem(request: Request, code: str) -> Response:
        kind = catalogue.get(code)
        if kind is None:
            raise NOT_FOUND("there is no problem of this code", hint="All codes are listed at /problems.")
        return _html_or_json(request, kind.code, kind)


def _html_or_json(request: Request, title: str, shown: ProblemKind | list[ProblemKind]) -> Response:
    kinds = shown if isinstance(shown, list) else [shown]
    if wants_html(request.headers.get("accept", "")):
        return HTMLResponse(_page(title, _problem_table(kinds)))
    listed = [
        {
            "type": f"/problems/{kind.code}",
            "code": kind.code,
            "status": kind.status,
            "title": kind.title,
            "hint": kind.hint,
        }
        for kind in kinds
    ]
    return Response(
        ascii_json({"items": listed} if isinstance(shown, list) else listed[0]), media_type="application/json"
    )


def wants_html(accept: str) -> bool:
    """Whether an Accept header is a browser's, which asks for a page: it names HTML, and no JSON before it."""
    kinds = [part.partition(";")[0].strip().lower() for part in accept.split(",")]
    if "text/html" not in kinds:
        return False
    return not any("json" in kind for kind in kinds[: kinds.index("text/html")])


def problem_page(problem: Problem) -> Response:
    """A problem as a page for a person, with the status of its document."""
    links = '<a href="/">The first page</a> · <a href="/docs">What this service answers: /docs</a>'
    detail, hint = (f"<p>{_text(each)}</p>" if each else "" for each in (problem.detail, problem.hint))
    body = f"<p>{problem.status} <code>{_text(problem.code)}</code></p>{detail}{hint}<p>{links}</p>"
    return HTMLResponse(_page(problem.title, body), problem.status, headers=problem.headers)


def _problem_table(kinds: list[ProblemKind]) -> str:
    rows = "".join(
        f'<tr><td><a href="/problems/{kind.code}"><code>{kind.code}</code></a></td><td>{kind.status}</td>'
        f"<td>{_text(kind.title)}</td><td>{_text(kind.hint)}</td></tr>"
        for kind in kinds
    )
    return f"<table><tr><th>Code</th><th>Status</th><th>What is wrong</th><th>What to do</th></tr>{rows}</table>"


def _docs(document: dict[str, Any]) -> str:
    by_tag: dict[str, list[str]] = {}
    for path, methods in document.get("paths", {}).items():
        for method, operation in methods.items():
            tag = (operation.get("tags") or ["operations"])[0]
            by_tag.setdefault(tag, []).append(_operation(path, method, operation))
    plain = [f"<pre>{_text(document['info'].get('description', ''))}</pre>"]
    for tag, operations in by_tag.items():
        plain.append(f"<h2>{_text(tag)}</h2>{''.join(operations)}")
    body = (
        '<p><a class="skip" href="#swagger-ui">To the operations</a> As a machine reads it: '
        '<a href="/openapi.json">/openapi.json</a>. Every refusal: <a href="/problems">/problems</a>.</p>'
        '<main id="swagger-ui" tabindex="-1"></main>'
        f'<div id="plain">{"".join(plain)}</div>'
        '<script src="/docs/docs.js"></script><script src="/docs/swagger-ui-bundle.js"></script>'
    )
    title = f"{document['info']['title']} {document['info']['version']}"
    # The icon is none: without one the browser asks for /favicon.ico.
    return _page(title, body, head='<link rel="icon" href="data:,"><link rel="stylesheet" href="/docs/swagger-ui.css">')


def _operation(path: str, method: str, operation: dict[str, Any]) -> str:
    lines = [f"<p>{_text(operation['description'])}</p>"] if operation.get("description") else []
    if operation.get("parameters"):
        rows = "".join(
            f"<tr><td><code>{_text(found['name'])}</code></td><td>{_text(found['in'])}"
            f"{', required' if found.get('required') else ''}</td><td>{_text(found.get('description', ''))}</td></tr>"
            for found in operation["parameters"]
        )
        lines.append(f"<table><tr><th>Parameter</th><th>In</th><th></th></tr>{rows}</table>")
    for media, body in operation.get("requestBody", {}).get("content", {}).items():
        schema = ascii_json(body.get("schema", {})).decode("ascii")
        lines.append(f"<p>Body, <code>{_text(media)}</code>:</p><p><code>{_text(schema)}</code></p>")
    answers = "".join(
        f"<tr><td>{_text(status)}</td><td>{_text(answer.get('description', ''))}</td></tr>"
        for status, answer in operation["responses"].items()
    )
    lines.append(f"<table><tr><th>Answer</th><th></th></tr>{answers}</table>")
    summary = _text(operation.get("summary", ""))
    head = f'<span class="method">{method.upper()}</span> <code>{_text(path)}</code> {summary}'
    return f"<details><summary>{head}</summary>{''.join(lines)}</details>"


def _page(title: str, body: str, *, head: str = "") -> str:
    links = f'{head}<link rel="stylesheet" href="/docs/docs.css">'
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{_text(title)}</title>{links}</head><body><h1>{_text(title)}</h1>{body}</body></html>"
    )


def _text(value: object) -> str:
    return html.escape(str(value))
