"""A running coordinator behind its routes, for tests of the API: keys of the group, and a head office as a model."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient
from pydantic import SecretStr

from shared.catalogue_messages import CatalogueItem, CatalogueKey, CatalogueLocation
from shared.runtime.http.auth import NewKey, generate_key
from shared.runtime.http.scopes import Role
from tests.integration.transfer_coordinator.office_model import OfficeModel
from transfer_coordinator.main import Coordinator, build
from transfer_coordinator.settings import CoordinatorSettings

BODY = {"source": "A", "destination": "B", "mode": "immediate", "lines": [{"item_id": "milk", "quantity": 2.5}]}


class World:
    """A coordinator, its head office, and keys."""

    def __init__(self, coordinator: Coordinator, office: OfficeModel, client: TestClient) -> None:
        self.coordinator = coordinator
        self.office = office
        self.client = client
        self.keys: dict[str, NewKey] = {}
        self.alive = True  # whether the sites answer what they are asked

    def key(self, role: Role, location_id: str | None = None) -> str:
        """A key of the group, as head office tells of it."""
        name = f"{role}-{location_id}"
        if name not in self.keys:
            made = self.keys[name] = generate_key()
            self.office.publish(
                key=CatalogueKey(key_id=made.key_id, key_hash=made.digest, role=role, location_id=location_id)
            )
        return self.keys[name].text

    def call(self, method: str, path: str, body: Any = None, *, key: str | None = None, **headers: str) -> Any:
        """One request as a manager of the group, or with the key given."""
        content = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        authorization = {"Authorization": f"Bearer {key or self.key(Role.MANAGER)}"}
        return self.client.request(method, path, content=content, headers=authorization | headers)

    def create(self, **changes: Any) -> Any:
        return self.call("POST", "/v1/transfers?wait=20", BODY | changes)


@contextmanager
def a_world(coordinator_url: str, tmp_path: Path) -> Iterator[World]:
    """A coordinator that runs, and a head office whose sites answer at once."""
    office = OfficeModel(A={"milk": 100_000, "rice": 50_000}, B={}, C={})
    for name in ("A", "B", "C"):
        office.publish(location=CatalogueLocation(location_id=name, name=name, timezone="UTC", day_start=240))
    for item_id in ("milk", "rice"):
        office.publish(item=CatalogueItem(item_id=item_id, name=item_id, unit="kg"))
    settings = CoordinatorSettings(
        dir=tmp_path,
        head_office="http://office",
        key=SecretStr(generate_key().text),
        database_url=SecretStr(coordinator_url),
        ask_again_seconds=0.5,
    )
    built = build(settings, transport=office.transport())
    with TestClient(built.app, raise_server_exceptions=False) as client:
        made = World(built, office, client)
        lock = threading.Lock()

        def work(path: str) -> None:
            if path == "/v1/transfer-facts/changes" and made.alive:
                with lock:
                    office.work()

        office.before = work
        made.key(Role.MANAGER)
        yield made
