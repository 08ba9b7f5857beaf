"""Head office as a real process with a PostgreSQL of its own: started, killed, started again, stopped."""

from __future__ import annotations

import json
import os
import signal
import socket
from pathlib import Path
from typing import Any

import httpx

from tests.support.branch_log import BranchLog
from tests.support.forked import larder, run_larder
from tests.support.processes import RunningProcess, descendants, wait_gone

READY = r"larder head-office ready on (http://127\.0\.0\.1:\d+)"


def say(*arguments: str | Path) -> Any:
    done = run_larder(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def call(url: str, key: str, method: str, path: str, **options: Any) -> httpx.Response:
    return httpx.request(
        method, url + path, headers={"Authorization": f"Bearer {key}"}, timeout=20, trust_env=False, **options
    )


def test_a_head_office_of_its_own(tmp_path: Path) -> None:
    folder = tmp_path / "office"
    admin = say("head-office", "init", "--dir", folder)["key"]
    with serve(folder, tmp_path / "first.txt") as process:
        url = process.wait_for(READY)[1]
        # A command attaches to the PostgreSQL of the running service.
        branch = say("head-office", "locations", "add", "BEY-01", "--name", "A", "--timezone", "UTC", "--dir", folder)
        log = BranchLog("BEY-01")
        for _ in range(50):
            log.record("ORDER_DEDUCTION", quantity=1_000)
        shipped = call(url, branch["key"], "POST", "/v1/sync/events", content=log.batch(last=30))
        assert shipped.status_code == 200, shipped.text
        owned = descendants(process.pid)
        assert owned
        process.kill()
        wait_gone(owned)
    with serve(folder, tmp_path / "second.txt") as process:
        url = process.wait_for(READY)[1]
        assert call(url, admin, "GET", "/v1/stock").json()["items"][0]["on_hand"] == -30
        shipped = call(url, branch["key"], "POST", "/v1/sync/events", content=log.batch(first=1))
        assert (shipped.json()["appended"], shipped.json()["passed_over"]) == (20, 30)
        assert httpx.get(url + "/readyz", trust_env=False).json()["status"] == "ready"
        assert "larder_http_requests_total" in httpx.get(url + "/metrics", trust_env=False).text
        # Somebody who waits does not hold up the end, and is answered.
        with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=20) as poll:
            lines = ("GET /v1/sync/instructions?wait=25 HTTP/1.1", "Host: x", f"Authorization: Bearer {branch['key']}")
            poll.sendall("\r\n".join((*lines, "", "")).encode())
            # Another request, begun later and answered: by then the first one is being worked on.
            assert call(url, branch["key"], "GET", "/v1/sync/instructions").status_code == 200
            owned = descendants(process.pid)
            process.signal(signal.SIGTERM)
            assert process.wait(20) == 0
            answer = b"".join(iter(lambda: poll.recv(65_536), b""))
        assert answer.startswith(b"HTTP/1.1 200 OK")
        assert answer.endswith(b'{"instructions":[],"next":0}')
        wait_gone(owned)
    kept = run_larder("head-office", "log", "BEY-01", "--json", "--dir", folder, "--limit", "100").stdout.splitlines()
    assert [line.encode() for line in kept] == [each.line for each in log.sealed]
    for output in ("first.txt", "second.txt"):
        assert "Traceback" not in (tmp_path / output).read_text()


def test_it_ends_with_its_postgresql_and_starts_again(tmp_path: Path) -> None:
    folder = tmp_path / "office"
    admin = say("head-office", "init", "--dir", folder)["key"]
    with serve(folder, tmp_path / "first.txt") as process:
        process.wait_for(READY)
        owned = descendants(process.pid)
        postmaster = (folder / "postgres" / "pgdata" / "postmaster.pid").read_text().split("\n", 1)[0]
        os.kill(int(postmaster), signal.SIGKILL)
        assert process.wait(30) == 1
        last = process.text().strip().splitlines()[-1]
        assert last.startswith(f"larder head-office ends: its PostgreSQL in {folder / 'postgres'} has ended")
        assert "Traceback" not in process.text()
        wait_gone(owned)
    with serve(folder, tmp_path / "second.txt") as process:
        url = process.wait_for(READY)[1]
        assert call(url, admin, "GET", "/v1/stock").status_code == 200


def serve(folder: Path, output: Path) -> RunningProcess:
    return larder("head-office", "serve", "--dir", folder, "--port", "0", output=output)
