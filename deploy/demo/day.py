"""One day of the sample group, played over HTTP as by tills and people, with the expected totals."""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import httpx

from deploy.demo.data import ITEMS, sample_order
from deploy.demo.services import DemoFailed, DemoGroup

DAY_HOURS = 11
WAIT_SECONDS = 60.0
POLL_SECONDS = 0.1
ENDED = ("COMPLETED", "REVERSED", "REJECTED")
PrintStep = Callable[[str], None]


@dataclass
class DayTotals:
    """The callers' totals by the answers: expected stock (thousandths), order lines, the states of ended transfers."""

    expected: Counter[tuple[str, str]] = field(default_factory=Counter)
    order_lines: Counter[str] = field(default_factory=Counter)
    transfers: dict[str, str] = field(default_factory=dict)
    orders_while_cut: int = 0


class ServiceCaller:
    """HTTP calls to one service with a key. An answer other than 2xx raises DemoFailed with its text."""

    def __init__(self, url: str, key: str) -> None:
        self._http = httpx.Client(
            base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=40.0, trust_env=False
        )

    def call(self, method: str, path: str, body: Any = None, **params: Any) -> Any:
        # A key made before the request, so that a repeated one would count once.
        headers = {"Idempotency-Key": str(uuid.uuid4())} if method == "POST" else {}
        response = self._http.request(method, path, json=body, params=params or None, headers=headers)
        if response.is_error:
            raise DemoFailed(f"{method} {path} was answered {response.status_code}: {response.text[:400]}")
        # Quantities stay text: a float would not be exact.
        return response.json(parse_float=str)

    def close(self) -> None:
        self._http.close()


class Day:
    """Plays the day on a running group. `print_step` gets a line of text at each step."""

    def __init__(self, group: DemoGroup, random: Random, print_step: PrintStep) -> None:
        self._random = random
        self._print_step = print_step
        self._group = group
        self.office = ServiceCaller(group.head_office.url, group.admin_key)
        self.coordinator = ServiceCaller(group.coordinator.url, group.admin_key)
        self.branches = {name: ServiceCaller(branch.url, branch.key) for name, branch in group.branches.items()}
        self.totals = DayTotals()
        self._opened = datetime.now(UTC) - timedelta(hours=DAY_HOURS)

    def close(self) -> None:
        for api in (self.office, self.coordinator, *self.branches.values()):
            api.close()

    def open(self) -> None:
        """The morning: items, deliveries, the first orders."""
        self._catalogue()
        self._deliveries()
        self._orders(self.branches, 60, hour=1)

    def play(self) -> DayTotals:
        """The whole day, until every event has reached head office."""
        self.open()
        self._print_step("A transfer of 8 kg of tomatoes and 2 kg of mozzarella, Hamra to Achrafieh")
        self._transfer("demo-1", "BEY-01", "BEY-02", {"tomato": 8_000, "mozzarella": 2_000}, wait=True)
        self._transfer("demo-2", "BEY-02", "BEY-01", {"basil": 900_000}, wait=True)
        self._lunch_offline("TRI-01")
        self._count("BEY-02", {"milk": -1_250, "lemon": 300})
        self._mistake("BEY-01")
        self._orders(self.branches, 40, hour=8)
        self._settle()
        return self.totals

    def _time_at(self, hour: float) -> str:
        return (self._opened + timedelta(hours=hour)).isoformat()

    def _catalogue(self) -> None:
        self._print_step(f"Head office defines {len(ITEMS)} items; the branches pull them")
        for item in ITEMS:
            self.office.call(
                "PUT", f"/v1/items/{item.item_id}", {"name": item.name, "unit": item.unit, "category": item.category}
            )
        for name, api in self.branches.items():
            self._until(lambda api=api: len(list_all(api, "/v1/items")) >= len(ITEMS), f"the catalogue at {name}")  # type: ignore[misc]

    def _deliveries(self) -> None:
        self._print_step("Deliveries arrive at all three branches")
        for name, api in self.branches.items():
            for item in ITEMS:
                quantity = item.delivered + self._random.randrange(0, 5) * 1_000
                api.call(
                    "POST",
                    "/v1/events",
                    {
                        "type": "PURCHASE_RECEIVED",
                        "item_id": item.item_id,
                        "quantity": quantity / 1_000,
                        "occurred_at": self._time_at(0),
                        "reference": {"kind": "delivery", "id": f"D-{name}"},
                    },
                )
                self.totals.expected[name, item.item_id] += quantity

    def _orders(self, branches: Iterable[str], orders: int, *, hour: float) -> None:
        for name in branches:
            for number in range(orders):
                lines = sample_order(self._random)
                body = {
                    "order_id": f"{name}-{hour:g}-{number + 1}",
                    "occurred_at": self._time_at(hour + 2.5 * number / orders),
                    "lines": lines,
                }
                self.branches[name].call("POST", "/v1/orders", body)
                self.totals.order_lines[name] += len(lines)
                for line in lines:
                    self.totals.expected[name, str(line["item_id"])] -= round(float(str(line["quantity"])) * 1_000)
        self._print_step(f"{orders} orders at each of {', '.join(branches)}")

    def _transfer(self, transfer_id: str, source: str, destination: str, items: dict[str, int], *, wait: bool) -> None:
        lines = [{"item_id": item_id, "quantity": quantity / 1_000} for item_id, quantity in items.items()]
        body = {
            "transfer_id": transfer_id,
            "source": source,
            "destination": destination,
            "mode": "immediate",
            "lines": lines,
        }
        answer = self.coordinator.call("POST", "/v1/transfers", body, **({"wait": 20} if wait else {}))
        if wait:
            self._record_end(transfer_id, source, destination, items, str(answer["state"]))

    def _record_end(self, transfer_id: str, source: str, destination: str, items: dict[str, int], state: str) -> None:
        self.totals.transfers[transfer_id] = state
        self._print_step(f"  {transfer_id}: {state}")
        if state == "COMPLETED":
            for item_id, quantity in items.items():
                self.totals.expected[source, item_id] -= quantity
                self.totals.expected[destination, item_id] += quantity

    def _lunch_offline(self, name: str) -> None:
        self._group.branches[name].link.cut()
        self._print_step(f"{name} is cut off; it goes on selling")
        before = self.totals.order_lines[name]
        self._orders(self.branches, 50, hour=4)
        self.totals.orders_while_cut = self.totals.order_lines[name] - before
        goods = {"lemon": 2_000, "coffee": 500}
        self._print_step(f"A transfer to {name} is requested; its goods leave Hamra, and {name} does not answer")
        self._transfer("demo-3", "BEY-01", name, goods, wait=False)
        self._until(lambda: self._state("demo-3") == "IN_PENDING", "demo-3 to be on its way")
        self.coordinator.call("POST", "/v1/transfers/demo-3/cancel", {})
        self._print_step(f"It is cancelled; {name} comes back, refuses it, and it is reversed")
        self._group.branches[name].link.join()
        self._until(lambda: self._state("demo-3") in ENDED, "the end of demo-3")
        self._record_end("demo-3", "BEY-01", name, goods, self._state("demo-3"))

    def _state(self, transfer_id: str) -> str:
        return str(self.coordinator.call("GET", f"/v1/transfers/{transfer_id}")["state"])

    def _count(self, name: str, variances: dict[str, int]) -> None:
        api = self.branches[name]
        lines = []
        for item_id, variance in variances.items():
            counted = self.totals.expected[name, item_id] + variance
            self.totals.expected[name, item_id] = counted
            lines.append({"item_id": item_id, "counted": counted / 1_000, "occurred_at": self._time_at(7.5)})
        api.call("POST", "/v1/counts", {"count_id": f"{name}-evening", "lines": lines})
        self._print_step(f"A count at {name}: {', '.join(f'{i} {v / 1_000:+g}' for i, v in variances.items())}")

    def _mistake(self, name: str) -> None:
        api = self.branches[name]
        waste = {"type": "WASTE_RECORDED", "item_id": "labneh", "quantity": 12, "reason": "spoiled"}
        recorded = api.call("POST", "/v1/events", {**waste, "occurred_at": self._time_at(7)})
        api.call("POST", f"/v1/events/{recorded['event_id']}/void", {"reason": "typed 12 instead of 1.2"})
        api.call("POST", "/v1/events", {**waste, "quantity": 1.2, "occurred_at": self._time_at(7)})
        self.totals.expected[name, "labneh"] -= 1_200
        self._print_step(f"A mistyped waste at {name} is voided and recorded again")

    def _settle(self) -> None:
        self._print_step("Everything arrives at head office")
        for name, api in self.branches.items():
            self._until(
                lambda api=api, name=name: self._arrived(api, name),  # type: ignore[misc]
                f"the log of {name} at head office",
            )

    def _arrived(self, api: ServiceCaller, name: str) -> bool:
        sequence = api.call("GET", "/v1/status")["head"]["sequence"]
        locations = {each["location_id"]: each for each in list_all(self.office, "/v1/locations")}
        return bool(locations[name]["head"]["sequence"] == sequence)

    def _until(self, reached: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + WAIT_SECONDS
        while not reached():
            if time.monotonic() > deadline:
                raise DemoFailed(f"waited {WAIT_SECONDS:.0f} s in vain for {what}")
            time.sleep(POLL_SECONDS)


def list_all(api: ServiceCaller, path: str) -> list[dict[str, Any]]:
    """Every item of a list route, page after page."""
    found: list[dict[str, Any]] = []
    after: str | None = None
    while True:
        page = api.call("GET", path, limit=1_000, **({"after": after} if after else {}))
        found += page["items"]
        after = page.get("next")
        if after is None or len(page["items"]) < 1_000:
            return found
