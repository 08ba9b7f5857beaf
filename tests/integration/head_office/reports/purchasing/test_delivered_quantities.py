"""What was delivered and what is on order: by statement as by the ledger, now and at every cut of the past."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, select

from head_office.database.purchase_tables import PURCHASE_ORDER_LINE
from head_office.reports.known_at import report_snapshot, take_cut
from head_office.reports.purchasing.delivered_quantities import OnOrder, delivered_now, on_order_at, on_order_now
from head_office.reports.verification import verify
from shared.purchases.purchase_orders import Delivered
from shared.runtime.database.engine import postgres_engine
from tests.integration.head_office.log.conftest import one_location
from tests.support.consolidation import PLACE
from tests.support.events import MINUTE, NOON
from tests.support.order_ledger import CODES, ITEMS, OWN, PLACES, THERE, OnOrderByItem, OrderLedger


@pytest.fixture
def ledger(office: Engine) -> OrderLedger:
    return OrderLedger(office)


class Said(NamedTuple):
    """An answer for a cut, and what was asked."""

    known_at: int
    as_of: int | None
    answer: dict[tuple[str, str], OnOrder]


def on_order(ledger: OrderLedger) -> OnOrderByItem:
    """What is on order now; the reports of now and of this moment agree with the ledger, and with each other."""
    expected = ledger.on_order()
    with ledger.office.connect() as connection:
        assert on_order_now(connection, None) == expected
        assert on_order_at(connection, take_cut(connection), None, None) == expected
        for place in PLACES:
            there = {key: each for key, each in expected.items() if key[0] == place}
            assert on_order_now(connection, [place]) == there
            assert on_order_at(connection, take_cut(connection), None, [place]) == there
        assert on_order_now(connection, []) == {}
        assert {
            order: {line: (each.received, each.returned) for line, each in lines.items()}
            for order, lines in delivered_now(connection, ledger.orders).items()
        } == {order: ledger.delivered(order) for order in ledger.orders}
        row = PURCHASE_ORDER_LINE.c
        closed = connection.execute(select(row.closed, row.awaited)).all()
        assert not any(each.closed and each.awaited for each in closed)
    return expected


def at(ledger: OrderLedger, known_at: int, as_of: int | None = None) -> dict[tuple[str, str], OnOrder]:
    with report_snapshot(ledger.office, known_at) as (connection, settled):
        return on_order_at(connection, take_cut(connection, settled), as_of, None)


def awaited(ledger: OrderLedger) -> dict[tuple[str, int], bool]:
    row = PURCHASE_ORDER_LINE.c
    with ledger.office.connect() as connection:
        return {
            tuple(each[:2]): each[2]
            for each in connection.execute(select(row.purchase_order_id, row.line, row.awaited))
        }


def test_an_order_without_deliveries_is_wholly_on_order(ledger: OrderLedger) -> None:
    ledger.order("PO-1", PLACE, [("apple", 5_000), ("pear", 2_000), ("apple", 1_000)], due="2026-01-09")
    ledger.order("PO-2", PLACE, [("apple", 500)], due="2026-01-08")
    ledger.order("PO-3", THERE, [("apple", 7_000)])
    assert on_order(ledger) == {
        (PLACE, "apple"): (6_500, "2026-01-08"),
        (PLACE, "pear"): (2_000, "2026-01-09"),
        (THERE, "apple"): (7_000, None),
    }
    with ledger.office.connect() as connection:
        assert delivered_now(connection, ["PO-1", "PO-9"]) == {"PO-1": {}, "PO-9": {}}


def test_partial_over_and_voided_deliveries_and_returns(ledger: OrderLedger) -> None:
    ledger.order("PO-1", PLACE, [("apple", 5_000)], due="2026-01-09")
    ledger.deliver(PLACE, "PO-1", 1, 2_000)
    ledger.ship(PLACE)
    assert on_order(ledger)[PLACE, "apple"] == (3_000, "2026-01-09")
    over = ledger.deliver(PLACE, "PO-1", 1, 4_000)
    ledger.deliver(PLACE, "PO-1", 1, 4_000, kind="PURCHASE_RETURNED")
    ledger.ship(PLACE)
    assert on_order(ledger) == {}
    assert awaited(ledger) == {("PO-1", 1): False}
    with ledger.office.connect() as connection:
        assert delivered_now(connection, ["PO-1"]) == {"PO-1": {1: Delivered(received=6_000, returned=4_000)}}
    ledger.void(PLACE, over)
    ledger.ship(PLACE)
    assert on_order(ledger)[PLACE, "apple"] == (3_000, "2026-01-09")
    ledger.close("PO-1")
    assert on_order(ledger) == {}


def test_a_delivery_counts_at_the_order_s_location_and_for_its_item_alone(ledger: OrderLedger) -> None:
    ledger.order("PO-1", PLACE, [("apple", 5_000)])
    ledger.deliver(THERE, "PO-1", 1, 5_000)
    ledger.deliver(PLACE, "PO-1", 1, 1_000, item_id="pear")
    ledger.deliver(PLACE, "PO-1", 2, 1_000)
    ledger.deliver(PLACE, "PO-1", 1, 500, item_id=OWN)
    for place in PLACES:
        ledger.ship(place)
    assert on_order(ledger) == {(PLACE, "apple"): (5_000, None)}
    ledger.map("apple")
    assert on_order(ledger) == {(PLACE, "apple"): (4_500, None)}
    ledger.map("pear")
    assert on_order(ledger) == {(PLACE, "apple"): (5_000, None)}


def test_another_mapping_opens_a_line_again(ledger: OrderLedger) -> None:
    ledger.map("apple")
    ledger.order("PO-1", PLACE, [("apple", 5_000), ("pear", 5_000)])
    ledger.deliver(PLACE, "PO-1", 1, 5_000, item_id=OWN)
    ledger.deliver(PLACE, "PO-1", 2, 5_000, item_id=OWN)
    ledger.ship(PLACE)
    assert awaited(ledger) == {("PO-1", 1): False, ("PO-1", 2): True}
    ledger.map("pear")
    assert on_order(ledger) == {(PLACE, "apple"): (5_000, None)}
    assert awaited(ledger) == {("PO-1", 1): True, ("PO-1", 2): False}


def test_the_past_stays_as_it_was_known(ledger: OrderLedger) -> None:
    ledger.order("PO-1", PLACE, [("apple", 5_000)], due="2026-01-09")
    ordered = ledger.now()
    ledger.deliver(PLACE, "PO-1", 1, 2_000, occurred_at=NOON + 5 * MINUTE)
    ledger.ship(PLACE)
    ledger.postpone("PO-1", "2026-01-12")
    delivered = ledger.now()
    ledger.close("PO-1")
    assert at(ledger, ordered) == {(PLACE, "apple"): (5_000, "2026-01-09")}
    assert at(ledger, delivered) == {(PLACE, "apple"): (3_000, "2026-01-12")}
    assert at(ledger, delivered, NOON) == {(PLACE, "apple"): (5_000, "2026-01-12")}
    assert at(ledger, ledger.now()) == {}


def test_each_location_may_have_a_moment_of_its_own(ledger: OrderLedger) -> None:
    for place, order in zip(PLACES, ("PO-1", "PO-2"), strict=True):
        ledger.order(order, place, [("apple", 5_000)])
        ledger.deliver(place, order, 1, 2_000, occurred_at=NOON + MINUTE)
        ledger.ship(place)
    with ledger.office.connect() as connection:
        found = on_order_at(connection, take_cut(connection), {PLACE: NOON, THERE: NOON + MINUTE}, None)
    assert found == {(PLACE, "apple"): (5_000, None), (THERE, "apple"): (3_000, None)}


ORDERS = ("PO-1", "PO-2", "PO-3")
DATES = st.sampled_from([None, "2026-01-08", "2026-01-09"])
QUANTITIES = st.integers(1, 5).map(lambda each: each * 1_000)
MOMENTS = st.integers(-5, 30).map(lambda each: NOON + each * MINUTE)
STEPS = st.one_of(
    st.tuples(
        st.just("order"),
        st.sampled_from(PLACES),
        st.lists(st.tuples(st.sampled_from(ITEMS), QUANTITIES), min_size=1, max_size=2),
        DATES,
    ),
    st.tuples(st.just("close"), st.sampled_from(ORDERS), st.sampled_from([None, [1]])),
    st.tuples(st.just("postpone"), st.sampled_from(ORDERS), DATES),
    st.tuples(st.just("map"), st.sampled_from(ITEMS)),
    *[
        st.tuples(
            st.just("deliver"),
            st.sampled_from([PLACE, PLACE, THERE]),
            st.sampled_from(ORDERS),
            st.integers(1, 2),
            QUANTITIES,
            st.sampled_from(CODES),
            MOMENTS,
            st.sampled_from(["PURCHASE_RECEIVED", "PURCHASE_RECEIVED", "PURCHASE_RETURNED"]),
            st.booleans(),
        )
    ]
    * 4,
    st.tuples(st.just("void"), st.sampled_from(PLACES), st.integers(0, 20)),
    st.tuples(st.just("ship"), st.sampled_from(PLACES)),
    st.tuples(st.just("release"), st.sampled_from(PLACES)),
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(STEPS, min_size=6, max_size=25), st.lists(MOMENTS, min_size=1, max_size=3))
def test_on_order_is_what_the_ledger_says_and_past_cuts_never_change(
    postgres_url_factory: Callable[..., str], steps: list[tuple[Any, ...]], moments: list[int]
) -> None:
    office = postgres_engine(postgres_url_factory(one_location))
    try:
        said: list[Said] = []
        ledger = OrderLedger(office)
        for step in steps:
            said += _asked(ledger, moments) if _play(ledger, step) else []
        for each in said:
            assert at(ledger, each.known_at, each.as_of) == each.answer
        with office.connect() as connection:
            assert verify(connection).findings == []
    finally:
        office.dispose()


def _asked(ledger: OrderLedger, moments: list[int]) -> Iterator[Said]:
    on_order(ledger)
    known_at = ledger.now()
    for as_of in (None, *moments):
        answer = at(ledger, known_at, as_of)
        assert answer == ledger.on_order(as_of)
        yield Said(known_at, as_of, answer)


def _play(ledger: OrderLedger, step: tuple[Any, ...]) -> bool:
    """Do what a step says, if it can be done; whether head office knows more since."""
    what, *given_ = step
    match what:
        case "order" if len(ledger.orders) < len(ORDERS):
            place, lines, due = given_
            ledger.order(ORDERS[len(ledger.orders)], place, lines, due)
        case "close" | "postpone" if given_[0] in ledger.orders:
            getattr(ledger, what)(*given_)
        case "map":
            ledger.map(*given_)
        case "deliver":
            place, order, line, quantity, code, moment, kind, new = given_
            fields = {"item_id": code, "occurred_at": moment, "kind": kind, "note": "new" if new else None}
            ledger.deliver(place, order, line, quantity, **fields)
            return False
        case "void":
            _void(ledger, *given_)
            return False
        case "ship":
            ledger.ship(*given_)
        case "release":
            ledger.release(*given_)
        case _:
            return False
    return True


def _void(ledger: OrderLedger, place: str, number: int) -> None:
    events = ledger.events(place)
    undone = {each.voided_sequence for each in events}
    left = [each.sequence for each in events if each.type.startswith("PURCHASE") and each.sequence not in undone]
    if left:
        ledger.void(place, left[number % len(left)])
