"""10,000 concurrent deductions of one item: in process and over HTTP, against one hot row in PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache

from tests.benchmarks.harness import Bench, Contender, Figures, Group
from tests.benchmarks.load import drive, request
from tests.benchmarks.sample import event_body, now_micros
from tests.benchmarks.services import branch
from tests.benchmarks.yard_hot import CLIENTS, HotRow

DEDUCTIONS = 10_000
ITEM = "item-0001"


@contextmanager
def contenders(bench: Bench) -> Iterator[Mapping[str, Contender]]:
    count = bench.scale(DEDUCTIONS)

    @cache
    def hot_row() -> HotRow:
        return HotRow(bench)

    def process() -> Figures:
        return bench.child("ours_branch:hot", folder=str(bench.new_folder("hot")), count=count)

    def http() -> Figures:
        with branch(bench) as node:
            before = node.on_hand(ITEM)
            requests = [
                request("/v1/events", event_body(0, now_micros(), ITEM), key=node.key, idempotency_key=f"hot-{number}")
                for number in range(count)
            ]
            figures = drive(bench, node.port, requests, CLIENTS)
            lost = before - node.on_hand(ITEM) - count
            if lost:
                raise RuntimeError(f"{lost} deductions were lost")
            return {name: figures[name] for name in ("rate", "p50", "p99")}

    yield {"update": lambda: hot_row().update(), "process": process, "http": http}


HOT_GROUP = Group("hot", contenders, rounds=5, warm_up=False)
