"""What the apps of the services say of who may call which route, and the tables of it in the handbook.

`python -m tests.support.access_tables` writes the tables into the handbook's page anew.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from pydantic import SecretStr

from head_office.main import build as build_office
from head_office.settings import HeadOfficeSettings
from shared.runtime.clock import SystemClock
from shared.runtime.http.auth import generate_key
from shared.runtime.http.scopes import ADDABLE, MEANINGS, SCOPES_OF, Role, Scope, scopes_needed
from tests.support.branch_person import somebody
from tests.support.processes import ROOT
from transfer_coordinator.main import build as build_coordinator
from transfer_coordinator.settings import CoordinatorSettings

PAGE: Final = ROOT / "deploy" / "handbook" / "keys.md"
_GENERATED: Final = re.compile(
    r"(?<=<!-- tables: written by tests/support/access_tables.py -->\n).*?(?=<!-- end -->)", re.S
)
_NOWHERE: Final = SecretStr("postgresql://nobody@127.0.0.1:1/nothing")


class RouteAccess(NamedTuple):
    """A route, and the scopes of which a key needs one there; none: it is open to everybody."""

    method: str
    path: str
    scopes: tuple[Scope, ...]

    @property
    def is_page(self) -> bool:
        return not self.path.startswith(("/v1/", "/api/"))


def accesses(app: FastAPI) -> list[RouteAccess]:
    """Every route of an app, in the order of its paths."""
    found = [
        RouteAccess(method, re.sub(r":\w+}", "}", route.path or ""), scopes_needed(route))
        for route in iter_route_contexts(app.routes)
        if hasattr(route, "dependant")
        for method in route.methods or ()
    ]
    return sorted(found, key=lambda each: (each.path, each.method))


def services() -> Iterator[tuple[str, list[RouteAccess]]]:
    """The three services, each with its routes. No database of theirs is used but the branch's own file."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        with somebody(place / "branch", ()) as person:
            yield "branch", accesses(person.node.app)
        office = build_office(HeadOfficeSettings(dir=place, database_url=_NOWHERE), SystemClock())
        yield "head office", accesses(office.app)
        office.close()
        settings = CoordinatorSettings(
            dir=place, database_url=_NOWHERE, head_office="http://nowhere", key=SecretStr(generate_key().text)
        )
        coordinator = build_coordinator(settings)
        yield "coordinator", accesses(coordinator.app)
        coordinator.close()


def tables() -> str:
    """The tables as the handbook has them."""
    return "\n".join([*_scopes_by_role(), "", *_routes_by_scope(), ""])


def _scopes_by_role() -> Iterator[str]:
    yield "| scope | what it is for | " + " | ".join(Role) + " |"
    yield "|---|---|" + ":-:|" * len(Role)
    for scope in Scope:
        yield f"| `{scope}` | {MEANINGS[scope]} | " + " | ".join(_mark(role, scope) for role in Role) + " |"


def _mark(role: Role, scope: Scope) -> str:
    if scope in SCOPES_OF[role]:
        return "●"
    return "(●)" if scope in ADDABLE.get(role, ()) else "–"


def _routes_by_scope() -> Iterator[str]:
    yield "| service | one of these scopes | routes |"
    yield "|---|---|---|"
    for service, found in services():
        by_scopes: dict[tuple[Scope, ...], list[RouteAccess]] = {}
        for each in found:
            if each.scopes:
                by_scopes.setdefault(each.scopes, []).append(each)
        for scopes in sorted(by_scopes, key=lambda each: [list(Scope).index(scope) for scope in each]):
            names = ", ".join(f"`{scope}`" for scope in scopes)
            routes = " · ".join(f"`{each.method} {each.path}`" for each in by_scopes[scopes])
            yield f"| {service} | {names} | {routes} |"


def written(page: str) -> str:
    """The handbook's page with the tables as they are."""
    return _GENERATED.sub(lambda _: tables(), page)


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
