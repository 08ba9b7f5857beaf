"""Appending over HTTP at a branch: single events and orders, against a trivial route and one commit a request."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

from tests.benchmarks.harness import Bench, Contender, Figures, Group
from tests.benchmarks.load import drive, request
from tests.benchmarks.sample import SECOND, event_body, now_micros, order_body
from tests.benchmarks.services import branch
from tests.benchmarks.serving import yard_server

CALLERS = 32
EVENTS = 20_000
ORDERS = 4_000
LINES = 12


@contextmanager
def contenders(bench: Bench) -> Iterator[Mapping[str, Contender]]:
    """Three servers that run all the while; only the one that is measured has anything to do."""
    runs = itertools.count(1)
    with ExitStack() as stack:
        ports: dict[str, tuple[int, str | None]] = {}

        def server(name: str) -> tuple[int, str | None]:
            if name not in ports:
                if name == "branch":
                    node = stack.enter_context(branch(bench))
                    ports[name] = (node.port, node.key)
                else:
                    database = [bench.new_folder(name) / "yard.db"] if name == "commit-each" else []
                    ports[name] = (stack.enter_context(yard_server(bench, name, *database)), None)
            return ports[name]

        def events(name: str) -> Figures:
            port, key = server(name)
            run, count = next(runs), bench.scale(EVENTS)
            start = now_micros() - count * 1_000 - 60 * SECOND
            requests = [
                request(
                    "/v1/events",
                    event_body(number, start + number * 1_000),
                    key=key or "lk_000000000000_" + "0" * 43,
                    idempotency_key=f"bench-{run}-{number:08d}",
                )
                for number in range(count)
            ]
            return _figures(drive(bench, port, requests, CALLERS))

        def orders() -> Figures:
            port, key = server("branch")
            run, count = next(runs), bench.scale(ORDERS)
            start = now_micros() - count * 1_000 - 60 * SECOND
            requests = [
                request(
                    "/v1/orders",
                    order_body(number, start + number * 1_000, f"R{run}", LINES),
                    key=key,
                    idempotency_key=f"order-{run}-{number:08d}",
                )
                for number in range(count)
            ]
            figures = _figures(drive(bench, port, requests, CALLERS))
            return figures | {"rate": figures["rate"] * LINES}

        yield {
            "trivial": lambda: events("trivial"),
            "events": lambda: events("branch"),
            "commit-each": lambda: events("commit-each"),
            "orders": orders,
        }


def _figures(answer: dict[str, float]) -> Figures:
    return {name: answer[name] for name in ("rate", "p50", "p99", "generator")}


HTTP_GROUP = Group("http", contenders, rounds=5)
