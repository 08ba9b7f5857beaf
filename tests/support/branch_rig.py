"""One branch's node without threads, on a clock that is turned by hand, with a head office in memory."""

from __future__ import annotations

import random
from pathlib import Path

import httpx

from branch_node.database.store import Store
from branch_node.model import Command, Decision, Item, Location, View, unplaced
from branch_node.sync.log_reader import LogReader
from branch_node.sync.puller import Puller
from branch_node.sync.shipper import Shipper
from branch_node.sync.shipping_status import ShippingState, ShippingStatus, StatusBoard
from branch_node.sync.step_result import StepResult
from branch_node.writer.writer import Writer
from shared.chain import Sealed
from shared.events import EventType
from shared.messages import HelloAnswer, Verdict
from shared.runtime.client import ServiceClient
from shared.runtime.clock import IdFactory, NodeClock
from shared.runtime.retry import Backoff
from tests.support.command_recorder import LocalCommandRecorder
from tests.support.fake_head_office import FakeHeadOffice

START = 1_767_268_800_000_000  # 2026-01-01T12:00:00Z


class TurnedClock:
    """A base clock that stands still until `pass_time`."""

    def __init__(self, now: int = START) -> None:
        self._now = now
        self._monotonic = 100.0

    def now(self) -> int:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def pass_time(self, seconds: float) -> None:
        self._now += int(seconds * 1_000_000)
        self._monotonic += seconds


class Record(Command):
    """Records one plain event."""

    def __init__(
        self, item_id: str, quantity: int, kind: str = "PURCHASE_RECEIVED", *, note: str | None = None
    ) -> None:
        self.item_id, self.quantity, self.kind, self.note = item_id, quantity, EventType(kind), note

    def decide(self, view: View) -> Decision:
        fields = {"counted": self.quantity, "expected": 0} if self.kind == "STOCKTAKE" else {"quantity": self.quantity}
        return Decision(
            events=[
                unplaced(
                    view, self.kind, actor="staff-1", source="test", item_id=self.item_id, unit="l", note=self.note,
                    **fields,
                )
            ]
        )  # fmt: skip


class Define(Command):
    """Puts items into the branch's catalogue without an event."""

    def __init__(self, *items: Item) -> None:
        self.items = list(items)

    def decide(self, view: View) -> Decision:
        return Decision(items=self.items)


class BranchRig:
    """`restart()` builds everything but the database anew, as a crash and a new start would."""

    def __init__(
        self,
        folder: Path,
        office: FakeHeadOffice | None = None,
        *,
        url: str | None = None,
        transport: httpx.BaseTransport | None = None,
        key: str | None = None,
    ) -> None:
        self.folder = folder
        self.office = office or FakeHeadOffice()
        self.location_id = self.office.location_id
        self.base = TurnedClock()
        self.url = url or f"sqlite:///{folder / 'branch.db'}"
        self._transport = transport or self.office
        self._key = key or self.office.key
        self.starts = 0
        self.key_changes = 0
        self.greetings: list[Verdict] = []
        Store(self.url, folder).set_up(Location(location_id=self.location_id, name="Hamra", timezone="Asia/Beirut"))
        self._open()

    def _open(self) -> None:
        self.starts += 1
        self.store = Store(self.url, self.folder)
        self.clock = NodeClock(self.base)
        self.writer = Writer(
            self.store, self.clock, IdFactory(random.Random(f"{self.folder}{self.starts}").getrandbits)
        )
        self.writer.open()
        self.reader = LogReader(self.store, self.location_id)
        kept = self.reader.sync_state()
        self.board = StatusBoard(
            ShippingStatus(
                state=ShippingState.CONNECTING, acknowledged=kept.acknowledged, last_contact_at=kept.last_contact_at
            )
        )
        recorder = LocalCommandRecorder(self.writer)
        self.shipper = Shipper(
            location_id=self.location_id,
            log_reader=self.reader,
            client=self.client(),
            clock=self.clock,
            recorder=recorder,
            board=self.board,
            backoff=Backoff(random.Random(2)),
            software="larder test",
            on_hello=self._on_hello,
        )
        self.puller = Puller(
            location_id=self.location_id,
            log_reader=self.reader,
            client=self.client(),
            clock=self.clock,
            recorder=recorder,
            board=self.board,
            backoff=Backoff(random.Random(3)),
            long_poll=0,
            on_failure=self.shipper.request_hello,
            keys_changed=self._keys_changed,
        )

    def client(self) -> ServiceClient:
        return ServiceClient("http://office.example", key=self._key, transport=self._transport)

    def _on_hello(self, answer: HelloAnswer, verdict: Verdict) -> None:
        self.greetings.append(verdict)
        self.puller.restart()

    def _keys_changed(self) -> None:
        self.key_changes += 1

    @property
    def state(self) -> ShippingState:
        return self.board.read().state

    def restart(self) -> None:
        self.close()
        self._open()

    def close(self) -> None:
        # The last connection to close checkpoints, and only the writer's can.
        self.store.close()
        self.writer.close()

    def define(self, *item_ids: str, unit: str = "l") -> None:
        self.writer.commit([Define(*(Item(item_id=each, name=each, unit=unit) for each in item_ids))])

    def record(self, *quantities: int, item_id: str = "milk", kind: str = "PURCHASE_RECEIVED") -> list[Sealed]:
        """Record a delivery (or another kind) for each quantity, in one group."""
        outcomes = self.writer.commit([Record(item_id, quantity, kind) for quantity in quantities])
        return [sealed for outcome in outcomes for sealed in outcome]

    def lines(self) -> list[bytes]:
        with self.store.reading() as connection:
            rows = connection.exec_driver_sql("SELECT line FROM event ORDER BY sequence").all()
        return [bytes(row[0]) for row in rows]

    def on_hand(self, item_id: str) -> int:
        with self.store.reading() as connection:
            query = f"SELECT on_hand FROM stock WHERE item_id = '{item_id}'"
            found = connection.exec_driver_sql(query).scalar_one_or_none()
        return found or 0

    def ship(self, most: int = 50) -> list[StepResult]:
        """Step the shipper, passing over the waits, until it is idle or stopped."""
        return self._run(self.shipper.step, most)

    def pull(self, most: int = 50) -> list[StepResult]:
        return self._run(self.puller.step, most)

    def _run(self, step: object, most: int) -> list[StepResult]:
        results: list[StepResult] = []
        for _ in range(most):
            result: StepResult = step()  # type: ignore[operator]
            results.append(result)
            if result.outcome in {"IDLE", "STOPPED"}:
                return results
            self.base.pass_time(result.wait)
        raise AssertionError(f"still busy after {most} steps: {results[-5:]}")
