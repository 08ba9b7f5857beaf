"""Serving, in processes of its own: ready, stopped, not able to start, not able to go on."""

import json
import signal
import socket
import urllib.request
from pathlib import Path

import pytest

from shared.runtime.http.server import run
from shared.runtime.settings import SettingsError
from tests.support.forked import start_program
from tests.support.processes import RunningProcess
from tests.support.services import watched_service


@pytest.fixture
def service(tmp_path: Path):
    with start_program(watched_service, tmp_path, output=tmp_path / "output") as process:
        yield process


def address(service: RunningProcess) -> str:
    return service.wait_for(r"^larder test ready on (http://127\.0\.0\.1:\d+)$")[1]


def test_ready_answers_and_ends_well_when_told(service: RunningProcess) -> None:
    url = address(service)
    with urllib.request.urlopen(url + "/healthz", timeout=5) as answer:
        assert json.load(answer) == {"status": "ok"}
    assert service.stop() == 0
    assert "stopped in order" in service.text()
    assert "Traceback" not in service.text()


def test_a_request_that_waits_is_answered_at_the_end(service: RunningProcess) -> None:
    host, port = address(service).removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
        service.wait_for("^waiting$")
        service.signal(signal.SIGINT)
        assert connection.recv(65_536).startswith(b"HTTP/1.1 200")
    assert service.wait() == 0


def test_a_dead_thread_ends_the_process(service: RunningProcess, tmp_path: Path) -> None:
    address(service)
    (tmp_path / "dead").touch()
    assert service.wait(20) == 1
    assert "the writer is dead" in service.text()
    assert "stopped in order" in service.text()


def test_a_port_in_use_is_one_clear_line() -> None:
    from fastapi import FastAPI

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match="choose another --port") as caught:
            run(FastAPI(), port=port, name="test")
    assert f"127.0.0.1:{port}" in str(caught.value)
    assert "\n" not in str(caught.value)
