"""The transfer coordinator in the simulation: the real worker on a real PostgreSQL, killed, replaced, and woken late.

A process that stops for a while and then goes on, knowing nothing of it (a *sleeper*), is what leases and fencing
tokens are for: at times one is left behind when the next one starts, and steps again later.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from hashlib import sha256
from random import Random

import msgspec
from sqlalchemy import Engine, create_engine, text

from shared.messages import InstructionLine
from shared.runtime.client import ServiceClient
from shared.runtime.database.migrations import migrate
from shared.runtime.problems import Problem
from shared.runtime.telemetry import Telemetry
from tests.simulation.branch import OFFICE, Crashed
from tests.simulation.clock import VirtualClock
from tests.simulation.network import Network
from tests.simulation.office import ITEMS, KEYS, LOCATIONS, Observer, give_virtual_clock, tripwire
from tests.simulation.rule_broken import RuleBroken
from transfer_coordinator.database.schema import MIGRATIONS, VERSION_TABLE, metadata
from transfer_coordinator.office.head_office_client import HeadOfficeClient
from transfer_coordinator.saga.saga import Transfer
from transfer_coordinator.worker.mailboxes import Cancel, Create
from transfer_coordinator.worker.worker import CoordinatorWorker

HOST = "coordinator"
INSTRUCTIONS_PATH = "/v1/instructions"
MOST_SLEEPERS = 2


def prepare_coordinator(url: str) -> None:
    """A template database: migrated, on virtual time."""
    engine = create_engine(url)
    migrate(engine, MIGRATIONS, VERSION_TABLE)
    give_virtual_clock(engine)
    engine.dispose()


@dataclass
class Process:
    """One coordinator process."""

    holder: str
    engine: Engine
    worker: CoordinatorWorker


@dataclass
class TransferWish:
    """A transfer that a caller wants: the same request every time, until the caller is told that it is taken down."""

    transfer: Transfer
    digest: str
    cancel: bool = False
    taken: bool = False

    @property
    def transfer_id(self) -> str:
        return self.transfer.transfer_id


@dataclass
class SimulatedCoordinator:
    """The coordinator's processes on one database, and the callers of transfers."""

    url: str
    clock: VirtualClock
    network: Network
    random: Random
    injected: Counter[str]
    crash_at: str | None = None
    committed: bool = False
    process: Process | None = None
    sleepers: list[Process] = field(default_factory=list)
    wishes: dict[str, TransferWish] = field(default_factory=dict)
    started: int = 0
    told_states: dict[str, str] = field(default_factory=dict)
    told_tokens: dict[str, int] = field(default_factory=dict)
    told_journal: dict[str, int] = field(default_factory=dict)
    told_ends: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.observer = Observer(self.url, self.clock)

    def start(self) -> None:
        """Start a process; it knows what the database knows."""
        self.started += 1
        holder = f"process-{self.started}"
        engine = create_engine(self.url, pool_size=2)
        tripwire(engine, self)

        def office() -> HeadOfficeClient:
            transport = self.network.transport(HOST)
            return HeadOfficeClient(
                ServiceClient(OFFICE, key=KEYS["coordinator"], transport=transport, sleep=lambda _seconds: None)
            )

        worker = CoordinatorWorker(
            engine, office(), office(), self.clock, holder=holder, telemetry=Telemetry("transfer-coordinator")
        )
        self.process = Process(holder, engine, worker)

    def kill(self) -> None:
        """The process is gone; or it only sleeps, and will wake when another has long taken over."""
        process, self.process = self.process, None
        if process is None:
            return
        if self.random.random() < 0.5 and len(self.sleepers) < MOST_SLEEPERS:
            self.injected["coordinator fell asleep"] += 1
            self.sleepers.append(process)
            return
        self.injected["coordinator crashed"] += 1
        process.engine.dispose()

    def replace(self) -> None:
        """The machine is gone with its processes and its database: what starts next has an empty one.

        Callers look up what they asked for. What ended they have seen end; of the others that are not found some ask
        again, and some leave it at that: then head office alone knows of the transfer.
        """
        self.injected["coordinator replaced"] += 1
        for process in [*self.sleepers, *([self.process] if self.process else [])]:
            process.engine.dispose()
        self.sleepers, self.process = [], None
        tables = ", ".join(table.name for table in metadata.sorted_tables)
        with create_engine(self.url).begin() as connection:
            connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
            connection.exec_driver_sql(f"TRUNCATE {tables}")
            connection.engine.dispose()
        self.committed = True
        # Nobody takes a new machine into service while what the old one sent is still on its way.
        self.network.late = [each for each in self.network.late if each.request.url.path != INSTRUCTIONS_PATH]
        for name, wish in self.wishes.items():
            wish.taken = name in self.told_ends or (wish.taken and self.random.random() < 0.5)
        self.told_states, self.told_tokens, self.told_journal = {}, {}, {}

    def wake(self) -> None:
        """A sleeper goes on as if nothing had happened, for a step; then it may really die."""
        if self.sleepers:
            process = self.random.choice(self.sleepers)
            self.injected["sleeper woke"] += 1
            self._step(process)
            if process in self.sleepers and self.random.random() < 0.3:
                self.sleepers.remove(process)
                process.engine.dispose()

    def step(self) -> int:
        """One step of the process; a crash in its commit kills it."""
        return 0 if self.process is None else self._step(self.process)

    def _step(self, process: Process) -> int:
        self.observer.set_clock()
        try:
            return process.worker.step()
        except Crashed:
            self.injected["coordinator crashed in a commit"] += 1
            if process is self.process:
                self.process = None
            else:
                self.sleepers.remove(process)
            process.engine.dispose()
            return 0
        except Problem as problem:
            # The database is there: what it refuses here is a write that a lost lease must not make.
            raise RuleBroken(11, f"the database refused a round of {process.holder}: {problem!r}") from problem
        finally:
            self.crash_at = None

    def wish(self) -> TransferWish:
        """Somebody wants a transfer."""
        number = len(self.wishes) + 1
        source, destination = self.random.sample(LOCATIONS, 2)
        items = self.random.sample(sorted(ITEMS), self.random.randint(1, 2))
        lines = tuple(
            InstructionLine(line, item, self.random.randint(1, 30) * 250, ITEMS[item])
            for line, item in enumerate(items, start=1)
        )
        deadline = self.clock.now() + 120_000_000 if self.random.random() < 0.2 else None
        transfer = Transfer(
            transfer_id=f"t-{number}", source=source, destination=destination, lines=lines, deadline=deadline
        )
        wish = TransferWish(transfer, sha256(msgspec.json.encode(transfer)).hexdigest())
        self.wishes[wish.transfer_id] = wish
        return wish

    def ask(self, wish: TransferWish) -> None:
        """Send what the caller wants; it may not get through, and then it is sent again some time."""
        if self.process is None:
            return
        create = Create(
            transfer=wish.transfer, created_by="caller", digest=wish.digest, command_key=f"wish-{wish.transfer_id}"
        )
        self.process.worker.round_queue.submit(create)
        self._step(self.process)
        if create.future.done():
            error = create.future.exception()
            if error is None:
                wish.taken = True
            elif not isinstance(error, Problem) or error.status < 500:
                raise RuleBroken(16, f"{wish.transfer_id} was answered with {error!r}")

    def call_back(self, wish: TransferWish) -> None:
        """Ask for the cancelling of a transfer."""
        if self.process is not None:
            wish.cancel = True
            self.process.worker.round_queue.submit(Cancel(transfer_id=wish.transfer_id, by="caller"))
            self._step(self.process)

    def look(self) -> dict[str, str]:
        """The state of every transfer. Rules 10 to 12: an end is for ever, tokens and journals only grow."""
        states: dict[str, str] = {}
        connection = self.observer.connection
        rows = connection.execute(text("SELECT transfer_id, state, token, journal_length, conflict FROM transfer"))
        for row in rows:
            name, before = row.transfer_id, self.told_states.get(row.transfer_id)
            if before in ENDED and row.state != before:
                raise RuleBroken(10, f"{name} ended as {before} and is {row.state}")
            if row.state in ENDED and self.told_ends.setdefault(name, row.state) != row.state:
                raise RuleBroken(10, f"{name} ended as {self.told_ends[name]}, and once more as {row.state}")
            if row.token < self.told_tokens.get(name, 0):
                raise RuleBroken(12, f"the token of {name} fell from {self.told_tokens[name]} to {row.token}")
            if row.journal_length < self.told_journal.get(name, 0):
                raise RuleBroken(11, f"the journal of {name} lost an entry")
            if row.conflict is not None:
                raise RuleBroken(10, f"{name}: the logs contradict each other: {row.conflict}")
            states[name] = row.state
            self.told_tokens[name], self.told_journal[name] = row.token, row.journal_length
        out_of_order = connection.execute(
            text(
                "SELECT a.transfer_id, a.number FROM journal a JOIN journal b ON a.transfer_id = b.transfer_id"
                " AND b.number = a.number + 1 WHERE b.token < a.token"
            )
        ).all()
        shared = connection.execute(
            text("SELECT transfer_id, token FROM journal GROUP BY transfer_id, token HAVING count(DISTINCT holder) > 1")
        ).all()
        if shared:
            raise RuleBroken(11, f"two processes wrote under one token: {shared}")
        if out_of_order:
            raise RuleBroken(11, f"entries written under a token that was no longer the newest: {out_of_order}")
        self.told_states = states
        return states

    def strays(self) -> list[str]:
        """The transfers that cannot be adopted."""
        strays = self.observer.connection.execute(text("SELECT transfer_id FROM stray ORDER BY transfer_id"))
        return list(strays.scalars())

    def close(self) -> None:
        for process in [*self.sleepers, *([self.process] if self.process else [])]:
            process.engine.dispose()
        self.observer.close()


ENDED = frozenset({"COMPLETED", "REVERSED", "REJECTED"})
