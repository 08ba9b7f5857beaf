"""One simulated history: seeded steps and faults, the rules looked at after every step, healing, the last rules."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from branch_node.database.schema import LOG as BRANCH_LOG
from branch_node.database.schema import STOCK as BRANCH_STOCK
from head_office.database.schema import STOCK as OFFICE_STOCK
from shared.runtime.clock import DAY, MINUTE, SECOND
from tests.simulation import invariants
from tests.simulation import reservation_rules as rules
from tests.simulation.branch import SimulatedBranch
from tests.simulation.callers import Callers, Wish, event_ids, said_to_have_ended
from tests.simulation.clock import VirtualClock
from tests.simulation.coordinator import ENDED, SimulatedCoordinator
from tests.simulation.invariants import Copy
from tests.simulation.network import AsgiCaller, Network
from tests.simulation.office import ITEMS, KEYS, LEVELS, LOCATIONS, OFFICE_HOST, SimulatedOffice, follow_office, heads
from tests.simulation.promised_times import PromisedTimes
from tests.simulation.reservation_ledger import ReservationLedger
from tests.simulation.rule_broken import RuleBroken
from tests.simulation.subscribers.following import Following
from tests.simulation.subscribers.message_ledger import MessageLedger
from tests.simulation.till import Till
from tests.support.memory_folder import memory_folder

STEPS = 300
HEALING_ROUNDS = 120
FAULTS = {
    "dropped": 0.05,
    "answer lost": 0.08,
    "duplicated": 0.08,
    "delayed": 0.10,
    "truncated": 0.04,
}
JUMPS = (0, 0, 7 * MINUTE, 7 * MINUTE, 9 * MINUTE, 60 * MINUTE, 20 * DAY, -7 * MINUTE, -180 * MINUTE)
"""How far a branch's computer may be ahead of the true time."""
FOLLOWED = 0.22
"""How often subscribers and deliverers do something between two steps."""
DELIVERY_ROUNDS = 40
NEXT_TRY = 300
"""Seconds between two rounds of deliveries alone: the longest wait after an attempt."""
WITH_LEVELS = "SELECT item_id FROM reorder_level"
COORDINATOR = "coordinator"


@dataclass
class Trace:
    """What happened, a line a step; shown when a rule is broken."""

    lines: list[str] = field(default_factory=list)
    aloud: bool = False

    def add(self, line: str) -> None:
        self.lines.append(line)
        if self.aloud:
            print(line)


class History:
    """One seed's world and its course. Use as a context manager."""

    def __init__(self, seed: int, office_url: str, coordinator_url: str, *, aloud: bool = False) -> None:
        self.seed = seed
        self.random = Random(seed)
        self.clock = VirtualClock()
        self.injected: Counter[str] = Counter()
        self.trace = Trace(aloud=aloud)
        self.caller = AsgiCaller()
        self.network = Network(Random(seed + 1), self.caller, self.injected, dict(FAULTS))
        self.folder = Path(tempfile.mkdtemp(prefix="larder-sim-", dir=memory_folder()))
        self.office = SimulatedOffice(office_url, self.folder, self.clock)
        self.coordinator = SimulatedCoordinator(
            coordinator_url, self.clock, self.network, Random(seed + 3), self.injected
        )
        self.callers = Callers(Random(seed + 2))
        self.tills = {name: Till(Random(seed * 37 + number)) for number, name in enumerate(LOCATIONS)}
        self.branches: dict[str, SimulatedBranch] = {}
        self.here = {name: Copy() for name in LOCATIONS}
        self.ledgers = {name: ReservationLedger(name, asked=self.callers.checkout(name).asked) for name in LOCATIONS}
        self.times = {name: PromisedTimes(ledger) for name, ledger in self.ledgers.items()}
        self.there = {name: Copy() for name in LOCATIONS}
        self.messages = {name: MessageLedger(name, LEVELS) for name in LOCATIONS}
        self.known_levels: dict[str, frozenset[str]] = {name: frozenset() for name in LOCATIONS}
        self.following = Following(
            Random(seed + 4),
            self.network,
            self.clock,
            self.office,
            self.branches,
            self.messages,
            self.trace.add,
            self._office_down,
        )

    def __enter__(self) -> History:
        self._advance(0)
        self.office.observer.set_clock()
        self.office.start()
        self.coordinator.start()
        self.office.appear(self.network, self._office_died)
        for number, name in enumerate(LOCATIONS):
            folder = self.folder / name
            folder.mkdir()
            branch = SimulatedBranch(
                name, folder, KEYS[name], self.clock, self.network, Random(self.seed * 31 + number)
            )
            branch.set_up()
            branch.start()
            self.branches[name] = branch
        if self.random.random() < 0.85:
            self.quiet_morning()
        return self

    def quiet_morning(self) -> None:
        """Before the faults: the catalogue arrives, and a first delivery. Some histories begin without."""
        faults, self.network.faults = self.network.faults, {}
        for branch in self.branches.values():
            for what in ("ship", "pull"):
                branch.step(what)
            self._send(branch, [self.callers.delivery(branch.location_id, item) for item in ITEMS])
        for subscriber in self.following.subscribers:
            self.following.ask(subscriber)
        self.network.faults = faults

    def __exit__(self, *_exception: object) -> None:
        for branch in self.branches.values():
            branch.close()
        self.coordinator.close()
        self.office.close()
        self.caller.close()
        shutil.rmtree(self.folder)

    def run(self, steps: int = STEPS) -> Counter[str]:
        """Play it. Raises RuleBroken. Returns how often each kind of fault was injected."""
        for step in range(steps):
            self.network.step = step
            self._advance(self.random.choice([0, 1, 3, 10, 40]))
            self.network.deliver_late()
            self._one_step()
            self._look()
            if self.following.random.random() < FOLLOWED:
                self.following.step()
                self._look()
        self._heal()
        self.office.committed = self.coordinator.committed = True  # whatever was noticed of their commits
        self._look()
        self._last_look()
        for ledger in self.ledgers.values():
            self.injected.update({f"{kind} recorded": times for kind, times in ledger.seen.items()})
        self.injected["reorder point crossed"] += sum(each.crossings for each in self.messages.values())
        return self.injected

    # What happens

    def _one_step(self) -> None:
        actions: list[tuple[float, Callable[[], None]]] = [
            (30, self._record),
            (24, self._ship),
            (24, self._pull),
            (5, self._repeat),
            (5, self._import),
            (5, self._transfer),
            (1, self._call_back),
            (20, self._coordinate),
            (2, self._kill_coordinator),
            (0.5, self._replace_coordinator),
            (3, self.coordinator.wake),
            (2, self._crash_branch),
            (1, self._crash_office),
            (3, self._cut_or_join),
            (4, self._pass_time),
            (1.5, self._jump),
            (14, self._bring_up),
        ]
        self.random.choices([act for _, act in actions], [weight for weight, _ in actions])[0]()

    def _advance(self, seconds: int) -> None:
        self.clock.advance(seconds * SECOND + self.random.randint(1, 999_999))

    def _running(self) -> list[SimulatedBranch]:
        return [branch for branch in self.branches.values() if branch.up]

    def _record(self) -> None:
        running = self._running()
        if not running:
            return
        branch = self.random.choice(running)
        known = [event.event_id for event in self.here[branch.location_id].events[-20:]]
        again = [wish for wish in self.callers.waiting if wish.location_id == branch.location_id]
        wishes = self.random.sample(again, min(len(again), self.random.randint(0, 2)))
        for _ in range(self.random.randint(1, 3)):
            wishes.append(self.callers.wish(branch.location_id, tuple(ITEMS), branch_now(self.clock), known))
        if self.random.random() < 0.06:
            branch.crash_at = self.random.choice(["before the commit", "after the commit"])
        self._send(branch, wishes)

    def _repeat(self) -> None:
        """A caller that was told sends the same again: the same answer, and nothing more recorded."""
        running = self._running()
        told = [wish for wish in self.callers.answered if wish.accepted and self.branches[wish.location_id].up]
        if running and told:
            self.injected["request repeated"] += 1
            wish = self.random.choice(told)
            self._send(self.branches[wish.location_id], [wish])

    def _import(self) -> None:
        """A branch imports what its till exports: all so far, a part, the same again, cut off or not."""
        running = self._running()
        if not running:
            return
        branch = self.random.choice(running)
        if branch.writer.items:
            till = self.tills[branch.location_id]
            till.sell(sorted(ITEMS.keys() & branch.writer.items.keys()), branch_now(self.clock))
            branch.crash_after = self.random.choice([None, None, self.random.randint(0, 4)])
            self._import_at(branch)

    def _import_at(self, branch: SimulatedBranch, *, whole: bool = False) -> None:
        till = self.tills[branch.location_id]
        if till.sales:
            self.injected["file imported"] += 1
            folder, now = self.folder / branch.location_id, branch_now(self.clock)
            summary = branch.attempt(lambda: till.import_at(branch, folder, now, whole=whole))
            branch.crash_after = None
            self.injected["import cut off"] += summary is None
            self.trace.add(f"{branch.location_id} imports {'all' if whole else 'a part'} of its till: {summary}")

    def _send(self, branch: SimulatedBranch, wishes: list[Wish]) -> None:
        self.trace.add(f"{branch.location_id} records {[wish.name for wish in wishes]} crash={branch.crash_at}")
        for wish in wishes:
            wish.tries += 1
        outcomes = branch.attempt(lambda: branch.commit([wish.make() for wish in wishes]))
        if outcomes is not None:
            for wish, outcome in zip(wishes, outcomes, strict=True):
                self.callers.tell(wish, outcome)

    def _ship(self) -> None:
        self._agent("ship")

    def _pull(self) -> None:
        self._agent("pull")

    def _agent(self, what: str) -> None:
        running = self._running()
        if running:
            branch = self.random.choice(running)
            if self.random.random() < 0.03:
                branch.crash_at = self.random.choice(["before the commit", "after the commit"])
            if self.random.random() < 0.03:
                self.office.crash_at = self.random.choice(["before the commit", "after the commit"])
            times = self.times[branch.location_id]
            before = times.before(*branch.node_clock.read(), branch.verified)
            result = branch.attempt(lambda: branch.step(what))
            self.office.crash_at = None
            if branch.up:
                self._look_at_branch(branch)
                if times.settled(before, branch.starts, branch.node_clock.now()):
                    self.injected["clock settled"] += 1
            self.trace.add(f"{branch.location_id} {what} -> {result}")

    def _pass_time(self) -> None:
        """A branch to which nobody comes: what has expired is recorded by itself."""
        running = self._running()
        if running:
            branch = self.random.choice(running)
            self.trace.add(f"{branch.location_id} has time")
            if self.random.random() < 0.1:
                branch.crash_at = self.random.choice(["before the commit", "after the commit"])
            branch.attempt(branch.pass_time)

    def _jump(self) -> None:
        """The clock of a branch's computer jumps, or is put right; often as the computer is switched off and on, and
        then its checkout is busy before head office is asked for the time."""
        branch = self.branches[self.random.choice(LOCATIONS)]
        switched = branch.up and self.random.random() < 0.6
        if switched:
            branch.crash()
        branch.computer.ahead = self.random.choice(JUMPS)
        self.injected["clock jumped"] += 1
        self.trace.add(f"the clock of {branch.location_id} is {branch.computer.ahead // MINUTE} min ahead")
        if switched:
            self._start(branch)
            now, name = branch_now(self.clock), branch.location_id
            self._send(branch, [self.callers.wish(name, tuple(ITEMS), now, [], kind="reserve") for _ in range(2)])

    def _transfer(self) -> None:
        """Somebody wants a transfer, or asks again for one of which nothing was heard."""
        untold = [wish for wish in self.coordinator.wishes.values() if not wish.taken]
        wish = self.random.choice(untold) if untold and self.random.random() < 0.5 else self.coordinator.wish()
        self.trace.add(f"asked for: {wish.transfer}")
        self._wound_coordinator()
        self.coordinator.ask(wish)

    def _call_back(self) -> None:
        if self.coordinator.wishes:
            wish = self.random.choice(list(self.coordinator.wishes.values())[-4:])
            self.trace.add(f"{wish.transfer_id} is called back")
            self.coordinator.call_back(wish)

    def _coordinate(self) -> None:
        self._wound_coordinator()
        self.trace.add(f"the coordinator steps: {self.coordinator.step()}")

    def _wound_coordinator(self) -> None:
        if self.random.random() < 0.05:
            self.coordinator.crash_at = self.random.choice(["before the commit", "after the commit"])

    def _kill_coordinator(self) -> None:
        self.trace.add("the coordinator is killed")
        self.coordinator.kill()

    def _replace_coordinator(self) -> None:
        self.trace.add("the coordinator is replaced by one with an empty database")
        self.coordinator.replace()

    def _crash_branch(self) -> None:
        running = self._running()
        if running:
            branch = self.random.choice(running)
            self.trace.add(f"{branch.location_id} is killed")
            branch.crash()

    def _crash_office(self) -> None:
        if self.office.app is not None:
            self.trace.add("head office is killed")
            self._office_down()

    def _office_down(self) -> None:
        self.office.vanish(self.network)

    def _office_died(self) -> None:
        self.injected["head office crashed in a commit"] += 1
        self._office_down()

    def _bring_up(self) -> None:
        for branch in self.branches.values():
            if not branch.up:
                self.trace.add(f"{branch.location_id} starts")
                self._start(branch)
                return
        if self.coordinator.process is None:
            self.trace.add("the coordinator starts")
            self.coordinator.start()
            return
        if self.office.app is None:
            self.trace.add("head office starts")
            self.office.start()
            self.office.appear(self.network, self._office_died)

    def _start(self, branch: SimulatedBranch) -> None:
        branch.start()
        now, confirmed = branch.node_clock.read()
        if confirmed:
            self.times[branch.location_id].trust(now, self.clock.now())
        self.injected["branch started far ahead"] += branch.node_clock.unmeasured > 0

    def _cut_or_join(self) -> None:
        name = self.random.choice(LOCATIONS)
        link = (name, OFFICE_HOST)
        if self.network.cut:
            self.network.cut.clear()
        else:
            self.network.cut.add(link)
            self.injected["link cut"] += 1
        self.trace.add(f"the line of {name} is {'cut' if link in self.network.cut else 'up'}")

    # What must hold

    def _look(self) -> None:
        """Look at what has changed since the last look: a database to which nothing was committed is not read again."""
        changed = False
        for branch in self.branches.values():
            changed |= self._look_at_branch(branch)
        for wish in self.callers.told_of_reservations:
            if wish.make().key not in self.ledgers[wish.location_id].keys:
                raise RuleBroken(3, f"{wish.name} was told {wish.told}, which is not in the log")
        self.callers.told_of_reservations.clear()
        self.following.look_at_arrivals()
        self.following.look_at_branches()
        if self.office.committed:
            changed, self.office.committed = True, False
            self._look_at_head_office()
        if self.coordinator.committed:
            changed, self.coordinator.committed = True, False
            self.coordinator.look()
        if changed:
            self._look_at_ends()

    def _look_at_branch(self, branch: SimulatedBranch) -> bool:
        """Whether anything was committed there since the last look."""
        if not branch.anything_committed():
            return False
        name, copy, ledger = branch.location_id, self.here[branch.location_id], self.ledgers[branch.location_id]
        known = len(copy.events)
        with branch.store.reading() as connection:
            if invariants.follow_branch(copy, connection, BRANCH_LOG, name):
                rules.follow_reservations(ledger, copy, known)
                self.times[name].take(copy.events[known:], branch.starts, self.clock.now())
                invariants.projection_is_fold(copy, connection, BRANCH_STOCK, name, name)
                invariants.one_effect_a_command(copy, name)
                rules.tables_are_what_the_log_says(ledger, branch.database)
        if branch.up:
            rules.memory_is_what_the_log_says(ledger, *branch.remembered)
        self.messages[name].follow(copy, known, self.known_levels[name])
        self.known_levels[name] = frozenset(item for (item,) in branch.database.execute(WITH_LEVELS))
        return True

    def _look_at_head_office(self) -> None:
        connection = self.office.observer.connection
        self.following.look_at_office(connection)
        arrived = heads(connection)
        for name in LOCATIONS:
            there = self.there[name]
            if arrived.get(name, 0) != len(there.lines):
                follow_office(there, connection, name, arrived.get(name, 0))
                invariants.is_prefix(there, self.here[name], name)
                invariants.projection_is_fold(there, connection, OFFICE_STOCK, name, f"{name} at head office")
                invariants.conserved(self.there)

    def _look_at_ends(self) -> None:
        for transfer_id, state in self.coordinator.told_states.items():
            if state in ENDED:
                transfer = self.coordinator.wishes[transfer_id].transfer
                ends = self.here[transfer.source], self.here[transfer.destination]
                invariants.ended_rightly(transfer_id, state, *ends)

    def _heal(self) -> None:
        """End all faults, let everybody go on until nothing moves, within a bound."""
        self.trace.add("the faults end")
        self.network.heal()
        self.following.heal()
        for branch in self.branches.values():
            branch.computer.ahead = 0
        self.network.step += 1_000
        for _ in range(HEALING_ROUNDS):
            self._advance(20)
            self.network.deliver_late()
            for _ in range(len(self.branches) + 2):
                self._bring_up()
            for name, branch in self.branches.items():
                if self.tills[name].unread:
                    self._import_at(branch, whole=True)
                waiting = [wish for wish in self.callers.waiting if wish.location_id == name]
                if waiting:
                    self._send(branch, waiting)
                for what in ("ship", "ship", "pull", "pull", "ship"):
                    branch.step(what)
                branch.pass_time()
            for wish in self.coordinator.wishes.values():
                if not wish.taken:
                    self.coordinator.ask(wish)
            for _ in range(3):  # a lease outlives some steps, but not the time between two rounds
                self.coordinator.step()
            self._look()
            if not self._unsettled():
                self._deliver_all()
                if not self._unsettled():
                    return
        raise RuleBroken(17, f"not settled {HEALING_ROUNDS} rounds after the faults ended: {self._unsettled()}")

    def _deliver_all(self) -> None:
        """Let deliverers and readers go on, until they have all or something else is to be done before they can."""
        for _ in range(DELIVERY_ROUNDS):
            self.following.settle()
            self._look()
            if self._unsettled() or not self.following.missing():
                return
            self._advance(NEXT_TRY)
        raise RuleBroken("M6", f"{DELIVERY_ROUNDS} rounds after all else was done: {self.following.missing()}")

    def _unsettled(self) -> list[str]:
        behind = [f"{n}: {len(self.there[n].lines)} of {len(self.here[n].lines)} events" for n in LOCATIONS
                  if len(self.there[n].lines) != len(self.here[n].lines)]  # fmt: skip
        behind += [f"{each.reservation_id} of {name} has not expired" for name, ledger in self.ledgers.items()
                   for each in ledger.active if each.expires_at <= self.branches[name].node_clock.now()]  # fmt: skip
        behind += [f"{name} is {state}" for name, state in self.coordinator.told_states.items() if state not in ENDED]
        behind += [f"{wish.transfer_id} was never taken" for wish in self.coordinator.wishes.values() if not wish.taken]
        behind += [f"{item} of {name} is on its way" for name, item in +invariants.in_transit(self.there)]
        behind += [f"{name} cannot be adopted" for name in self.coordinator.strays()]
        return behind + [f"{wish.name} was never answered" for wish in self.callers.waiting]

    def _last_look(self) -> None:
        invariants.conserved(self.here)
        if left := +invariants.in_transit(self.there):
            raise RuleBroken(9, f"still on its way at the end: {left}")
        for name in LOCATIONS:
            here, there = self.here[name], self.there[name]
            with self.branches[name].store.reading() as connection:
                invariants.log_is_whole(here, connection, BRANCH_LOG, name)
            if here.lines != there.lines:
                raise RuleBroken(17, f"the logs of {name} differ at the end")
            recorded = {event.event_id for event in here.events}
            told = [wish for wish in self.callers.answered if wish.accepted and wish.location_id == name]
            lost = {each for wish in told for each in event_ids(wish.told)} - recorded
            if lost:
                raise RuleBroken(3, f"{name} lost {sorted(lost)}, which it had answered")
            till = self.tills[name]
            till.check(here.events, name)
            if till.unread:
                raise RuleBroken(3, f"the sales {sorted(till.unread)} of {name}'s till were never imported")
            callers = (event for event in here.events if event.actor != COORDINATOR and event.source != "till")
            keys = {event.command_key for event in callers if event.command_key}
            of_the_order = [wish for wish in self.callers.answered if said_to_have_ended(wish, wish.told)]
            if unknown := keys - {wish.make().key for wish in [*told, *of_the_order]}:
                raise RuleBroken(8, f"{name} recorded {sorted(unknown)}, of which no caller was told")


def branch_now(clock: VirtualClock) -> int:
    """What a till's clock shows."""
    return clock.now()
