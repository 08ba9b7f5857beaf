"""Finding the service that serves a folder, and reading its lists."""

from __future__ import annotations

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request

from shared.runtime.cli.service_client import find_running, in_process_client, read_items, read_pages
from shared.runtime.client import ServiceClient
from shared.runtime.http import running_file
from tests.support.http_servers import http_server, send


@pytest.fixture
def server() -> Iterator[tuple[str, list[str]]]:
    """Where it answers, and the paths it was asked for."""
    paths: list[str] = []

    def answer(handler: BaseHTTPRequestHandler, _body: bytes) -> None:
        paths.append(handler.path)
        send(handler, 200 if handler.headers["Authorization"] == "Bearer right" else 401, {}, b"")

    with http_server(answer) as url:
        yield url, paths


def test_a_service_is_found_where_it_answers(server: tuple[str, list[str]], tmp_path: Path) -> None:
    url, paths = server
    assert find_running(tmp_path, "/v1/status") is None
    running_file.write(tmp_path, url, "right")
    found = find_running(tmp_path, "/v1/transfers", limit=1)
    assert found is not None
    assert (found.url, found.key) == (url, "right")
    assert paths == ["/v1/transfers?limit=1"]
    assert ((tmp_path / running_file.FILE_NAME).stat().st_mode & 0o077) == 0
    running_file.write(tmp_path, url, "of another program")
    assert find_running(tmp_path, "/v1/status") is None
    running_file.write(tmp_path, "http://127.0.0.1:1", "right")
    assert find_running(tmp_path, "/v1/status") is None
    running_file.remove(tmp_path)
    assert running_file.read(tmp_path) is None


def test_the_file_of_another_process_stays(tmp_path: Path) -> None:
    (tmp_path / running_file.FILE_NAME).write_text('{"url": "http://x", "key": "k", "pid": 1}')
    running_file.remove(tmp_path)
    assert running_file.read(tmp_path) is not None
    (tmp_path / running_file.FILE_NAME).write_text("{")
    assert running_file.read(tmp_path) is None


def test_an_application_in_this_process_answers() -> None:
    app = FastAPI()

    @app.post("/echo")
    async def echo(request: Request) -> dict[str, Any]:
        return {"body": await request.json(), "key": request.headers["authorization"]}

    with in_process_client(app, "a key") as client:
        for number in range(2):
            assert client.post("/echo", {"n": number}) == {"body": {"n": number}, "key": "Bearer a key"}


def list_of(size: int, requests: list[dict[str, str]]) -> ServiceClient:
    """A client of a list route with `size` numbered items."""

    def answer(request: httpx.Request) -> httpx.Response:
        asked = dict(request.url.params)
        requests.append(asked)
        start = int(asked.get("after", 0))
        end = min(start + int(asked["limit"]), size)
        items = [{"n": number} for number in range(start, end)]
        return httpx.Response(200, json={"items": items, "next": str(end) if end < size else None})

    return ServiceClient("http://service", transport=httpx.MockTransport(answer))


def test_a_list_is_read_to_its_end() -> None:
    requests: list[dict[str, str]] = []
    items = list(read_items(list_of(2_500, requests), "/v1/items", state="OPEN", kind=None))
    assert [each["n"] for each in items] == list(range(2_500))
    assert requests == [
        {"limit": "1000", "state": "OPEN"},
        {"after": "1000", "limit": "1000", "state": "OPEN"},
        {"after": "2000", "limit": "1000", "state": "OPEN"},
    ]


def test_a_list_is_read_up_to_a_bound() -> None:
    requests: list[dict[str, str]] = []
    pages = list(read_pages(list_of(2_500, requests), "/v1/items", most=1_200, after="10"))
    assert [len(page["items"]) for page in pages] == [1_000, 200]
    assert pages[-1]["next"] == "1210"
    assert [each["limit"] for each in requests] == ["1000", "200"]


def test_a_log_is_read_to_its_end_though_it_says_where_it_goes_on() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        start = int(request.url.params.get("after", 0))
        items = [{"n": number} for number in range(start, min(start + 1_000, 1_500))]
        return httpx.Response(200, json={"items": items, "next": str(start + len(items))})

    client = ServiceClient("http://service", transport=httpx.MockTransport(answer))
    assert [each["n"] for each in read_items(client, "/v1/events")] == list(range(1_500))
