"""A migrated head office with three locations, for every test."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from httpx2 import Response
from pydantic import SecretStr
from sqlalchemy import Engine, create_engine
from starlette.testclient import TestClient

from head_office.catalogue import api_keys, locations
from head_office.database.schema import MIGRATIONS, VERSION_TABLE
from head_office.main import build
from head_office.settings import HeadOfficeSettings
from shared.catalogue_messages import CatalogueLocation
from shared.runtime.clock import SystemClock
from shared.runtime.database.engine import postgres_engine
from shared.runtime.database.migrations import migrate
from shared.runtime.http.scopes import Role
from tests.support.waiting import wait_until

PLACES = ("BEY-01", "BEY-02", "WH-1")


def three_locations(url: str) -> None:
    engine = create_engine(url)
    migrate(engine, MIGRATIONS, VERSION_TABLE)
    with engine.begin() as connection:
        for location_id in PLACES:
            locations.add(
                connection,
                CatalogueLocation(
                    location_id=location_id, name=f"Place {location_id}", timezone="Asia/Beirut", day_start=240
                ),
            )
    engine.dispose()


@pytest.fixture
def office_url(postgres_url_factory: Callable[..., str]) -> str:
    return postgres_url_factory(three_locations)


@pytest.fixture
def office(office_url: str) -> Iterator[Engine]:
    engine = postgres_engine(office_url)
    yield engine
    engine.dispose()


class Api:
    """Head office's HTTP in this process, with a key for every role."""

    def __init__(self, client: TestClient, keys: dict[str, str]) -> None:
        self.client = client
        self.keys = keys

    def call(self, who: str, method: str, path: str, body: Any = None, **options: Any) -> Response:
        """One request with the key of `who`; `body` is sent as JSON, or as it is where it is bytes."""
        if body is not None:
            options["content"] = body if isinstance(body, bytes) else msgspec.json.encode(body)
        headers = {"Authorization": f"Bearer {self.keys[who]}", **options.pop("headers", {})}
        return self.client.request(method, path, headers=headers, **options)


WHO: dict[str, tuple[Role, str | None]] = {
    "admin": (Role.ADMIN, None),
    "manager": (Role.MANAGER, None),
    "purchasing": (Role.PURCHASING, None),
    "staff": (Role.STAFF, None),
    "viewer": (Role.VIEWER, None),
    "integration": (Role.INTEGRATION, None),
    "coordinator": (Role.COORDINATOR, None),
    "branch": (Role.BRANCH, "BEY-01"),
    "branch 2": (Role.BRANCH, "BEY-02"),
    "warehouse": (Role.BRANCH, "WH-1"),
    "manager of BEY-01": (Role.MANAGER, "BEY-01"),
    "viewer of BEY-01": (Role.VIEWER, "BEY-01"),
}


@pytest.fixture
def api(office_url: str, office: Engine, tmp_path: Path) -> Iterator[Api]:
    with office.begin() as connection:
        issued = {who: api_keys.issue(connection, role, place).text for who, (role, place) in WHO.items()}
    settings = HeadOfficeSettings(dir=tmp_path, database_url=SecretStr(office_url), threads=4, ingests=2)
    with TestClient(build(settings, SystemClock()).app, raise_server_exceptions=False) as client:
        # Once it listens it wakes everybody, as something may have been missed before.
        wait_until(lambda: client.get("/readyz").status_code == 200)
        yield Api(client, issued)
