"""The load generator: raw HTTP/1.1 over keep-alive sockets, as a process of its own.

`drive` gives a child process ready-made requests; `callers` connections take them one after another, each waiting for
its answer before the next. The child knows no HTTP but the status and the length of an answer, so that it takes a
small part of the server's time a request.
"""

from __future__ import annotations

import asyncio
import gc
import socket
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import uvloop

from tests.benchmarks.harness import Bench

CONNECT_SECONDS = 10
ANSWER_SECONDS = 120
BODIES = ".bodies"


class Load(msgspec.Struct):
    """What a child is given. `keep`: how many bodies of answers to hand back."""

    port: int
    callers: int
    requests: list[bytes]
    keep: int = 0


def request(
    path: str,
    body: bytes,
    *,
    key: str | None = None,
    idempotency_key: str | None = None,
    content_type: str = "application/json",
) -> bytes:
    """One POST as it goes over the wire."""
    lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Type: {content_type}"]
    if key is not None:
        lines.append(f"Authorization: Bearer {key}")
    if idempotency_key is not None:
        lines.append(f"Idempotency-Key: {idempotency_key}")
    lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def drive(bench: Bench, port: int, requests: Iterable[bytes], callers: int, *, keep: int = 0) -> dict[str, Any]:
    """Send the requests; `rate` a second, `p50` and `p99` in seconds, `bodies` of the first answers, `generator`: how
    much of one core the generator itself took.

    Raises RuntimeError where any answer was not 2xx: a refusal is cheap, and no work done.
    """
    spec = bench.new_folder("load") / "load.msgpack"
    spec.write_bytes(msgspec.msgpack.encode(Load(port, callers, list(requests), keep)))
    answer: dict[str, Any] = bench.child("load:run", spec=str(spec))
    bodies = spec.with_suffix(BODIES)
    answer["bodies"] = msgspec.msgpack.decode(bodies.read_bytes())
    spec.unlink()
    bodies.unlink()
    if answer["refused"]:
        raise RuntimeError(f"not every answer was 2xx: {answer['refused']}; the first: {answer['first_refusal']}")
    return answer


def drive_one(port: int, raw: bytes) -> tuple[float, str]:
    """Send one request from here, on a connection of its own; how long it took (connected, to the whole answer), and
    the answer's body."""
    with socket.create_connection(("127.0.0.1", port), CONNECT_SECONDS) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.settimeout(ANSWER_SECONDS)
        begin = time.perf_counter()
        connection.sendall(raw)
        received = b""
        while not _whole(received):
            part = connection.recv(65_536)
            if not part:
                raise ConnectionError("the server closed the connection")
            received += part
        return time.perf_counter() - begin, received.partition(b"\r\n\r\n")[2].decode()


def _whole(received: bytes) -> bool:
    head, found, body = received.partition(b"\r\n\r\n")
    return bool(found) and len(body) >= _body_length(head)


def _body_length(head: bytes) -> int:
    at = head.lower().find(b"\r\ncontent-length:")
    return 0 if at < 0 else int(head[at + 17 :].partition(b"\r\n")[0])


def run(spec: str) -> dict[str, Any]:
    """In the child: send everything, tell how it went."""
    load = msgspec.msgpack.decode(Path(spec).read_bytes(), type=Load)
    answer = uvloop.run(_run(load))
    # Megabytes of answers go by a file, not by the pipe of the child's output.
    Path(spec).with_suffix(BODIES).write_bytes(msgspec.msgpack.encode(answer.pop("bodies")))
    return answer


async def _run(load: Load) -> dict[str, Any]:
    results = _Results(keep=load.keep)
    waiting = iter(load.requests)
    loop = asyncio.get_running_loop()
    callers = []
    for _ in range(load.callers):
        _, caller = await asyncio.wait_for(
            loop.create_connection(lambda: _Caller(waiting, results), "127.0.0.1", load.port), CONNECT_SECONDS
        )
        callers.append(caller)
    gc.collect()
    gc.freeze()
    gc.disable()
    begin, cpu = time.perf_counter(), time.process_time()
    for caller in callers:
        caller.begin()
    await asyncio.wait_for(asyncio.gather(*(caller.done for caller in callers)), ANSWER_SECONDS)
    elapsed = time.perf_counter() - begin
    taken = sorted(results.taken)
    if len(taken) != len(load.requests):
        raise RuntimeError(f"{len(taken)} answers to {len(load.requests)} requests")
    return {
        "rate": len(taken) / elapsed,
        "p50": taken[len(taken) // 2],
        "p99": taken[int(len(taken) * 0.99)],
        "generator": (time.process_time() - cpu) / elapsed,
        "refused": {str(status): count for status, count in results.statuses.items() if not 200 <= status < 300},
        "first_refusal": results.first_refusal,
        "bodies": results.bodies,
    }


class _Results:
    def __init__(self, keep: int) -> None:
        self.keep = keep
        self.taken: list[float] = []
        self.statuses: Counter[int] = Counter()
        self.first_refusal = ""
        self.bodies: list[str] = []


class _Caller(asyncio.Protocol):
    """One connection: a request, its answer, the next."""

    def __init__(self, waiting: Iterator[bytes], results: _Results) -> None:
        self._waiting = waiting
        self._results = results
        self._buffer = b""
        self._sent = 0.0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def begin(self) -> None:
        for following in self._waiting:
            self._sent = time.perf_counter()
            self._transport.write(following)
            return
        if not self.done.done():
            self.done.set_result(None)
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer + data if self._buffer else data
        end = buffer.find(b"\r\n\r\n")
        if end < 0:
            self._buffer = buffer
            return
        if len(buffer) < end + 4 + _body_length(buffer[:end]):
            self._buffer = buffer
            return
        self._buffer = b""
        results = self._results
        results.taken.append(time.perf_counter() - self._sent)
        status = int(buffer[9:12])
        results.statuses[status] += 1
        if status >= 300 and not results.first_refusal:
            results.first_refusal = buffer[end + 4 :].decode(errors="replace")[:600]
        if len(results.bodies) < results.keep:
            results.bodies.append(buffer[end + 4 :].decode())
        self.begin()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(error or ConnectionError("the server closed the connection"))
