"""A branch's computer whose clock may be wrong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from branch_node.database.store import Store
from branch_node.main import build
from branch_node.node import AgentMode, Node
from branch_node.settings import BranchSettings
from shared.event_record import moment_text
from shared.runtime.cli.service_client import in_process_client
from shared.runtime.client import ServiceClient
from shared.runtime.clock import DAY, MINUTE
from tests.support.branch import HERE, TestClock
from tests.support.events import NOON
from tests.support.fake_head_office import FakeHeadOffice

YEAR = 365 * DAY
HOUR = 60 * MINUTE


class Computer:
    """A branch's computer: its clock may be wrong, its node may be stopped and started again."""

    def __init__(self, folder: Path, database_url: str | None = None) -> None:
        folder.mkdir()
        self.folder = folder
        self._database_url = database_url
        self.true_time = NOON
        self.wrong_by = 0
        self.clock = TestClock()
        self.office = FakeHeadOffice()
        with closing(Store(self.settings.database_url, folder)) as store:
            store.set_up(HERE)
        self.node: Node
        self.client: ServiceClient

    @property
    def settings(self) -> BranchSettings:
        return BranchSettings(
            location="BEY-01", dir=self.folder, timezone="Asia/Beirut", head_office="http://office.example",
            key=SecretStr("lk_branch"), witness=self.folder.parent / "witness",
            database=self._database_url,
        )  # fmt: skip

    @contextmanager
    def started(self, *, wrong_by: int = 0) -> Iterator[ServiceClient]:
        """The node on a computer whose clock is wrong by so many microseconds."""
        self.wrong_by = wrong_by
        self.clock = TestClock(self.true_time + wrong_by)
        self.node = build(self.settings, self.clock, self.office)
        self.node.open(AgentMode.STEPPED)
        self.node.start()
        with in_process_client(self.node.app, self.node.local_key) as self.client:
            try:
                yield self.client
            finally:
                self.node.stop()

    def pass_time(self, micros: int) -> None:
        self.true_time += micros
        self.clock.advance(micros)

    def correct(self) -> None:
        """Set the computer's clock right."""
        self.clock.wall = self.true_time

    def greet(self) -> None:
        """Say hello, and wait until what it settles is recorded."""
        self.office.time = self.true_time
        assert self.node.shipper is not None
        self.node.shipper.request_hello()
        assert self.node.shipper.step().outcome == "GREETED"
        self.client.put("/v1/items/settled", {"name": "settled", "unit": "kg"})

    def record(self, kind: str, quantity: int, **more: object) -> dict[str, Any]:
        figure = "counted" if kind == "STOCKTAKE" else "quantity"
        given = {"type": kind, "item_id": "milk", figure: quantity, **more}
        recorded: dict[str, Any] = self.client.post("/v1/events", given)
        self.pass_time(MINUTE)
        return recorded

    def on_hand(self, at: int | None = None) -> float:
        as_of = None if at is None else moment_text(at)
        return float(self.client.get("/v1/stock/milk", as_of=as_of)["on_hand"])

    def repairs(self) -> list[dict[str, Any]]:
        return list(self.client.get("/v1/clock/repairs", limit=1_000)["items"])


def with_milk(client: ServiceClient) -> None:
    client.put("/v1/items/milk", {"name": "Milk", "unit": "l"})
