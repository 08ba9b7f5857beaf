"""Simulated histories of a shop that tells head office of its orders: real intake, router, poll, puller and logs.

Rules of its own: O1, an order is reserved at one location at most, ever; O2, an event has one answer, and each location
that was asked answers it once; O3, once the faults have ended every order ends, and is what the logs say.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any, Final

import httpx

from head_office.orders.order_router import OrderRouter
from shared.chain import understand
from shared.orders.cloud_events import InboundEvent
from shared.orders.order_event_inputs import asked_key_of
from shared.orders.order_outcomes import RecordedOutcome
from tests.simulation.branch import OFFICE, Crashed
from tests.simulation.callers import Callers
from tests.simulation.hosted_group import HostedGroup
from tests.simulation.office import ITEMS, KEYS, LOCATIONS, OFFICE_HOST
from tests.simulation.rule_broken import RuleBroken
from tests.support.order_events import answers_in
from tests.support.signed_shop import SignedShop, order_event

ORDERS: Final = "/v1/inbound/orders"
HEARD_WITHIN: Final = 600
HEALING_ROUNDS: Final = 30
RETRIED: Final = frozenset({401, 429, 503})
"""What a shop sends again: the network cut a body, head office was busy or slow."""


class OrderHistory(HostedGroup):
    """One seed's world and its course. Use as a context manager."""

    def __init__(self, seed: int, office_url: str) -> None:
        super().__init__(seed, office_url, "larder-orders-")
        self.callers = Callers(Random(seed + 2))
        self.http = httpx.Client(transport=self.network.transport("shop"), base_url=OFFICE)
        self.waiting: list[dict[str, Any]] = []
        """Events that were not answered yet, in the order in which they happened."""
        self.answered: dict[str, tuple[dict[str, Any], Any]] = {}
        self.orders: list[str] = []

    def __enter__(self) -> OrderHistory:
        self._advance(0)
        self.office.observer.set_clock()
        self._start_office()
        made = self._call("POST", "/v1/inbound/sources", {"source": "shop"})
        self.shop = SignedShop(
            made["secret"],
            made["path"],
            lambda path, body, headers: self.http.post(path, content=body, headers=headers),
            self.clock.now,
        )
        self.add_branches(self.callers)
        return self

    def __exit__(self, *_exception: object) -> None:
        self.http.close()
        self.close()

    def run(self, steps: int) -> Counter[str]:
        """Play it. Raises RuleBroken. Returns how often each kind of fault was injected, and what became of asks."""
        for step in range(steps):
            self.network.step = step
            self._advance(self.random.choice([0, 1, 3, 10]))
            self.network.deliver_late()
            self._one_step()
            self._look()
        self._heal()
        self._last_look()
        return self.injected

    # What happens

    def _one_step(self) -> None:
        actions: list[tuple[float, Callable[[], None]]] = [
            (24, self._tell),
            (6, self._tell_again),
            (5, self._sell),
            (20, lambda: self._agent("ship")),
            (20, lambda: self._agent("pull")),
            (12, self._route),
            (2, self._crash_branch),
            (1, self._crash_office),
            (3, self._cut_or_join),
            (10, self._bring_up),
        ]
        self.random.choices([act for _, act in actions], [weight for weight, _ in actions])[0]()

    def _tell(self) -> None:
        """Something new of an order, or what was not answered yet."""
        if not self.waiting or self.random.random() < 0.6:
            self.waiting.append(self._think())
        event = self.random.choice(self.waiting)
        if self.random.random() < 0.8:
            # What happened to an order is mostly told in its order.
            order_id = event["data"]["order_id"]
            event = next(each for each in self.waiting if each["data"]["order_id"] == order_id)
        self._send(event)

    def _think(self) -> dict[str, Any]:
        random = self.random
        number = len(self.waiting) + len(self.answered)
        event_id = f"e{number}-{random.getrandbits(32):08x}"
        lines = {item: random.randint(1, 25) for item in random.sample(sorted(ITEMS), random.randint(1, 2))}
        if not self.orders or random.random() < 0.45:
            self.orders.append(f"o{len(self.orders)}")
            if random.random() < 0.1:
                return order_event(
                    "cancelled", self.orders[-1], id=event_id
                )  # it comes before its order, if that comes
            where: dict[str, Any] = {}
            if random.random() < 0.5:
                where = {"prefer": random.sample(LOCATIONS, 2)}
            elif random.random() < 0.2:
                where = {"location_id": random.choice(LOCATIONS)}
            return order_event("placed", self.orders[-1], id=event_id, lines=lines, **where)
        order_id = random.choice(self.orders[-8:])
        match random.choice(["placed", "placed", "cancelled", "cancelled", "shipped", "rest", "returned"]):
            case "placed":
                return order_event("placed", order_id, id=event_id, lines=lines, revision=random.randint(1, 4))
            case "cancelled":
                return order_event("cancelled", order_id, id=event_id)
            case "rest":
                return order_event("shipped", order_id, id=event_id)
            case kind:
                return order_event(kind, order_id, id=event_id, lines=lines)

    def _tell_again(self) -> None:
        if self.answered:
            self.injected["event repeated"] += 1
            self._send(self.answered[self.random.choice(sorted(self.answered))][0])

    def _send(self, event: dict[str, Any]) -> None:
        self.office.crash_at = self._crash_at()
        try:
            answer = self.shop.send(event, binary=self.random.random() < 0.5)
        except httpx.TransportError as error:
            self.trace.append(f"told {event}: {error}")
            return
        finally:
            self.office.crash_at = None
        self.trace.append(f"told {event}: {answer.status_code} {answer.text}")
        before = self.answered.get(event["id"])
        if answer.status_code in RETRIED:
            return
        if before is not None:
            if before[1] != answer.json():
                raise RuleBroken("O2", f"{event} was answered {before[1]}, then {answer.text}")
            return
        self.waiting.remove(event)
        if answer.status_code == 409:
            if answer.json()["code"] != "unknown-order":
                raise RuleBroken("O2", f"{event}: {answer.text}")
            return
        if answer.status_code not in (200, 202):
            raise RuleBroken(16, f"{event}: {answer.status_code} {answer.text}")
        self.answered[event["id"]] = (event, answer.json())
        self.injected[f"told {answer.json()['outcome']}"] += 1

    def _sell(self) -> None:
        """A branch uses what head office believes it has."""
        branch = self._one_running()
        if branch is not None:
            wish = self.callers.wish(branch.location_id, tuple(ITEMS), self.clock.now(), [], kind="waste")
            self._alive(branch, lambda: branch.commit([wish.make()]))

    def _route(self) -> None:
        if self.office.engine is None:
            return
        self.office.observer.set_clock()
        self.office.crash_at = self._crash_at()
        try:
            self.trace.append(f"routed {OrderRouter(self.office.engine, HEARD_WITHIN).step()} orders")
        except Crashed:
            self.injected["head office crashed as it routed"] += 1
            self._office_down()
        finally:
            self.office.crash_at = None

    # What must hold

    def _look(self) -> None:
        """O1, by the branches' own databases."""
        found: Counter[str] = Counter()
        for branch in self.branches.values():
            query = "SELECT DISTINCT order_id FROM reservation WHERE source = 'shop'"
            found.update(order_id for (order_id,) in branch.database.execute(query))
        twice = [order_id for order_id, places in found.items() if places > 1]
        if twice:
            raise RuleBroken("O1", f"reserved at two locations: {twice}")

    def _answers(self) -> dict[str, dict[str, RecordedOutcome]]:
        """What each log answers, by command key. Raises AssertionError where it answers one twice."""
        query = "SELECT line FROM event ORDER BY sequence"
        return {
            name: answers_in(understand(bytes(line)) for (line,) in branch.database.execute(query))
            for name, branch in self.branches.items()
        }

    def _heal(self) -> None:
        """End the faults. In every other history a location stays away for a while: who waits names it."""
        self.network.heal()
        self.network.step += 1_000
        self.calm = True
        if self.seed % 2:
            away = LOCATIONS[self.seed % len(LOCATIONS)]
            self.network.cut.add((away, OFFICE_HOST))
            self._go_on(lambda: all(each["waits_for"] == away for each in self._asked()))
            self.injected["waited for who was away"] += len(self._asked())
            self.network.cut.clear()
        self._go_on(lambda: not self._asked())

    def _go_on(self, until: Callable[[], bool]) -> None:
        for _ in range(HEALING_ROUNDS):
            self._advance(20)
            self.network.deliver_late()
            self._bring_up()
            for event in list(self.waiting):
                self._send(event)
            for branch in self.branches.values():
                for what in ("ship", "pull", "pull", "ship"):
                    branch.step(what)
            self._route()
            self._look()
            if not self.waiting and until():
                return
        raise RuleBroken("O3", f"after {HEALING_ROUNDS} rounds: {self.waiting} {self._asked()}")

    def _asked(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._call("GET", ORDERS, state="ASKED", limit=1_000)["items"]
        return found

    def _call(self, method: str, path: str, body: Any = None, **params: Any) -> Any:
        headers = {"Authorization": f"Bearer {KEYS['admin']}"}
        answer = self.http.request(method, path, json=body, params=params, headers=headers)
        assert answer.is_success, answer.text
        return answer.json()

    def _last_look(self) -> None:
        """O2 and O3: what head office shows is what the logs say, whole, and nothing else was recorded."""
        logged = self._answers()
        asks: set[tuple[str, str]] = set()
        told: set[str] = set()
        for listed in self._call("GET", ORDERS, limit=1_000)["items"]:
            record = self._call("GET", f"{ORDERS}/shop/{listed['order_id']}")
            told |= {each["event_id"] for each in record["told"]}
            if not all(each["outcome"] for each in record["told"]):
                raise RuleBroken("O3", f"an event of it has no outcome: {record}")
            for each in record["asked"]:
                place, key = each["location_id"], _key(each["event_id"])
                asks.add((place, key))
                self.injected[f"answered {each['outcome']}"] += 1
                if key not in logged[place] or logged[place][key].outcome != each["outcome"]:
                    raise RuleBroken("O3", f"the log of {place} does not say so: {each}")
        if asks != {(place, key) for place, found in logged.items() for key in found}:
            raise RuleBroken("O2", "a location answered what it was not asked")
        if not self.answered.keys() <= told:
            raise RuleBroken("O3", f"head office forgot {self.answered.keys() - told}")


def _key(event_id: str) -> str:
    event = order_event("placed", "", id=event_id)
    told = InboundEvent(id=event_id, source=event["source"], type=event["type"], time=None, data=None)
    return asked_key_of("shop", told)
