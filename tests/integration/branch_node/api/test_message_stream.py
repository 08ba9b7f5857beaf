"""The stream of a branch that is a real process: commits wake it, it resumes after a break, and it ends in order."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.event_source import event_source, key_takes_its_share_alone
from tests.support.forked import larder, run_larder
from tests.support.processes import RunningProcess

STREAM = "/v1/messages/stream"
READY = r"larder branch ready on (http://127\.0\.0\.1:\d+)"


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[tuple[httpx.Client, RunningProcess]]:
    done = run_larder("branch", "init", "--dir", tmp_path / "b", "--location", "BEY-01", "--timezone", "UTC", "--json")
    key = json.loads(done.stdout)["key"]
    arguments = ("branch", "serve", "--dir", tmp_path / "b", "--port", "0")
    with larder(*arguments, output=tmp_path / "serve.log") as process:
        url = process.wait_for(READY)[1]
        headers = {"Authorization": f"Bearer {key}"}
        with httpx.Client(base_url=url, headers=headers, trust_env=False, timeout=30) as client:
            assert client.put("/v1/items/milk", json={"name": "Milk", "unit": "l"}).status_code == 200
            yield client, process


def deliver(client: httpx.Client, count: int) -> None:
    for _ in range(count):
        event = {"type": "PURCHASE_RECEIVED", "item_id": "milk", "quantity": 1}
        assert client.post("/v1/events", json=event).status_code == 201


def listed(client: httpx.Client, **params: Any) -> list[dict[str, Any]]:
    return client.get("/v1/messages", params=params).json()["items"]


def test_a_stream_follows_breaks_resumes_and_ends(serving: tuple[httpx.Client, RunningProcess]) -> None:
    client, process = serving
    deliver(client, 3)
    with event_source(client, STREAM) as source:  # from the end
        assert next(source.blocks()) == {"retry": "3000", "id": client.get("/v1/messages?after=end").json()["next"]}
        deliver(client, 2)
        assert source.messages(2) == listed(client)[3:]
        broken_off = source.last_id
    deliver(client, 4)
    with event_source(client, STREAM, last_id=broken_off, after="end") as source:
        assert source.messages(4) == listed(client)[5:]
    with event_source(client, STREAM, after="start", types="larder.StockAdded") as source:
        assert source.messages(9) == listed(client)
        # Who follows does not hold up the end, and is told of it by the end of the answer.
        process.signal(15)
        assert list(source.blocks()) == []
        assert process.wait(20) == 0


def test_clients_that_leave_free_their_place(serving: tuple[httpx.Client, RunningProcess]) -> None:
    client, _ = serving
    deliver(client, 1)
    for _ in range(80):  # more than may be open at the same time
        with event_source(client, STREAM, after="start") as source:
            assert len(source.messages(1)) == 1


def test_one_key_does_not_take_the_places_of_all(serving: tuple[httpx.Client, RunningProcess], tmp_path: Path) -> None:
    client, _ = serving
    added = run_larder("branch", "keys", "add", "--role", "integration", "--dir", tmp_path / "b", "--json")
    key_takes_its_share_alone(client, json.loads(added.stdout)["key"])


def test_a_client_that_does_not_read_holds_up_nobody(serving: tuple[httpx.Client, RunningProcess]) -> None:
    client, _ = serving
    event = {"type": "PURCHASE_RECEIVED", "item_id": "milk", "quantity": 1}
    events = [event | {"key": f"k-{number}"} for number in range(900)]
    assert client.post("/v1/events/batch", json={"events": events}).status_code == 200
    with event_source(client, STREAM, after="start") as deaf, event_source(client, STREAM, after="start") as source:
        assert len(source.messages(900)) == 900
        deliver(client, 1)
        assert source.messages(1)[0]["data"]["lines"][0]["on_hand"] == 901
        # It gets all of it once it reads.
        assert len(deaf.messages(901)) == 901
