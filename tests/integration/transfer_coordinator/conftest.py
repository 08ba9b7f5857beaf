"""A migrated coordinator's database whose clock a test can turn, a model of head office, and workers on both."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, text

from shared.messages import InstructionLine
from shared.runtime.client import ServiceClient
from shared.runtime.database.engine import postgres_engine
from shared.runtime.database.migrations import migrate
from shared.runtime.telemetry import Telemetry
from tests.integration.transfer_coordinator.api_world import World, a_world
from tests.integration.transfer_coordinator.office_model import OfficeModel
from transfer_coordinator.database.schema import MIGRATIONS, VERSION_TABLE
from transfer_coordinator.database.transfer_reader import load
from transfer_coordinator.office.head_office_client import HeadOfficeClient
from transfer_coordinator.saga.planner import Policy, TransferRecord
from transfer_coordinator.saga.saga import Transfer
from transfer_coordinator.worker.mailboxes import Cancel, Create
from transfer_coordinator.worker.worker import CoordinatorWorker

# clock_timestamp() still runs underneath: a test only ever turns the clock forward.
CLOCK = """
CREATE TABLE clock (shift bigint NOT NULL);
INSERT INTO clock VALUES (0);
CREATE OR REPLACE FUNCTION larder_now() RETURNS bigint LANGUAGE sql VOLATILE AS
$$ SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint + (SELECT shift FROM clock) $$;
"""


def migrated(url: str) -> None:
    engine = create_engine(url)
    migrate(engine, MIGRATIONS, VERSION_TABLE)
    with engine.begin() as connection:
        connection.execute(text(CLOCK))
    engine.dispose()


@pytest.fixture
def coordinator_url(postgres_url_factory: Callable[..., str]) -> str:
    return postgres_url_factory(migrated)


@pytest.fixture
def database(coordinator_url: str) -> Iterator[Engine]:
    engine = postgres_engine(coordinator_url)
    yield engine
    engine.dispose()


@dataclass
class TestClock:
    """Seconds for back-offs; the database's clock is turned with it."""

    __test__ = False
    engine: Engine
    seconds: float = 0.0

    def now(self) -> int:
        with self.engine.connect() as connection:
            return int(connection.execute(text("SELECT larder_now()")).scalar_one())

    def monotonic(self) -> float:
        return self.seconds

    def turn(self, seconds: float) -> None:
        self.seconds += seconds
        with self.engine.begin() as connection:
            connection.execute(text("UPDATE clock SET shift = shift + :more"), {"more": int(seconds * 1_000_000)})


@dataclass
class Bench:
    """Everything a test of the worker needs. Two sites with milk and rice."""

    engine: Engine
    office: OfficeModel
    clock: TestClock
    workers: list[CoordinatorWorker] = field(default_factory=list)

    def worker(self, holder: str = "one", policy: Policy | None = None) -> CoordinatorWorker:
        """A coordinator's process, newly started."""

        def office() -> HeadOfficeClient:
            return HeadOfficeClient(ServiceClient("http://office", key="k", transport=self.office.transport()))

        made = CoordinatorWorker(
            self.engine, office(), office(), self.clock, holder=holder, telemetry=Telemetry("test"), policy=policy
        )
        self.workers.append(made)
        return made

    def record(self, transfer_id: str = "t1") -> TransferRecord:
        with self.engine.connect() as connection:
            return load(connection, [transfer_id])[transfer_id].record

    def state(self, transfer_id: str = "t1") -> str:
        return self.record(transfer_id).state.value

    def journal(self, transfer_id: str = "t1") -> list[tuple[int, str, str | None]]:
        """(token, state, step asked) of each line."""
        statement = "SELECT token, state, asked FROM journal WHERE transfer_id = :name ORDER BY number"
        with self.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(statement), {"name": transfer_id})]

    def settle(self, worker: CoordinatorWorker, rounds: int = 12) -> None:
        """Let everybody work until nothing happens any more."""
        for _ in range(rounds):
            before = [len(site.log) for site in self.office.sites.values()]
            self.office.work()
            if not worker.step() and before == [len(site.log) for site in self.office.sites.values()]:
                return
        raise AssertionError(f"still something to do after {rounds} rounds")


@pytest.fixture
def world(coordinator_url: str, tmp_path: Path) -> Iterator[World]:
    with a_world(coordinator_url, tmp_path) as made:
        yield made


@pytest.fixture
def bench(database: Engine) -> Iterator[Bench]:
    office = OfficeModel(A={"milk": 100_000, "rice": 50_000}, B={}, C={})
    made = Bench(database, office, TestClock(database))
    yield made
    for worker in made.workers:
        worker.close()


def a_transfer(
    transfer_id: str = "t1",
    quantity: int = 10_000,
    *,
    source: str = "A",
    destination: str = "B",
    deadline: int | None = None,
    items: tuple[str, ...] = ("milk",),
) -> Transfer:
    return Transfer(
        transfer_id=transfer_id,
        source=source,
        destination=destination,
        lines=tuple(
            InstructionLine(line=number, item_id=item_id, quantity=quantity, unit="l")
            for number, item_id in enumerate(items, start=1)
        ),
        deadline=deadline,
    )


def create(worker: CoordinatorWorker, transfer: Transfer | None = None, **fields: str) -> Create:
    """Leave the wish for a transfer; `round` takes it down."""
    command = Create(transfer=transfer or a_transfer(), created_by="k1", **({"digest": "ab" * 32} | fields))  # type: ignore[arg-type]
    worker.round_queue.submit(command)
    return command


def cancel(worker: CoordinatorWorker, transfer_id: str = "t1") -> Cancel:
    command = Cancel(transfer_id=transfer_id, by="k1")
    worker.round_queue.submit(command)
    return command
