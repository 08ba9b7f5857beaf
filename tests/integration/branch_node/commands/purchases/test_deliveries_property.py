"""Orders and deliveries at a branch, in any order and any groups, against a plain model of them.

Orders are pulled, closed line by line, forgotten by a restored head office and stated again; deliveries are received in
part, over, by hand, before their order is known, for wrong lines; they are voided, returned, told again under their
key; groups fail and are redone, the node begins anew.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from branch_node.commands.correction_inputs import VoidInput, void_of
from branch_node.commands.corrections import VoidEvent
from branch_node.commands.event_commands import RecordEvent
from branch_node.commands.event_inputs import EventInput, entry_of
from branch_node.commands.purchases.receive_inputs import ReceiveInput, receive_of
from branch_node.commands.purchases.receive_order import ReceiveOrder
from branch_node.database.purchases.delivered_line_verification import verify_delivered_lines
from branch_node.database.purchases.pulled_order_lists import (
    PurchaseOrdersWanted,
    list_purchase_orders,
    open_purchase_orders,
    read_purchase_order,
)
from branch_node.model import Command, Decision, View
from branch_node.sync.catalogue_update import CatalogueIds
from shared.purchases.purchase_orders import PurchaseOrderState
from shared.runtime.clock import format_rfc3339
from shared.runtime.problems import Problem
from tests.support.branch import Branch, TestClock, a_branch, read
from tests.support.events import MINUTE, NOON
from tests.support.pulled_orders import pulled, purchase_order

ITEMS = (("milk", "l"), ("beans", "kg"), ("cup", "pcs"))
ORDERS = ("PO-1", "PO-2", "PO-3")
"""The first has one line, the second two, the third three."""
QUANTITY = 4_000

which = st.integers(0, 2)
lines = st.integers(1, 4)
quantities = st.integers(1, 12).map(lambda halves: halves * 500)
ago = st.integers(-5, 0)
action = st.one_of(
    st.tuples(st.just("state"), which),
    st.tuples(st.just("close"), which, lines),
    st.tuples(st.just("forget"), which),
    st.tuples(st.just("receive"), which, st.lists(st.tuples(lines, quantities), min_size=1, max_size=4), ago),
    st.tuples(st.just("received"), which, lines, which, quantities, ago),
    st.tuples(st.just("returned"), which, lines, which, quantities, ago),
    st.tuples(st.just("void"), st.integers(0, 20)),
    st.tuples(st.just("again"), st.integers(0, 20)),
    st.tuples(st.just("break")),
)
histories = st.lists(st.lists(action, min_size=1, max_size=4), min_size=1, max_size=10)


class Breaks(Command):
    """Fails as a bug does: its group is undone and redone one by one."""

    def decide(self, view: View) -> Decision:
        raise ZeroDivisionError


@dataclass
class Delivered:
    """What the model knows of one event."""

    event_id: str
    order: str
    line: int
    item: str
    received: int
    returned: int
    voided: bool = False

    def counts_for(self, order: str, line: int) -> bool:
        """Whether it stands, and is of the item that this line of the order is of."""
        return not self.voided and (self.order, self.line, self.item) == (order, line, ITEMS[line - 1][0])


@dataclass
class Model:
    """The orders as pulled (the closed lines of each) and the deliveries as recorded; nothing else."""

    known: dict[str, set[int]] = field(default_factory=dict)
    deliveries: list[Delivered] = field(default_factory=list)

    def sums(self, order: str, line: int) -> tuple[int, int]:
        of_line = [each for each in self.deliveries if each.counts_for(order, line)]
        return sum(each.received for each in of_line), sum(each.returned for each in of_line)

    def record(self, order: str) -> tuple[str, list[tuple[float, float, float, float, bool]]]:
        found = []
        for line in range(1, count_of(order) + 1):
            received, returned = self.sums(order, line)
            closed = line in self.known[order]
            still = 0 if closed or received >= QUANTITY else QUANTITY - received
            over = received - QUANTITY if received > QUANTITY else 0
            found.append((received / 1000, returned / 1000, still / 1000, over / 1000, closed))
        if any(still for _, _, still, _, _ in found):
            return "OPEN", found
        rest = any(closed and received < QUANTITY / 1000 for received, _, _, _, closed in found)
        return ("CLOSED" if rest else "RECEIVED"), found


def count_of(order: str) -> int:
    return ORDERS.index(order) + 1


class Run:
    """A branch beside the model."""

    def __init__(self, branch: Branch) -> None:
        self.branch = branch
        self.model = Model()
        self.published: dict[str, set[int]] = {}
        self.sent: list[tuple[Command, Any]] = []

    def group(self, actions: list[tuple[Any, ...]]) -> None:
        prepared = [self.prepare(*each) for each in actions]
        outcomes = self.branch.writer.commit([command for command, _ in prepared])
        for (_, judge), outcome in zip(prepared, outcomes, strict=True):
            judge(outcome)
        self.look()

    def prepare(self, what: str, *given: Any) -> tuple[Command, Callable[[Any], None]]:
        """The command of an action, and what its outcome must be and does to the model."""
        if what == "break":
            return Breaks(), lambda outcome: None if isinstance(outcome, ZeroDivisionError) else failed(outcome)
        if what == "void":
            return self.void(*given)
        if what == "again":
            return self.again(*given)
        order = ORDERS[given[0]]
        if what in {"state", "close", "forget"}:
            return self.pull(what, order, *given[1:])
        if what == "receive":
            return self.receive(order, *given[1:])
        return self.by_hand(what, order, *given[1:])

    def pull(self, what: str, order: str, line: int = 0) -> tuple[Command, Callable[[Any], None]]:
        # What is pulled in one group builds on what the group has pulled before.
        known = self.published
        if what == "forget":
            known.pop(order, None)
            command = pulled(keep=CatalogueIds(purchase_orders=set(known)))
        else:
            closed = known.setdefault(order, set())
            if what == "close" and line <= count_of(order):
                closed.add(line)
            items = tuple((item, unit, QUANTITY) for item, unit in ITEMS[: count_of(order)])
            command = pulled(purchase_order(order, items, closed=tuple(closed)))
        then = {each: set(closed) for each, closed in known.items()}

        def judge(outcome: Any) -> None:
            assert not isinstance(outcome, BaseException), outcome
            self.model.known = then

        return command, judge

    def receive(self, order: str, parts: list[tuple[int, int]], at: int) -> tuple[Command, Callable[[Any], None]]:
        body: dict[str, object] = {
            "lines": [{"line": line, "quantity": str(quantity / 1000)} for line, quantity in parts],
            "occurred_at": moment(at),
        }
        content = receive_of(order, read(ReceiveInput, body))
        command = ReceiveOrder(content, key=self.branch.key(), actor="staff-1")

        def judge(outcome: Any) -> None:
            if order not in self.model.known:
                refused(outcome, "purchase-order-not-found")
            elif any(line > count_of(order) for line, _ in parts):
                refused(outcome, "invalid-request")
            else:
                for (line, quantity), record in zip(parts, outcome.recorded, strict=True):
                    assert record.item_id == ITEMS[line - 1][0]
                    assert record.supplier_id == "farm"
                    self.model.deliveries.append(Delivered(record.event_id, order, line, record.item_id, quantity, 0))
                self.sent.append((command, outcome))

        return command, judge

    def by_hand(
        self, what: str, order: str, line: int, item: int, quantity: int, at: int
    ) -> tuple[Command, Callable[[Any], None]]:
        body: dict[str, object] = {
            "type": f"PURCHASE_{what.upper()}",
            "item_id": ITEMS[item][0],
            "quantity": str(quantity / 1000),
            "reference": {"kind": "purchase-order", "id": order, "line": line},
            "occurred_at": moment(at),
        }
        command = RecordEvent(entry_of(read(EventInput, body)), key=self.branch.key(), actor="staff-1")

        def judge(outcome: Any) -> None:
            known = order in self.model.known
            if known and line > count_of(order):
                refused(outcome, "invalid-request")
            elif known and item != line - 1:
                refused(outcome, "purchase-order-line-differs")
            else:
                assert outcome.supplier_id == ("farm" if known else None)
                received = quantity if what == "received" else 0
                returned = quantity - received
                delivery = Delivered(outcome.event_id, order, line, ITEMS[item][0], received, returned)
                self.model.deliveries.append(delivery)
                self.sent.append((command, outcome))

        return command, judge

    def void(self, number: int) -> tuple[Command, Callable[[Any], None]]:
        if not self.model.deliveries:
            return Breaks(), lambda _: None
        target = self.model.deliveries[number % len(self.model.deliveries)]
        content = void_of(target.event_id, read(VoidInput, {"reason": "mistake"}))
        command = VoidEvent(content, key=self.branch.key(), actor="manager-1")

        def judge(outcome: Any) -> None:
            if target.voided:
                refused(outcome, "already-voided")
            else:
                assert not isinstance(outcome, BaseException), outcome
                target.voided = True

        return command, judge

    def again(self, number: int) -> tuple[Command, Callable[[Any], None]]:
        if not self.sent:
            return Breaks(), lambda _: None
        command, answer = self.sent[number % len(self.sent)]

        def judge(outcome: Any) -> None:
            assert msgspec.json.encode(outcome) == msgspec.json.encode(answer)

        return command, judge

    def look(self) -> None:
        """Everything that can be read is what the model says, and the rows are what the log says."""
        expected = {order: self.model.record(order) for order in self.model.known}
        with self.branch.store.reading() as connection:
            for order in ORDERS:
                record = read_purchase_order(connection, order)
                assert (record is None) == (order not in expected)
                if record is not None:
                    assert shown(record) == expected[order]
            for state in PurchaseOrderState:
                page = list_purchase_orders(connection, PurchaseOrdersWanted(state=state), after=None, limit=10)
                wanted = sorted(order for order, (its, _) in expected.items() if its == state)
                assert [each.purchase_order_id for each in page.items] == wanted
            still = [each.purchase_order_id for each in open_purchase_orders(connection)]
            assert still == sorted(order for order, (its, _) in expected.items() if its == "OPEN")
            assert verify_delivered_lines(connection, lambda _: None) == []


def shown(record: Any) -> tuple[str, list[tuple[float, float, float, float, bool]]]:
    plain = msgspec.json.decode(msgspec.json.encode(record))
    fields = ("received", "returned", "open", "over", "closed")
    return plain["state"], [tuple(line[name] for name in fields) for line in plain["lines"]]


def moment(minutes: int) -> str:
    return format_rfc3339(NOON + minutes * MINUTE)


def refused(outcome: Any, code: str) -> None:
    assert isinstance(outcome, Problem), outcome
    assert outcome.code == code


def failed(outcome: Any) -> None:
    raise AssertionError(f"it should have failed: {outcome}")


def play(url: str | None, history: list[list[tuple[Any, ...]]]) -> None:
    folder = Path(tempfile.mkdtemp())
    try:
        with a_branch(folder, url) as branch:
            run = Run(branch)
            for place, actions in enumerate(history):
                run.group(actions)
                if place % 3 == 2:
                    begin_anew(run, place)
    finally:
        shutil.rmtree(folder)


def begin_anew(run: Run, starts: int) -> None:
    """Another process of the node: everything but the database is new."""
    store = run.branch.store
    run.branch.writer.close()
    run.branch.writer = Branch(store, TestClock(), seed=1 + starts).writer
    run.branch.writer.open()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(histories)
def test_orders_and_deliveries_are_those_of_the_model(history: list[list[tuple[Any, ...]]]) -> None:
    play(None, history)


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(history=histories)
def test_so_they_are_on_postgresql(
    postgres_url_factory: Callable[..., str], history: list[list[tuple[Any, ...]]]
) -> None:
    play(postgres_url_factory(), history)
