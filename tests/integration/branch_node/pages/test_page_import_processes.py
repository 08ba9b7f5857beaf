"""A node as a process whose page imports a file: killed and stopped in the middle, uploads cut off and too large."""

from __future__ import annotations

import json
import re
import socket
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest

from tests.integration.branch_node.imports.import_runs import CREATING, HEADER, sales
from tests.support.forked import larder, run_larder
from tests.support.html import parse, rows
from tests.support.processes import RunningProcess
from tests.support.waiting import wait_until

ROWS = 20_000


def file_of(count: int) -> bytes:
    return (HEADER + "".join(f"{row}\n" for row in sales(count))).encode()


FILE = file_of(ROWS)
# A node that is stopped goes on recording until it hears of it, and answers late while it records: seconds.
LONG = 3 * ROWS


class Served:
    """A node's folder, and the browser of a manager at it."""

    def __init__(self, folder: Path) -> None:
        done = run_larder("branch", "init", "--dir", folder, "--location", "BEY-01", "--json")
        assert done.returncode == 0, done.stderr
        self.folder = folder
        self.key = json.loads(done.stdout)["key"]
        settings = folder / "settings.toml"
        settings.write_text(settings.read_text() + "upload_mib = 8\n")

    @contextmanager
    def serving(self) -> Iterator[tuple[RunningProcess, httpx.Client]]:
        output = self.folder.parent / "node.log"
        with larder("branch", "serve", "--dir", self.folder, "--port", "0", output=output) as process:
            address = process.wait_for(r"ready on (http://\S+)", timeout=60)[1]
            with httpx.Client(base_url=address, timeout=60.0, follow_redirects=True) as client:
                client.post("/sign-in", data={"key": self.key, "next": "/"})
                yield process, client

    def count(self) -> int:
        return sum(self.lines().values())

    def lines(self) -> Counter[str]:
        """How often each key of a sale stands in the log."""
        database = f"file:{self.folder / 'branch.db'}?mode=ro"
        with closing(sqlite3.connect(database, uri=True, timeout=10)) as connection:
            found = connection.execute("SELECT command_key FROM event WHERE type = 'ORDER_DEDUCTION'")
            return Counter(key for (key,) in found)


@pytest.fixture
def served(tmp_path: Path) -> Served:
    return Served(tmp_path / "node")


def token(client: httpx.Client) -> str:
    return re.findall(r'name="csrf" value="([^"]+)"', client.get("/imports").text)[0]


def give(client: httpx.Client, content: bytes = FILE) -> str:
    """Send the file and its map; the page once its dry run has ended."""
    answer = client.post(
        "/imports",
        data={"csrf": token(client)},
        files={"file": ("sales.csv", content), "map_file": ("till.toml", CREATING.encode())},
    )
    assert answer.status_code == 200, answer.text
    return settled(client)


def settled(client: httpx.Client) -> str:
    wait_until(lambda: phase(client) not in ("checking", "importing"), 60)
    return client.get("/imports/upload").text


def to_record(page: str) -> int:
    """How many rows would be recorded, as the page of a dry run says."""
    return int(next(number for what, number in rows(parse(page).first("table")) if what == "Would be recorded"))


def phase(client: httpx.Client) -> str:
    return str(client.get("/imports/upload/progress").json()["phase"])


def confirm(client: httpx.Client) -> None:
    page = client.get("/imports/upload").text
    upload = re.findall(r'name="upload" value="([^"]+)"', page)[0]
    csrf = re.findall(r'name="csrf" value="([^"]+)"', page)[0]
    client.post("/imports/upload/import", data={"csrf": csrf, "upload": upload}, follow_redirects=False)


def whole(count: int = ROWS) -> Counter[str]:
    return Counter(f"#{line}" for line in range(2, count + 2))


def keys_by_line(found: Counter[str]) -> Counter[str]:
    return Counter({f"#{key.rpartition('#')[2]}": number for key, number in found.items()})


def test_an_import_that_was_killed_goes_on_with_the_same_file(served: Served) -> None:
    with served.serving() as (process, client):
        assert to_record(give(client, file_of(LONG))) == LONG
        assert served.count() == 0
        confirm(client)
        wait_until(lambda: served.count() >= 2_000, 60, interval=0.005)
        assert phase(client) == "importing"
        process.kill()
    done = served.count()
    assert 0 < done < LONG
    with served.serving() as (process, client):
        page = client.get("/imports")
        assert "not whole" in page.text
        assert client.get("/imports/upload").url.path == "/imports"
        assert not (served.folder / "uploads").exists()
        assert to_record(give(client, file_of(LONG))) == LONG - served.count()
        confirm(client)
        assert "were recorded" in settled(client)
        assert keys_by_line(served.lines()) == whole(LONG)
        assert "not whole" not in client.get("/imports").text
        assert "was imported already" in give(client, file_of(LONG))


def test_a_node_that_is_stopped_in_the_middle_ends_soon_and_loses_nothing(served: Served) -> None:
    with served.serving() as (process, client):
        give(client, file_of(LONG))
        confirm(client)
        wait_until(lambda: served.count() >= 2_000, 60, interval=0.005)
        process.stop()
        assert process.returncode == 0, process.text()
    assert 0 < served.count() < LONG
    with served.serving() as (_, client):
        give(client, file_of(LONG))
        confirm(client)
        settled(client)
    assert keys_by_line(served.lines()) == whole(LONG)


def test_tills_go_on_beside_an_import(served: Served) -> None:
    with served.serving() as (_, client):
        give(client, file_of(LONG))
        confirm(client)
        sold = {"type": "ORDER_DEDUCTION", "item_id": "milk", "quantity": 1}
        wait_until(lambda: served.count() >= 1_000, 60, interval=0.005)
        answer = client.post("/v1/events", json=sold, headers={"Authorization": f"Bearer {served.key}"})
        assert answer.status_code == 201, answer.text
        assert phase(client) == "importing"
        settled(client)
    assert served.count() == LONG + 1


def test_an_upload_that_is_cut_off_leaves_nothing(served: Served) -> None:
    with served.serving() as (_, client):
        head = (
            f"POST /imports HTTP/1.1\r\nHost: x\r\nCookie: {cookie(client)}\r\nContent-Length: 1000000\r\n"
            "Content-Type: multipart/form-data; boundary=x\r\n\r\n"
            f'--x\r\nContent-Disposition: form-data; name="csrf"\r\n\r\n{token(client)}\r\n'
            '--x\r\nContent-Disposition: form-data; name="file"; filename="cut.csv"\r\n\r\n'
        )
        host, port = str(client.base_url.host), client.base_url.port
        with socket.create_connection((host, port)) as connection:
            connection.sendall(head.encode() + b"1,milk\n" * 50_000)
            wait_until(lambda: list((served.folder / "uploads").rglob("cut.csv")), what="the beginning of the file")
            # While it is being sent, a second file is told so.
            second = client.post("/imports", data={"csrf": token(client)}, files={"file": ("b.csv", b"a" * 100_000)})
            assert second.status_code == 409
            assert "Another file is being imported." in second.text
        wait_until(lambda: not list((served.folder / "uploads").rglob("*.csv")), what="the end of the upload")
        assert to_record(give(client)) == ROWS


def test_a_file_over_the_limit_is_answered_with_a_page(served: Served) -> None:
    with served.serving() as (_, client):
        large = {"file": ("large.csv", b"x" * (9 << 20)), "map_file": ("till.toml", b"a = 1")}
        answer = client.post("/imports", data={"csrf": token(client)}, files=large)
        assert answer.status_code == 413
        assert "The file has more than 8 MiB." in answer.text
        assert not list((served.folder / "uploads").rglob("*.csv"))
        assert to_record(give(client)) == ROWS


def cookie(client: httpx.Client) -> str:
    return "; ".join(f"{name}={value}" for name, value in client.cookies.items())
