"""Serving, in processes of its own: ready, stopped, not able to start, not able to go on."""

import json
import signal
import socket
import urllib.request
from pathlib import Path

import pytest

from head_office.settings import HeadOfficeSettings
from shared.runtime.http.server import run
from shared.runtime.settings import SettingsError, load_settings
from tests.support.forked import start_program
from tests.support.processes import RunningProcess
from tests.support.services import proxied_service, watched_service


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


def test_only_a_trusted_proxy_says_who_calls(tmp_path: Path) -> None:
    for trusted, seen in (("", ["127.0.0.1", "http"]), ("10.0.0.0/8", ["127.0.0.1", "http"])):
        assert asked_through_proxy(tmp_path, trusted) == seen
    assert asked_through_proxy(tmp_path, "127.0.0.0/8") == ["203.0.113.9", "https"]


def asked_through_proxy(folder: Path, trusted: str) -> list[str]:
    """What a service sees of a request that a proxy on this machine passes on."""
    with start_program(proxied_service, trusted, output=folder / "output") as process:
        headers = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}
        request = urllib.request.Request(address(process) + "/caller", headers=headers)
        with urllib.request.urlopen(request, timeout=5) as answer:
            found: list[str] = json.load(answer)
        assert process.stop() == 0
    return found


@pytest.mark.parametrize("text", ["localhost", "10.0.0.0/33", "10.0.0.1,", "*"])
def test_a_trusted_proxy_is_an_address_or_a_network(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsError, match="trusted_proxies"):
        load_settings(HeadOfficeSettings, {"dir": tmp_path, "trusted_proxies": text})
