"""Somebody at the pages of a real branch node, in this process and without a head office."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from httpx2 import Response
from sqlalchemy import update
from starlette.testclient import TestClient

from branch_node.database.keys.api_keys import issue_manager_key
from branch_node.database.schema import API_KEY, LOG
from branch_node.database.store import Store
from branch_node.main import build
from branch_node.model import Item, Location
from branch_node.node import AgentMode, Node
from branch_node.settings import BranchSettings
from shared.event_log import read_after
from shared.runtime.http.scopes import Role
from tests.support.branch import PLACE, PutItems
from tests.support.html import Element, faults, filled_form, parse


@dataclass
class Person:
    """Somebody at a browser: follows redirects, keeps cookies, sends forms as they stand on the page."""

    client: TestClient
    node: Node
    keys: dict[Role, str]
    last: Response = field(init=False)

    def open(self, address: str) -> Element:
        self.last = self.client.get(address)
        return self.look()

    def look(self) -> Element:
        """The page that was answered last; every page is checked for what makes it unusable."""
        assert self.last.headers["content-type"] == "text/html; charset=utf-8", self.last.text
        assert "default-src 'self'" in self.last.headers["content-security-policy"]
        assert faults(self.last.text) == []
        return parse(self.last.text)

    def send(self, action: str, **changed: str) -> Element:
        """Fill the form of the present page with this action, and send it."""
        page = parse(self.last.text)
        self.last = self.client.post(action, data=filled_form(page, action, **changed))
        return self.look()

    def sign_in(self, role: Role = Role.MANAGER) -> Element:
        self.open("/")
        return self.send("/sign-in", key=self.keys[role])

    def record(self, kind: str, **fields: str) -> Element:
        self.open(f"/record/{kind}")
        return self.send(f"/record/{kind}", **fields)

    def events(self) -> int:
        with self.node.store.reading() as connection:
            return len(list(read_after(connection, LOG, 0, 1_000)))


@contextmanager
def somebody(
    tmp_path: Path, items: tuple[Item, ...], *, upload_mib: int = 1, settings: dict[str, Any] | None = None
) -> Iterator[Person]:
    """Somebody at the browser of a new node with these further settings, with keys of every role."""
    kept: dict[str, Any] = {"upload_mib": upload_mib, **(settings or {})}
    node_settings = BranchSettings(dir=tmp_path, location=PLACE, timezone="Asia/Beirut", **kept)
    store = Store(node_settings.database_url, tmp_path)
    store.set_up(Location(location_id=PLACE, name="Beirut, Hamra", timezone="Asia/Beirut"))
    engine = store.writing_engine()
    keys: dict[Role, str] = {}
    with engine.begin() as connection:
        for role in Role:
            made = issue_manager_key(connection, PLACE)
            connection.execute(update(API_KEY).where(API_KEY.c.key_id == made.key_id).values(role=role.value))
            keys[role] = made.text
    engine.dispose()
    store.close()
    node = build(node_settings)
    node.open(AgentMode.NONE)
    node.start()
    try:
        node.writer.submit(PutItems(items)).result(10)
        with TestClient(node.app, base_url="http://127.0.0.1", raise_server_exceptions=False) as client:
            yield Person(client, node, keys)
    finally:
        node.stop()
