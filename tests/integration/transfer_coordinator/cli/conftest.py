"""A head office that is a model, over HTTP, and the folder of a coordinator of it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from shared.messages import CatalogueItem, CatalogueLocation
from shared.runtime.http.auth import generate_key
from tests.integration.transfer_coordinator.office_model import OfficeModel
from tests.support.forked import run_larder


@pytest.fixture
def office() -> Iterator[tuple[OfficeModel, str]]:
    """The model, and where it answers. Its sites do at once what they are asked."""
    model = OfficeModel(A={"milk": 100_000}, B={})
    for name in ("A", "B"):
        model.publish(location=CatalogueLocation(location_id=name, name=name, timezone="UTC", day_start=240))
    model.publish(item=CatalogueItem(item_id="milk", name="milk", unit="l"))
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            request = httpx.Request(self.command, f"http://office{self.path}", content=body)
            with lock:
                model.work()
                answer = model.transport().handle_request(request)
            self.send_response(answer.status_code)
            self.send_header("content-length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_arguments: object) -> None:
            """Nothing to the terminal."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield model, f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def folder(tmp_path: Path, office: tuple[OfficeModel, str], pg_database: str) -> Path:
    made = run_larder(
        "transfer", "init", "--dir", tmp_path / "t", "--head-office", office[1], "--key", generate_key().text,
        "--database-url", pg_database, "--json",
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    assert json.loads(made.stdout)["reached"] is True
    return tmp_path / "t"
