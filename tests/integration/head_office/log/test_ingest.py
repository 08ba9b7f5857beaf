"""Batches at head office: taken once, in order, whole; whatever arrives twice, late, cut or wrong does no harm."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, select, text

from head_office.database.schema import EVENT, HEAD, INGEST_BATCH, STOCK
from head_office.log import ingest as ingesting
from head_office.log import ingest_context
from head_office.log.ingest import ingest
from head_office.log.refusals import Forked, GapRefused, Superseded, UnknownLocation
from shared import wire
from shared.chain import Head
from shared.event_log import LEAN_COLUMNS, lean_row
from shared.events import Event, Parent, Reference
from shared.reservations import RESTATED
from tests.support.consolidation import (
    PLACE,
    Branch,
    assert_projection_is_the_fold,
    assert_reservations_are_the_fold,
    figures,
    log_of,
    open_location,
    quarantined,
    rows_of_table,
)
from tests.support.events import MINUTE, NOON, an_event, whole_event
from tests.support.groups import groups
from tests.support.histories import histories


def sales(count: int, *, first: int = 1) -> list[Event]:
    items = ("milk", "bread", "قهوة")
    return [
        an_event(seed=first + number, item_id=items[number % 3], quantity=(number % 7 + 1) * 250)
        for number in range(count)
    ]


def test_one_batch_becomes_log_stock_and_head(office: Engine) -> None:
    branch = Branch().record([an_event("PURCHASE_RECEIVED", quantity=5_000), *sales(1, first=2)])
    answer = branch.ship(office)
    assert (answer.appended, answer.passed_over) == (2, 0)
    assert (answer.head.epoch, answer.head.sequence, answer.head.hash) == (1, 2, branch.hashes[2].hex())
    with office.connect() as connection:
        assert log_of(connection) == branch.lines
        row = connection.execute(select(STOCK)).one()
        assert (row.location_id, row.item_id, row.on_hand) == (PLACE, "milk", 4_750)
        head = connection.execute(select(HEAD)).one()
        assert (head.received_at, head.occurred_at) == (answer.received_at, NOON)


def test_every_type_with_every_field_is_taken(office: Engine) -> None:
    kinds = ["PURCHASE_RECEIVED", "PURCHASE_RETURNED", "ORDER_DEDUCTION", "CUSTOMER_RETURN", "INTERNAL_USE",
             "WASTE_RECORDED", "PRODUCTION_USED", "PRODUCTION_MADE", "ADJUSTMENT", "STOCKTAKE", "TRANSFER_OUT",
             "TRANSFER_IN", "TRANSFER_REFUSED", "TRANSFER_LOST", "STOCK_RESERVED", "RESERVATION_REFUSED",
             "RESERVATION_RELEASED", "EVENT_REVIEWED", "ITEM_DEFINED"]  # fmt: skip
    events = [whole_event(kind) for kind in kinds]
    undo = {"voided_sequence": 11, "voided_event_id": events[10].event_id, "transfer_id": "t-1", "transfer_line": 1}
    events.append(an_event("TRANSFER_REVERSED", **undo))
    events.append(an_event("EVENT_VOIDED", voided_sequence=9, voided_event_id=events[8].event_id, reason="x"))
    branch = Branch().record(events)
    branch.ship(office)
    with office.connect() as connection:
        assert quarantined(connection) == {}
        assert log_of(connection) == branch.lines
        assert_projection_is_the_fold(connection)
        columns = [EVENT.c[name] for name in LEAN_COLUMNS]
        rows = connection.execute(select(*columns).order_by(EVENT.c.sequence)).all()
        assert [tuple(row) for row in rows] == [lean_row(event, branch.hashes[event.sequence]) for event in events]


def test_reservations_to_the_end(office: Engine) -> None:
    def step(kind: str, quantity: int) -> Event:
        more = {"expires_at": NOON + MINUTE} if kind == "STOCK_RESERVED" else {}
        return an_event(kind, quantity=quantity, reservation_id="r", **more)

    branch = Branch().record([step("STOCK_RESERVED", 3_000), step("RESERVATION_CONFIRMED", 2_000)])
    branch.ship(office)
    branch.record([step("RESERVATION_EXPIRED", 1_000), step("RESERVATION_RELEASED", 1)])
    branch.ship(office, 3)
    with office.connect() as connection:
        assert set(quarantined(connection)) == {4}
        row = connection.execute(select(STOCK)).one()
        assert (row.on_hand, row.reserved) == (-2_000, 0)


def test_a_batch_without_reservations_does_not_touch_their_tables(office: Engine) -> None:
    branch = Branch().record(sales(1_500))
    with office.connect() as connection, connection.begin() as transaction:
        connection.execute(text("DROP TABLE reservation, reservation_line"))
        for first, last in ((1, 40), (41, 1_500)):
            ingest(connection, wire.unpack(branch.pack(first, last)))
        transaction.rollback()


def test_a_reservation_is_folded_wherever_its_command_is_cut(office: Engine) -> None:
    """Two items are given back and reserved anew by one command of four events: after each of them a batch may end."""

    def step(kind: str, item_id: str, line: int, **more: Any) -> Event:
        order = Reference(id="4711", kind="order", revision=1 if line > 4 else 2)
        place = {"line": line - 4, "lines": 2} if line > 4 else {"line": line, "lines": 4}
        expiry = {"expires_at": NOON + line} if kind == "STOCK_RESERVED" else {"reason": RESTATED}
        more |= {"item_id": item_id, "reservation_id": "r", "reference": order}
        return an_event(kind, seed=line, **place, **expiry, **more)

    events = [
        step("STOCK_RESERVED", "milk", 5),
        step("STOCK_RESERVED", "bread", 6),
        step("RESERVATION_RELEASED", "milk", 1),
        step("RESERVATION_RELEASED", "bread", 2),
        step("STOCK_RESERVED", "bread", 3, quantity=2_500),
        step("STOCK_RESERVED", "cup", 4),
    ]
    branch = Branch().record(events)
    found = set()
    with office.connect() as connection:
        for cut in range(1, len(events)):
            with connection.begin() as transaction:
                for first, last in ((1, cut), (cut + 1, len(events))):
                    ingest(connection, wire.unpack(branch.pack(first, last)))
                    assert_reservations_are_the_fold(connection)
                found.add(rows_of_table(connection, PLACE, "r"))
                transaction.rollback()
    (reservation,) = found
    assert (reservation.revision, reservation.stated_at, reservation.expires_at) == (2, 3, NOON + 4)
    assert [(line.item_id, line.open) for line in reservation.lines] == [("bread", 2_500), ("cup", 1_000)]


# Any split, repetition, overlap and delay


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[list[Event], list[tuple[int, int]]]:
    """A history, and ranges of it as they are sent: overlapping, repeated, too early, in the end complete."""
    events = draw(histories(max_size=30))
    ranges: list[tuple[int, int]] = []
    if events:
        last = len(events)
        ranges = draw(
            st.lists(st.tuples(st.integers(1, last), st.integers(1, last)).map(lambda pair: (min(pair), max(pair))))
        )
    return events, ranges


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(deliveries())
def test_any_delivery_gives_the_same_log_and_figures(
    office: Engine, delivery: tuple[list[Event], list[tuple[int, int]]]
) -> None:
    events, ranges = delivery
    branch = Branch().record(events)
    with office.connect() as connection:
        at_once = connection.begin()
        if events:
            ingest(connection, wire.unpack(branch.pack(1, len(events))))
        expected = figures(connection)
        assert_projection_is_the_fold(connection)
        at_once.rollback()
        with connection.begin() as piecemeal:
            reached = 0
            for first, last in ranges:
                body = branch.pack(first, last)
                if first > reached + 1:
                    with pytest.raises(GapRefused) as refused:
                        ingest(connection, wire.unpack(body))
                    assert refused.value.expected_sequence == reached + 1
                    continue
                answer = ingest(connection, wire.unpack(body))
                assert answer.appended == max(last - reached, 0)
                assert answer.appended + answer.passed_over == last - first + 1
                reached = max(reached, last)
                assert answer.head.sequence == reached
                assert_projection_is_the_fold(connection)
            if reached < len(events):
                ingest(connection, wire.unpack(branch.pack(reached + 1, len(events))))
            assert log_of(connection) == branch.lines
            assert figures(connection) == expected
            piecemeal.rollback()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(groups(max_size=24), st.integers(3, 6), st.sampled_from([0, 1, 5_000]))
def test_frames_of_any_size_and_items_of_any_number(
    office: Engine, logs: dict[str, list[Event]], frame: int, items: int
) -> None:
    """What an event refers to may stand in the same frame, in one before it, or in a batch before."""
    branches = [Branch(place).record(log) for place, log in logs.items() if log]
    with office.connect() as connection:
        connection.begin()
        open_location(connection, "BEY-02")
        whole = connection.begin_nested()
        for branch in branches:
            ingest(connection, wire.unpack(branch.pack(1, len(branch.lines))))
        expected = figures(connection)
        whole.rollback()
        with pytest.MonkeyPatch.context() as small:
            for module in (wire, ingesting):
                small.setattr(module, "FRAME_LINES", frame)
            small.setattr(ingest_context, "MAX_ITEMS", items)
            for branch in branches:
                ingest(connection, wire.unpack(branch.pack(1, len(branch.lines))))
        assert figures(connection) == expected
        assert_projection_is_the_fold(connection)
        connection.rollback()


def test_frames_overlap_anywhere(office: Engine) -> None:
    branch = Branch().record(sales(3_500))
    branch.ship(office, 1, 1_700)
    assert branch.ship(office, 1_201, 3_000).appended == 1_300
    assert branch.ship(office, 2_001, 3_500).appended == 500
    assert branch.ship(office, 1_701, 3_001).appended == 0
    assert branch.ship(office, 1, 3_500).passed_over == 3_500
    with office.connect() as connection:
        assert log_of(connection) == branch.lines
        batches = connection.execute(select(INGEST_BATCH).order_by(INGEST_BATCH.c.last_sequence)).all()
        assert [(row.first_sequence, row.last_sequence) for row in batches] == [
            (1, 1_700),
            (1_701, 3_000),
            (3_001, 3_500),
        ]
        assert_projection_is_the_fold(connection)


# What is refused, whole


def unchanged(office: Engine, batch: wire.Batch, expected: type[Exception]) -> None:
    with office.connect() as connection:
        before = figures(connection)
    with pytest.raises(expected), office.begin() as connection:
        ingest(connection, batch)
    with office.connect() as connection:
        assert figures(connection) == before


def test_a_fork_is_told_wherever_the_batch_begins(office: Engine) -> None:
    ours, theirs = Branch().record(sales(10)), Branch().record(sales(4))
    theirs.record(sales(8, first=90))
    ours.ship(office)
    for first, last in ((1, 10), (5, 10), (7, 12), (1, 12), (11, 12), (3, 7)):
        unchanged(office, wire.unpack(theirs.pack(first, last)), Forked)
    assert theirs.ship(office, 1, 4).passed_over == 4


def test_a_batch_whose_lines_are_not_what_its_header_says(office: Engine) -> None:
    branch = Branch().record(sales(2_500))
    branch.ship(office, 1, 600)
    wrong = Branch().record(sales(2_500))
    wrong.lines[2_000] = wrong.lines[2_000].replace(b"staff-1", b"staff-2")
    for first in (601, 301, 1):
        unchanged(office, wire.unpack(wrong.pack(first, 2_500)), wire.BadBatch)


def test_a_frame_that_does_not_unpack(office: Engine) -> None:
    body = bytearray(Branch().record(sales(1_500)).pack(1, 1_500))
    body[-20] ^= 1
    unchanged(office, wire.unpack(bytes(body)), wire.BadBatch)


def test_an_unknown_location_and_an_older_epoch(office: Engine) -> None:
    unchanged(office, wire.unpack(Branch("NOWHERE").record(sales(1)).pack(1, 1)), UnknownLocation)
    branch = Branch().record(sales(2))
    branch.ship(office)
    parent = Parent(epoch=1, sequence=2, hash=branch.hashes[2].hex())
    branch.record([an_event("EPOCH_OPENED", parent=parent), *sales(1, first=8)], epoch=2)
    assert branch.ship(office, 1, epoch=2).head.epoch == 2
    unchanged(office, wire.unpack(branch.pack(1, 2, epoch=1)), Superseded)


def test_a_gap_names_what_is_expected(office: Engine) -> None:
    branch = Branch().record(sales(5))
    branch.ship(office, 1, 2)
    with pytest.raises(GapRefused) as refused:
        branch.ship(office, 4)
    assert refused.value.expected_sequence == 3


def test_two_locations_keep_apart(office: Engine) -> None:
    with office.begin() as connection:
        open_location(connection, "BEY-02")
    here, there = Branch().record(sales(3)), Branch("BEY-02").record(sales(5))
    here.ship(office)
    there.ship(office)
    with office.connect() as connection:
        assert (log_of(connection), log_of(connection, "BEY-02")) == (here.lines, there.lines)
        assert_projection_is_the_fold(connection)


def test_moments_of_receipt_only_grow_though_the_clock_goes_back(office: Engine) -> None:
    branch = Branch().record(sales(4))
    clock = "CREATE OR REPLACE FUNCTION larder_now() RETURNS bigint LANGUAGE sql VOLATILE AS 'SELECT {}::bigint'"
    moments = []  # type: ignore[var-annotated]
    for at in (NOON, NOON - MINUTE, NOON - MINUTE, NOON + MINUTE):
        with office.begin() as connection:
            connection.execute(text(clock.format(at)))
        moments.append(branch.ship(office, len(moments) + 1, len(moments) + 1).received_at)
    assert moments == [NOON, NOON + 1, NOON + 2, NOON + MINUTE]


def test_events_of_transfers_are_announced(office: Engine) -> None:
    branch = Branch().record([*sales(1), an_event("TRANSFER_IN", transfer_id="t", transfer_line=1)])
    with office.connect() as listener:
        listener.execution_options(isolation_level="AUTOCOMMIT")
        listener.execute(text("LISTEN larder_facts"))
        branch.ship(office, 1, 1)
        branch.ship(office, 2, 2)
        driver = listener.connection.driver_connection
        assert driver is not None
        heard = list(driver.notifies(timeout=5, stop_after=1))
        assert [each.payload for each in heard] == [PLACE]
        assert list(driver.notifies(timeout=0)) == []


def test_the_head_is_the_branchs_own(office: Engine) -> None:
    branch = Branch().record(sales(7))
    answer = branch.ship(office)
    assert Head(answer.head.epoch, answer.head.sequence, bytes.fromhex(answer.head.hash)) == Head(
        1, 7, branch.hashes[7]
    )
