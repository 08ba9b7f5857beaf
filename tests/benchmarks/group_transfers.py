"""Immediate transfers between two branches, every step through head office's log, against a bare loop."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cache, partial

from tests.benchmarks import yard_loop
from tests.benchmarks.harness import Bench, Contender, Figures, Group
from tests.benchmarks.load import drive, drive_one, request
from tests.benchmarks.sample import ITEMS
from tests.benchmarks.services import Service, coordinator, head_office, make_branch, serve
from tests.benchmarks.serving import yard_server

TRANSFERS = {1: 60, 16: 800, 64: 1_600}
IDLE = 20
LOOP = 3_000
LOOP_CALLERS = 16
SITES = ("BEY-01", "BEY-02")
STOCK = 1_000_000


@contextmanager
def contenders(bench: Bench) -> Iterator[Mapping[str, Contender]]:
    """Head office, coordinator and two branches run all the while, and what the bare loop needs."""
    runs = itertools.count(1)
    with ExitStack() as stack:

        @cache
        def group() -> tuple[Service, str]:
            return _start(bench, stack)

        @cache
        def yard() -> tuple[str, int, int]:
            cluster = bench.cluster("one")
            conninfo = cluster.conninfo(bench.database(cluster, "loop"))
            yard_loop.prepare(conninfo)
            ports = [
                stack.enter_context(yard_server(bench, "commit-each", bench.new_folder("site") / "yard.db"))
                for _ in SITES
            ]
            return conninfo, ports[0], ports[1]

        def loop() -> Figures:
            conninfo, source, destination = yard()
            figures: Figures = bench.child(
                "yard_loop:run", conninfo=conninfo, source=source, destination=destination,
                transfers=bench.scale(LOOP), callers=LOOP_CALLERS, name=f"run-{next(runs)}",
            )  # fmt: skip
            return figures

        def callers(count: int) -> Figures:
            service, key = group()
            run = next(runs)
            requests = [_transfer(run, number, key) for number in range(max(count, bench.scale(TRANSFERS[count])))]
            answer = drive(bench, service.port, requests, count, keep=len(requests))
            _completed(answer["bodies"])
            return {name: answer[name] for name in ("rate", "p50", "p99")}

        def idle() -> Figures:
            """One transfer at a time, each after a pause in which everything comes to rest."""
            service, key = group()
            run = next(runs)
            taken = []
            for number in range(IDLE):
                time.sleep(0.25)
                answer = drive_one(service.port, _transfer(run, number, key))
                taken.append(answer[0])
                _completed([answer[1]])
            taken.sort()
            return {"milliseconds": taken[len(taken) // 2] * 1_000, "slowest": taken[-1] * 1_000}

        yield {
            "loop": loop,
            "callers-16": partial(callers, 16),
            "callers-64": partial(callers, 64),
            "serial": partial(callers, 1),
            "idle": idle,
        }


def _start(bench: Bench, stack: ExitStack) -> tuple[Service, str]:
    office = stack.enter_context(head_office(bench))
    office.add_items()
    for site in SITES:
        key = office.add_location(site)
        folder, manager, _ = make_branch(bench, site, office=(office.url, key))
        node = stack.enter_context(serve(bench, "branch", folder, manager, "branch", "serve"))
        for number in range(1, ITEMS + 1):
            _purchase(node, f"item-{number:04d}")
    return stack.enter_context(coordinator(bench, office)), office.service.key


def _purchase(node: Service, item_id: str) -> None:
    body = json.dumps({"type": "PURCHASE_RECEIVED", "item_id": item_id, "quantity": STOCK}).encode()
    _, answer = drive_one(node.port, request("/v1/events", body, key=node.key, idempotency_key=f"in-{item_id}"))
    if "sequence" not in json.loads(answer):
        raise RuntimeError(answer)


def _transfer(run: int, number: int, key: str) -> bytes:
    body = {
        "transfer_id": f"bench-{run}-{number:06d}",
        "source": SITES[number % 2],
        "destination": SITES[(number + 1) % 2],
        "mode": "immediate",
        "lines": [{"item_id": f"item-{number % ITEMS + 1:04d}", "quantity": 1.5}],
    }
    return request("/v1/transfers?wait=30", json.dumps(body).encode(), key=key)


def _completed(bodies: list[str]) -> None:
    for body in bodies:
        if json.loads(body).get("state") != "COMPLETED":
            raise RuntimeError(f"a transfer did not complete: {body[:600]}")


TRANSFERS_GROUP = Group("transfers", contenders, rounds=3)
