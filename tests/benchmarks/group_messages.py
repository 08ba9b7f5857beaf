"""Published messages: recording with two subscribers connected, and the delivery of webhooks beside a bare client."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

import httpx

from shared.runtime.settings import read_settings_file, write_settings_file
from tests.benchmarks.group_http import CALLERS
from tests.benchmarks.harness import Bench, Contender, Figures, Group
from tests.benchmarks.load import drive, request
from tests.benchmarks.sample import SECOND, event_body, now_micros
from tests.benchmarks.services import Service, make_branch, serve
from tests.benchmarks.serving import yard_server

EVENTS = 20_000
MESSAGES = 4_000
DELIVERED_SECONDS = 300
SUBSCRIBERS = 2
DATA = b"\ndata: "


@contextmanager
def contenders(bench: Bench) -> Iterator[Mapping[str, Contender]]:
    """One branch without subscribers, one with two streams, one that posts to a receiver."""
    runs = itertools.count(1)
    with ExitStack() as stack:
        nodes: dict[str, Service] = {}

        def node(name: str, **settings: str) -> Service:
            if name not in nodes:
                folder, key, _ = make_branch(bench)
                write_settings_file(folder, {**read_settings_file(folder), **settings})
                nodes[name] = stack.enter_context(serve(bench, f"branch-{name}", folder, key, "branch", "serve"))
            return nodes[name]

        def record(service: Service, count: int) -> Figures:
            run = next(runs)
            start = now_micros() - count * 1_000 - 60 * SECOND
            requests = [
                request(
                    "/v1/events",
                    event_body(number, start + number * 1_000),
                    key=service.key,
                    idempotency_key=f"bench-{run}-{number:08d}",
                )
                for number in range(count)
            ]
            answer = drive(bench, service.port, requests, CALLERS)
            return {name: answer[name] for name in ("rate", "p50", "p99", "generator")}

        def quiet() -> Figures:
            return record(node("quiet"), bench.scale(EVENTS))

        def followed() -> Figures:
            """The same while two subscribers follow the log by streams; a run ends when both have every message."""
            service, count = node("followed"), bench.scale(EVENTS)
            followers = [_Follower(service) for _ in range(SUBSCRIBERS)]
            try:
                figures = record(service, count)
                for each in followers:
                    each.wait_for(count)
            finally:
                for each in followers:
                    each.close()
            return figures

        receiver: list[int] = []

        def receiving() -> str:
            if not receiver:
                receiver.append(stack.enter_context(yard_server(bench, "receiver")))
            return f"http://127.0.0.1:{receiver[0]}"

        def webhooks() -> Figures:
            """From the subscription on until the receiver has every message of one location, one at a time."""
            service, count = node("webhooks", webhook_allow="127.0.0.1"), bench.scale(MESSAGES)
            headers = {"Authorization": f"Bearer {service.key}"}
            with httpx.Client(base_url=f"http://127.0.0.1:{service.port}", headers=headers, timeout=60) as http:
                after = http.get("/v1/messages", params={"after": "end"}).raise_for_status().json()["next"]
                record(service, count)
                before = _count(receiving())
                begin = time.perf_counter()
                made = http.post("/v1/subscriptions", json={"url": f"{receiving()}/messages", "after": after})
                made.raise_for_status()
                while _count(receiving()) < before + count:
                    if time.perf_counter() - begin > DELIVERED_SECONDS:
                        raise RuntimeError("the messages were not delivered")
                    time.sleep(0.02)
                elapsed = time.perf_counter() - begin
                http.delete(f"/v1/subscriptions/{made.json()['subscription_id']}").raise_for_status()
            return {"rate": count / elapsed}

        def posts() -> Figures:
            """A bare httpx client posts as many bodies of that size to the same receiver, one at a time."""
            answer: Figures = bench.child(
                "group_messages:post", url=f"{receiving()}/messages", count=bench.scale(MESSAGES)
            )
            return answer

        yield {"quiet": quiet, "followed": followed, "webhooks": webhooks, "posts": posts}


class _Follower:
    """A subscriber by server-sent events, which counts what comes."""

    def __init__(self, service: Service) -> None:
        self._received = 0
        self._stopped = False
        self._begun = threading.Event()
        self._service = service
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        if not self._begun.wait(30):
            raise RuntimeError("the stream did not begin")

    def _run(self) -> None:
        url = f"http://127.0.0.1:{self._service.port}/v1/messages/stream?after=end"
        headers = {"Authorization": f"Bearer {self._service.key}"}
        with httpx.stream("GET", url, headers=headers, timeout=60) as stream:
            end = b""  # of the part before: the beginning of a message may be cut anywhere
            for part in stream.iter_bytes():
                self._begun.set()
                self._received += (end + part).count(DATA)
                end = (end + part)[1 - len(DATA) :]
                if self._stopped:
                    return

    def wait_for(self, count: int) -> None:
        deadline = time.monotonic() + 60
        while self._received < count:
            if time.monotonic() > deadline:
                raise RuntimeError(f"a subscriber received {self._received} of {count} messages")
            time.sleep(0.02)

    def close(self) -> None:
        self._stopped = True


def _count(url: str) -> int:
    return int(httpx.get(f"{url}/count", timeout=30, trust_env=False).text)


MESSAGE = {
    "specversion": "1.0",
    "id": "01a2204d-beff-725a-8e8b-cba5acd2fa4f-0",
    "source": "/locations/BEY-01",
    "type": "larder.StockRemoved",
    "subject": "item-0001",
    "time": "2026-11-28T03:58:15Z",
    "datacontenttype": "application/json",
    "cursor": "00000001-0000000000000042-000",
    "data": {
        "location_id": "BEY-01",
        "business_date": "2026-11-27",
        "recorded_at": "2026-11-28T03:58:15.123456Z",
        "source": "till",
        "reference": {"kind": "order", "id": "4711"},
        "lines": [
            {
                "event_id": "01a2204d-beff-725a-8e8b-cba5acd2fa4f",
                "event_type": "ORDER_DEDUCTION",
                "item_id": "item-0001",
                "unit": "kg",
                "quantity": 1.5,
                "on_hand": 9,
                "reserved": 0,
                "available": 9,
            }
        ],
    },
}


def post(url: str, count: int) -> Figures:
    """In the child: post `count` messages one after another over one connection."""
    body = json.dumps(MESSAGE).encode()
    headers = {"content-type": "application/cloudevents+json", "webhook-signature": "v1," + "x" * 44}
    with httpx.Client(timeout=30, trust_env=False) as client:
        begin = time.perf_counter()
        for number in range(count):
            client.post(url, content=body, headers=headers | {"webhook-id": str(number)}).raise_for_status()
        return {"rate": count / (time.perf_counter() - begin)}


MESSAGES_GROUP = Group("messages", contenders, rounds=3)
