"""All who follow the messages of the simulated logs: what they do, what is done to them, and what they get."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

import httpx
from sqlalchemy import Connection, text

from shared.outbox.message_cursor import BEFORE_ALL
from shared.outbox.message_records import MessageType
from shared.runtime.clock import SECOND
from shared.subscriptions.subscription_access import SubscriptionAccess
from shared.subscriptions.subscription_inputs import (
    GroupSubscriptionInput,
    ReplayInput,
    SubscriptionChange,
    SubscriptionInput,
    SubscriptionRotationInput,
    WantedState,
)
from tests.simulation.branch import Crashed, SimulatedBranch
from tests.simulation.clock import VirtualClock
from tests.simulation.network import Network
from tests.simulation.office import LOCATIONS, SimulatedOffice
from tests.simulation.rule_broken import RuleBroken
from tests.simulation.subscribers.delivering import Delivering, WebhookLine, branch_delivering, office_delivering
from tests.simulation.subscribers.list_reader import ListReader
from tests.simulation.subscribers.message_ledger import FollowedLane, MessageLedger
from tests.simulation.subscribers.receiver import MOODS, WEIGHTS, Mood, Receiver, Subscriber

HEAD_OFFICE = "head-office"
HOSTS = ("shop.example", "depot.example", "books.example")
SERVICES = (*LOCATIONS, HEAD_OFFICE, HEAD_OFFICE)
MOST_SUBSCRIBERS = 7
CALLER = SubscriptionAccess("simulation")
PATIENCE_SECONDS = 15
NIGHTS = 0.25
"""How often nobody does anything for hours once a receiver is away."""
MANY = 1_000
SMALL_PAGES = 15
"""How many pages of a few messages a reader gets at a branch in one round: their ends are what may go wrong."""
MOST_STEPS = 10
FEW_TYPES = (
    frozenset({MessageType.LOW_STOCK_DETECTED.value}),
    frozenset({MessageType.STOCK_ADDED.value, MessageType.STOCK_REMOVED.value}),
    frozenset({MessageType.INVENTORY_UNAVAILABLE.value, MessageType.RESERVATION_EXPIRED.value}),
    frozenset({MessageType.TRANSFER_SENT.value, MessageType.TRANSFER_RECEIVED.value, MessageType.TRANSFER_ENDED.value}),
)
CURSORS = "SELECT subscription_id, location_id, cursor FROM subscription_cursor"
CRASHES = ("at once", "before the commit", "after the commit")


@dataclass
class Following:
    """The subscribers, their receivers, and the readers of lists. `office_died` is called where head office did."""

    random: Random
    network: Network
    clock: VirtualClock
    office: SimulatedOffice
    branches: Mapping[str, SimulatedBranch]
    ledgers: Mapping[str, MessageLedger]
    say: Callable[[str], None]
    office_died: Callable[[], None]
    subscribers: list[Subscriber] = field(default_factory=list)
    receivers: dict[str, Receiver] = field(default_factory=dict)
    readers: list[ListReader] = field(default_factory=list)
    running: dict[str, Delivering] = field(default_factory=dict)
    healing: bool = False

    def __post_init__(self) -> None:
        for host in HOSTS:
            self.receivers[host] = Receiver(host, self.random, self.injected, self._patience)
            self._set_mood(self.receivers[host], self.random.choices(MOODS, WEIGHTS)[0])
        self._want(HEAD_OFFICE, None, None, "start")
        self._want(HEAD_OFFICE, (self.random.choice(LOCATIONS),), self.random.choice(FEW_TYPES), "start")
        self._want(self.random.choice(LOCATIONS), None, None, "start")
        for service in (HEAD_OFFICE, None):
            place = self.random.choice(LOCATIONS)
            types = self.random.choice([None, None, *FEW_TYPES])
            lane = FollowedLane(self.ledgers[place], f"a reader of {place}", str(BEFORE_ALL), types)
            self.readers.append(ListReader(service or place, place, lane, self.random))

    @property
    def injected(self) -> Counter[str]:
        return self.network.injected

    # What happens

    def step(self) -> None:
        """One thing that subscribers, receivers, readers or deliverers do."""
        actions: list[tuple[float, Callable[[], None]]] = [
            (30, self._deliver),
            (8, self._page),
            (4, self._subscribe),
            (4, self._change),
            (7, self._turn_mood),
        ]
        self.random.choices([act for _, act in actions], [weight for weight, _ in actions])[0]()

    def _deliver(self) -> None:
        services = [each for each in dict.fromkeys(SERVICES) if self._is_up(each)]
        if services:
            self.deliver_at(self.random.choice(services))

    def deliver_at(self, service: str) -> None:
        """Let a service's deliverer do what is due."""
        self.say(f"{service} delivers")
        self._alive(service, self._process(service).deliverer.step)

    def _page(self) -> None:
        self.read_page(self.random.choice(self.readers))

    def read_page(self, reader: ListReader, limit: int | None = None) -> None:
        """Let a reader get the next page, if it is answered."""
        if reader.service == HEAD_OFFICE:
            self.office.observer.set_clock()
            page = reader.ask(self.network, limit)
        elif self._is_up(reader.service):
            page = reader.ask_at(self._process(reader.service).reader, limit)
        else:
            return
        if page is not None:
            reader.came.append(page)

    def _turn_mood(self) -> None:
        receiver = self.random.choice(list(self.receivers.values()))
        self._set_mood(receiver, self.random.choices(MOODS, WEIGHTS)[0])

    def _set_mood(self, receiver: Receiver, mood: Mood) -> None:
        receiver.mood = mood
        self.network.hosts[receiver.host] = receiver.app
        self.say(f"{receiver.host} is {mood}")
        if mood is Mood.AWAY:
            self.injected["a receiver went away"] += 1
            if self.subscribers and self.random.random() < NIGHTS:
                self.injected["a receiver was away for hours"] += 1
                self.clock.advance(self.random.randint(1, 9) * 3_600 * SECOND)

    def _patience(self) -> None:
        """A sender waits, until it waits no longer."""
        self.clock.advance(PATIENCE_SECONDS * SECOND)
        self.office.observer.set_clock()

    # Subscribing

    def _want(
        self, service: str, location_ids: tuple[str, ...] | None, types: frozenset[str] | None, start: str
    ) -> None:
        name, host = f"s-{len(self.subscribers) + 1}", self.random.choice(HOSTS)
        new = Subscriber(name, service, host, types, location_ids, start)
        self.subscribers.append(new)
        self.receivers[host].subscribers[name] = new

    def _subscribe(self) -> None:
        """Somebody subscribes, or asks again as nothing was heard."""
        untold = [each for each in self.subscribers if each.subscription_id is None]
        if not untold and len(self.subscribers) < MOST_SUBSCRIBERS:
            service = self.random.choice(SERVICES)
            places = self.random.choice([None, (self.random.choice(LOCATIONS),)]) if service == HEAD_OFFICE else None
            start = self.random.choice(["start", "end", "end"])
            place = places[0] if places is not None else service
            there = self.ledgers[place].cursors if service != HEAD_OFFICE else []
            if there and self.random.random() < 0.5:
                start = self.random.choice(there)
            self._want(service, places, self.random.choice([None, *FEW_TYPES]), start)
            untold = self.subscribers[-1:]
        if untold:
            self.ask(self.random.choice(untold))

    def ask(self, wanted: Subscriber) -> None:
        """Ask for a subscription; the same request with the same key each time."""
        if not self._is_up(wanted.service):
            return
        types = None if wanted.types is None else sorted(wanted.types)
        given = SubscriptionInput(url=wanted.url, types=types, after=wanted.start)
        if wanted.service == HEAD_OFFICE:
            places = None if wanted.location_ids is None else list(wanted.location_ids)
            given = GroupSubscriptionInput(url=wanted.url, types=types, after=wanted.start, location_ids=places)
        self._wound(wanted.service, 0.1)
        desk = self._process(wanted.service).desk
        told = self._alive(wanted.service, lambda: desk.create(CALLER, given, wanted.name))
        self.say(f"{wanted.name} subscribes at {wanted.service} from {wanted.start}: {told is not None}")
        if told is None:
            return
        wanted.subscription_id = told.subscription_id
        wanted.secrets.append(told.secret)
        for each in told.cursors:
            start = {"start": str(BEFORE_ALL), "end": each.cursor}.get(wanted.start, wanted.start)
            who = f"{wanted.name} of {wanted.service}"
            wanted.lanes[each.location_id] = FollowedLane(self.ledgers[each.location_id], who, start, wanted.types)

    def _change(self) -> None:
        told = [each for each in self.subscribers if each.subscription_id is not None and self._is_up(each.service)]
        if not told:
            return
        chosen = self.random.choice(told)
        if chosen.untold_rotation is not None:
            self.rotate(chosen)
        elif chosen.paused or chosen.gone:
            self.resume(chosen)
        else:
            self.random.choice([self._pause, self.rotate, self._replay, self._resend])(chosen)

    def _pause(self, chosen: Subscriber) -> None:
        self.injected["subscription paused"] += 1
        self._set_state(chosen, WantedState.PAUSED)
        chosen.paused = True

    def resume(self, chosen: Subscriber) -> None:
        """Have a subscription sent to that was paused, or whose receiver said that it is gone."""
        chosen.paused = chosen.gone = False
        self._set_state(chosen, WantedState.ACTIVE)

    def _set_state(self, chosen: Subscriber, state: WantedState) -> None:
        self.say(f"{chosen.name} is set {state}")
        desk, subscription_id = self._process(chosen.service).desk, chosen.subscription_id or ""
        self._alive(chosen.service, lambda: desk.change(CALLER, subscription_id, SubscriptionChange(state=state)))

    def rotate(self, chosen: Subscriber) -> None:
        """Get a new secret; the same request again where nothing was heard of it."""
        if chosen.untold_rotation is None:
            chosen.rotations += 1
            chosen.untold_rotation = self.random.choice([0, 600, 86_400])
        overlap, key = chosen.untold_rotation, f"rotation-{chosen.rotations}"
        given = SubscriptionRotationInput(overlap_seconds=overlap)
        self._wound(chosen.service, 0.1)
        desk, subscription_id = self._process(chosen.service).desk, chosen.subscription_id or ""
        told = self._alive(chosen.service, lambda: desk.rotate(CALLER, subscription_id, given, key))
        self.say(f"{chosen.name} has a new secret, the old one for {overlap} s more: {told is not None}")
        if told is not None:
            self.injected["secret rotated"] += 1
            chosen.untold_rotation = None
            chosen.secrets.append(told.secret)

    def _replay(self, chosen: Subscriber) -> None:
        """Everything after a place again, which is not before the one that it began at."""
        place, lane = self.random.choice(list(chosen.lanes.items()))
        if lane.got:
            after = self.random.choice([lane.start, *lane.cursors[: lane.got]])
            self._ask_again(chosen, ReplayInput(after=after, location_id=place))

    def _resend(self, chosen: Subscriber) -> None:
        """One message again that has come lately."""
        lane = self.random.choice(list(chosen.lanes.values()))
        noted = self._noted(chosen)
        late = [each for each in lane.wanted[: lane.got][-20:] if each in noted]
        if late:
            self._ask_again(chosen, ReplayInput(message_id=self.random.choice(late)))

    def _noted(self, chosen: Subscriber) -> set[str]:
        """The messages that its service knows to have sent, or to have tried."""
        desk, subscription_id = self._process(chosen.service).desk, chosen.subscription_id or ""
        found, _ = desk.deliveries(CALLER, subscription_id, after=None, limit=1_000, state=None, location_id=None)
        return {each.message_id for each in found}

    def _ask_again(self, chosen: Subscriber, given: ReplayInput) -> None:
        self.injected["messages asked for again"] += 1
        self.say(f"{chosen.name} asks again for {given}")
        desk, subscription_id = self._process(chosen.service).desk, chosen.subscription_id or ""
        self._alive(chosen.service, lambda: desk.replay(CALLER, subscription_id, given, None))

    # The services

    def _is_up(self, service: str) -> bool:
        return self.office.app is not None if service == HEAD_OFFICE else self.branches[service].up

    def _process(self, service: str) -> Delivering:
        """What delivers in the process that runs there now."""
        known = self.running.get(service)
        here = self.office.engine if service == HEAD_OFFICE else self.branches[service].writer
        if known is None or known.process is not here:
            chance = 0.1 if service == HEAD_OFFICE else 0.06
            line = WebhookLine(
                self.network, service, self._posting, lambda _request: self._wound(service, chance, posted=True)
            )
            random = Random(self.random.getrandbits(64))
            if service == HEAD_OFFICE:
                known = office_delivering(self.office, line, random)
            else:
                known = branch_delivering(self.branches[service], line, random)
            self.running[service] = known
        return known

    def _posting(self, request: httpx.Request) -> None:
        subscriber = self.receivers[request.url.host].subscribers[request.url.path.removeprefix("/")]
        if subscriber.paused:
            raise RuleBroken("M7", f"{subscriber.name} is paused, and is sent {request.headers['webhook-id']}")

    def _host(self, service: str) -> Any:
        return self.office if service == HEAD_OFFICE else self.branches[service]

    def _wound(self, service: str, chance: float, *, posted: bool = False) -> None:
        """At times end a service's process, at once or in its next commit."""
        if self.healing or self.random.random() >= chance:
            return
        how = self.random.choice(CRASHES[0 if posted else 1 :])
        self.say(f"{service} crashes {how}")
        if how == CRASHES[0]:
            raise Crashed
        self._host(service).crash_at = how

    def _alive(self, service: str, act: Callable[[], Any]) -> Any:
        """Do something in a service's process; None where it died of it."""
        if service == HEAD_OFFICE:
            self.office.observer.set_clock()
        try:
            return act()
        except Crashed:
            kind = "head office" if service == HEAD_OFFICE else "branch"
            self.injected[f"{kind} crashed as it delivered"] += 1
            if service == HEAD_OFFICE:
                self.office_died()
            else:
                self.branches[service].crash()
            return None
        finally:
            self._host(service).crash_at = None

    # What must hold

    def look_at_arrivals(self) -> None:
        """Rules M2 to M5 and M7 of what was taken since the last look. Raises RuleBroken."""
        for each in self.subscribers:
            for place, body in each.arrived:
                lane = each.lanes.get(place)
                if lane is None:
                    raise RuleBroken("M7", f"{each.name} follows {sorted(each.lanes)}, and was sent {body!r}")
                self.injected["message taken" if lane.take(body) else "message taken again"] += 1
            each.arrived.clear()
        for reader in self.readers:
            reader.look()

    def look_at_branches(self) -> None:
        """Rule M1 of the cursors that the branches keep."""
        for branch in self.branches.values():
            self._look_at_cursors(branch.location_id, branch.database.execute(CURSORS))

    def look_at_office(self, connection: Connection) -> None:
        """Rule M1 of the cursors that head office keeps."""
        self._look_at_cursors(HEAD_OFFICE, connection.execute(text(CURSORS)))

    def _look_at_cursors(self, service: str, rows: Iterable[Any]) -> None:
        of_service = {each.subscription_id: each for each in self.subscribers if each.service == service}
        for subscription_id, place, cursor in rows:
            subscriber = of_service.get(subscription_id)
            if subscriber is not None:
                subscriber.lanes[place].has_passed(cursor)

    # The end

    def heal(self) -> None:
        """The faults of receivers end."""
        self.healing = True
        for each in self.receivers.values():
            self._set_mood(each, Mood.FINE)

    def settle(self) -> None:
        """One round of all that is still to be done; every service is up, and what is in the logs was looked at."""
        for reader in self.readers:
            for limit in (*[None] * (SMALL_PAGES if reader.service != HEAD_OFFICE else 2), MANY):
                if reader.lane.missing:
                    self.read_page(reader, limit)
                    reader.look()
        for each in self.subscribers:
            if each.subscription_id is None:
                self.ask(each)
            elif each.untold_rotation is not None:
                self.rotate(each)
            elif each.paused or each.gone:
                self.resume(each)
        for service in {each.service: None for each in self._lacking()}:
            for _ in range(MOST_STEPS):
                before = self._arrived(service)
                self.deliver_at(service)
                if self._arrived(service) == before:
                    break

    def _arrived(self, service: str) -> int:
        return sum(len(each.arrived) for each in self.subscribers if each.service == service)

    def _lacking(self) -> list[Subscriber]:
        return [each for each in self.subscribers if any(lane.missing for lane in each.lanes.values())]

    def missing(self) -> list[str]:
        """Who lacks messages, for rule M6."""
        found = [f"{each.name} was never told that it is subscribed" for each in self.subscribers if not each.secrets]
        lanes = [lane for each in self._lacking() for lane in each.lanes.values()]
        lanes += [each.lane for each in self.readers]
        return found + [f"{each.who} lacks {each.missing} messages" for each in lanes if each.missing]
