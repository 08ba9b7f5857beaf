"""A head office that is a model, over HTTP, and the folder of a coordinator of it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import httpx
import pytest

from shared.catalogue_messages import CatalogueItem, CatalogueLocation
from shared.runtime.http.auth import generate_key
from tests.integration.transfer_coordinator.office_model import OfficeModel
from tests.support.forked import run_larder
from tests.support.http_servers import http_server, send


@pytest.fixture
def office() -> Iterator[tuple[OfficeModel, str]]:
    """The model, and where it answers. Its sites do at once what they are asked."""
    model = OfficeModel(A={"milk": 100_000}, B={})
    for name in ("A", "B"):
        model.publish(location=CatalogueLocation(location_id=name, name=name, timezone="UTC", day_start=240))
    model.publish(item=CatalogueItem(item_id="milk", name="milk", unit="l"))
    lock = threading.Lock()

    def answer(handler: BaseHTTPRequestHandler, body: bytes) -> None:
        request = httpx.Request(handler.command, f"http://office{handler.path}", content=body)
        with lock:
            model.work()
            found = model.transport().handle_request(request)
        send(handler, found.status_code, {}, found.content)

    with http_server(answer) as url:
        yield model, url


@pytest.fixture
def folder(tmp_path: Path, office: tuple[OfficeModel, str], pg_database: str) -> Path:
    made = run_larder(
        "transfer", "init", "--dir", tmp_path / "t", "--head-office", office[1], "--key", generate_key().text,
        "--database-url", pg_database, "--json",
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    assert json.loads(made.stdout)["reached"] is True
    return tmp_path / "t"
