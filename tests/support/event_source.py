"""A client of server-sent events, as a browser's EventSource is one: blocks, the last id, what is alive."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx


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
