"""What a stranger's connection can do to a node: nothing that others notice, and every refusal is a problem it sees."""

from __future__ import annotations

import http.client
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.forked import start_program
from tests.support.processes import RunningProcess
from tests.support.services import limited_service
from tests.support.waiting import wait_until

MIB = 1024 * 1024


class Service:
    """A process that serves; its connections are made here, and closed at the end."""

    def __init__(self, process: RunningProcess, stack: ExitStack) -> None:
        self.process = process
        ready = process.wait_for(r"^larder test ready on http://127\.0\.0\.1:(\d+)$")
        self.port = int(ready[1])
        self._stack = stack

    def connect(self, sent: bytes = b"", *, timeout: float = 10.0) -> socket.socket:
        made = self._stack.enter_context(socket.create_connection(("127.0.0.1", self.port), timeout=timeout))
        made.sendall(sent)
        return made

    def memory(self) -> int:
        """Bytes of memory it has in use."""
        return int(psutil.Process(self.process.pid).memory_info().rss)


Start = Callable[..., Service]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a service; the arguments are members of ConnectionLimits."""
    with ExitStack() as stack:

        def started(**limits: float) -> Service:
            process = start_program(limited_service, limits, output=tmp_path / "output")
            return Service(stack.enter_context(process), stack)

        yield started


def read_answer(connection: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of the next answer on the connection."""
    answer = http.client.HTTPResponse(connection)
    answer.begin()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()


def read_answers(connection: socket.socket, count: int) -> list[tuple[int, bytes]]:
    """Status and body of answers that follow each other: a reader of one may take in the beginning of the next."""
    found = []
    with connection.makefile("rb") as stream:
        for _ in range(count):
            status = int(stream.readline().split()[1])
            headers = http.client.parse_headers(stream)
            found.append((status, stream.read(int(headers["content-length"]))))
    return found


def read_problem(connection: socket.socket, status: int, code: str) -> dict[str, Any]:
    """The next answer, which must be this problem, with nothing after it but the end of the connection."""
    found, headers, body = read_answer(connection)
    document: dict[str, Any] = json.loads(body)
    assert (found, document["status"], document["code"]) == (status, status, code), document
    assert headers["content-type"] == "application/problem+json"
    assert headers["cache-control"] == "no-store"
    assert headers["connection"] == "close"
    assert document["type"] == f"/problems/{code}"
    assert all(document[member] for member in ("title", "detail", "hint"))
    assert connection.recv(1) == b""
    return document


def send_on_and_on(connection: socket.socket, piece: bytes = b"x" * MIB) -> int:
    """How many pieces went out before the connection was cut; 150 where it was not."""
    for sent in range(150):
        try:
            connection.sendall(piece)
        except ConnectionError:
            return sent
    return 150


def is_served(service: Service) -> bool:
    connection = service.connect(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    return read_answer(connection)[0] == 200


def test_a_head_without_end_is_cut_and_takes_no_memory(start: Start) -> None:
    service = start()
    assert is_served(service)
    before = service.memory()
    sent = send_on_and_on(service.connect(b"GET / HTTP/1.1\r\nX-Long: "))
    assert sent < 40, "what the sockets between us hold, and what is thrown away"
    assert service.memory() - before < 20 * MIB
    assert is_served(service)


@pytest.mark.parametrize(
    "head",
    [
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"x" * 70_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"".join(b"x%d: y\r\n" % number for number in range(20_000)) + b"\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"x" * 5_000_000 + b"\r\n\r\n",
        b"\r\n" * 40_000 + b"GET / HTTP/1.1\r\n\r\n",
    ],
    ids=["address", "one-header", "many-headers", "five-megabytes", "empty-lines"],
)
def test_a_long_head_is_refused_and_the_refusal_seen(start: Start, head: bytes) -> None:
    service = start()
    read_problem(service.connect(head), 431, "headers-too-large")


def test_the_bound_of_a_head_is_exact_however_it_comes(start: Start) -> None:
    service = start(head_bytes=2_000)
    fits = b"GET /healthz HTTP/1.1\r\nX: " + b"x" * (2_000 - 30) + b"\r\n\r\n"
    assert len(fits) == 2_000
    for piece in (2_000, 700):
        connection = service.connect()
        for _ in range(3):
            for start_at in range(0, len(fits), piece):
                connection.sendall(fits[start_at : start_at + piece])
            assert read_answer(connection)[0] == 200
        connection.sendall(fits.replace(b"X: ", b"X: y"))
        read_problem(connection, 431, "headers-too-large")


def test_a_body_is_no_head(start: Start) -> None:
    service = start(head_bytes=2_000)
    head = b"POST /size HTTP/1.1\r\nContent-Length: 300000\r\n\r\n"
    connection = service.connect((head + b"x" * 300_000) * 3)
    assert read_answers(connection, 3) == [(200, b"300000")] * 3


@pytest.mark.parametrize(
    "framing", [b"5;" + b"x" * 10_000, b"0\r\n" + b"A: b\r\n" * 1_000], ids=["extension", "trailers"]
)
def test_what_comes_with_chunks_is_bounded(start: Start, framing: bytes) -> None:
    service = start(head_bytes=2_000)
    connection = service.connect(b"POST /size HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n" + framing)
    read_problem(connection, 431, "headers-too-large")


@pytest.mark.parametrize("sent", [b"G", b"GET / HTTP/1.1\r\nHost: x\r\n", b"POST / HTTP/1.1\r\nContent-Length: 5\r\n"])
def test_a_head_that_stops_half_way(start: Start, sent: bytes) -> None:
    service = start(head_seconds=0.3)
    began = time.monotonic()
    read_problem(service.connect(sent), 408, "request-timeout")
    assert 0.2 < time.monotonic() - began < 5


def test_a_head_that_trickles(start: Start) -> None:
    service = start(head_seconds=0.5)
    connection = service.connect(b"GET /healthz HTTP/1.1\r\n")
    connection.settimeout(0.05)
    answer = b""
    deadline = time.monotonic() + 10
    while not answer and time.monotonic() < deadline:
        connection.send(b"x: y\r\n")
        try:
            answer = connection.recv(65_536)
        except TimeoutError:
            continue
    assert answer.startswith(b"HTTP/1.1 408 ")


def test_only_empty_lines_are_no_request_and_get_no_answer(start: Start) -> None:
    service = start(head_seconds=0.3)
    assert service.connect(b"\r\n\r\n").recv(1) == b""


def test_the_second_request_of_a_connection_has_the_same_bounds(start: Start) -> None:
    service = start(head_seconds=0.3)
    connection = service.connect(b"GET /healthz HTTP/1.1\r\n\r\n")
    assert read_answer(connection)[0] == 200
    connection.sendall(b"GET /hea")
    read_problem(connection, 408, "request-timeout")


@pytest.mark.parametrize("framing", [b"Content-Length: 5", b"Transfer-Encoding: chunked"])
@pytest.mark.parametrize("begun", [b"", b"1\r\n"])
def test_a_body_that_stops_half_way(start: Start, framing: bytes, begun: bytes) -> None:
    service = start(body_seconds=0.3)
    connection = service.connect(b"POST /size HTTP/1.1\r\n" + framing + b"\r\n\r\n" + begun)
    read_problem(connection, 408, "request-timeout")
    assert is_served(service)
    assert service.process.stop() == 0
    assert "Traceback" not in service.process.text()


def test_a_slow_body_is_read_to_its_end(start: Start) -> None:
    service = start(body_seconds=0.4, body_bytes=10)
    connection = service.connect(b"POST /size HTTP/1.1\r\nContent-Length: 1200\r\n\r\n")
    began = time.monotonic()
    for _ in range(60):
        connection.sendall(b"x" * 20)
        time.sleep(0.02)
    assert time.monotonic() - began > 1, "longer than any one wait may be"
    assert read_answer(connection)[2] == b"1200"


def test_an_answer_before_the_body_does_not_keep_the_connection(start: Start) -> None:
    service = start(body_seconds=0.3)
    connection = service.connect(b"POST /deaf HTTP/1.1\r\nContent-Length: 500\r\n\r\nxx")
    assert read_answer(connection)[0] == 200
    assert connection.recv(1) == b"", "no second answer, and the end"


def test_long_polls_are_not_cut(start: Start) -> None:
    service = start(head_seconds=0.2, body_seconds=0.2)
    plain = service.connect(b"GET /wait/1.5 HTTP/1.1\r\n\r\n")
    followed = service.connect(b"GET /wait/1.5 HTTP/1.1\r\n\r\nGET /hea")
    began = time.monotonic()
    for connection in (plain, followed):
        status, _, body = read_answer(connection)
        assert (status, body) == (200, b'"nothing came"')
    assert time.monotonic() - began > 1
    read_problem(followed, 408, "request-timeout")


def test_expecting_100_continue_is_waited_with(start: Start) -> None:
    service = start(head_seconds=0.2, body_seconds=0.2)
    connection = service.connect(b"POST /size HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
    assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
    connection.sendall(b"abcde")
    assert read_answer(connection)[2] == b"5"


NONSENSE = [
    b"BREW / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
    b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    b"POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc",
    b"POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET \xff HTTP/1.1\r\n\r\n",
    b"GET http://[ HTTP/1.1\r\n\r\n",
    b"GET /?\x00 HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
    b"POST /size HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 200,
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"BREW / HTTP/1.1\r\nHost: x\r\n\r\n" + b"x" * 3_000_000,
]


def test_what_is_not_http_is_a_problem(start: Start) -> None:
    service = start()
    for nonsense in NONSENSE:
        read_problem(service.connect(nonsense), 400, "bad-request")
    assert service.process.stop() == 0


def test_nonsense_behind_a_request_that_waits_is_not_taken_for_its_answer(start: Start) -> None:
    service = start()
    connection = service.connect(b"GET /wait/30 HTTP/1.1\r\n\r\n")
    service.process.wait_for("^waiting$")
    connection.sendall(b"BREW / HTTP/1.1\r\n\r\n")
    assert connection.recv(1) == b""


def test_requests_that_wait_on_one_connection_are_bounded(start: Start) -> None:
    service = start(pipelined=3)
    connection = service.connect(b"GET /wait/30 HTTP/1.1\r\n\r\n" + b"GET /healthz HTTP/1.1\r\n\r\n" * 4)
    assert connection.recv(1) == b""
    connection = service.connect(b"GET /wait/0.1 HTTP/1.1\r\n\r\n" + b"GET /healthz HTTP/1.1\r\n\r\n" * 3)
    assert [status for status, _ in read_answers(connection, 4)] == [200] * 4


def test_connections_are_bounded(start: Start) -> None:
    service = start(connections=5)
    held = [service.connect(b"GET /healthz HTTP/1.1\r\n\r\n") for _ in range(5)]
    for connection in held:
        assert read_answer(connection)[0] == 200
    read_problem(service.connect(b"GET /healthz HTTP/1.1\r\n\r\n"), 503, "overloaded")
    held[2].sendall(b"GET /healthz HTTP/1.1\r\n\r\n")
    assert read_answer(held[2])[0] == 200, "those that are there are served"
    held[0].close()
    wait_until(lambda: is_served(service), what="room for one more")


def test_refused_connections_that_stay_are_cut_off(start: Start) -> None:
    service = start(connections=1)
    held = [service.connect() for _ in range(1 + 64)]
    for connection in held[1:]:
        assert connection.recv(12) == b"HTTP/1.1 503"
    with suppress(ConnectionError):
        assert service.connect().recv(1) == b""


@pytest.mark.parametrize("size", [1_300_000, 5_000_000])
@pytest.mark.parametrize(("path", "chunked"), [("/size", False), ("/size", True), ("/deaf", False)])
def test_who_sends_too_much_reads_why_not(start: Start, size: int, chunked: bool, path: str) -> None:
    service = start()
    for _ in range(20):
        client = http.client.HTTPConnection("127.0.0.1", service.port, timeout=20)
        body = b"x" * size
        if chunked:
            client.request("POST", path, iter([body]), encode_chunked=True)
        else:
            client.request("POST", path, body)
        answer = client.getresponse()
        document = json.loads(answer.read())
        assert (answer.status, document["code"]) == (413, "body-too-large")
        assert document["max_bytes"] == MIB
        assert answer.getheader("connection") == "close"
        client.close()
    assert is_served(service)
    assert service.process.stop() == 0
    assert "Traceback" not in service.process.text()


def test_the_end_of_the_connection_comes_with_the_end_of_what_was_too_much(start: Start) -> None:
    service = start()
    began = time.monotonic()
    for framing in (b"Content-Length: 2000000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n1e8480\r\n"):
        connection = service.connect(b"POST /size HTTP/1.1\r\n" + framing + b"x" * 2_000_000)
        connection.sendall(b"\r\n0\r\n\r\n" if b"chunked" in framing else b"")
        read_problem(connection, 413, "body-too-large")
    assert time.monotonic() - began < 4, "it is not waited for more"


def test_what_is_thrown_away_is_bounded(start: Start) -> None:
    service = start()
    head = b"POST /size HTTP/1.1\r\nContent-Length: 500000000\r\n\r\n"
    assert send_on_and_on(service.connect(head)) < 40
    read_problem(service.connect(head), 413, "body-too-large")
    answered = service.connect(b"POST /deaf HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert read_answer(answered)[0] == 200
    assert send_on_and_on(answered, b"100000\r\n" + b"x" * MIB + b"\r\n") < 40


def test_half_requests_do_not_hold_the_end(start: Start) -> None:
    service = start()
    service.connect()
    service.connect(b"GET / HTTP/1.1\r\n")
    read_answer(service.connect(b"BREW / HTTP/1.1\r\n\r\n"))
    assert is_served(service)
    began = time.monotonic()
    assert service.process.stop() == 0
    assert time.monotonic() - began < 5


def test_silence_is_bounded_from_the_first_moment(start: Start) -> None:
    service = start(idle_seconds=1)
    assert service.connect().recv(1) == b""
    connection = service.connect(b"POST /deaf HTTP/1.1\r\nContent-Length: 5\r\n\r\nxx")
    assert read_answer(connection)[0] == 200
    connection.sendall(b"xxx")
    assert connection.recv(1) == b"", "the rest of a body that nobody waited for"


def as_sent(path: bytes, version: bytes = b"1.1", more: bytes = b"") -> bytes:
    return b"POST %b HTTP/%b\r\nHost: x\r\nContent-Length: 0\r\n%b\r\n" % (path, version, more)


@pytest.mark.parametrize(
    ("version", "more", "stays"),
    [(b"1.1", b"", True), (b"1.1", b"Connection: close\r\n", False), (b"1.0", b"", False)],
    ids=["kept", "to-be-closed", "http-1.0"],
)
def test_an_answer_in_one_piece_is_as_any_other(start: Start, version: bytes, more: bytes, *, stays: bool) -> None:
    service = start()
    answers = []
    for path in (b"/plain", b"/whole"):
        connection = service.connect(as_sent(path, version, more))
        status, headers, body = read_answer(connection)
        assert headers.pop("date")
        assert headers.pop("x-request-id")
        answers.append((status, headers, body))
        if stays:
            connection.sendall(as_sent(path))
            assert read_answer(connection)[0] == 201
        else:
            assert connection.recv(1) == b""
    assert answers[0] == answers[1]


def test_answers_in_one_piece_come_in_the_order_of_the_requests(start: Start) -> None:
    service = start()
    paths = [b"/whole", b"/plain", b"/whole", b"/size", b"/whole"]
    connection = service.connect(b"".join(as_sent(path) for path in paths))
    told = [(status, body) for status, body in read_answers(connection, len(paths))]
    made = (201, b'{"a":1}')
    assert told == [made, made, made, (200, b"0"), made]


def test_an_answer_in_one_piece_is_counted(start: Start) -> None:
    service = start()
    connection = service.connect(as_sent(b"/whole"))
    assert read_answer(connection)[0] == 201
    connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
    counted = [each for each in read_answer(connection)[2].decode().splitlines() if 'method="POST"' in each]
    assert any('status="201"' in each and each.endswith(" 1.0") for each in counted), counted


@pytest.mark.parametrize("path", [b"/plain", b"/whole"])
def test_a_body_that_comes_after_its_answer_is_not_the_next_request(start: Start, path: bytes) -> None:
    service = start()
    head = b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\nExpect: 100-continue\r\n\r\n" % path
    connection = service.connect(head)
    assert read_answer(connection)[0] == 201
    connection.sendall(b"GET / HTTP/1.1\r\n\r\nxx" + as_sent(b"/size") + as_sent(path))
    assert read_answers(connection, 2) == [(200, b"0"), (201, b'{"a":1}')]


def test_answers_in_one_piece_wait_for_who_does_not_read(start: Start) -> None:
    """Nobody reads for a while: the memory is bounded, and every answer comes, in order and once."""
    service = start(pipelined=10_000)
    connection = service.connect()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
    before, asked = service.memory(), 2_000
    paths = [b"/whole", b"/size"]

    def ask() -> None:
        with suppress(ConnectionError):
            for first in range(0, asked, 20):
                connection.sendall(b"".join(as_sent(paths[(first + each) % 2]) for each in range(20)))

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(1)
    assert service.memory() - before < 30 * MIB
    found = read_answers(connection, asked)
    asking.join(10)
    assert found == [(201, b'{"a":1}'), (200, b"0")] * (asked // 2)


def test_who_leaves_while_answers_wait_disturbs_nobody(start: Start) -> None:
    service = start()
    for _ in range(20):
        connection = service.connect(as_sent(b"/whole") * 60)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
    assert is_served(service)
    assert "Traceback" not in service.process.text()
