"""Reserve, state anew, confirm, release, expire, deduct, count, void, crash: any course, against a plain model."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from branch_node.commands.reservations.reservation_commands import Refusal
from branch_node.database.store import Store
from shared.events import Event
from shared.reservations import Reservation, reservation_of
from shared.runtime.problems import Problem
from tests.integration.branch_node.writer.test_projection_property import check_everything
from tests.support.branch import ITEMS, Branch, PutItems, TestClock, branch_store
from tests.support.events import MINUTE

ITEM_IDS = ("milk", "cup")
quantities = st.dictionaries(st.sampled_from(ITEM_IDS), st.integers(1, 6), min_size=1)


@dataclass
class Promise:
    """A reservation as a person would keep it on paper."""

    order_id: str
    revision: int
    expires_at: int
    open: dict[str, int]
    confirmed: dict[str, int] = field(default_factory=dict)
    ended: str | None = None


class ReservationMachine(RuleBasedStateMachine):
    """Quantities of the model are whole units. Everything occurs when it is recorded, so on hand is a running sum."""

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        branch_store(self.folder).close()
        self.clock = TestClock()
        self.branch = self._open()
        self.branch.run(PutItems(ITEMS))
        self.on_hand: dict[str, int] = dict.fromkeys(ITEM_IDS, 0)
        self.promises: dict[str, Promise] = {}  # by reservation id
        self.voidable: list[tuple[str, str, int]] = []  # (event id, item, change) since the item's last count
        self.keys = 0

    def _open(self) -> Branch:
        self.opened = getattr(self, "opened", 0) + 1
        branch = Branch(Store(f"sqlite:///{self.folder}/branch.db", self.folder), self.clock, seed=self.opened)
        branch.writer.open()
        return branch

    def teardown(self) -> None:
        if hasattr(self, "branch"):
            self.branch.writer.close()
            shutil.rmtree(self.folder)

    def _key(self) -> str:
        self.keys += 1
        return f"k{self.keys}"

    def _expire(self) -> None:
        for each in self.promises.values():
            if each.ended is None and each.expires_at <= self.clock.now():
                each.ended, each.open = "EXPIRED", {}

    def _reserved(self, item_id: str) -> int:
        return sum(each.open.get(item_id, 0) for each in self.promises.values())

    def _of(self, order_id: str) -> list[tuple[str, Promise]]:
        return [(key, each) for key, each in self.promises.items() if each.order_id == order_id]

    @rule(minutes=st.integers(1, 10))
    def pass_time(self, minutes: int) -> None:
        self.clock.advance(minutes * MINUTE)

    @rule(item_id=st.sampled_from(ITEM_IDS), quantity=st.integers(5, 30))
    def receive(self, item_id: str, quantity: int) -> None:
        self._expire()
        record = self.branch.event("PURCHASE_RECEIVED", item_id, quantity, key=self._key())
        self.on_hand[item_id] += quantity
        self.voidable.append((record.event_id, item_id, quantity))

    @rule(item_id=st.sampled_from(ITEM_IDS), quantity=st.integers(1, 4))
    def deduct(self, item_id: str, quantity: int) -> None:
        self._expire()
        record = self.branch.event("ORDER_DEDUCTION", item_id, quantity, key=self._key())
        self.on_hand[item_id] -= quantity
        self.voidable.append((record.event_id, item_id, -quantity))

    @rule(item_id=st.sampled_from(ITEM_IDS), counted=st.integers(0, 12))
    def count(self, item_id: str, counted: int) -> None:
        self._expire()
        self.branch.event("STOCKTAKE", item_id, counted, key=self._key())
        self.on_hand[item_id] = counted
        self.voidable = [each for each in self.voidable if each[1] != item_id]

    @precondition(lambda self: self.voidable)
    @rule(pick=st.integers(0, 50))
    def void(self, pick: int) -> None:
        self._expire()
        event_id, item_id, change = self.voidable.pop(pick % len(self.voidable))
        self.branch.void(event_id, key=self._key())
        self.on_hand[item_id] -= change

    @rule(order_id=st.sampled_from("ab"), asked=quantities, minutes=st.integers(1, 20))
    def reserve(self, order_id: str, asked: dict[str, int], minutes: int) -> None:
        self._expire()
        known = self._of(order_id)
        revision = max((each.revision for _, each in known), default=0) + 1
        served = {item: sum(each.confirmed.get(item, 0) for _, each in known) for item in asked}
        wanted = {item: asked[item] - served[item] for item in asked if asked[item] > served[item]}
        current = next(((key, each) for key, each in known if each.ended is None), None)
        own = {} if current is None else current[1].open
        beyond = {item: wanted[item] - own.get(item, 0) for item in wanted if wanted[item] > own.get(item, 0)}
        fits = all(beyond[item] <= self.on_hand[item] - self._reserved(item) for item in beyond)
        command: dict[str, Any] = {"revision": revision, "expires_in": minutes * 60, "key": self._key()}
        if not wanted and current is None:
            assert self._refused(lambda: self.branch.reserve(order_id, asked, **command)) == "reservation-ended"
            return
        answer = self.branch.reserve(order_id, asked, **command)
        if not fits:
            assert isinstance(answer, Refusal)
            return
        assert isinstance(answer, Reservation)
        expires_at = self.clock.now() + minutes * MINUTE
        if current is None:
            self.promises[answer.reservation_id] = Promise(order_id, revision, expires_at, wanted)
            return
        assert answer.reservation_id == current[0]
        promise = current[1]
        promise.revision, promise.open = revision, wanted
        if wanted:
            promise.expires_at = expires_at
        else:
            promise.ended = "RELEASED"

    @precondition(lambda self: self.promises)
    @rule(pick=st.integers(0, 50), part=st.booleans(), keep=st.booleans(), data=st.data())
    def confirm(self, pick: int, part: bool, keep: bool, data: st.DataObject) -> None:
        self._expire()
        reservation_id, promise = list(self.promises.items())[pick % len(self.promises)]
        lines = None
        if part and promise.open:
            lines = {item: data.draw(st.integers(1, quantity + 1)) for item, quantity in promise.open.items()}
        taken = dict(promise.open if lines is None else lines)
        more = {"rest": "keep"} if keep else {}
        if promise.ended is not None:
            code = self._refused(lambda: self.branch.confirm(reservation_id, lines, key=self._key(), **more))
            assert code == "reservation-ended"
            return
        if any(taken[item] > promise.open[item] for item in taken):
            code = self._refused(lambda: self.branch.confirm(reservation_id, lines, key=self._key(), **more))
            assert code == "more-than-open"
            return
        self.branch.confirm(reservation_id, lines, key=self._key(), **more)
        for item, quantity in taken.items():
            self.on_hand[item] -= quantity
            promise.confirmed[item] = promise.confirmed.get(item, 0) + quantity
            promise.open[item] -= quantity
        left = {item: quantity for item, quantity in promise.open.items() if quantity}
        promise.open = left if keep else {}
        promise.ended = None if promise.open else "CONFIRMED"

    @precondition(lambda self: self.promises)
    @rule(pick=st.integers(0, 50))
    def release(self, pick: int) -> None:
        self._expire()
        reservation_id, promise = list(self.promises.items())[pick % len(self.promises)]
        if promise.ended is not None:
            code = self._refused(lambda: self.branch.release(reservation_id, key=self._key()))
            assert code == "reservation-ended"
            return
        self.branch.release(reservation_id, key=self._key())
        promise.open, promise.ended = {}, "RELEASED"

    @rule()
    def crash(self) -> None:
        self.branch.writer.close()
        self.branch = self._open()

    def _refused(self, run: object) -> str:
        try:
            run()  # type: ignore[operator]
        except Problem as problem:
            return problem.code
        raise AssertionError("it was not refused")

    @invariant()
    def as_the_model_says(self) -> None:
        if not hasattr(self, "branch"):
            return
        self._expire()
        self.branch.writer.step(0)
        check_everything(self.branch)
        standings = self.branch.standings()
        for item_id in ITEM_IDS:
            standing = standings.get(item_id)
            figures = (0, 0) if standing is None else (standing.on_hand, standing.reserved)
            assert figures == (self.on_hand[item_id] * 1_000, self._reserved(item_id) * 1_000)
        states = {each: _state(self.branch, each) for each in self.promises}
        assert states == {key: each.ended or "ACTIVE" for key, each in self.promises.items()}


def _state(branch: Branch, reservation_id: str) -> str:
    events: list[Event] = [each for each in branch.events() if each.reservation_id == reservation_id]
    found = reservation_of(each for each in events if each.type != "RESERVATION_REFUSED")
    assert found is not None
    return found.state.value


ReservationMachine.TestCase.settings = settings(
    max_examples=40, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
TestReservations = ReservationMachine.TestCase
