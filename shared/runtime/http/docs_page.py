"""The pages ``/docs`` and ``/problems``, without scripts: FastAPI's own page loads one from the internet."""

from __future__ import annotations

import html
from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from shared.runtime.problems import NOT_FOUND, ProblemCatalogue, ProblemKind, ascii_json

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
code { font-family: ui-monospace, monospace; } h2 { margin-top: 2.5rem; }
table { border-collapse: collapse; width: 100%; }
td, th { text-align: left; vertical-align: top; padding: .3rem .8rem .3rem 0; }
tr { border-bottom: 1px solid #8884; } details { margin: .4rem 0; } summary { cursor: pointer; }
.method { display: inline-block; width: 4.5rem; font-weight: 700; } :root { color-scheme: light dark; }
"""


def add_docs(app: FastAPI, catalogue: ProblemCatalogue) -> None:
    """Add ``/docs``, its style, ``/problems`` and ``/problems/{code}``, the address in a problem's ``type``."""

    @app.get("/docs", include_in_schema=False)
    def docs() -> HTMLResponse:
        return HTMLResponse(_docs(app.openapi()))

    @app.get("/docs/style.css", include_in_schema=False)
    async def style() -> Response:
        return Response(_STYLE, media_type="text/css", headers={"Cache-Control": "public, max-age=3600"})

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
    if "text/html" in request.headers.get("accept", ""):
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
    parts = [
        "<p>Send <code>Authorization: Bearer lk_...</code>. Everything below as a machine reads it: "
        '<a href="/openapi.json">/openapi.json</a>. Every refusal: <a href="/problems">/problems</a>.</p>'
    ]
    for tag, operations in by_tag.items():
        parts.append(f"<h2>{_text(tag)}</h2>{''.join(operations)}")
    return _page(f"{document['info']['title']} {document['info']['version']}", "".join(parts))


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


def _page(title: str, body: str) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{_text(title)}</title><link rel="stylesheet" href="/docs/style.css"></head>'
        f"<body><h1>{_text(title)}</h1>{body}</body></html>"
    )


def _text(value: object) -> str:
    return html.escape(str(value))
