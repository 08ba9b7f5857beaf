"""A branch and head office as a system sees them that tells them of its orders: sources, and what these sign."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from sqlalchemy import create_engine
from starlette.testclient import TestClient

from head_office.catalogue import api_keys
from head_office.main import build
from head_office.settings import HeadOfficeSettings
from shared.runtime.clock import SECOND
from shared.runtime.http.auth import Authenticator
from shared.runtime.http.scopes import Role
from shared.runtime.webhooks.webhook_signatures import signed_headers
from tests.support.branch import TestClock
from tests.support.branch_api import a_caller

STRUCTURED = "application/cloudevents+json"
SOURCES = "/v1/inbound/sources"
IGNORED = {"specversion": "1.0", "id": "1", "source": "/orders", "type": "shop.order.packed"}
"""An event of a type that is taken and ignored, at a branch and at head office."""

Headers = Mapping[str, str] | Sequence[tuple[str, str]]


class SourceService:
    """One service over HTTP in this process, on a clock that stands still until told.

    `request(method, path, raw, headers)` sends as nobody; `key` is one of a manager of the whole group.
    """

    def __init__(
        self,
        name: str,
        clock: TestClock,
        key: str,
        request: Callable[[str, str, bytes, list[tuple[str, str]]], Any],
        authenticator: Authenticator,
    ) -> None:
        self.name = name
        self.clock = clock
        self.key = key
        self._request = request
        self.authenticator = authenticator

    @property
    def command(self) -> str:
        """What its commands begin with."""
        return {"branch": "larder branch", "head office": "larder head-office"}[self.name]

    def send(self, method: str, path: str, raw: bytes = b"", headers: Headers = ()) -> Any:
        """A request with these headers alone."""
        pairs = list(headers.items()) if isinstance(headers, Mapping) else list(headers)
        return self._request(method, path, raw, pairs)

    def call(self, method: str, path: str, body: Any = None, *, key: str | None = None) -> Any:
        """A request with a key, a manager's unless one is given."""
        raw = b"" if body is None else json.dumps(body).encode()
        sent = {"authorization": f"Bearer {key or self.key}", "content-type": "application/json"}
        return self.send(method, path, raw, sent)

    def add(self, source: str = "webshop", **more: Any) -> Teller:
        """Add a source; the system that signs with its secret."""
        made = self.call("POST", SOURCES, {"source": source, **more})
        assert made.status_code == 201, made.text
        return Teller(self, made.json()["path"], made.json()["secret"])


class Teller:
    """Another system with its secret."""

    def __init__(self, service: SourceService, path: str, secret: str) -> None:
        self.service = service
        self.path = path
        self.secret = secret

    def signed(self, body: bytes, *, secret: str | None = None, ago: int = 0) -> dict[str, str]:
        """The headers of the signature, made `ago` seconds before the service's time."""
        at = self.service.clock.now() - ago * SECOND
        return signed_headers([secret or self.secret], "msg-1", at, body)

    def post(
        self, body: bytes, headers: Mapping[str, str], *, secret: str | None = None, ago: int = 0, path: str = ""
    ) -> Any:
        """Send a body, signed; `headers` in place of those of the signature where they have their names."""
        sent = self.signed(body, secret=secret, ago=ago) | dict(headers)
        return self.service.send("POST", path or self.path, body, sent)

    def tell(self, event: Mapping[str, Any] = IGNORED, **more: Any) -> Any:
        """Send an event whole."""
        return self.post(json.dumps(event).encode(), {"content-type": STRUCTURED}, **more)


@contextmanager
def branch_service(folder: Path, url: str | None = None) -> Iterator[SourceService]:
    """A fresh branch."""
    with a_caller(folder, url) as caller:
        base = caller.node.clock._base

        def request(method: str, path: str, raw: bytes, headers: list[tuple[str, str]]) -> Any:
            return caller.send(method, path, raw=raw, headers=headers, role=None)

        assert isinstance(base, TestClock)
        yield SourceService("branch", base, caller.keys.text["group"], request, caller.node.authenticator)


@contextmanager
def office_service(folder: Path, url: str, clock: TestClock | None = None) -> Iterator[SourceService]:
    """A process of head office on a migrated database, called in this one."""
    clock = clock or TestClock()
    engine = create_engine(url)
    with engine.begin() as connection:
        key = api_keys.issue(connection, Role.MANAGER).text
    engine.dispose()
    settings = HeadOfficeSettings(dir=folder, database_url=SecretStr(url), threads=4, ingests=2)
    service = build(settings, clock)
    with TestClient(service.app, raise_server_exceptions=False) as client:

        def request(method: str, path: str, raw: bytes, headers: list[tuple[str, str]]) -> Any:
            pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
            return client.request(method, path, content=raw, headers=pairs)

        yield SourceService("head office", clock, key, request, service.authenticator)
