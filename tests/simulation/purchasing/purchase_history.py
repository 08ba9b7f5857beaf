"""One simulated history of purchasing: seeded steps and faults, the rules looked at, healing, and the last look."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any, Final

import httpx
import msgspec

from branch_node.database.purchases.pulled_order_lists import (
    PurchaseOrdersWanted,
    list_purchase_orders,
    read_purchase_order,
)
from head_office.reports.mornings.morning_maker import MorningMaker
from head_office.reports.purchasing.delivered_quantities import on_order_now
from shared.purchases.purchase_orders import PurchaseOrderState
from shared.runtime.clock import MINUTE
from tests.simulation.branch import OFFICE, Crashed, SimulatedBranch
from tests.simulation.callers import Callers, event_ids
from tests.simulation.history import FAULTS
from tests.simulation.hosted_group import HostedGroup
from tests.simulation.network import Network
from tests.simulation.office import ITEMS, KEYS, LEVELS, LOCATIONS, heads
from tests.simulation.purchasing.delivery_ledger import DeliveryLedger
from tests.simulation.purchasing.kept_mornings import KeptMornings
from tests.simulation.purchasing.purchasing_office import ORDERS, PurchasingOffice
from tests.simulation.purchasing.receivers import Paper, Receivers
from tests.simulation.rule_broken import RuleBroken

HEALING_ROUNDS: Final = 40
ROUNDS: Final = 3
"""How often the faults end, and begin again."""
JUMPS: Final = (0, 0, 7 * MINUTE, 9 * MINUTE, 60 * MINUTE, -7 * MINUTE, -180 * MINUTE)
"""How far a branch's computer may be ahead of the true time."""


class PurchaseHistory(HostedGroup):
    """One seed's world and its course. Use as a context manager."""

    CRASH_CHANCE = 0.06
    ENDS = (*LOCATIONS, "purchasing")

    def __init__(self, seed: int, office_url: str) -> None:
        super().__init__(seed, office_url, "larder-purchases-")
        self.quiet = Network(Random(seed + 3), self.caller, Counter(), {}, self.network.hosts)
        """Without faults, for who looks."""
        self.ledger = DeliveryLedger()
        self.receivers = Receivers(Random(seed + 4), self.ledger)
        headers = {"Authorization": f"Bearer {KEYS['admin']}"}
        self.looking = httpx.Client(transport=self.quiet.transport("looking"), base_url=OFFICE, headers=headers)
        self.http = httpx.Client(transport=self.network.transport("purchasing"), base_url=OFFICE, headers=headers)
        self.purchasing = PurchasingOffice(Random(seed + 5), self.http, self.ledger, self.injected)
        self.mornings = KeptMornings(self.looking)
        self.unseen: set[str] = set()
        """Branches that committed something since they were last looked at."""

    def __enter__(self) -> PurchaseHistory:
        self._advance(0)
        self.mornings.begin = self.clock.now()
        self.office.observer.set_clock()
        self._start_office()
        supplier = self.looking.put("/v1/suppliers/farm", json={"name": "Farm of the valley", "lead_days": 2})
        assert supplier.is_success, supplier.text
        self.add_branches(Callers(Random(self.seed + 2)))
        return self

    def __exit__(self, *_exception: object) -> None:
        self.http.close()
        self.looking.close()
        self.close()

    def run(self, steps: int) -> Counter[str]:
        """Play it. Raises RuleBroken. Returns how often each kind of fault was injected, and what was done."""
        for round_ in range(ROUNDS):
            self.calm, self.network.faults = False, dict(FAULTS)
            for _ in range(steps // ROUNDS):
                self.network.step += 1
                self._advance(self.random.choice([0, 1, 3, 10]))
                self.network.deliver_late()
                self._one_step()
                self._look_at_branches()
            self._heal()
            self.trace.append(f"round {round_} healed")
        self._make_mornings()
        self.mornings.check(self.clock.now())
        self.injected.update(f"order {self.ledger.state(each)}" for each in self.ledger.orders)
        self.injected["delivery counted"] += len(self.ledger.deliveries)
        self.injected["morning kept"] += len(self.mornings.kept)
        return self.injected

    # What happens

    def _one_step(self) -> None:
        actions: list[tuple[float, Callable[[], None]]] = [
            (14, self._purchase),
            (26, self._record),
            (5, self._tell_again),
            (20, lambda: self._agent("ship")),
            (20, lambda: self._agent("pull")),
            (2, self._crash_branch),
            (1, self._crash_office),
            (3, self._cut_or_join),
            (2, self._jump),
            (1.5, lambda: self._advance(self.random.randint(2, 14) * 3_600)),
            (3, self._make_mornings),
            (18, self._bring_up),
        ]
        self.random.choices([act for _, act in actions], [weight for weight, _ in actions])[0]()

    def _purchase(self) -> None:
        self.office.crash_at = self._crash_at()
        self.trace.append(self.purchasing.step())
        self.office.crash_at = None

    def _record(self) -> None:
        branch = self._one_running()
        if branch is None:
            return
        name = branch.location_id
        waiting = [each for each in self.receivers.waiting if each.location_id == name]
        papers = self.random.sample(waiting, min(len(waiting), self.random.randint(0, 2)))
        for _ in range(self.random.randint(1, 2)):
            paper = self.receivers.think(name, tuple(ITEMS), self.clock.now())
            if paper is not None:
                papers.append(paper)
        self._send(branch, papers)

    def _tell_again(self) -> None:
        branch = self._one_running()
        if branch is not None:
            done = [each for each in self.receivers.answered if each.location_id == branch.location_id]
            if done:
                self.injected["delivery told again"] += 1
                self._send(branch, [self.random.choice(done)])

    def _send(self, branch: SimulatedBranch, papers: list[Paper]) -> None:
        if not papers:
            return
        for paper in papers:
            paper.tries += 1
        outcomes = self._alive(branch, lambda: branch.commit([each.make() for each in papers]))
        self.trace.append(
            f"{branch.location_id}: {[each.name for each in papers]} -> {[_short(each) for each in outcomes or ()]}"
        )
        for paper, outcome in zip(papers, outcomes or (), strict=False):
            self.receivers.tell(paper, outcome)

    def _make_mornings(self) -> None:
        if self.office.engine is None:
            return
        self.office.observer.set_clock()
        self.office.crash_at = self._crash_at(0.4)
        maker = MorningMaker(
            self.office.engine, mailed=False, new_id=lambda moment: f"mail-{moment}", counted=lambda _made: None
        )
        try:
            self.trace.append(f"made {maker.step()} mornings")
        except Crashed:
            self.injected["head office crashed as it made a morning"] += 1
            self._office_down()
            return
        finally:
            self.office.crash_at = None
        self.mornings.keep()

    def _jump(self) -> None:
        self.random.choice(list(self.branches.values())).computer.ahead = self.random.choice(JUMPS)
        self.injected["clock jumped"] += 1

    # What must hold

    def _look_at_branches(self) -> None:
        """P1, wherever everyone was answered."""
        for name, branch in self.branches.items():
            if branch.anything_committed():
                self.unseen.add(name)
            if name in self.unseen and not self.receivers.unsure(name):
                self.unseen.remove(name)
                for record in self._branch_orders(branch).values():
                    self.ledger.check_received(record, f"branch {name}")

    def _branch_orders(self, branch: SimulatedBranch) -> dict[str, Any]:
        found = {}
        with branch.store.reading() as connection:
            for order_id in self.ledger.orders:
                record = read_purchase_order(connection, order_id)
                if record is not None:
                    found[order_id] = _plain(record)
        return found

    def _heal(self) -> None:
        """End the faults, until everyone was answered and has everything; then they agree."""
        self.network.heal()
        self.network.step += 1_000
        self.calm = True
        for branch in self.branches.values():
            branch.computer.ahead = 0
        # What was recorded by a clock that was ahead is in the past by then: reports are as of now.
        self._advance(70 * 60)
        apart: RuleBroken | None = None
        for _ in range(HEALING_ROUNDS):
            self._advance(20)
            self.network.deliver_late()
            self._bring_up()
            self.purchasing.tell_all()
            for name, branch in self.branches.items():
                self._send(branch, [each for each in self.receivers.waiting if each.location_id == name])
                for what in ("ship", "pull", "pull", "ship"):
                    branch.step(what)
            self._look_at_branches()
            if self.purchasing.waiting or self.receivers.waiting or not self._shipped():
                continue
            try:
                self._agree()
            except RuleBroken as broken:
                apart = broken
                continue
            return
        raise apart or RuleBroken("P2", f"after {HEALING_ROUNDS} rounds something waits: {self.receivers.waiting}")

    def _shipped(self) -> bool:
        there = heads(self.office.observer.connection)
        return all(
            there.get(name, 0) == (branch.database.execute("SELECT max(sequence) FROM event").fetchone()[0] or 0)
            for name, branch in self.branches.items()
        )

    def _agree(self) -> None:
        """P2."""
        there = {each["purchase_order_id"]: each for each in self._call(ORDERS, limit=1_000)["items"]}
        if there.keys() != self.ledger.orders.keys():
            raise RuleBroken("P2", f"head office has the orders {sorted(there)}, not {sorted(self.ledger.orders)}")
        for record in there.values():
            self.ledger.check(record, "head office")
        for name, branch in self.branches.items():
            own = {each for each, order in self.ledger.orders.items() if order.location_id == name}
            here = self._branch_orders(branch)
            if here.keys() != own:
                raise RuleBroken("P2", f"branch {name} has the orders {sorted(here)}, not {sorted(own)}")
            for order_id, record in here.items():
                self.ledger.check(record, f"branch {name}")
                if record != there[order_id]:
                    raise RuleBroken("P2", f"branch {name} says {record}, head office {there[order_id]}")
        for state in PurchaseOrderState:
            self._agree_on(state)
        self._agree_on_what_is_on_order()

    def _agree_on(self, state: PurchaseOrderState) -> None:
        listed = [each["purchase_order_id"] for each in self._call(ORDERS, limit=1_000, state=state)["items"]]
        if listed != self.ledger.in_state(state):
            raise RuleBroken("P2", f"head office lists as {state}: {listed}, not {self.ledger.in_state(state)}")
        for name, branch in self.branches.items():
            with branch.store.reading() as connection:
                page = list_purchase_orders(connection, PurchaseOrdersWanted(state=state), after=None, limit=1_000)
            listed = [each.purchase_order_id for each in page.items]
            if listed != self.ledger.in_state(state, name):
                raise RuleBroken("P2", f"branch {name} lists as {state}: {listed}")

    def _agree_on_what_is_on_order(self) -> None:
        expected = self.ledger.on_order()
        assert self.office.engine is not None
        with self.office.engine.connect() as connection:
            found = {key: each.quantity for key, each in on_order_now(connection, None).items()}
        if found != expected:
            raise RuleBroken("P2", f"on order are {found}, and should be {expected}")
        with_level = {(name, item): expected.get((name, item), 0) for name in LOCATIONS for item in LEVELS}
        rows = self._call("/v1/reports/purchasing", all="true")["items"]
        reported = {(row["location_id"], row["item_id"]): round(row["on_order"] * 1_000) for row in rows}
        if reported != with_level:
            raise RuleBroken("P2", f"the report has on order {reported}, and should have {with_level}")

    def _call(self, path: str, **params: Any) -> Any:
        answer = self.looking.get(path, params=params)
        assert answer.is_success, answer.text
        return answer.json()


def _plain(record: Any) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(record))
    return found


def _short(outcome: object) -> object:
    return repr(outcome) if isinstance(outcome, BaseException) else event_ids(outcome)
