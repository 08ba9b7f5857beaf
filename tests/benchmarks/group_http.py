"""Recording over HTTP at a branch: events, orders, reservations, against a trivial route and one commit a request."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

from tests.benchmarks.harness import Bench, Contender, Figures, Group
from tests.benchmarks.load import drive, request
from tests.benchmarks.sample import (
    RESERVED_ITEMS,
    SECOND,
    delivery_body,
    event_body,
    now_micros,
    order_body,
    reservation_body,
)
from tests.benchmarks.services import branch
from tests.benchmarks.serving import yard_server

CALLERS = 32
EVENTS = 20_000
ORDERS = 4_000
LINES = 12
RESERVATIONS = 8_000


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

        def reservations() -> Figures:
            """Every caller reserves for its orders, then every reservation is confirmed: two requests an order."""
            port, key = server("branch")
            run, count = next(runs), bench.scale(RESERVATIONS)
            # What is decided on must be there: as much of each item as all these orders take.
            delivered = [
                request("/v1/events", delivery_body(item, 2 * count), key=key, idempotency_key=f"delivery-{run}-{item}")
                for item in range(RESERVED_ITEMS)
            ]
            drive(bench, port, delivered, CALLERS)
            wanted = [
                request(
                    "/v1/reservations",
                    reservation_body(number, f"W{run}"),
                    key=key,
                    idempotency_key=f"web-{run}-{number}",
                )
                for number in range(count)
            ]
            reserved = drive(bench, port, wanted, CALLERS, keep=count)
            made = [json.loads(body)["reservation_id"] for body in reserved["bodies"]]
            sent = [
                request(f"/v1/reservations/{each}/confirm", b"{}", key=key, idempotency_key=f"sent-{run}-{number}")
                for number, each in enumerate(made)
            ]
            confirmed = drive(bench, port, sent, CALLERS)
            rates = {"reserve": reserved["rate"], "confirm": confirmed["rate"]}
            return {"rate": 2 / sum(1 / rate for rate in rates.values())} | rates

        yield {
            "trivial": lambda: events("trivial"),
            "events": lambda: events("branch"),
            "commit-each": lambda: events("commit-each"),
            "orders": orders,
            "reservations": reservations,
        }


def _figures(answer: dict[str, float]) -> Figures:
    return {name: answer[name] for name in ("rate", "p50", "p99", "generator")}


HTTP_GROUP = Group("http", contenders, rounds=5)
