"""Many large bodies at once, without a key and with one: how much memory a service takes above what it takes idle."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager

from tests.benchmarks.harness import Bench, Contender, Figures, Group
from tests.benchmarks.machine import resident_memory
from tests.benchmarks.services import Service, branch, head_office

MIB = 1024 * 1024
SAMPLE_SECONDS = 0.01
WAIT_SECONDS = 60.0


@contextmanager
def _office(bench: Bench) -> Iterator[Service]:
    with head_office(bench) as office:
        yield office.service


Open = Callable[[Bench], AbstractContextManager[Service]]

# Service, method and path, bodies, bytes of each (the most that its route reads), whether they come with a key.
CASES: dict[str, tuple[Open, str, int, int, bool]] = {
    "batch-200": (branch, "POST /v1/events/batch", 200, 4 * MIB, False),
    "batch-600": (branch, "POST /v1/events/batch", 600, 4 * MIB, False),
    "orders": (branch, "POST /v1/orders", 600, MIB, False),
    "items": (branch, "PUT /v1/items/milk", 600, MIB, False),
    "instructions": (_office, "POST /v1/instructions", 600, 4 * MIB, False),
    "batch-key": (branch, "POST /v1/events/batch", 120, 4 * MIB, True),
    "instructions-key": (_office, "POST /v1/instructions", 120, 4 * MIB, True),
}


@contextmanager
def contenders(bench: Bench) -> Iterator[Mapping[str, Contender]]:
    yield {name: lambda name=name: _case(bench, name) for name in CASES}  # type: ignore[misc]


def _case(bench: Bench, name: str) -> Figures:
    opened, address, most, size, keyed = CASES[name]
    # Fewer would not fill what is to be bounded, so only the test of every row, which measures nothing, sends fewer.
    count = max(3, min(most, 10 * most // bench.divisor))
    with opened(bench) as service:
        idle = resident_memory(service.process.pid)
        peak, answers = asyncio.run(_flood(service, address, count, size, keyed))
    if len(answers) != count or any(status not in {200, 400, 401, 403, 422, 429, 503} for status in answers):
        raise RuntimeError(
            f"{count - len(answers)} of {count} bodies without an answer, or answers {sorted(set(answers))}"
        )
    return {"megabytes": (peak - idle) / 1e6, "refused": float(sum(status in {401, 429, 503} for status in answers))}


async def _flood(service: Service, address: str, count: int, size: int, keyed: bool) -> tuple[int, list[int]]:
    """The most memory (bytes) seen while all bodies were sent, and the statuses answered."""
    method, path = address.split()
    head = f"{method} {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: {size}\r\n"
    if keyed:
        head += f"Authorization: Bearer {service.key}\r\n"
    part = b" " * (64 * 1024)
    answers: list[int] = []
    peak = 0

    async def post() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", service.port)

        async def send() -> None:
            writer.write(head.encode() + b"\r\n")
            for _ in range(size // len(part)):
                writer.write(part)
                await writer.drain()

        sending = asyncio.create_task(send())
        try:
            answers.append(int((await asyncio.wait_for(reader.readline(), WAIT_SECONDS)).split()[1]))
            with contextlib.suppress(ConnectionError):
                await sending
        finally:
            sending.cancel()
            writer.close()

    async def watch() -> None:
        nonlocal peak
        while True:
            peak = max(peak, resident_memory(service.process.pid))
            await asyncio.sleep(SAMPLE_SECONDS)

    watching = asyncio.create_task(watch())
    await asyncio.gather(*(post() for _ in range(count)), return_exceptions=True)
    watching.cancel()
    return peak, answers


BODIES_GROUP = Group("bodies", contenders, rounds=1, warm_up=False)
