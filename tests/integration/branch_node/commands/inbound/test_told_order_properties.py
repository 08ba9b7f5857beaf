"""Told events against a plain model, in order; and in any order, with repetitions, expiries and crashes.

Each is told by the source itself, or asked for by head office: what becomes of it is the same, and of those that were
asked for the log says so.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from branch_node.commands.inbound.told_events import OrderEventAnswer
from branch_node.database.inbound.inbound_order_rows import inbound_orders
from branch_node.database.reservation_rows import active_reservations
from branch_node.database.store import Store
from shared.orders.order_outcomes import RecordedOutcome
from shared.runtime.problems import Problem
from tests.integration.branch_node.writer.test_projection_property import check_everything
from tests.support.branch import ITEMS, Branch, PutItems, TestClock, branch_store
from tests.support.events import MINUTE
from tests.support.order_events import HOLD_DAYS, SHOP, Shop, answers_in, told_orders

DAY = 24 * 60 * MINUTE
ITEM_IDS = ("milk", "cup")
quantities = st.dictionaries(st.sampled_from(ITEM_IDS), st.integers(1, 5), min_size=1)


@contextmanager
def a_shop(*opening: tuple[str, int]) -> Iterator[Shop]:
    folder = Path(tempfile.mkdtemp())
    branch_store(folder).close()
    shop = Shop(opened(folder, TestClock(), 1))
    try:
        shop.branch.run(PutItems(ITEMS))
        for item_id, quantity in opening:
            shop.branch.event("PURCHASE_RECEIVED", item_id, quantity)
        yield shop
    finally:
        shop.branch.writer.close()
        shop.branch.store.close()
        shutil.rmtree(folder)


def opened(folder: Path, clock: TestClock, seed: int) -> Branch:
    branch = Branch(Store(f"sqlite:///{folder}/branch.db", folder), clock, seed=seed)
    branch.writer.open()
    return branch


def crash(shop: Shop, seed: int) -> None:
    """All that is in memory is gone."""
    shop.branch.writer.close()
    shop.branch.store.close()
    shop.branch = opened(shop.branch.store.directory, shop.branch.clock, seed)


@dataclass
class PaperOrder:
    """An order as a person would keep it on paper; quantities are whole units, by item."""

    revision: int = 0
    reserved_revision: int = 0
    reserved_lines: dict[str, int] = field(default_factory=dict)
    known: bool = False
    cancelled: bool = False
    final: bool = False
    expires_at: int = 0
    open: Counter[str] = field(default_factory=Counter)
    left: Counter[str] = field(default_factory=Counter)  # of what was reserved last, what was not shipped since
    shipped: Counter[str] = field(default_factory=Counter)


class Paper:
    """The branch as kept on paper."""

    def __init__(self, opening: dict[str, int]) -> None:
        self.on_hand = Counter(opening)
        self.orders: dict[str, PaperOrder] = {}

    def reserved(self, item_id: str) -> int:
        return sum(each.open[item_id] for each in self.orders.values())

    def expire(self, now: int) -> None:
        for each in self.orders.values():
            if each.expires_at <= now:
                each.open.clear()

    def placed(self, order: PaperOrder, now: int, *, revision: int, lines: dict[str, int]) -> str:
        if order.cancelled:
            return "cancelled"
        if order.final:
            return "shipped"
        if revision < order.revision:
            return "superseded"
        if +order.open and revision == order.reserved_revision:
            return "reserved" if lines == order.reserved_lines else "order-superseded"
        needed = Counter(lines) - order.shipped
        order.revision = revision
        beyond = needed - order.open
        if any(beyond[item] > self.on_hand[item] - self.reserved(item) for item in beyond):
            return "unavailable"
        if not needed and not +order.open:
            order.known = True
            return "shipped"
        order.open, order.left, order.known = Counter(needed), Counter(needed), True
        order.reserved_revision, order.reserved_lines = revision, lines
        order.expires_at = now + HOLD_DAYS * DAY
        return "reserved" if needed else "shipped"

    def shipped(self, order: PaperOrder, *, lines: dict[str, int] | None = None, final: bool = False) -> str:
        if lines is None and not order.known:
            return "unknown-order"
        if lines is None:
            lines = dict(order.open if order.final else order.left | order.open)
        order.shipped.update(lines)
        self.on_hand.subtract(lines)
        order.open -= Counter(lines)
        order.left -= Counter(lines)
        return "shipped"

    def cancelled(self, order: PaperOrder) -> str:
        if +order.open:
            order.open.clear()
            outcome = "released"
        else:
            outcome = "nothing" if order.cancelled or order.known or order.revision else "noted"
        order.cancelled = True
        return outcome


step = st.one_of(
    st.tuples(st.just("placed"), st.sampled_from("ab"), st.booleans(), quantities, st.integers(-1, 1)),
    st.tuples(st.just("shipped"), st.sampled_from("ab"), st.booleans(), quantities, st.booleans()),
    st.tuples(st.just("all shipped"), st.sampled_from("ab"), st.booleans()),
    st.tuples(st.just("cancelled"), st.sampled_from("ab"), st.booleans()),
    st.tuples(st.just("returned"), st.sampled_from("ab"), st.booleans(), quantities),
    st.tuples(st.just("received"), st.sampled_from(ITEM_IDS), st.integers(1, 9)),
    st.tuples(st.just("sold"), st.sampled_from(ITEM_IDS), st.integers(1, 3)),
    st.tuples(st.just("days"), st.integers(1, 9)),
    st.tuples(st.just("crash")),
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=st.lists(step, max_size=25))
def test_each_event_does_what_a_person_with_paper_would_do(steps: list[tuple[Any, ...]]) -> None:
    opening = {"milk": 12, "cup": 12}
    with a_shop(*opening.items()) as shop:
        paper = Paper(opening)
        for number, (act, *given_with) in enumerate(steps):
            paper.expire(shop.branch.clock.now())
            if act in {"received", "sold"}:
                item_id, quantity = given_with
                shop.branch.event(
                    "PURCHASE_RECEIVED" if act == "received" else "ORDER_DEDUCTION", item_id, quantity, key=f"k{number}"
                )
                paper.on_hand[item_id] += quantity if act == "received" else -quantity
            elif act == "days":
                shop.branch.clock.advance(given_with[0] * DAY)
            elif act == "crash":
                crash(shop, number + 2)
            else:
                check_told(shop, paper, act, *given_with)
            paper.expire(shop.branch.clock.now())
            shop.branch.writer.step(0)  # as the writer's thread would: what has expired is recorded
            compare(shop, paper)
        check_everything(shop.branch)
        check_tables(shop)


def check_told(shop: Shop, paper: Paper, act: str, order_id: str, asked: bool, *more: Any) -> None:
    order = paper.orders.setdefault(order_id, PaperOrder())
    if act == "placed":
        lines, ahead = more
        revision = max(1, order.revision + ahead)
        expected = paper.placed(order, shop.branch.clock.now(), revision=revision, lines=lines)
        found = outcome(shop, asked, "placed", order_id, revision=revision, lines=lines)
    elif act == "shipped":
        lines, final = more
        expected = paper.shipped(order, lines=lines)
        if final:
            order.final = True
            order.open.clear()
        found = outcome(shop, asked, "shipped", order_id, lines=lines, final=final)
    elif act == "all shipped":
        expected = paper.shipped(order)
        if expected == "shipped":
            order.final = True
            order.open.clear()
        elif asked:
            order.cancelled = True  # the log answers, and nothing is reserved any more
        found = outcome(shop, asked, "shipped", order_id)
    elif act == "cancelled":
        expected, found = paper.cancelled(order), outcome(shop, asked, "cancelled", order_id)
    else:
        paper.on_hand.update(more[0])
        expected, found = "returned", outcome(shop, asked, "returned", order_id, lines=more[0])
    event(f"{found}, {'asked' if asked else 'told'}")
    assert found == expected


def outcome(shop: Shop, asked: bool, told: str, order_id: str, **data: Any) -> str:
    """What became of an event; the code of the problem that refused it."""
    if asked:
        answer = shop.ask(told, order_id, **data)
        return answer.reason or answer.outcome.value
    try:
        return shop.outcome(told, order_id, **data)
    except Problem as problem:
        return problem.code


def compare(shop: Shop, paper: Paper) -> None:
    for item_id, standing in shop.branch.standings().items():
        expected = (paper.on_hand[item_id] * 1_000, paper.reserved(item_id) * 1_000)
        assert (standing.on_hand, standing.reserved) == expected


def check_tables(shop: Shop) -> None:
    derived = told_orders(shop.branch.events())
    with shop.branch.store.reading() as connection:
        stored = inbound_orders(connection, list(derived))
    assert {(each.order_id, each.source): each for each in stored} == derived


@dataclass
class Course:
    """What really happened to an order, and the events that tell of it: (what, data)."""

    told: list[tuple[str, dict[str, Any]]]
    shipped: Counter[str]
    returned: Counter[str]
    ended: bool


@st.composite
def courses(draw: st.DrawFn) -> Course:
    told: list[tuple[str, dict[str, Any]]] = []
    for revision in range(1, draw(st.integers(0, 3)) + 1):
        told.append(("placed", {"revision": revision, "lines": draw(quantities)}))
    parcels = draw(st.lists(quantities, max_size=3))
    final = draw(st.booleans()) and bool(parcels)
    for number, lines in enumerate(parcels, start=1):
        told.append(("shipped", {"lines": lines, "final": final and number == len(parcels)}))
    cancelled = draw(st.booleans())
    if cancelled:
        told.append(("cancelled", {"reason": "changed"}))
    returns = draw(st.lists(quantities, max_size=2))
    told += [("returned", {"lines": lines}) for lines in returns]
    return Course(
        told=told,
        shipped=sum(map(Counter, parcels), Counter()),
        returned=sum(map(Counter, returns), Counter()),
        ended=final or cancelled,
    )


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(history=st.lists(courses(), min_size=1, max_size=3), data=st.data())
def test_in_any_order_and_however_often_the_end_is_the_same(history: list[Course], data: st.DataObject) -> None:
    """What left and came back is what is gone, once; what has ended holds nothing; a repetition is answered alike."""
    events = [
        (f"{order_id}-{number}", str(order_id), told, what)
        for order_id, course in enumerate(history)
        for number, (told, what) in enumerate(course.told)
    ]
    extra = data.draw(st.lists(st.sampled_from(events), max_size=2 * len(events)) if events else st.just([]))
    order = data.draw(st.permutations([*events, *extra]))
    opening = {item_id: data.draw(st.integers(0, 20)) for item_id in ITEM_IDS}
    asked_for = data.draw(st.sets(st.sampled_from(sorted(each[0] for each in events)))) if events else set()
    answers: dict[str, OrderEventAnswer | RecordedOutcome] = {}
    keys: dict[str, RecordedOutcome] = {}
    with a_shop(*((item_id, quantity) for item_id, quantity in opening.items() if quantity)) as shop:
        for number, (event_id, order_id, told, what) in enumerate(order):
            before = {each: standing.reserved for each, standing in shop.branch.standings().items()}
            if event_id in asked_for:
                answer = shop.ask(told, order_id, id=event_id, **what)
                keys[shop.instruction(told, order_id, id=event_id, **what).key] = answer
            else:
                answer = shop.tell(told, order_id, id=event_id, **what)
            assert answers.setdefault(event_id, answer) == answer
            for item_id, standing in shop.branch.standings().items():
                if standing.reserved > before.get(item_id, 0):
                    assert standing.on_hand >= standing.reserved  # what is promised is there
            if data.draw(st.integers(0, 9)) == 0:
                crash(shop, number + 2)
            if data.draw(st.integers(0, 9)) == 0:
                shop.branch.clock.advance(5 * DAY)
        in_the_log = answers_in(shop.branch.events())
        assert {key: in_the_log.get(key) for key in keys} == keys
        told_here = {
            event_id: (answer.outcome, answer.reservation_id)
            for event_id, answer in answers.items()
            if event_id not in asked_for
        }
        for event_id, order_id, told, what in events:
            key = shop.command(told, order_id, id=event_id, **what).key or ""
            if key in in_the_log:  # else the answer itself is kept
                assert (in_the_log[key].outcome, in_the_log[key].reservation_id) == told_here[event_id]
        shipped = sum((each.shipped for each in history), Counter())
        returned = sum((each.returned for each in history), Counter())
        for item_id, standing in shop.branch.standings().items():
            on_hand = opening[item_id] - shipped[item_id] + returned[item_id]
            assert standing.on_hand == on_hand * 1_000
        with shop.branch.store.reading() as connection:
            holding = {each.order_id for each in active_reservations(connection) if each.source == SHOP}
        assert not holding & {str(order_id) for order_id, course in enumerate(history) if course.ended}
        check_everything(shop.branch)
        check_tables(shop)
