"""`kill -9` of a real node under load: every event that was answered 2xx is there, once, and the chain verifies."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import httpx
import pytest

from branch_node.database.schema import LOG, STOCK
from branch_node.database.store import Store
from shared.chain import understand
from shared.event_log import read_after
from shared.events import EventType
from shared.projection import load_standings, movements_of
from shared.stock import fold
from tests.support.branch import PLACE
from tests.support.forked import larder, run_larder
from tests.support.log_check import verify_log
from tests.support.waiting import wait_until

CALLERS = 8


class Load:
    """Callers that sell until the node goes away, and keep what they were answered."""

    def __init__(self, url: str, key: str, name: str) -> None:
        self._url, self._key, self._name = url, key, name
        self.answered: dict[str, str] = {}
        self.unanswered: dict[str, dict[str, object]] = {}
        self._threads = [threading.Thread(target=self._sell, args=(number,)) for number in range(CALLERS)]
        for thread in self._threads:
            thread.start()

    def _sell(self, number: int) -> None:
        headers = {"Authorization": f"Bearer {self._key}"}
        with httpx.Client(base_url=self._url, headers=headers, timeout=20) as client:
            for place in range(100_000):
                key = f"{self._name}-{number}-{place}"
                body: dict[str, object] = {"type": "ORDER_DEDUCTION", "item_id": "milk", "quantity": 1}
                try:
                    answer = client.post("/v1/events", json=body, headers={"Idempotency-Key": key})
                except httpx.HTTPError:
                    self.unanswered[key] = body
                    return
                assert answer.status_code == 201, answer.text
                self.answered[key] = answer.json()["event_id"]

    def join(self) -> None:
        for thread in self._threads:
            thread.join(30)
            assert not thread.is_alive()


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_every_answered_event_survives(tmp_path: Path, database: str, request: pytest.FixtureRequest) -> None:
    folder = tmp_path / "node"
    more = []
    if database == "postgresql":
        more = ["--database", request.getfixturevalue("pg_database")]
    made = run_larder("branch", "init", "--dir", folder, "--location", PLACE, "--json", *more)
    assert made.returncode == 0, made.stderr + made.stdout
    key = json.loads(made.stdout)["key"]
    answered: dict[str, str] = {}
    unanswered: dict[str, dict[str, object]] = {}
    for life in range(3):
        with larder("branch", "serve", "--dir", folder, "--port", "0", output=tmp_path / f"{life}.log") as node:
            url = node.wait_for(r"ready on (http://\S+)")[1]
            if life == 0:
                _define_milk(url, key)
            load = Load(url, key, f"life{life}")
            wait_until(lambda load=load: len(load.answered) > 150, 60, what="150 answers")  # type: ignore[misc]
            node.kill()
            load.join()
        answered |= load.answered
        unanswered |= load.unanswered
    assert unanswered, "nobody was waiting when the node was killed"
    with larder("branch", "serve", "--dir", folder, "--port", "0", output=tmp_path / "last.log") as node:
        url = node.wait_for(r"ready on (http://\S+)")[1]
        _ask_again(url, key, answered, unanswered)
        assert node.stop() == 0
    _check(Store(_url(folder, more), folder), answered, unanswered)


def _url(folder: Path, more: list[str]) -> str:
    return more[1] if more else f"sqlite:///{folder / 'branch.db'}"


def _define_milk(url: str, key: str) -> None:
    headers = {"Authorization": f"Bearer {key}"}
    answer = httpx.put(f"{url}/v1/items/milk", json={"name": "Milk", "unit": "l"}, headers=headers, timeout=20)
    assert answer.status_code == 200, answer.text


def _ask_again(url: str, key: str, answered: dict[str, str], unanswered: dict[str, dict[str, object]]) -> None:
    """Whoever got no answer asks again under the same key; whoever got one gets the same."""
    body = {"type": "ORDER_DEDUCTION", "item_id": "milk", "quantity": 1}
    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=20) as client:
        for each in [*unanswered, *list(answered)[-20:]]:
            answer = client.post("/v1/events", json=body, headers={"Idempotency-Key": each})
            assert answer.status_code == 201, answer.text
            assert answered.get(each, answer.json()["event_id"]) == answer.json()["event_id"]
            answered[each] = answer.json()["event_id"]


def _check(store: Store, answered: dict[str, str], unanswered: dict[str, dict[str, object]]) -> None:
    with store.reading() as connection:
        head = verify_log(connection, LOG)
        log = [understand(entry.line) for entry in read_after(connection, LOG, 0, 1_000_000)]
        sales = {event.command_key: event.event_id for event in log if event.type is EventType.ORDER_DEDUCTION}
        assert sales == answered
        assert head.sequence == len(log) == len(answered) + 1
        standing = load_standings(connection, STOCK, PLACE)["milk"]
        assert standing.on_hand == -1_000 * len(answered)
        assert standing.on_hand == fold(movements_of(connection, LOG, PLACE, "milk")).on_hand
    store.close()
