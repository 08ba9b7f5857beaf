"""What head office keeps of deliveries against orders, and which lines are awaited: wherever batches are cut."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, select, text

from head_office.catalogue import item_proposals
from head_office.database.purchase_tables import DELIVERED_LINE, PURCHASE_ORDER_LINE
from head_office.log import ingest as ingest_module
from head_office.log.ingest import ingest
from head_office.log.rebuild import rebuild
from head_office.reports.verification import verify
from shared import wire
from shared.chain import understand
from shared.events import Event, Reference
from shared.purchases.delivered_lines import DeliveredLine, delivered_line_of
from tests.support.consolidation import PLACE, Branch, quarantined
from tests.support.events import MINUTE, NOON, an_event
from tests.support.order_ledger import OWN, OrderLedger, an_order, close_order, delivery, write_order
from tests.support.waiting import wait_until


@pytest.fixture
def ledger(office: Engine) -> OrderLedger:
    return OrderLedger(office)


def kept(connection: Connection) -> list[DeliveredLine]:
    """Straight from the table, not through our own query."""
    rows = connection.execute(select(DELIVERED_LINE).order_by(DELIVERED_LINE.c.sequence)).mappings()
    return [DeliveredLine(**{name: row[name] for name in DeliveredLine._fields}) for row in rows]


def lines_awaited(connection: Connection) -> dict[tuple[str, int], bool]:
    row = PURCHASE_ORDER_LINE.c
    query = select(row.purchase_order_id, row.line, row.awaited)
    return {(order, line): found for order, line, found in connection.execute(query)}


def awaited(office: Engine, line: int = 1) -> bool:
    with office.connect() as connection:
        return lines_awaited(connection)["PO-1", line]


@st.composite
def logs(draw: st.DrawFn) -> list[Event]:
    """Deliveries and returns against two orders, other events, and voids, those of commands with several lines too."""
    events: list[Event] = []
    for seed in range(1, draw(st.integers(2, 25))):
        voided = {each.voided_sequence for each in events}
        open_ = [at for at, each in enumerate(events, start=1) if each.type.startswith("PURCHASE") and at not in voided]
        what = draw(st.sampled_from(["receive", "receive", "return", "void", "void", "other", "another"]))
        if what == "void" and open_:
            at = draw(st.sampled_from(open_))
            gone = events[at - 1]
            fields = {"voided_sequence": at, "voided_event_id": gone.event_id, "item_id": gone.item_id}
            events.append(an_event("EVENT_VOIDED", reason="x", seed=seed, **fields))
        elif what in {"receive", "return"}:
            kind = "PURCHASE_RECEIVED" if what == "receive" else "PURCHASE_RETURNED"
            order, line = draw(st.sampled_from(["PO-1", "PO-2"])), draw(st.integers(1, 3))
            quantity, at = draw(st.integers(1, 3)) * 1_000, NOON + draw(st.integers(0, 9)) * MINUTE
            fields = {"kind": kind, "seed": seed, "occurred_at": at}
            events.append(delivery(order, line, quantity, **fields))
        else:
            reference = Reference(kind="purchase-order" if what == "other" else "invoice", id="PO-1")
            events.append(an_event("PURCHASE_RECEIVED", item_id="apple", unit="kg", seed=seed, reference=reference))
    return events


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(logs(), st.sampled_from([1, 2, 3]))
def test_in_any_split_of_batches(office: Engine, events: list[Event], size: int) -> None:
    branch = Branch().record(events)
    expected = [each for event in branch_events(branch) if (each := delivered_line_of(event)) is not None]
    found = []
    for step in (size, len(events)):
        with office.connect() as connection, connection.begin() as transaction:
            write_order(connection, an_order("PO-1", PLACE, [("apple", 3_000), ("apple", 1_000), ("pear", 1_000)]))
            for first in range(1, len(events) + 1, step):
                ingest(connection, wire.unpack(branch.pack(first, min(first + step - 1, len(events)))))
            assert kept(connection) == expected
            undone = {each.voided_sequence for each in branch_events(branch)}
            received = {
                line: sum(each.received for each in expected if _is(each, line) and each.sequence not in undone)
                for line in (1, 2, 3)
            }
            assert lines_awaited(connection) == {
                ("PO-1", 1): received[1] < 3_000,
                ("PO-1", 2): received[2] < 1_000,
                ("PO-1", 3): True,  # what was delivered is no pear
            }
            assert set(rebuild(connection).corrected.values()) == {0}
            assert verify(connection).findings == []
            found.append(lines_awaited(connection))
            transaction.rollback()
    assert found[0] == found[1]


def branch_events(branch: Branch) -> list[Event]:
    return [understand(line) for line in branch.lines]


def _is(each: DeliveredLine, line: int) -> bool:
    return (each.purchase_order_id, each.line) == ("PO-1", line)


def test_a_void_in_the_same_batch_and_in_a_later_one(ledger: OrderLedger) -> None:
    ledger.order("PO-1", PLACE, [("apple", 2_000)])
    first = ledger.deliver(PLACE, "PO-1", 1, 2_000)
    ledger.void(PLACE, first)
    second = ledger.deliver(PLACE, "PO-1", 1, 2_000)
    ledger.ship(PLACE, second - 1)
    assert awaited(ledger.office)
    ledger.ship(PLACE)
    assert not awaited(ledger.office)
    ledger.void(PLACE, second)
    ledger.ship(PLACE)
    assert awaited(ledger.office)


def test_a_batch_cut_inside_a_command(ledger: OrderLedger) -> None:
    ledger.order("PO-1", PLACE, [("apple", 2_000), ("pear", 1_000)])
    cut = ledger.deliver(PLACE, "PO-1", 1, 2_000, lines=2, command_key="k")
    second = delivery("PO-1", 2, 1_000, item_id="pear", lines=2)
    second.line = 2
    ledger.record(PLACE, second)
    ledger.ship(PLACE, cut)
    assert (awaited(ledger.office, 1), awaited(ledger.office, 2)) == (False, True)
    ledger.ship(PLACE)
    assert (awaited(ledger.office, 1), awaited(ledger.office, 2)) == (False, False)


def test_an_event_in_quarantine_is_no_delivery_until_it_is_folded(ledger: OrderLedger) -> None:
    ledger.order("PO-1", PLACE, [("apple", 2_000)])
    held = ledger.deliver(PLACE, "PO-1", 1, 2_000, note="new")
    later = ledger.deliver(PLACE, "PO-1", 1, 1_000)
    ledger.ship(PLACE)
    with ledger.office.connect() as connection:
        assert list(quarantined(connection)) == [held]
        assert [each.sequence for each in kept(connection)] == [later]
        assert verify(connection).ok
    assert awaited(ledger.office)
    ledger.release(PLACE)
    assert not awaited(ledger.office)
    with ledger.office.begin() as connection:
        assert [each.sequence for each in kept(connection)] == [held, later]
        assert set(rebuild(connection).corrected.values()) == {0}
        assert verify(connection).ok


def test_a_void_that_a_retry_folds_opens_the_line(ledger: OrderLedger) -> None:
    ledger.order("PO-1", PLACE, [("apple", 2_000)])
    ledger.void(PLACE, ledger.deliver(PLACE, "PO-1", 1, 2_000), note="new")
    ledger.ship(PLACE)
    assert not awaited(ledger.office)
    ledger.release(PLACE)
    assert awaited(ledger.office)


def test_a_batch_that_fails_leaves_nothing(ledger: OrderLedger) -> None:
    ledger.order("PO-1", PLACE, [("apple", 2_000)])
    ledger.deliver(PLACE, "PO-1", 1, 2_000)
    with patch.object(ingest_module, "keep_segments", side_effect=OSError), pytest.raises(OSError):
        ledger.ship(PLACE)
    with ledger.office.connect() as connection:
        assert kept(connection) == []
    assert awaited(ledger.office)
    ledger.ship(PLACE)
    assert not awaited(ledger.office)


def test_an_order_that_is_written_after_its_delivery(ledger: OrderLedger) -> None:
    ledger.deliver(PLACE, "PO-1", 1, 2_000)
    ledger.ship(PLACE)
    ledger.order("PO-1", PLACE, [("apple", 2_000)])
    assert awaited(ledger.office)  # in vain, until the line is touched again
    with ledger.office.begin() as connection:
        assert verify(connection).ok
        assert rebuild(connection).corrected["awaited_line"] == 0
    assert not awaited(ledger.office)


def test_a_reference_that_no_order_can_have_is_no_delivery(office: Engine) -> None:
    Branch().record([delivery("PO-\x00", 1, 1_000)]).ship(office)
    with office.begin() as connection:
        assert quarantined(connection) == {}
        assert kept(connection) == []
        assert set(rebuild(connection).corrected.values()) == {0}
        assert verify(connection).ok


def test_a_close_and_a_delivery_at_once(ledger: OrderLedger) -> None:
    """The delivery waits for the close that came first, and leaves its line closed."""
    ledger.order("PO-1", PLACE, [("apple", 2_000), ("pear", 1_000)])
    ledger.deliver(PLACE, "PO-1", 1, 1_000)
    ledger.deliver(PLACE, "PO-1", 2, 500, item_id="pear")

    def close(connection: Connection) -> None:
        close_order(connection, ledger.orders["PO-1"], [1])

    _while(ledger.office, close, lambda: ledger.ship(PLACE))
    assert (awaited(ledger.office, 1), awaited(ledger.office, 2)) == (False, True)


def test_a_mapping_and_a_delivery_at_once(ledger: OrderLedger) -> None:
    """The delivery waits for the mapping, though that left the line as it was, and reads what its code means then."""
    ledger.map("apple")
    ledger.order("PO-1", PLACE, [("apple", 2_000)])
    ledger.deliver(PLACE, "PO-1", 1, 2_000, item_id=OWN)

    def map_anew(connection: Connection) -> None:
        item_proposals.map_to(connection, PLACE, OWN, "pear")

    _while(ledger.office, map_anew, lambda: ledger.ship(PLACE))
    assert awaited(ledger.office)


def _while(office: Engine, first: Callable[[Connection], None], then: Callable[[], None]) -> None:
    """Do the second while the transaction of the first is open; commit that once the second waits for it."""
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    with ThreadPoolExecutor(1) as other:
        with office.begin() as connection:
            first(connection)
            done = other.submit(then)

            def waits() -> bool:
                with office.connect() as watch:
                    return done.done() or watch.execute(waiting).scalar_one() > 0

            wait_until(waits)
            assert not done.done()
        done.result(timeout=30)
