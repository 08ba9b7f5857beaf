"""A client of server-sent events, as a browser's EventSource is one: blocks, the last id, what is alive."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx

from shared.runtime.http.streams.event_stream import MOST_OF_A_KEY
from tests.support.waiting import wait_until


class EventSource:
    """One open stream. `last_id` is what the client would send as Last-Event-ID after a break."""

    def __init__(self, answer: httpx.Response) -> None:
        self.answer = answer
        self.last_id = ""
        self.retry = 0
        self._lines = answer.iter_lines()

    def blocks(self) -> Iterator[dict[str, str]]:
        """The fields of each block, as the specification has them."""
        block: dict[str, str] = {}
        for line in self._lines:
            if line:
                name, _, value = line.partition(": ")
                assert name not in block
                block[name] = value
                continue
            self.last_id = block.get("id", self.last_id)
            self.retry = int(block.get("retry", self.retry))
            yield block
            block = {}

    def messages(self, count: int) -> list[dict[str, Any]]:
        """The next messages, so many."""
        found: list[dict[str, Any]] = []
        blocks = self.blocks()
        while len(found) < count:
            block = next(blocks)
            assert "event" not in block
            if "data" in block:
                found.append(json.loads(block["data"]))
        return found


@contextmanager
def event_source(client: httpx.Client, path: str, last_id: str | None = None, **params: str) -> Iterator[EventSource]:
    headers = {} if last_id is None else {"Last-Event-ID": last_id}
    with client.stream("GET", path, params=params, headers=headers, timeout=30) as answer:
        assert answer.status_code == 200, answer.read()
        yield EventSource(answer)


def key_takes_its_share_alone(client: httpx.Client, other_key: str, **params: str) -> None:
    """Open as many streams as one key may: the next is refused, another key's is not, and one that ends makes room."""
    path, other = "/v1/messages/stream", {"Authorization": f"Bearer {other_key}"}
    with ExitStack() as stack:
        sources = [stack.enter_context(event_source(client, path, **params)) for _ in range(MOST_OF_A_KEY - 1)]
        with event_source(client, path, **params) as last:
            next(last.blocks())
            refused = client.get(path, params=params)
            assert (refused.status_code, refused.json()["code"]) == (429, "too-many-streams")
            assert refused.headers["retry-after"] == "15"
            assert refused.headers["content-type"] == "application/problem+json"
            with client.stream("GET", path, params=params, headers=other) as answer:
                assert answer.status_code == 200
        wait_until(lambda: _opens(client, path, params))
        assert len(sources) == MOST_OF_A_KEY - 1


def _opens(client: httpx.Client, path: str, params: dict[str, str]) -> bool:
    with client.stream("GET", path, params=params) as answer:
        return answer.status_code == 200
