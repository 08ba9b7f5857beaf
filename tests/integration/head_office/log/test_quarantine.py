"""Whatever bytes verify are stored; what cannot be understood or folded waits in quarantine and holds nobody up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, select, text

from head_office.database.schema import EVENT, HEAD, QUARANTINE
from head_office.log import decoder, quarantine
from head_office.log.ingest import ingest
from head_office.log.quarantine import Retried, retry
from head_office.log.refusals import UnknownLocation
from shared import wire
from shared.chain import canonical
from shared.events import SCHEMA_VERSION, Event, Parent
from shared.messages import QUARANTINED_SHOWN, QuarantineMessage
from shared.reservations import ReservedLine
from tests.support.consolidation import (
    PLACE,
    Branch,
    OldVersion,
    assert_projection_is_the_fold,
    figures,
    log_of,
    movements,
    quarantined,
    rows_of_table,
)
from tests.support.events import MINUTE, NOON, an_event
from tests.support.histories import histories

NUL = "\x00"
ORDER = {"kind": "order", "id": "4711"}


def placed(branch: Branch, kind: str = "ORDER_DEDUCTION", **fields: Any) -> dict[str, Any]:
    """The next event of a branch as plain JSON, to be spoilt."""
    made = {"location_id": branch.location_id, "epoch": 1, "sequence": len(branch.lines) + 1, "recorded_at": NOON}
    line = canonical(an_event(kind, seed=len(branch.lines) + 1, **{**made, **fields}))
    return msgspec.json.decode(line)


SPOILT: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "a newer type": (lambda e: e | {"type": "STOCK_BLESSED"}, "Invalid enum value"),
    "an unknown field": (lambda e: e | {"mood": "good"}, "unknown field"),
    "a newer schema": (lambda e: e | {"v": SCHEMA_VERSION + 1}, "newer"),
    "a field missing": (lambda e: {name: e[name] for name in e if name != "unit"}, "carries no unit"),
    "a quantity out of bounds": (lambda e: e | {"quantity": 10**12 + 1}, "quantity"),
    "a quantity of none": (lambda e: e | {"quantity": 0}, "above zero"),
    "a fraction": (lambda e: e | {"quantity": 1.5}, "int"),
    "a boolean": (lambda e: e | {"quantity": True}, "int"),
    "a number beyond 64 bits": (lambda e: e | {"quantity": 10**30}, "int"),
    "another location": (lambda e: e | {"location_id": "BEY-02"}, "names the location BEY-02"),
    "another place": (lambda e: e | {"sequence": 77}, "names itself event 77"),
    "another epoch": (lambda e: e | {"epoch": 3}, "epoch 3"),
    "another unit": (lambda e: e | {"unit": "kg"}, "is kept in l"),
    "an id that is no UUID": (lambda e: e | {"event_id": "z" * 36}, "no UUID"),
    "an id of blanks and digits": (lambda e: e | {"event_id": "12 " * 12}, "no UUID"),
    "U+0000 in the item": (lambda e: e | {"item_id": f"mi{NUL}lk"}, "U+0000"),
    "U+0000 in the unit of a new item": (lambda e: e | {"item_id": "new", "unit": f"k{NUL}g"}, "U+0000"),
    "U+0000 in a transfer": (
        lambda e: e | {"type": "TRANSFER_IN", "transfer_id": f"t{NUL}", "transfer_line": 1}, "U+0000",
    ),
    "U+0000 in a reservation": (
        lambda e: e | {"type": "RESERVATION_REFUSED", "reservation_id": f"r{NUL}", "reason": "x"}, "U+0000",
    ),
    "a void of an event to come": (
        lambda e: void(e, 99, e["event_id"]), "not before it",
    ),
    "a void of another event than it names": (lambda e: void(e, 1, "0" * 36), "event 1 is not"),
    "a void of another item's event": (
        lambda e: void(e, 1, first_id()) | {"item_id": "bread"}, "of milk, not of bread",
    ),
    "a release of nothing reserved": (
        lambda e: e | {"type": "RESERVATION_RELEASED", "reservation_id": "r", "reference": ORDER}, "begin with it",
    ),
    "a reservation for no order": (
        lambda e: e | {"type": "STOCK_RESERVED", "reservation_id": "r", "expires_at": NOON}, "names no order",
    ),
    "a reservation for a delivery": (
        lambda e: e | {"type": "STOCK_RESERVED", "reservation_id": "r", "expires_at": NOON,
                       "reference": {"kind": "delivery", "id": "1"}}, "names no order",
    ),
    "U+0000 in the order of a reservation": (
        lambda e: e | {"type": "STOCK_RESERVED", "reservation_id": "r", "expires_at": NOON,
                       "reference": ORDER | {"id": f"4{NUL}"}}, "U+0000",
    ),
    "a reversal of what was not sent": (
        lambda e: e | {"type": "TRANSFER_REVERSED", "transfer_id": "t", "transfer_line": 1, "voided_sequence": 1,
                       "voided_event_id": first_id()}, "not what the transfer t sent",
    ),
    "an epoch out of thin air": (
        lambda e: epoch_opened(e, Parent(epoch=1, hash="0" * 64, sequence=1)), "after another event",
    ),
}  # fmt: skip


def first_id() -> str:
    return an_event(seed=1).event_id


def void(event: dict[str, Any], sequence: int, event_id: object) -> dict[str, Any]:
    kept = {name: value for name, value in event.items() if name not in ("quantity", "unit")}
    return kept | {"type": "EVENT_VOIDED", "voided_sequence": sequence, "voided_event_id": event_id, "reason": "x"}


def epoch_opened(event: dict[str, Any], parent: Parent) -> dict[str, Any]:
    kept = {name: value for name, value in event.items() if name not in ("quantity", "unit", "item_id")}
    return kept | {"type": "EPOCH_OPENED", "epoch": 2, "parent": msgspec.to_builtins(parent)}


@pytest.mark.parametrize("name", SPOILT)
def test_a_spoilt_event_waits_and_the_others_go_on(office: Engine, name: str) -> None:
    spoil, reason = SPOILT[name]
    branch = Branch().record([an_event("PURCHASE_RECEIVED", quantity=5_000)])
    branch.scrawl([msgspec.json.encode(spoil(placed(branch)))])
    branch.record([an_event(seed=3, quantity=250)])
    assert branch.ship(office).head.sequence == 3
    with office.connect() as connection:
        held = quarantined(connection)
        assert set(held) == {2}
        assert reason in held[2]
        assert log_of(connection) == branch.lines
        assert [row.sequence for row in connection.execute(select(EVENT.c.sequence))] == [1, 3]
        row = connection.execute(select(QUARANTINE)).one()
        assert (bytes(row.hash), row.item_id) == (
            branch.hashes[2],
            None if name in ("U+0000 in the item", "an epoch out of thin air") else spoil_item(name),
        )
        assert_projection_is_the_fold(connection)
        assert movements(connection, PLACE, "milk")[-1].on_hand_change == -250
    assert branch.ship(office).passed_over == 3
    assert branch.ship(office, 2, 2).passed_over == 1


def spoil_item(name: str) -> str:
    return {"U+0000 in the unit of a new item": "new", "a void of another item's event": "bread"}.get(name, "milk")


GARBAGE = [
    b"", b" ", b"\x00", b"\xff\xfe", b"null", b"[]", b"{}", b"{", b'"', b"1e400", b"NaN", b'{"type":"ORDER_DEDUCTION"}',
    b"[" * 16_000, b'{"actor":' + b"[" * 16_000, b'{"item_id":"\\ud800"}', b'{"item_id":"a\\u0000b"}',
    b'{"item_id":{"a":1},"type":3,"occurred_at":true}', b'{"item_id":"milk","occurred_at":1e300}', b"x" * 100_000,
    b'{"item_id":"' + b"m" * 65 + b'"}', "{\"item_id\":\"قهوة\"}".encode(), b'{"occurred_at":99999999999999999999}',
]  # fmt: skip


def test_garbage_that_verifies_is_kept_and_harms_nobody(office: Engine) -> None:
    branch = Branch().record([an_event()]).scrawl(GARBAGE).record([an_event(seed=9)])
    branch.ship(office)
    with office.connect() as connection:
        assert set(quarantined(connection)) == set(range(2, len(GARBAGE) + 2))
        assert log_of(connection) == branch.lines
        items = connection.execute(select(QUARANTINE.c.item_id).where(QUARANTINE.c.item_id.is_not(None))).scalars()
        assert sorted(items) == ["milk", "قهوة"]
        assert_projection_is_the_fold(connection)
        listed = quarantine.listed(connection, limit=1_000)
        assert [each.sequence for each in listed] == list(range(2, len(GARBAGE) + 2))
    with office.begin() as connection:
        assert retry(connection, PLACE) == Retried(0, len(GARBAGE))


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.binary(max_size=60).map(lambda raw: raw.replace(b"\n", b"")), min_size=1, max_size=20))
def test_any_bytes_at_all(office: Engine, lines: list[bytes]) -> None:
    branch = Branch().scrawl(lines)
    with office.connect() as connection, connection.begin() as transaction:
        ingest(connection, wire.unpack(branch.pack(1, len(lines))))
        assert set(quarantined(connection)) == set(range(1, len(lines) + 1))
        assert log_of(connection) == lines
        transaction.rollback()


def test_a_void_waits_for_what_it_voids(office: Engine) -> None:
    branch = Branch()
    branch.scrawl([msgspec.json.encode(placed(branch) | {"mood": "good"})])
    branch.record([an_event("EVENT_VOIDED", seed=2, voided_sequence=1, voided_event_id=first_id(), reason="x")])
    branch.ship(office)
    with office.connect() as connection:
        assert "not among those folded" in quarantined(connection)[2]


def test_only_the_first_of_two_voids_and_of_two_sendings(office: Engine) -> None:
    sent = {"transfer_id": "t", "transfer_line": 1}
    back = {**sent, "voided_sequence": 2, "voided_event_id": an_event(seed=2).event_id}
    branch = Branch().record(
        [
            an_event("PURCHASE_RECEIVED", seed=1),
            an_event("TRANSFER_OUT", seed=2, **sent),
            an_event("EVENT_VOIDED", seed=3, voided_sequence=1, voided_event_id=first_id(), reason="x"),
            an_event("EVENT_VOIDED", seed=4, voided_sequence=1, voided_event_id=first_id(), reason="x"),
            an_event("TRANSFER_OUT", seed=5, **sent),
            an_event("TRANSFER_REVERSED", seed=6, quantity=999, **(back | {"transfer_line": 1})),
            an_event("TRANSFER_REVERSED", seed=7, **back),
            an_event("TRANSFER_REVERSED", seed=8, **back),
            an_event("EVENT_VOIDED", seed=9, voided_sequence=3, voided_event_id=an_event(seed=3).event_id, reason="x"),
        ]
    )
    branch.ship(office, 1, 3)
    branch.ship(office, 4, 9)
    with office.connect() as connection:
        assert set(quarantined(connection)) == {4, 5, 6, 8, 9}
        assert_projection_is_the_fold(connection)
    with office.begin() as connection:
        assert retry(connection, PLACE) == Retried(0, 5)
        assert set(quarantined(connection)) == {4, 5, 6, 8, 9}
        assert_projection_is_the_fold(connection)


def test_a_balance_that_no_longer_fits_waits(office: Engine) -> None:
    branch = Branch().record([an_event("PURCHASE_RECEIVED", quantity=10**12, unit="l") for _ in range(2)])
    branch.ship(office)
    with office.begin() as connection:
        connection.execute(text("UPDATE stock SET on_hand = 1000000000000000001"))
    branch.record([an_event(seed=3)])
    branch.ship(office, 3)
    with office.connect() as connection:
        assert "out of bounds" in quarantined(connection)[3]


# After an upgrade


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_after_an_upgrade_everything_is_as_if_it_had_never_waited(office: Engine, data: st.DataObject) -> None:
    events = data.draw(histories(max_size=25))
    for event in events:
        if data.draw(st.booleans(), "is new"):
            event.note = "new"
    branch = Branch().record(events)
    if not events:
        return
    with office.connect() as connection:
        with connection.begin() as transaction:
            ingest(connection, wire.unpack(branch.pack(1, len(events))))
            expected = figures(connection)
            transaction.rollback()
        with connection.begin() as transaction:
            with pytest.MonkeyPatch.context() as old:
                old.setattr(decoder, "understand", OldVersion.understand)
                split = data.draw(st.integers(1, len(events)), "split")
                for first, last in ((1, split), (split + 1, len(events))):
                    if first <= last:
                        ingest(connection, wire.unpack(branch.pack(first, last)))
                waiting = quarantined(connection)
                assert set(waiting) >= {place for place, each in enumerate(events, 1) if each.note == "new"}
                assert_projection_is_the_fold(connection)
            done = retry(connection, PLACE)
            assert done.released + done.remaining == len(waiting)
            if not done.remaining:
                assert figures(connection) == expected
            assert_projection_is_the_fold(connection)
            assert log_of(connection) == branch.lines
            releases = connection.execute(
                select(QUARANTINE.c.release_number)
                .where(QUARANTINE.c.release_number.is_not(None))
                .order_by(QUARANTINE.c.sequence)
            ).scalars()
            assert list(releases) == list(range(1, done.released + 1))
            transaction.rollback()


def test_a_new_epoch_that_had_to_wait(office: Engine) -> None:
    branch = Branch().record([an_event()])
    parent = Parent(epoch=1, sequence=1, hash=branch.hashes[1].hex())
    branch.record([an_event("EPOCH_OPENED", seed=2, parent=parent, note="new"), an_event(seed=3)], epoch=2)
    with pytest.MonkeyPatch.context() as old:
        old.setattr(decoder, "understand", OldVersion.understand)
        assert branch.ship(office, epoch=2).head.epoch == 1
    with office.begin() as connection:
        assert set(quarantined(connection)) == {2, 3}
        assert retry(connection, PLACE) == Retried(2, 0)
        assert connection.execute(select(HEAD.c.epoch)).scalar_one() == 2
    branch.record([an_event(seed=4)], epoch=2)
    assert branch.ship(office, 4, epoch=2).appended == 1
    with office.connect() as connection:
        assert quarantined(connection) == {}
        assert_projection_is_the_fold(connection)


def test_retry_of_an_unknown_location(office: Engine) -> None:
    with office.begin() as connection, pytest.raises(UnknownLocation):
        retry(connection, "NOWHERE")


def test_the_branch_is_told_which_of_its_events_are_in_quarantine(office: Engine) -> None:
    branch = Branch().record([an_event(seed=number, note="new" if number % 2 else None) for number in range(1, 6)])
    with pytest.MonkeyPatch.context() as old:
        old.setattr(decoder, "understand", OldVersion.understand)
        first, again = branch.ship(office), branch.ship(office)
    assert first.quarantined == again.quarantined == QuarantineMessage(count=3, sequences=(1, 3, 5))
    with office.begin() as connection:
        retry(connection, PLACE)
    assert branch.record([an_event(seed=9)]).ship(office).quarantined == QuarantineMessage(count=0, sequences=())


def test_the_list_of_what_is_in_quarantine_has_a_bound(office: Engine) -> None:
    branch = Branch().scrawl([b"?"] * (QUARANTINED_SHOWN + 50))
    told = branch.ship(office).quarantined
    assert told is not None
    assert (told.count, told.sequences) == (QUARANTINED_SHOWN + 50, tuple(range(1, QUARANTINED_SHOWN + 1)))


def test_events_of_a_reservation_that_waited_take_their_places(office: Engine) -> None:
    """A release of what was reserved only later, by sequence, does not become one by a retry."""

    def step(kind: str, seed: int, quantity: int, **more: Any) -> Event:
        expiry = {"expires_at": NOON + MINUTE} if kind == "STOCK_RESERVED" else {}
        return an_event(kind, seed=seed, quantity=quantity, reservation_id="r", **expiry, **more)

    branch = Branch().record(
        [
            step("STOCK_RESERVED", 1, 3_000, note="new"),
            step("RESERVATION_RELEASED", 2, 3_000),  # of what waits
            step("STOCK_RESERVED", 3, 4_000),
            step("RESERVATION_CONFIRMED", 4, 4_000),
        ]
    )
    with pytest.MonkeyPatch.context() as old:
        old.setattr(decoder, "understand", OldVersion.understand)
        branch.ship(office)
        with office.begin() as connection:
            assert set(quarantined(connection)) == {1, 2}
            assert retry(connection, PLACE) == Retried(0, 2)
            assert_projection_is_the_fold(connection)
    with office.begin() as connection:
        assert retry(connection, PLACE) == Retried(2, 0)
        assert_projection_is_the_fold(connection)
        assert rows_of_table(connection, PLACE, "r").lines == (
            ReservedLine(item_id="milk", unit="l", quantity=7_000, confirmed=4_000, released=3_000),
        )
