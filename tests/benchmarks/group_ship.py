"""Shipping a backlog to head office, by real processes; and single batches that it has already, or that overlap."""

from __future__ import annotations

import itertools
import shutil
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path

import psycopg

from shared import wire
from shared.chain import EMPTY
from tests.benchmarks.harness import Bench, Contender, Figures, Group
from tests.benchmarks.load import drive, request
from tests.benchmarks.machine import disk_bytes
from tests.benchmarks.sample import sealed_log
from tests.benchmarks.services import Office, Service, head_office, link, make_branch, serve
from tests.benchmarks.yard_replication import Peers
from tests.support.waiting import wait_until

BACKLOG = 250_000
BATCH = 5_000
BATCHES = 8
SECONDS = 300
SITES = ("BEY-01", "BEY-02")


@contextmanager
def contenders(bench: Bench) -> Iterator[Mapping[str, Contender]]:
    """Every measurement ships the same backlog into a head office of its own."""
    backlog = bench.scale(BACKLOG)

    @cache
    def peers() -> Peers:
        return Peers(bench, backlog)

    @cache
    def template(number: int) -> tuple[Path, str, float]:
        return make_branch(bench, SITES[number], events=backlog, seed=number + 1)

    def ship(branches: int) -> Figures:
        made = [template(number) for number in range(branches)]
        with ExitStack() as stack:
            office = stack.enter_context(head_office(bench))
            folders = []
            for number, (folder, _, _) in enumerate(made):
                copy = bench.new_folder(SITES[number]) / "node"
                shutil.copytree(folder, copy)
                link(copy, (office.url, office.add_location(SITES[number])))
                folders.append((copy, made[number][1]))
            database = stack.enter_context(office.connect())
            database.execute("CHECKPOINT")
            # Until every branch is up head office stands still, so that they begin together, by saying hello.
            office.service.process.signal(signal.SIGSTOP)
            nodes = [
                stack.enter_context(serve(bench, "branch", folder, key, "branch", "serve")) for folder, key in folders
            ]
            begin = time.perf_counter()
            office.service.process.signal(signal.SIGCONT)
            _wait_until_shipped(database, len(nodes), backlog)
            elapsed = time.perf_counter() - begin
            _check(office, nodes, backlog)
            figures = {"rate": backlog * branches / elapsed}
            if branches == 1:
                figures["canonical_bytes"] = made[0][2]
                figures["branch_bytes"] = disk_bytes(made[0][0] / "branch.db") / backlog
                figures["head_office_bytes"] = _office_bytes(database) / backlog
            return figures

    yield {
        "replication": lambda: peers().replication(),
        "ship": lambda: ship(1),
        "copy": lambda: peers().copy(),
        "two": lambda: ship(2),
    }


def _wait_until_shipped(database: psycopg.Connection, branches: int, backlog: int) -> None:
    """Until head office has every branch's backlog, committed."""

    def all_there() -> bool:
        row = database.execute("SELECT count(*) FROM head WHERE sequence >= %s", [backlog]).fetchone()
        return row is not None and row[0] == branches

    wait_until(all_there, SECONDS, what="the backlog at head office", interval=0.01)


def _check(office: Office, nodes: list[Service], backlog: int) -> None:
    """The heads' hashes are equal, and head office's stock is the branch's."""
    with office.connect() as database:
        for node in nodes:
            status = node.get("/v1/status")
            assert isinstance(status, dict)
            row = database.execute(
                "SELECT sequence, encode(hash, 'hex') FROM head WHERE location_id = %s", [status["location_id"]]
            ).fetchone()
            if row != (status["head"]["sequence"], status["head"]["hash"]) or row[0] < backlog:
                raise RuntimeError(f"head office ends at {row}, the branch at {status['head']}")
        total = database.execute(
            "SELECT (SELECT sum(on_hand) FROM stock), (SELECT sum(on_hand_change) FROM event)"
        ).fetchone()
        if total is None or total[0] != total[1]:
            raise RuntimeError(f"the projection is not the sum of the events: {total}")


def _office_bytes(database: psycopg.Connection) -> int:
    """All that head office's tables take on disk, with their indexes."""
    row = database.execute(
        "SELECT sum(pg_total_relation_size(oid)) FROM pg_class"
        " WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
    ).fetchone()
    assert row is not None
    return int(row[0])


SHIP_GROUP = Group("ship", contenders, rounds=3, warm_up=False)


@contextmanager
def batch_contenders(bench: Bench) -> Iterator[Mapping[str, Contender]]:
    """One head office; each round a new location: its batches new, then known, then overlapping by half."""
    count = max(2, bench.scale(BATCHES))
    numbers = itertools.count(1)
    state: dict[str, tuple[str, list[bytes], list[bytes]]] = {}
    with head_office(bench) as office:

        def new() -> Figures:
            location_id = f"BAT-{next(numbers):02d}"
            state["now"] = (office.add_location(location_id), *_bodies(location_id, count))
            key, fresh, _ = state["now"]
            return _send(bench, office, key, fresh, BATCH)

        def known() -> Figures:
            key, fresh, _ = state["now"]
            return _send(bench, office, key, fresh, BATCH)

        def overlap() -> Figures:
            key, _, overlapping = state["now"]
            return _send(bench, office, key, overlapping, BATCH // 2)

        yield {"new": new, "known": known, "overlap": overlap}


def _bodies(location_id: str, count: int) -> tuple[list[bytes], list[bytes]]:
    """`count` batches that follow one another, and `count` more that each begin half a batch before their news."""
    half = BATCH // 2
    sealed = list(sealed_log(count * BATCH + count * half, location_id=location_id))

    def pack(first: int) -> bytes:
        part = sealed[first : first + BATCH]
        before = sealed[first - 1].hash if first else EMPTY.hash
        return wire.pack(location_id, 1, first + 1, before, [each.line for each in part], last_hash=part[-1].hash)

    fresh = [pack(number * BATCH) for number in range(count)]
    return fresh, [pack(count * BATCH - half + number * half) for number in range(count)]


def _send(bench: Bench, office: Office, key: str, bodies: list[bytes], new_events: int) -> Figures:
    requests = [request("/v1/sync/events", body, key=key, content_type=wire.CONTENT_TYPE) for body in bodies]
    answer = drive(bench, office.service.port, requests, 1)
    return {"rate": answer["rate"] * new_events, "seconds": 1 / answer["rate"]}


BATCHES_GROUP = Group("batches", batch_contenders, rounds=5)
