"""Every route of the three services for every role, with real keys: who gets past the door is what the table says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from fastapi import FastAPI
from httpx2 import Response
from pydantic import SecretStr
from sqlalchemy import create_engine
from starlette.testclient import TestClient

from head_office.catalogue import api_keys
from head_office.main import build as build_office
from head_office.settings import HeadOfficeSettings
from shared.runtime.clock import SystemClock
from shared.runtime.http.scopes import ADDABLE, MEANINGS, SCOPES_OF, Role, Scope
from tests.integration.head_office.conftest import PLACES, three_locations
from tests.integration.transfer_coordinator.api_world import a_world
from tests.integration.transfer_coordinator.conftest import migrated
from tests.support.access_tables import PAGE, RouteAccess, accesses, written
from tests.support.branch_person import somebody
from tests.support.html import filled_form, parse

OPEN = {
    "GET /healthz", "GET /readyz", "GET /metrics", "GET /docs", "GET /docs/{name}", "GET /problems",
    "GET /problems/{code}", "GET /asyncapi.json",
    "GET /static/{version}/{name}", "GET /sign-in", "POST /sign-in", "POST /sign-out",
}  # fmt: skip
"""The routes that are open to everybody, or to every session."""
SIGNED = {"POST /v1/inbound/orders/{source}"}
"""The routes that take no key: what is sent there is signed."""


class Service(NamedTuple):
    """A service with a key for each role."""

    app: FastAPI
    client: TestClient
    keys: dict[Role, str]


@pytest.fixture
def branch(tmp_path: Path) -> Iterator[Service]:
    with somebody(tmp_path, ()) as person:
        yield Service(person.node.app, person.client, person.keys)


@pytest.fixture
def office(postgres_url_factory, tmp_path: Path) -> Iterator[Service]:
    url = postgres_url_factory(three_locations)
    engine = create_engine(url)
    with engine.begin() as connection:
        keys = {
            role: api_keys.issue(connection, role, PLACES[0] if role is Role.BRANCH else None).text for role in Role
        }
    engine.dispose()
    settings = HeadOfficeSettings(dir=tmp_path, database_url=SecretStr(url), threads=4, ingests=2)
    app = build_office(settings, SystemClock()).app
    with TestClient(app, raise_server_exceptions=False, base_url="http://127.0.0.1") as client:
        yield Service(app, client, keys)


@pytest.fixture
def coordinator(postgres_url_factory, tmp_path: Path) -> Iterator[Service]:
    with a_world(postgres_url_factory(migrated), tmp_path) as world:
        yield Service(world.coordinator.app, world.client, {role: world.key(role) for role in Role})


@pytest.fixture(params=["branch", "office", "coordinator"])
def service(request: pytest.FixtureRequest) -> Service:
    found: Service = request.getfixturevalue(request.param)
    return found


def test_every_route_names_its_scopes(service: Service) -> None:
    found = [each for each in accesses(service.app) if f"{each.method} {each.path}" not in SIGNED]
    assert {f"{each.method} {each.path}" for each in found if not each.scopes} <= OPEN
    assert all(each.scopes for each in found if not each.is_page)


@pytest.mark.parametrize("role", Role)
def test_every_route_for_every_role(service: Service, role: Role) -> None:
    for access in accesses(service.app):
        if access.is_page or not access.scopes:
            continue
        headers = {"Authorization": f"Bearer {service.keys[role]}"}
        answer = service.client.request(access.method, address(access), headers=headers)
        expect(role, access, answer)
        if answer.status_code == 403 and answer.json()["code"] == "forbidden":
            told = answer.json()
            assert told["scopes"] == list(access.scopes)
            assert told["key_id"] == service.keys[role].split("_")[1]
            assert told.get("recorded") == (None if access.method == "GET" else "no")
        assert service.client.request(access.method, address(access)).status_code == 401


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("name", ["branch", "office"])
def test_every_page_for_every_role(name: str, role: Role, request: pytest.FixtureRequest) -> None:
    service: Service = request.getfixturevalue(name)
    client = service.client
    page = client.get("/sign-in")
    answer = client.post("/sign-in", data=filled_form(parse(page.text), "/sign-in", key=service.keys[role]))
    if Scope.READ not in SCOPES_OF[role]:
        assert answer.status_code == 403
        assert client.get("/stock").url.path == "/sign-in"
        return
    csrf = filled_form(parse(answer.text), "/sign-out")["csrf"]
    for access in accesses(service.app):
        if not access.is_page or not access.scopes:
            continue
        data = {"csrf": csrf} if access.method == "POST" else None
        headers = {"origin": "http://127.0.0.1"} if access.method == "POST" else {}
        answer = client.request(access.method, address(access), data=data, headers=headers, follow_redirects=False)
        expect(role, access, answer)
        assert "sign-in" not in answer.headers.get("location", ""), access


def expect(role: Role, access: RouteAccess, answer: Response) -> None:
    """Whether the door was open is what the table says; what then comes of a request is for other tests."""
    may = not SCOPES_OF[role].isdisjoint(access.scopes)
    forbidden = answer.status_code == 403 and "wrong-location" not in answer.text
    assert forbidden == (not may), (role, access, answer.status_code, answer.text)
    assert answer.status_code not in {401, 429}, (role, access)
    assert answer.status_code < 500, (role, access, answer.text)


def address(access: RouteAccess) -> str:
    """The route's address, with texts that exist nowhere in place of its parameters."""
    path = access.path.replace("{kind}", "deduction").replace("{step}", "out")
    while "{" in path:
        path = path[: path.index("{")] + "x" + path[path.index("}") + 1 :]
    # A stream that is open to the caller would not end: it is refused after the door, for what is asked of it.
    return f"{path}?after=nonsense" if path.endswith("/stream") else path


def test_the_table_is_the_contract() -> None:
    """The rows of the contract as they stand there; `transfer` and below are ours."""
    people = {Role.ADMIN: "rslcmRPu", Role.MANAGER: "rslcmRPu"}
    letters = {
        "r": Scope.READ, "s": Scope.SELL, "l": Scope.RECORD, "u": Scope.RESTOCK, "c": Scope.CORRECT,
        "m": Scope.MESSAGES, "R": Scope.REPORTS, "P": Scope.PURCHASING,
    }  # fmt: skip
    rows = people | {
        Role.PURCHASING: "rumRP", Role.STAFF: "rslu", Role.VIEWER: "rR", Role.INTEGRATION: "rsm",
        Role.BRANCH: "", Role.COORDINATOR: "",
    }  # fmt: skip
    of_the_contract = set(letters.values())
    assert {role: held & of_the_contract for role, held in SCOPES_OF.items()} == {
        role: {letters[each] for each in row} for role, row in rows.items()
    }
    assert {Role.INTEGRATION: {Scope.RESTOCK}} == ADDABLE
    assert set(MEANINGS) == set(Scope)
    assert set(SCOPES_OF) == set(Role)


def test_the_handbook_has_the_tables_as_they_are() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text == written(text), "run: python -m tests.support.access_tables"
