"""The state machine of orders and deliveries at head office, over its real ingest, against the ledger."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy import select

from head_office.database.purchase_tables import PURCHASE_ORDER_LINE
from head_office.log.rebuild import rebuild
from head_office.reports.purchasing.delivered_quantities import delivered_now, on_order_now
from head_office.reports.verification import verify
from shared.events import quantity_json
from shared.purchases.purchase_order_record import purchase_order_record
from shared.purchases.purchase_orders import PurchaseOrderState
from shared.runtime.database.engine import postgres_engine
from tests.integration.head_office.log.conftest import one_location
from tests.support.consolidation import PLACE
from tests.support.events import MINUTE, NOON
from tests.support.order_ledger import CODES, ITEMS, PLACES, OrderLedger

QUANTITIES = st.integers(1, 6).map(lambda each: each * 500)
ORDERS = st.sampled_from(["PO-1", "PO-2", "PO-3"])


class PurchaseMachine(RuleBasedStateMachine):
    """Orders that are written, closed and mapped anew, while branches deliver, return, void and ship as they can."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.office = postgres_engine(url)
        self.ledger = OrderLedger(self.office)
        self.minute = 0

    def teardown(self) -> None:
        try:
            for place in PLACES:
                self.ledger.ship(place)
                self.ledger.release(place)
            self.states_are_those_of_the_ledger()
            with self.office.begin() as connection:
                assert verify(connection).findings == []
                corrected = rebuild(connection).corrected
                assert set(corrected.values()) == {0}
                # Nothing is awaited in vain after it.
                awaited = {tuple(each) for each in connection.execute(_AWAITED)}
                assert awaited == {
                    (order, line) for order in self.ledger.orders for line, rest in self._open(order).items() if rest
                }
            self.states_are_those_of_the_ledger()
        finally:
            self.office.dispose()

    @rule(
        order=ORDERS,
        place=st.sampled_from([PLACE, *PLACES]),
        lines=st.lists(st.tuples(st.sampled_from(ITEMS), QUANTITIES), min_size=1, max_size=3),
    )
    def order(self, order: str, place: str, lines: list[tuple[str, int]]) -> None:
        if order not in self.ledger.orders:
            self.ledger.order(order, place, lines, due="2026-01-09")

    @precondition(lambda self: self.ledger.orders)
    @rule(data=st.data(), some=st.booleans())
    def close(self, data: st.DataObject, some: bool) -> None:
        order = data.draw(st.sampled_from(sorted(self.ledger.orders)))
        self.ledger.close(order, [1] if some else None)

    @rule(item=st.sampled_from(ITEMS))
    def map_anew(self, item: str) -> None:
        self.ledger.map(item)

    @rule(
        place=st.sampled_from([PLACE, *PLACES]),
        order=ORDERS,
        line=st.integers(1, 3),
        quantity=QUANTITIES,
        code=st.sampled_from(CODES),
        back=st.integers(0, 20),
        note=st.sampled_from([None, None, "new"]),
    )
    def receive(self, place: str, order: str, line: int, quantity: int, code: str, back: int, note: str | None) -> None:
        """In part or over, late or not, of an order that may not be known yet, or is another location's."""
        self.minute += 1
        moment = NOON + (self.minute - back) * MINUTE
        self.ledger.deliver(place, order, line, quantity, item_id=code, occurred_at=moment, note=note)

    @precondition(lambda self: self.ledger.orders)
    @rule(data=st.data())
    def receive_the_rest(self, data: st.DataObject) -> None:
        order = self.ledger.orders[data.draw(st.sampled_from(sorted(self.ledger.orders)))]
        for line, rest in self._open(order.purchase_order_id).items():
            if rest:
                item = order.lines[line - 1].item_id
                self.ledger.deliver(order.location_id, order.purchase_order_id, line, rest, item_id=item)

    @rule(place=st.sampled_from(PLACES), order=ORDERS, quantity=QUANTITIES)
    def give_back(self, place: str, order: str, quantity: int) -> None:
        self.ledger.deliver(place, order, 1, quantity, kind="PURCHASE_RETURNED")

    @rule(place=st.sampled_from([PLACE, *PLACES]), number=st.integers(0, 50))
    def void(self, place: str, number: int) -> None:
        events = self.ledger.events(place)
        undone = {each.voided_sequence for each in events}
        left = [each.sequence for each in events if each.type.startswith("PURCHASE") and each.sequence not in undone]
        if left:
            self.ledger.void(place, left[number % len(left)])

    @rule(place=st.sampled_from([PLACE, *PLACES]), events=st.one_of(st.none(), st.integers(1, 3)))
    def ship(self, place: str, events: int | None) -> None:
        waiting = len(self.ledger.logs[place].lines) - self.ledger.shipped[place]
        self.ledger.ship(place, self.ledger.shipped[place] + min(waiting, waiting if events is None else events))

    @rule(place=st.sampled_from(PLACES))
    def release(self, place: str) -> None:
        self.ledger.release(place)

    @invariant()
    def states_are_those_of_the_ledger(self) -> None:
        ledger = self.ledger
        with self.office.connect() as connection:
            assert on_order_now(connection, None) == ledger.on_order()
            delivered = delivered_now(connection, ledger.orders)
        for order in ledger.orders.values():
            record = purchase_order_record(order, delivered[order.purchase_order_id])
            rest = self._open(order.purchase_order_id)
            assert [line.open for line in record.lines] == [quantity_json(rest[line.line]) for line in order.lines]
            received = ledger.delivered(order.purchase_order_id)
            came = {line.line: received.get(line.line, (0, 0))[0] for line in order.lines}
            short = any(line.closed and came[line.line] < line.quantity for line in order.lines)
            assert record.state is (
                PurchaseOrderState.OPEN
                if any(rest.values())
                else PurchaseOrderState.CLOSED
                if short
                else PurchaseOrderState.RECEIVED
            )
            for line, told in zip(order.lines, record.lines, strict=True):
                assert told.over == quantity_json(max(came[line.line] - line.quantity, 0))

    def _open(self, order_id: str) -> dict[int, int]:
        """What is open of each line, as the ledger has it."""
        received = self.ledger.delivered(order_id)
        return {
            line.line: 0 if line.closed else max(line.quantity - received.get(line.line, (0, 0))[0], 0)
            for line in self.ledger.orders[order_id].lines
        }


_AWAITED = select(PURCHASE_ORDER_LINE.c.purchase_order_id, PURCHASE_ORDER_LINE.c.line).where(
    PURCHASE_ORDER_LINE.c.awaited
)


def test_orders_and_deliveries(postgres_url_factory: Callable[..., str]) -> None:
    class Here(PurchaseMachine):
        def __init__(self) -> None:
            super().__init__(postgres_url_factory(one_location))

    tried = settings(max_examples=12, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(Here, settings=tried)
