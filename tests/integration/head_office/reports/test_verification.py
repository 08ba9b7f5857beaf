"""Verify finds whatever was changed behind the program's back; rebuild puts the projections right."""

from __future__ import annotations

from typing import Any

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from head_office.log.ingest import ingest
from head_office.log.rebuild import Rebuilt, rebuild
from head_office.log.refusals import UnknownLocation
from head_office.reports.verification import verify
from shared import wire
from shared.events import Event
from shared.runtime.database.engine import snapshot
from tests.support.consolidation import PLACE, Branch, assert_projection_is_the_fold, figures, open_location
from tests.support.events import MINUTE, NOON, an_event
from tests.support.groups import PLACES, groups
from tests.support.order_ledger import an_order, delivery, write_order

GIVEN = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

TABLES = ("stock", "transfer_line", "reservation", "reservation_line", "order_answer", "delivered_line")


@pytest.fixture
def pair(office: Engine) -> Engine:
    with office.begin() as connection:
        open_location(connection, "BEY-02")
    return office


@GIVEN
@given(groups(), st.booleans())
def test_what_was_shipped_verifies_and_is_rebuilt_the_same(
    pair: Engine, logs: dict[str, list[Event]], garbage: bool
) -> None:
    with pair.connect() as connection, connection.begin() as transaction:
        for place, log in logs.items():
            branch = Branch(place).record(log)
            if garbage:
                branch.scrawl([b"?", b""])
            if branch.lines:
                ingest(connection, wire.unpack(branch.pack(1, len(branch.lines))))
        assert verify(connection).findings == []
        before = figures(connection)
        assert set(rebuild(connection).corrected.values()) == {0}
        for table in TABLES:
            connection.execute(text(f"DELETE FROM {table}"))
        rebuilt = rebuild(connection)
        assert rebuilt.corrected == {table: len(before[table]) for table in TABLES} | {"awaited_line": 0}
        assert figures(connection) == before
        assert_projection_is_the_fold(connection)
        transaction.rollback()


@pytest.fixture
def shipped(pair: Engine) -> Engine:
    for place in PLACES:
        sent = {"transfer_id": "t", "transfer_line": 1}
        made = [an_event(seed=n, quantity=n * 10) for n in range(1, 1_201)]
        made[9] = delivery(f"PO-{place}", 1, 100, seed=10, item_id="milk", unit="l")
        with pair.begin() as connection:
            write_order(connection, an_order(f"PO-{place}", place, [("milk", 300)]))
        made[2].command_key, made[2].lines, made[3].line, made[3].lines = "larder:inbound:shop:asked:1", 2, 2, 2
        made += [
            an_event("STOCK_RESERVED", seed=1_201, reservation_id="r", expires_at=NOON + MINUTE),
            an_event("RESERVATION_CONFIRMED", seed=1_202, quantity=400, reservation_id="r"),
        ]
        made += [an_event("TRANSFER_OUT", seed=1_203, **sent), an_event("STOCKTAKE", seed=1_204, counted=0, expected=0)]
        gone = {"voided_sequence": 3, "voided_event_id": an_event(seed=3).event_id}
        branch = Branch(place).record([*made, an_event("EVENT_VOIDED", seed=1_205, reason="x", **gone)]).scrawl([b"?"])
        branch.ship(pair, 1, 700)
        branch.ship(pair, 701)
    with snapshot(pair) as connection:
        seen: list[int] = []
        verified = verify(connection, progress=seen.append)
        assert verified.ok
        assert (verified.locations, verified.events, sum(seen)) == (2, 2_412, 2_412)
    return pair


def tamper(office: Engine, statement: str, **values: Any) -> None:
    """As somebody with the database's own rights might: the triggers that keep the log are switched off."""
    with office.begin() as connection:
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        assert connection.execute(text(statement), values).rowcount > 0


AT = "WHERE location_id = 'BEY-01'"
TAMPERED = {
    "a quantity": (f"UPDATE event SET on_hand_change = on_hand_change - 1 {AT} AND sequence = 900", "row-differs", 900),
    "a hash": (f"UPDATE event SET hash = decode(repeat('ab', 32), 'hex') {AT} AND sequence = 2", "row-differs", 2),
    "a time": (f"UPDATE event SET occurred_at = occurred_at + 1 {AT} AND sequence = 701", "row-differs", 701),
    "an item": (f"UPDATE event SET item_id = 'bread' {AT} AND sequence = 1", "row-differs", 1),
    "a row gone": (f"DELETE FROM event {AT} AND sequence = 5", "row-differs", 5),
    "the last row gone": (f"DELETE FROM event {AT} AND sequence = 1205", "row-differs", 1_205),
    "a row too many": (
        "INSERT INTO event SELECT location_id, 1206, event_id, type, item_id, on_hand_change, counted, reserved_change,"
        " in_transit_change, reservation_id, expires_at, 'u', voided_sequence, occurred_at, hash"
        f" FROM event {AT} AND sequence = 1", "row-differs", 1_206,
    ),
    "a segment gone": (f"DELETE FROM log_segment {AT} AND first_sequence = 1", "segment-missing", 1),
    "the last segment gone": (f"DELETE FROM log_segment {AT} AND last_sequence = 1206", "head-differs", 700),
    "a batch gone": (f"DELETE FROM ingest_batch {AT} AND last_sequence = 700", "batches-differ", 701),
    "a batch's moment": (f"UPDATE ingest_batch SET received_at = 1 {AT} AND first_sequence > 1", "batches-differ", 701),
    "a head": (f"UPDATE head SET hash = decode(repeat('00', 32), 'hex') {AT}", "head-differs", 1_206),
    "a hash in quarantine": (f"UPDATE quarantine SET hash = '\\x00' {AT}", "line-differs", 1_206),
    "a row beyond the head": (
        "INSERT INTO event SELECT location_id, 1207, event_id, type, item_id, on_hand_change, counted, reserved_change,"
        " in_transit_change, reservation_id, expires_at, 'u', voided_sequence, occurred_at, hash"
        f" FROM event {AT} AND sequence = 1", "row-differs", 1_206,
    ),
    "a quarantine emptied": (f"DELETE FROM quarantine {AT}", "row-differs", 1_206),
    "a void undone": (f"DELETE FROM voided {AT}", "voided-differs", None),
    "a unit": (f"UPDATE item_unit SET unit = 'kg' {AT}", "unit-differs", 1),
    "a balance": (f"UPDATE stock SET on_hand = on_hand + 1 {AT}", "stock-differs", None),
    "a balance gone": (f"DELETE FROM stock {AT}", "stock-differs", None),
    "a transfer": (f"UPDATE transfer_line SET lost = 1 {AT}", "transfer-line-differs", None),
    "a reservation": (f"UPDATE reservation SET expires_at = 1 {AT}", "reservation-differs", None),
    "a reservation gone": (f"DELETE FROM reservation {AT}", "reservation-differs", None),
    "a reservation too many": (
        f"INSERT INTO reservation SELECT location_id, 'q', order_id, source, 1, state, 1, 1, 1 FROM reservation {AT}",
        "reservation-differs", None,
    ),
    "a line of a reservation": (f"UPDATE reservation_line SET confirmed = 0 {AT}", "reservation-line-differs", None),
    "a line too many": (
        f"INSERT INTO reservation_line SELECT location_id, 'r', 'bread', 'kg', 1, 0, 0 FROM reservation_line {AT}",
        "reservation-line-differs", None,
    ),
    "an answer": (f"UPDATE order_answer SET lines = 7 {AT}", "order-answer-differs", 3),
    "an answer gone": (f"DELETE FROM order_answer {AT}", "order-answer-differs", 3),
    "an answer too many": (
        f"INSERT INTO order_answer SELECT location_id, 'k', 5, 1 FROM order_answer {AT}", "order-answer-differs", 5,
    ),
    "a delivery": (f"UPDATE delivered_line SET received = 7 {AT}", "delivered-line-differs", 10),
    "a delivery gone": (f"DELETE FROM delivered_line {AT}", "delivered-line-differs", 10),
    "a delivery too many": (
        f"INSERT INTO delivered_line SELECT location_id, 11, 'PO-9', 1, 'milk', 1, 0, 1 FROM delivered_line {AT}",
        "delivered-line-differs", 11,
    ),
    "a delivery beyond the head": (
        f"INSERT INTO delivered_line SELECT location_id, 1207, 'PO-9', 1, 'milk', 1, 0, 1 FROM delivered_line {AT}",
        "delivered-line-differs", 1_207,
    ),
    "an open line": (f"UPDATE purchase_order_line SET awaited = false {AT}", "awaited-differs", None),
    "lines without a reservation": (
        f"INSERT INTO reservation_line SELECT location_id, 's', 'bread', 'kg', 1, 0, 0 FROM reservation_line {AT}",
        "reservation-line-differs", None,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TAMPERED)
def test_whatever_was_changed_is_found(shipped: Engine, name: str) -> None:
    statement, code, sequence = TAMPERED[name]
    tamper(shipped, statement)
    with snapshot(shipped) as connection:
        found = verify(connection).findings
        first = next(each for each in found if each.code == code)
        assert (first.location_id, first.sequence) == (PLACE, sequence)
        assert {each.location_id for each in found} <= {PLACE, None}
        assert verify(connection, "BEY-02").findings == [each for each in found if each.location_id is None]


DERIVED = [
    name for name, (_, code, _) in TAMPERED.items() if code in {"stock-differs", "transfer-line-differs"}
    or code.startswith(("reservation", "order-answer", "delivered-line", "awaited"))
]  # fmt: skip


@pytest.mark.parametrize("name", DERIVED)
def test_rebuild_puts_right_what_is_derived(shipped: Engine, name: str) -> None:
    tamper(shipped, TAMPERED[name][0])
    with shipped.begin() as connection:
        assert sum(rebuild(connection, PLACE).corrected.values()) >= 1
        tables = (*TABLES, "awaited_line")
        assert rebuild(connection) == Rebuilt(
            locations=2, rows=dict.fromkeys(tables, 2), corrected=dict.fromkeys(tables, 0)
        )
        assert_projection_is_the_fold(connection)
        assert verify(connection).ok


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_flipped_bit_of_a_stored_frame_is_found(shipped: Engine, data: st.DataObject) -> None:
    with shipped.connect() as connection, connection.begin() as transaction:
        frame = bytearray(
            connection.execute(text(f"SELECT frame FROM log_segment {AT} ORDER BY 1 LIMIT 1")).scalar_one()
        )
        bit = data.draw(st.integers(0, len(frame) * 8 - 1), "bit")
        frame[bit // 8] ^= 1 << (bit % 8)
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        changed = f"UPDATE log_segment SET frame = :frame {AT} AND first_sequence = 1"
        connection.execute(text(changed), {"frame": bytes(frame)})
        found = verify(connection, PLACE).findings
        assert [each.code for each in found] in (["segment-damaged"], []), found
        if not found:  # a bit of the frame's header that says nothing about its content
            assert zstandard.ZstdDecompressor().decompress(bytes(frame))
        transaction.rollback()


def test_a_line_rewritten_with_all_care_is_found(shipped: Engine) -> None:
    with shipped.begin() as connection:
        frame = connection.execute(text(f"SELECT frame FROM log_segment {AT} AND first_sequence = 1")).scalar_one()
        lines = zstandard.ZstdDecompressor().decompress(frame).split(b"\n")
    lines[41] = lines[41].replace(b'"quantity":420', b'"quantity":421')
    tamper(shipped, f"UPDATE log_segment SET frame = :frame {AT} AND first_sequence = 1", frame=wire.pack_frame(lines))
    with snapshot(shipped) as connection:
        assert [(each.code, each.sequence) for each in verify(connection).findings] == [("row-differs", 42)]


def test_an_unknown_location(office: Engine) -> None:
    with office.connect() as connection:
        for work in (verify, rebuild):
            with pytest.raises(UnknownLocation):
                work(connection, "NOWHERE")
