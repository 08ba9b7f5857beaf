"""The demo as a process: what it started ends with it, however it ends."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from deploy.demo import services
from deploy.demo.services import DemoFailed, Service, larder_json
from shared.runtime.http import running_file
from tests.support.http_servers import http_server, send
from tests.support.processes import alive, descendants, kill_all, larder, wait_gone
from tests.support.waiting import wait_until


@pytest.fixture
def node(tmp_path: Path) -> Path:
    folder = tmp_path / "node"
    larder_json("branch", "init", "--dir", folder, "--location", "BEY-01")
    return folder


def test_a_service_whose_port_was_taken_meanwhile_takes_another(node: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another program took it between the look for a free port and listening, and answers everything with 200."""
    with http_server(lambda handler, _body: send(handler, 200, {}, b"{}")) as url:
        taken = int(url.rpartition(":")[2])
        real, asked = services.free_port, list[int]()

        def free_port(preferred: int) -> int:
            asked.append(preferred)
            return taken if len(asked) == 1 else real(preferred)

        monkeypatch.setattr(services, "free_port", free_port)
        with Service("node", node, taken, ("branch", "serve")) as service:
            assert service.port != taken
            status = larder_json("branch", "status", "--dir", node)
            running = running_file.read(node)
            assert running is not None
            assert (running.url, status["location_id"]) == (service.url, "BEY-01")
            assert service.died() is None
        assert len(asked) >= 3


def test_a_service_that_cannot_start_is_not_taken_for_another_that_answers(node: Path) -> None:
    (node / "branch.db").write_bytes(b"no database")
    service = Service("node", node, services.free_port(0), ("branch", "serve"))
    with pytest.raises(DemoFailed, match=r"node ended \(exit code 1\): see .*serve.log"):
        service.start()


def test_a_service_that_dies_is_noticed(node: Path) -> None:
    with Service("node", node, services.free_port(0), ("branch", "serve")) as service:
        running = running_file.read(node)
        assert running is not None
        os.kill(running.pid, signal.SIGKILL)
        wait_until(lambda: service.died() is not None, 20, what="its death")
        assert "node ended (exit code -9)" in str(service.died())


@pytest.mark.slow
def test_the_demo_ends_and_says_so_once_a_service_dies(tmp_path: Path) -> None:
    demo = larder("demo", "--dir", tmp_path / "demo", output=tmp_path / "demo.log")
    started: list[int] = []
    try:
        demo.wait_for("Ctrl-C", timeout=180)
        started = descendants(demo.pid)
        running = running_file.read(tmp_path / "demo" / "BEY-02")
        assert running is not None
        os.kill(running.pid, signal.SIGKILL)
        assert demo.wait(60) == 1
        assert "The demo failed: BEY-02 ended (exit code -9)" in demo.text()
        wait_gone(started, 60)
    finally:
        kill_all([each for each in (demo.pid, *started) if alive(each)])


@pytest.mark.slow
@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGKILL])
def test_nothing_outlives_the_demo(tmp_path: Path, by: signal.Signals) -> None:
    demo = larder("demo", "--dir", tmp_path / "demo", output=tmp_path / "demo.log")
    started: list[int] = []
    try:
        demo.wait_for("Ctrl-C", timeout=120)
        started = descendants(demo.pid)
        assert len(started) >= 5
        assert "type: cut" not in demo.text()  # its standard input is no terminal
        demo.signal(by)
        wait_gone([demo.pid, *started], 60)
    finally:
        kill_all([each for each in (demo.pid, *started) if alive(each)])
