"""Half a year of three coffee shops, imported while everything is killed: at the end every figure is the CSV's own.

`make acceptance`. Real processes on loopback; skipped where ../shared/data is absent. The set is a teaching set, no
record of a real business.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from datetime import UTC, date, datetime
from itertools import cycle
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest

from tests.faults.checkouts import Checkout, judge_reservations
from tests.faults.coffee import DATA, LINES, MAP, MONTH_ENDS, STORES, ZONE, Coffee, end_of_business
from tests.faults.hostile_group import HostileGroup, Target, Traffic, larder_json
from tests.faults.webhook_follower import WebhookFollower
from tests.support.processes import RunningProcess, larder
from tests.support.strict_skips import NO_SHARED
from tests.support.waiting import wait_until

KILLS = 10
TRANSFERS = 200
ORDERS = 220
"""Orders that reserve at each branch: twenty of each ending."""
WORKERS = 4
MONTHS = 6
CANCELLED = 0.5
"""Of those to a branch that is away, how many are cancelled by who asked for them."""
MORE_THAN_THERE_IS = 1_000_000
BATCH = 100
AWAY = "HEL"
ENDS = frozenset({"COMPLETED", "REVERSED", "REJECTED"})

pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.skipif(not DATA.exists(), reason=NO_SHARED),
]


class Story:
    """The run: what was asked for, and what its callers were told."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.random = Random(2_023)
        self.coffee = Coffee()
        self.group = HostileGroup(folder, list(STORES), "America/New_York")
        self.client = httpx.Client(timeout=60, trust_env=False)
        self.follower = WebhookFollower()
        self.checkouts = {
            name: Checkout(name, branch, self.group.keys[name], sorted(self.coffee.products))
            for name, branch in self.group.branches.items()
        }
        self.traffic: dict[str, Traffic] = {}
        self.ends: dict[str, str] = {}
        self.wanted: dict[str, dict[str, Any]] = {}
        self.imports_killed = 0
        self.month = 0
        self.away: str | None = None
        self.asked_while_away = 0

    def define_items(self) -> None:
        for product, name in self.coffee.products.items():
            body = {"name": name, "unit": "piece"}
            answer = self.group.office.request(self.client, "PUT", f"/v1/items/{product}", self.group.admin, json=body)
            assert answer.status_code < 300, answer.text
        for name, branch in self.group.branches.items():
            wait_until(lambda b=branch, n=name: self._items_at(b, n) == len(self.coffee.products), 60)  # type: ignore[misc]

    def _items_at(self, branch: Target, name: str) -> int:
        answer = branch.request(self.client, "GET", "/v1/items", self.group.keys[name], params={"limit": 1_000})
        return len(answer.json()["items"])

    def begin_traffic(self) -> None:
        """At each branch purchases and counts, over and over under the same keys, and a checkout; stock looked at;
        transfers; a follower of all messages of reservations and transfers."""
        self.follower.subscribe(self.client, self.group.office, self.group.admin)
        for name, branch in self.group.branches.items():
            self.traffic[name] = Traffic(name, self._recording(name, branch))
            self.traffic[f"checkout {name}"] = Traffic(f"checkout {name}", self.checkouts[name].act, pace=0.02)
        self.traffic["office"] = Traffic("office", self._looking)
        for number in range(WORKERS):
            self.traffic[f"transfers {number}"] = Traffic(f"transfers {number}", self._moving(number))

    def _recording(self, name: str, branch: Target) -> Any:
        events = self.coffee.made_up(STORES[name])
        batches = [events[start : start + BATCH] for start in range(0, len(events), BATCH)]
        turns = cycle(range(len(batches)))
        told: dict[int, list[str]] = {}
        self.told_batches = getattr(self, "told_batches", {}) | {name: (told, len(batches))}
        place = [next(turns)]

        def act(client: httpx.Client) -> None:
            answer = branch.request(
                client, "POST", "/v1/events/batch", self.group.keys[name], json={"events": batches[place[0]]}
            )
            if answer.status_code in (429, 503):
                return
            assert answer.status_code == 200, answer.text[:500]
            ids = [_event_id(each) for each in answer.json()["items"]]
            assert told.setdefault(place[0], ids) == ids, "the same keys were answered with other events"
            place[0] = next(turns)

        return act

    def _looking(self, client: httpx.Client) -> None:
        answer = self.group.office.request(client, "GET", "/v1/stock", self.group.admin, params={"limit": 1_000})
        assert answer.status_code in (200, 429, 503), answer.text[:500]

    def _moving(self, worker: int) -> Any:
        """Asks for every fourth of the transfers, a sixth of them a month; each is asked for until it is answered."""
        next_number = [worker]
        current: list[dict[str, Any]] = []

        def act(client: httpx.Client) -> None:
            if not current:
                if next_number[0] >= TRANSFERS * self.month / MONTHS:
                    self._look_at_transfers(client)
                    return
                current.append(self._a_transfer(next_number[0]))
                next_number[0] += WORKERS
            body = current[0]
            answer = self.group.coordinator.request(
                client, "POST", "/v1/transfers", self.group.admin, json=body, params={"wait": 2}
            )
            if answer.status_code in (429, 503):
                return
            assert answer.status_code in (200, 201, 202), answer.text[:500]
            state = answer.json()["state"]
            if state in ENDS:
                self.ends[body["transfer_id"]] = state
            elif body["destination"] == self.away:
                self.asked_while_away += 1
                if self.random.random() < CANCELLED:
                    self._cancel(client, body["transfer_id"])
            current.clear()

        return act

    def _cancel(self, client: httpx.Client, transfer_id: str) -> None:
        path = f"/v1/transfers/{transfer_id}/cancel"
        answer = self.group.coordinator.request(client, "POST", path, self.group.admin)
        assert answer.status_code in (200, 202, 409, 429, 503), answer.text[:500]

    def _look_at_transfers(self, client: httpx.Client) -> None:
        answer = self.group.coordinator.request(client, "GET", "/v1/transfers", self.group.admin, params={"limit": 10})
        assert answer.status_code in (200, 429, 503), answer.text[:500]

    def _a_transfer(self, number: int) -> dict[str, Any]:
        random = Random(number)
        source, destination = random.sample(list(STORES), 2)
        most = 6 if number % 10 else MORE_THAN_THERE_IS
        lines = [
            {"item_id": product, "quantity": random.randint(1, 6) if most == 6 else most}
            for product in random.sample(sorted(self.coffee.products), random.randint(1, 3))
        ]
        body = {
            "transfer_id": f"acceptance-{number}",
            "source": source,
            "destination": destination,
            "mode": "immediate",
            "lines": lines,
        }
        self.wanted[body["transfer_id"]] = body  # type: ignore[index]
        return body

    def import_month(self, month: int) -> None:
        """Import a month at every branch, with everything killed meanwhile, until each import ends by itself."""
        path = self.coffee.month_file(self.folder, month)
        self.away = AWAY if month in (2, 4) else None
        if self.away:
            self.group.branches[self.away].kill()
        self.month, asked_before = month, self.asked_while_away
        for checkout in self.checkouts.values():
            checkout.allowed = ORDERS * month // MONTHS
        for name in STORES:
            if name != self.away:
                self._import_under_fire(name, path)
        if self.away:
            wait_until(lambda: self.asked_while_away >= asked_before + 3, 60, what=f"transfers to {AWAY}, away")
            self.group.branches[self.away].start()
            self.away = None
            self._import_under_fire(AWAY, path)

    def _import_under_fire(self, name: str, path: Path) -> None:
        """The import dies while it works, then the node does, then head office and coordinator."""
        process = self._moving_import(name, path)
        self.imports_killed += process.returncode is None
        process.kill()
        process = self._moving_import(name, path)
        for target in (self.group.branches[name], self.group.office, self.group.coordinator):
            target.kill()
            target.start()
        self._finish(name, path, process)

    def _moving_import(self, name: str, path: Path) -> RunningProcess:
        """An import that has recorded something, or has ended."""
        before = self._sales(name)
        process = self._import(name, path)
        wait_until(lambda: self._sales(name) > before or process.returncode is not None, 120, interval=0.005)
        return process

    def _sales(self, name: str) -> int:
        """The sequence of the last sale in a branch's log, 0 for none among the last thousand events."""
        with sqlite3.connect(f"file:{self.folder / name / 'branch.db'}?mode=ro", uri=True) as db:
            last = "SELECT sequence, type FROM event ORDER BY sequence DESC LIMIT 1000"
            query = f"SELECT coalesce(max(sequence), 0) FROM ({last}) WHERE type = 'ORDER_DEDUCTION'"
            return int(db.execute(query).fetchone()[0])

    def _import(self, name: str, path: Path) -> RunningProcess:
        (self.folder / f"{name}.toml").write_text(MAP.format(store=STORES[name]), encoding="utf-8")
        rejects = self.folder / f"{name}-{path.name}.rejects.csv"
        return larder(
            "branch", "import", path, "--map", self.folder / f"{name}.toml", "--dir", self.folder / name,
            "--rejects", rejects, "--json", output=self.folder / f"{name}-import.log",
        )  # fmt: skip

    def _finish(self, name: str, path: Path, process: RunningProcess) -> None:
        """An import that was cut off is run again, as a person would."""
        for _ in range(10):
            if process.wait(300) == 0:
                return
            process = self._import(name, path)
        raise AssertionError(f"the import at {name} never ended well: {process.text()[-2_000:]}")

    def settle(self) -> None:
        """Let traffic finish what it began, then wait until everything has arrived and every transfer has ended."""
        wait_until(lambda: all(len(told) == count for told, count in self.told_batches.values()), 300)
        wait_until(lambda: len(self.wanted) == TRANSFERS, 300, what="all transfers to be asked for")
        wait_until(lambda: all(each.done == ORDERS for each in self.checkouts.values()), 300, what="all orders")
        for traffic in self.traffic.values():
            traffic.stop()
        for name, checkout in self.checkouts.items():
            wait_until(lambda n=name, c=checkout: self._expired(n) == c.expired, 120, what=f"what expires at {name}")  # type: ignore[misc]
        for transfer_id in self.wanted:
            wait_until(lambda t=transfer_id: self._end_of(t) in ENDS, 120, what=f"the end of {transfer_id}")  # type: ignore[misc]
        for name in STORES:
            wait_until(lambda n=name: self._heads(n)[0] == self._heads(n)[1], 120, what=f"the log of {name}")  # type: ignore[misc]

    def _expired(self, name: str) -> int:
        """How many reservations have expired by a branch's log."""
        with sqlite3.connect(f"file:{self.folder / name / 'branch.db'}?mode=ro", uri=True) as db:
            query = "SELECT count(DISTINCT reservation_id) FROM event WHERE type = 'RESERVATION_EXPIRED'"
            return int(db.execute(query).fetchone()[0])

    def _end_of(self, transfer_id: str) -> str:
        answer = self.group.coordinator.request(self.client, "GET", f"/v1/transfers/{transfer_id}", self.group.admin)
        assert answer.status_code == 200, answer.text
        state = str(answer.json()["state"])
        told = self.ends.setdefault(transfer_id, state) if state in ENDS else None
        assert told in (None, state), f"{transfer_id} was told as {told} and is {state}"
        return state

    def _heads(self, name: str) -> tuple[int, int]:
        here = self.group.branches[name].request(self.client, "GET", "/v1/status", self.group.keys[name]).json()
        there = self.group.office.request(self.client, "GET", "/v1/locations", self.group.admin).json()
        return here["head"]["sequence"], {each["location_id"]: each["head"] for each in there["items"]}[name][
            "sequence"
        ]

    def stock(self, name: str, as_of: int | None = None) -> dict[str, int]:
        """Pieces of every product at a branch, as head office shows them."""
        params: dict[str, Any] = {"location_id": name, "limit": 1_000}
        if as_of is not None:
            params["as_of"] = datetime.fromtimestamp(as_of / 1_000_000, UTC).isoformat()
        answer = self.group.office.request(self.client, "GET", "/v1/stock", self.group.admin, params=params)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        assert page["next"] is None
        return {each["item_id"]: each["on_hand"] for each in page["items"]}

    def moved(self) -> Counter[tuple[str, str]]:
        """What the ended transfers changed, by the ends their callers were told."""
        changes: Counter[tuple[str, str]] = Counter()
        for transfer_id, end in self.ends.items():
            if end == "COMPLETED":
                body = self.wanted[transfer_id]
                for line in body["lines"]:
                    changes[body["source"], line["item_id"]] -= line["quantity"]
                    changes[body["destination"], line["item_id"]] += line["quantity"]
        return changes

    def log_at_branch(self, name: str) -> list[bytes]:
        with sqlite3.connect(f"file:{self.folder / name / 'branch.db'}?mode=ro", uri=True) as db:
            return [bytes(line) for (line,) in db.execute("SELECT line FROM event ORDER BY sequence")]

    def log_at_head_office(self, name: str) -> list[bytes]:
        lines: list[bytes] = []
        after = 0
        while True:
            params = {"location_id": name, "after": after, "limit": 1_000}
            page = self.group.office.request(self.client, "GET", "/v1/sync/log", self.group.admin, params=params).json()
            lines += [each["line"].encode() for each in page["items"]]
            after = page["next"]
            if len(page["items"]) < params["limit"]:  # type: ignore[operator]
                return lines


def _event_id(outcome: dict[str, Any]) -> str:
    event = outcome.get("event", outcome)
    assert "event_id" in event, outcome
    return str(event["event_id"])


def test_half_a_year_of_three_shops(tmp_path: Path) -> None:
    story = Story(tmp_path)
    try:
        story.define_items()
        story.begin_traffic()
        for month in range(1, MONTHS + 1):
            story.import_month(month)
        for target in story.group.targets:
            while target.kills < KILLS:
                target.kill()
                target.start()
        story.settle()
        _report(story)
        _judge(story)
        _judge_orders(story)
    finally:
        story.group.stop()
        story.follower.close()


def _report(story: Story) -> None:
    for target in story.group.targets:
        print(f"{target.name}: killed {target.kills} times, {target.in_flight_at_kills} requests in flight")
        assert target.kills >= KILLS
        assert target.in_flight_at_kills > 0, f"no request was in flight at any death of {target.name}"
    print(f"imports: killed {story.imports_killed} times")
    assert story.imports_killed >= KILLS
    print(f"transfers asked for to a branch that was away: {story.asked_while_away}")
    print(f"transfers: {dict(Counter(story.ends.values()))}")
    print(f"traffic: { {name: dict(each.counts) for name, each in story.traffic.items()} }")
    assert len(story.ends) == TRANSFERS


def _judge(story: Story) -> None:
    moved, sales = story.moved(), 0
    for name, store in STORES.items():
        here, there = story.log_at_branch(name), story.log_at_head_office(name)
        assert here == there, f"the logs of {name} differ"
        sales += sum(b'"type":"ORDER_DEDUCTION"' in line for line in here)
        expected = story.coffee.stock(store)
        for (location, product), pieces in moved.items():
            if location == name:
                expected[product] += pieces
        for product, pieces in story.checkouts[name].confirmed().items():
            expected[product] -= pieces
        assert story.stock(name) == expected, f"the stock of {name} at the end"
        for day in MONTH_ENDS:
            moment = end_of_business(_last_business_day(story, store, day))
            assert story.stock(name, moment) == story.coffee.stock(store, moment), f"{name} at the end of {day}"
    assert sales == LINES


def _judge_orders(story: Story) -> None:
    """Reservations are at the branches and at head office what the checkouts were told; the follower has it all."""
    office, admin = story.group.office, story.group.admin
    for name, checkout in story.checkouts.items():
        judge_reservations(story.client, checkout, story.group.branches[name], story.group.keys[name])
        judge_reservations(story.client, checkout, office, admin, location_id=name)
        print(f"reservations at {name}: {checkout.summary()}")
        larder_json("branch", "verify", "--dir", story.folder / name)
    larder_json("head-office", "verify", "--dir", story.folder / "office")
    counts = story.follower.judge(story.client, office, admin, list(STORES))
    print(f"messages: {counts}, {len(story.follower.refused)} refused at first, {story.follower.repeated} came again")
    checkouts = story.checkouts.values()
    assert counts["larder.InventoryReserved"] == sum(each.reservations for each in checkouts)
    assert counts["larder.InventoryUnavailable"] == sum(each.refused for each in checkouts)
    assert counts["larder.ReservationExpired"] == sum(each.expired for each in checkouts)


def _last_business_day(story: Story, store: str, month_end: date) -> date:
    """The last day of the month on which the store sold anything."""
    query = "SELECT max(at) FROM sale WHERE store = ? AND at <= ?"
    (last,) = story.coffee.db.execute(query, (store, end_of_business(month_end))).fetchone()
    return datetime.fromtimestamp(last / 1_000_000, ZONE).date()
