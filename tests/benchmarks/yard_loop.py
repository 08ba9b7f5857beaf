"""Yardstick for transfers: a bare loop that does what a transfer must, and nothing else. Runs in a child process.

For each transfer: take a lease row, append durably at the source over HTTP, append durably at the destination over
HTTP, and write four state rows, each committed; a raw client, 16 callers at once.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Iterator

import psycopg
import uvloop

from tests.benchmarks.sample import event_body, now_micros

TABLES = (
    "CREATE TABLE lease (transfer_id text PRIMARY KEY, token bigint NOT NULL, expires_at timestamptz NOT NULL)",
    "CREATE TABLE state (transfer_id text, step int, state text NOT NULL, PRIMARY KEY (transfer_id, step))",
)
LEASE = (
    "INSERT INTO lease VALUES (%s, 1, clock_timestamp() + interval '10 s')"
    " ON CONFLICT (transfer_id) DO UPDATE SET token = lease.token + 1, expires_at = excluded.expires_at RETURNING token"
)
STATE = "INSERT INTO state VALUES (%s, %s, %s)"
STATES = ("REQUESTED", "OUT_PENDING", "IN_PENDING", "COMPLETED")


def prepare(conninfo: str) -> None:
    with psycopg.connect(conninfo, autocommit=True) as connection:
        for table in TABLES:
            connection.execute(table)


def run(conninfo: str, source: int, destination: int, transfers: int, callers: int, name: str) -> dict[str, float]:
    """Transfers a second."""
    return uvloop.run(_run(conninfo, source, destination, transfers, callers, name))


async def _run(
    conninfo: str, source: int, destination: int, transfers: int, callers: int, name: str
) -> dict[str, float]:
    numbers = iter(range(transfers))
    workers = [await _Worker.open(conninfo, source, destination, name) for _ in range(callers)]
    gc.collect()
    gc.freeze()
    begin = time.perf_counter()
    await asyncio.gather(*(worker.work(numbers) for worker in workers))
    elapsed = time.perf_counter() - begin
    for worker in workers:
        await worker.close()
    return {"rate": transfers / elapsed}


class _Worker:
    def __init__(self, database: psycopg.AsyncConnection, sites: list[_Site], name: str) -> None:
        self._database = database
        self._sites = sites
        self._name = name

    @classmethod
    async def open(cls, conninfo: str, source: int, destination: int, name: str) -> _Worker:
        database = await psycopg.AsyncConnection.connect(conninfo, autocommit=True, prepare_threshold=1)
        return cls(database, [await _Site.open(port) for port in (source, destination)], name)

    async def work(self, numbers: Iterator[int]) -> None:
        cursor = self._database.cursor()
        for number in numbers:
            transfer_id = f"{self._name}-{number}"
            await cursor.execute(LEASE, [transfer_id])
            await cursor.execute(STATE, [transfer_id, 0, STATES[0]])
            await cursor.execute(STATE, [transfer_id, 1, STATES[1]])
            await self._sites[0].append(number)
            await cursor.execute(STATE, [transfer_id, 2, STATES[2]])
            await self._sites[1].append(number)
            await cursor.execute(STATE, [transfer_id, 3, STATES[3]])

    async def close(self) -> None:
        await self._database.close()
        for site in self._sites:
            site.close()


class _Site:
    """A keep-alive connection to one site."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._moment = now_micros()

    @classmethod
    async def open(cls, port: int) -> _Site:
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def append(self, number: int) -> None:
        body = event_body(number, self._moment)
        head = f"POST /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n\r\n"
        self._writer.write(head.encode() + body)
        answer = await self._reader.readuntil(b"\r\n\r\n")
        if not answer.startswith(b"HTTP/1.1 201"):
            raise RuntimeError(answer.decode())
        at = answer.index(b"ontent-")
        while answer[at : at + 14].lower() != b"ontent-length:":
            at = answer.index(b"ontent-", at + 1)
        await self._reader.readexactly(int(answer[at + 14 : answer.index(b"\r\n", at)]))

    def close(self) -> None:
        self._writer.close()
