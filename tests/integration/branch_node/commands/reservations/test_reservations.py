"""Reservations through the writer, on both databases: each rule of INTERFACES A1 as an example."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from branch_node.commands.reservations import reservation_commands, reservation_decisions
from branch_node.commands.reservations.reservation_commands import Refusal, Reserve
from branch_node.commands.reservations.reservation_inputs import ReservationContent, WantedLine
from branch_node.database.reservation_rows import reservation_with_id
from branch_node.model import Item
from shared.events import Event, EventType
from shared.reservations import Reservation, ReservationState
from shared.runtime.problems import Problem, Recorded
from tests.support.branch import Branch, PutItems, a_branch
from tests.support.events import MINUTE, NOON
from tests.support.order_events import Shop

ACTIVE, CONFIRMED, RELEASED, EXPIRED = ReservationState


def figures(branch: Branch, item_id: str = "milk") -> tuple[float, float, float]:
    """On hand, reserved and available, in base units."""
    standing = branch.standings()[item_id]
    on_hand, reserved = standing.on_hand / 1_000, standing.reserved / 1_000
    return on_hand, reserved, on_hand - reserved


def kinds(events: list[Event]) -> list[tuple[str, float]]:
    return [(event.type.value, (event.quantity or 0) / 1_000) for event in events]


def lines(reservation: Reservation) -> dict[str, tuple[float, float, float, float]]:
    return {
        each.item_id: (each.quantity / 1_000, each.confirmed / 1_000, each.released / 1_000, each.open / 1_000)
        for each in reservation.lines
    }


@contextmanager
def refused(code: str) -> Iterator[dict[str, Any]]:
    """The block is refused with this problem, and nothing is recorded but what the problem says."""
    found: dict[str, Any] = {}
    with pytest.raises(Problem) as caught:
        yield found
    assert caught.value.code == code
    found |= caught.value.extras


def test_fifty_received_two_and_one_reserved_one_returned(any_branch: Branch) -> None:
    branch = any_branch
    branch.event("PURCHASE_RECEIVED", "milk", 50)
    assert figures(branch) == (50, 0, 50)
    first = branch.reserve("A", {"milk": 2})
    assert figures(branch) == (50, 2, 48)
    second = branch.reserve("B", {"milk": 1})
    assert figures(branch) == (50, 3, 47)
    assert branch.confirm(first.reservation_id).state is CONFIRMED
    assert figures(branch) == (48, 1, 47)
    branch.event("CUSTOMER_RETURN", "milk", 1)
    assert figures(branch) == (49, 1, 48)
    assert branch.release(second.reservation_id).state is RELEASED
    assert figures(branch) == (49, 0, 49)


def test_all_lines_or_none_and_the_same_item_twice_is_summed(any_branch: Branch) -> None:
    branch = any_branch
    branch.event("PURCHASE_RECEIVED", "milk", 5)
    branch.event("PURCHASE_RECEIVED", "cup", 100)
    answer = branch.reserve("A", {"milk": 6, "cup": 10})
    assert isinstance(answer, Refusal)
    assert [(each.item_id, each.asked, each.available) for each in answer.short] == [("milk", 6_000, 5_000)]
    assert figures(branch, "cup") == (100, 0, 100)
    last = branch.events()[-1]
    assert (last.type, last.quantity, last.reference and last.reference.id) == ("RESERVATION_REFUSED", 6_000, "A")
    assert branch.reserve("A", {"milk": 6, "cup": 10}, key="larder-retry") == answer  # decided anew: still too little
    assert isinstance(branch.reserve("A", {"milk": 5, "cup": 10}, key="less"), Reservation)
    assert (figures(branch), figures(branch, "cup")) == ((5, 5, 0), (100, 10, 90))


def test_the_same_key_has_the_same_answer_for_ever(any_branch: Branch) -> None:
    branch = any_branch
    branch.event("PURCHASE_RECEIVED", "milk", 5)
    refusal = branch.reserve("A", {"milk": 6}, key="k1")
    first = branch.reserve("A", {"milk": 4}, key="k2")
    branch.event("PURCHASE_RECEIVED", "milk", 50)
    part = branch.confirm(first.reservation_id, {"milk": 1}, rest="keep", key="k3")
    branch.release(first.reservation_id, key="k4")
    before = branch.writer.head
    assert branch.reserve("A", {"milk": 6}, key="k1") == refusal
    assert branch.reserve("A", {"milk": 4}, key="k2") == first
    assert branch.confirm(first.reservation_id, {"milk": 1}, rest="keep", key="k3") == part
    assert branch.release(first.reservation_id, key="k4").state is RELEASED
    assert branch.writer.head == before


def test_stated_again_alike_it_is_the_same_one_until_it_ends(any_branch: Branch) -> None:
    branch = any_branch
    branch.event("PURCHASE_RECEIVED", "milk", 5)
    first = branch.reserve("A", {"milk": 4})
    assert branch.reserve("A", {"milk": 4}) == first
    assert branch.reserve("A", {"milk": 4}, key="other") == first
    with refused("order-superseded") as problem:
        branch.reserve("A", {"milk": 3}, key="third")
    assert problem["revision"] == 1
    with refused("key-reused"):
        branch.reserve("A", {"milk": 3})
    branch.release(first.reservation_id)
    for key in (None, "fourth"):
        with refused("reservation-ended") as problem:
            branch.reserve("A", {"milk": 4}, key=key)
        assert problem["state"] == "RELEASED"
    # What a caller's key was answered stands for ever.
    assert branch.reserve("A", {"milk": 4}, key="other") == first
    with refused("key-reused"):
        branch.reserve("A", {"milk": 3}, key="other")
    assert isinstance(branch.reserve("A", {"milk": 4}, revision=2), Reservation)


def test_a_changed_order_reserves_only_what_is_not_confirmed(any_branch: Branch) -> None:
    branch = any_branch
    branch.event("PURCHASE_RECEIVED", "milk", 10)
    branch.event("PURCHASE_RECEIVED", "cup", 10)
    first = branch.reserve("A", {"milk": 5, "cup": 2})
    branch.confirm(first.reservation_id, {"milk": 2}, rest="keep")
    assert (figures(branch), figures(branch, "cup")) == ((8, 3, 5), (10, 2, 8))
    changed = branch.reserve("A", {"milk": 9}, revision=2, expires_in=60)
    assert (changed.reservation_id, changed.revision, changed.state) == (first.reservation_id, 2, ACTIVE)
    assert lines(changed) == {"milk": (9, 2, 0, 7)}
    assert changed.expires_at == NOON + MINUTE
    assert (figures(branch), figures(branch, "cup")) == ((8, 7, 1), (10, 0, 10))
    refusal = branch.reserve("A", {"milk": 11}, revision=3)
    assert [(each.asked, each.available) for each in refusal.short] == [(2_000, 1_000)]
    assert figures(branch) == (8, 7, 1)  # the old one stands
    less = branch.reserve("A", {"milk": 3}, revision=4)
    assert lines(less) == {"milk": (3, 2, 0, 1)}
    done = branch.confirm(less.reservation_id)
    assert (done.state, figures(branch)) == (CONFIRMED, (7, 0, 7))
    with refused("reservation-ended") as problem:
        branch.reserve("A", {"milk": 3}, revision=5)
    assert problem["state"] == "CONFIRMED"
    more = branch.reserve("A", {"milk": 4}, revision=6)
    assert more.reservation_id != first.reservation_id
    assert lines(more) == {"milk": (1, 0, 0, 1)}


def test_a_changed_order_reserves_only_what_was_not_sold_for_it(any_branch: Branch) -> None:
    """Of an order of 5 the till has sold 2: stated anew, it holds 3. The till's order is whole, and can be revised."""
    branch = any_branch
    branch.event("PURCHASE_RECEIVED", "milk", 10)
    branch.event("PURCHASE_RECEIVED", "cup", 10)
    first = branch.reserve("A", {"milk": 5}, source="till")
    branch.confirm(first.reservation_id, {"milk": 1}, rest="keep")
    branch.order("A", [{"item_id": "milk", "quantity": 1}, {"item_id": "cup", "quantity": 1}], source="till")
    assert (figures(branch), figures(branch, "cup")) == ((8, 0, 8), (9, 0, 9))  # the order has released it
    again = branch.reserve("A", {"milk": 5, "cup": 1}, source="till", revision=2)
    assert lines(again) == {"milk": (3, 0, 0, 3)}
    assert figures(branch) == (8, 3, 5)
    other = branch.reserve("A", {"milk": 5}, source="api")  # the order of another system
    assert lines(other) == {"milk": (5, 0, 0, 5)}
    branch.release(other.reservation_id)
    branch.order("A", [{"item_id": "milk", "quantity": 3}], source="till", revision=2)
    with refused("reservation-ended") as problem:
        # One confirmed and three sold.
        branch.reserve("A", {"milk": 4}, source="till", revision=3)
    assert problem["state"] == "CONFIRMED"
    assert lines(branch.reserve("A", {"milk": 5}, source="till", revision=4)) == {"milk": (1, 0, 0, 1)}


def test_what_was_voided_was_not_sold(any_branch: Branch) -> None:
    branch = any_branch
    branch.event("PURCHASE_RECEIVED", "milk", 10)
    branch.order("A", [{"item_id": "milk", "quantity": 2}], source="till")
    branch.void(branch.events()[-1].event_id)
    assert lines(branch.reserve("A", {"milk": 5}, source="till")) == {"milk": (5, 0, 0, 5)}


def test_both_ways_to_place_an_order_reserve_the_same(any_branch: Branch) -> None:
    """An order that its shop told of, and one that is reserved by request, of which as much was sold already."""
    branch = any_branch
    branch.event("PURCHASE_RECEIVED", "milk", 20)
    for order_id in ("told", "asked"):
        branch.order(order_id, [{"item_id": "milk", "quantity": 2}], source="shop")
    told = Shop(branch).tell("placed", "told", lines={"milk": 5})
    asked = branch.reserve("asked", {"milk": 5}, source="shop")
    with branch.store.reading() as connection:
        found = reservation_with_id(connection, told.reservation_id)
    assert found is not None
    assert lines(found) == lines(asked) == {"milk": (3, 0, 0, 3)}


def test_less_of_what_it_has_is_possible_when_the_stock_is_gone(any_branch: Branch) -> None:
    branch = any_branch
    branch.event("PURCHASE_RECEIVED", "milk", 5)
    first = branch.reserve("A", {"milk": 4})
    branch.event("ORDER_DEDUCTION", "milk", 3)
    assert figures(branch) == (2, 4, -2)
    assert lines(branch.reserve("A", {"milk": 3}, revision=2)) == {"milk": (3, 0, 0, 3)}
    assert isinstance(branch.reserve("A", {"milk": 4}, revision=3), Refusal)
    assert lines(branch.release(first.reservation_id)) == {"milk": (3, 0, 3, 0)}


def test_sent_in_parcels_it_keeps_its_rest_and_a_cancel_frees_only_that(any_branch: Branch) -> None:
    branch = any_branch
    branch.event("PURCHASE_RECEIVED", "milk", 10)
    first = branch.reserve("A", {"milk": 6})
    parcel = branch.confirm(first.reservation_id, {"milk": 2}, rest="keep")
    assert (parcel.state, lines(parcel)) == (ACTIVE, {"milk": (6, 2, 0, 4)})
    cancelled = branch.release(first.reservation_id, reason="cancelled")
    assert (cancelled.state, lines(cancelled)) == (RELEASED, {"milk": (6, 2, 4, 0)})
    assert figures(branch) == (8, 0, 8)
    for end in (branch.release, branch.confirm):
        with refused("reservation-ended") as problem:
            end(first.reservation_id)
        assert problem["state"] == "RELEASED"
    assert figures(branch) == (8, 0, 8)


def test_the_rest_of_a_confirmation_in_part_is_released(any_branch: Branch) -> None:
    branch = any_branch
    branch.event("PURCHASE_RECEIVED", "milk", 10)
    branch.event("PURCHASE_RECEIVED", "cup", 10)
    first = branch.reserve("A", {"milk": 6, "cup": 1})
    with refused("more-than-open") as problem:
        branch.confirm(first.reservation_id, {"milk": 7})
    assert problem["item_id"] == "milk"
    with refused("more-than-open"):
        branch.confirm(first.reservation_id, {"beans": 1})
    done = branch.confirm(first.reservation_id, {"milk": 5})
    assert (done.state, lines(done)) == (CONFIRMED, {"milk": (6, 5, 1, 0), "cup": (1, 0, 1, 0)})
    assert (figures(branch), figures(branch, "cup")) == ((5, 0, 5), (10, 0, 10))
    assert kinds(branch.events()[-3:]) == [
        ("RESERVATION_RELEASED", 1), ("RESERVATION_RELEASED", 1), ("RESERVATION_CONFIRMED", 5),
    ]  # fmt: skip
    with refused("unknown-reservation"):
        branch.confirm("nothing")


def test_it_expires_at_its_moment_with_an_event_of_its_own(any_branch: Branch) -> None:
    branch = any_branch
    branch.event("PURCHASE_RECEIVED", "milk", 10)
    first = branch.reserve("A", {"milk": 6})
    assert first.expires_at == NOON + 15 * MINUTE
    branch.clock.advance(15 * MINUTE)
    with refused("reservation-ended") as problem:
        branch.confirm(first.reservation_id)
    assert problem["state"] == "EXPIRED"
    assert isinstance(branch.reserve("B", {"milk": 10}), Reservation)  # what has expired is there for others
    expiry = branch.events()[2]
    assert (expiry.type, expiry.occurred_at, expiry.quantity) == ("RESERVATION_EXPIRED", first.expires_at, 6_000)
    assert figures(branch) == (10, 10, 0)


def test_the_writer_records_an_expiry_although_nothing_is_sent(any_branch: Branch) -> None:
    branch = any_branch
    branch.event("PURCHASE_RECEIVED", "milk", 10)
    branch.reserve("A", {"milk": 6}, expires_in=60)
    assert not branch.writer.step(0)
    assert figures(branch) == (10, 6, 4)
    branch.clock.advance(MINUTE)
    assert not branch.writer.step(0)
    assert figures(branch) == (10, 0, 10)
    head = branch.writer.head
    assert not branch.writer.step(0)
    assert branch.writer.head == head


def test_recording_the_order_releases_its_reservation_in_the_same_command(any_branch: Branch) -> None:
    branch = any_branch
    branch.event("PURCHASE_RECEIVED", "milk", 10)
    branch.reserve("A", {"milk": 6}, source="till")
    other = branch.reserve("A", {"milk": 1})
    branch.order("A", [{"item_id": "milk", "quantity": 5}], source="till")
    deduction, released = branch.events()[-2:]
    assert (deduction.lines, deduction.line, released.line) == (2, 1, 2)
    assert kinds([deduction, released]) == [("ORDER_DEDUCTION", 5), ("RESERVATION_RELEASED", 6)]
    assert figures(branch) == (5, 1, 4)
    branch.order("A", [{"item_id": "milk", "quantity": 4}], source="till", revision=2)
    assert branch.release(other.reservation_id).state is RELEASED
    branch.cancel("A", source="till")
    with refused("order-cancelled"):
        branch.reserve("A", {"milk": 1}, source="till", revision=3)


@pytest.mark.parametrize("cut", ["reopened", "running"])
def test_the_reservations_are_read_again_from_the_database(tmp_path: Path, cut: str) -> None:
    with a_branch(tmp_path) as branch:
        branch.event("PURCHASE_RECEIVED", "milk", 10)
        first = branch.reserve("A", {"milk": 6}, expires_in=60)
        branch.confirm(first.reservation_id, {"milk": 1}, rest="keep")
        branch.reserve("B", {"milk": 2}, expires_in=600)
        if cut == "reopened":
            branch.writer.close()
            branch.writer.open()
        assert isinstance(branch.reserve("C", {"milk": 3}), Refusal)
        branch.clock.advance(MINUTE)
        assert isinstance(branch.reserve("C", {"milk": 7}, key="again"), Reservation)
        assert figures(branch) == (9, 9, 0)


def test_without_the_decision_the_database_refuses(any_branch: Branch, monkeypatch: pytest.MonkeyPatch) -> None:
    branch = any_branch
    branch.event("PURCHASE_RECEIVED", "milk", 5)
    monkeypatch.setattr(reservation_decisions, "_short", lambda *_: [])
    with pytest.raises(Problem) as caught:
        branch.reserve("A", {"milk": 6})
    assert (caught.value.code, caught.value.recorded) == ("inventory-unavailable", Recorded.NO)
    assert figures(branch) == (5, 0, 5)
    # In one group with others, too: those stand, this one does not.
    group = [
        branch.event_command("ORDER_DEDUCTION", "milk", 1),
        _reserving("B", 4),
        branch.event_command("STOCKTAKE", "milk", 3),
        _reserving("C", 3),
        branch.event_command("PURCHASE_RECEIVED", "milk", 1),
    ]
    outcomes = branch.writer.commit(group)
    assert [isinstance(each, Problem) for each in outcomes] == [False, False, False, True, False]
    assert figures(branch) == (4, 4, 0)


def test_without_the_guard_of_the_database_the_decision_refuses(any_branch: Branch) -> None:
    branch = any_branch
    branch.event("PURCHASE_RECEIVED", "milk", 5)
    drop = "DROP TRIGGER head_available" + ("" if branch.store.url.startswith("sqlite") else " ON head")
    engine = branch.store.writing_engine()
    with engine.begin() as connection:
        connection.execute(text(drop))
    engine.dispose()
    outcomes = branch.writer.commit([_reserving(f"order-{number}", 2) for number in range(5)])
    assert [isinstance(each, Reservation) for each in outcomes] == [True, True, False, False, False]
    assert figures(branch) == (5, 4, 1)


def _reserving(order_id: str, quantity: int) -> Reserve:
    content = ReservationContent(
        order_id=order_id,
        revision=1,
        lines=(WantedLine(item_id="milk", quantity=quantity * 1_000),),
    )
    return Reserve(content, key=None, actor="till-1")


def test_more_reservations_than_memory_holds_are_refused(branch: Branch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reservation_commands, "MOST_ACTIVE", 2)
    branch.event("PURCHASE_RECEIVED", "milk", 5)
    first = branch.reserve("A", {"milk": 1})
    branch.reserve("B", {"milk": 1})
    with refused("too-many-reservations"):
        branch.reserve("C", {"milk": 1})
    branch.reserve("A", {"milk": 2}, revision=2)
    branch.release(first.reservation_id)
    assert isinstance(branch.reserve("C", {"milk": 1}), Reservation)


def test_the_codes_of_one_item_share_its_stock(any_branch: Branch) -> None:
    branch = any_branch
    branch.define("lait", unit="l")
    branch.event("PURCHASE_RECEIVED", "milk", 3)
    branch.event("PURCHASE_RECEIVED", "lait", 3)
    branch.run(PutItems((Item(item_id="lait", name="Lait", unit="l", stands_for="milk"),)))
    assert isinstance(branch.reserve("A", {"milk": 4, "lait": 3}), Refusal)
    assert isinstance(branch.reserve("A", {"milk": 4, "lait": 2}, key="less"), Reservation)
    assert isinstance(branch.reserve("B", {"lait": 1}), Refusal)
    assert EventType.RESERVATION_REFUSED in {event.type for event in branch.events()}


def test_what_was_confirmed_under_another_code_of_the_item_counts_as_served(any_branch: Branch) -> None:
    branch = any_branch
    branch.define("lait", unit="l")
    branch.event("PURCHASE_RECEIVED", "lait", 10)
    first = branch.reserve("A", {"lait": 5})
    branch.confirm(first.reservation_id, {"lait": 2}, rest="keep")
    branch.run(PutItems((Item(item_id="lait", name="Lait", unit="l", stands_for="milk"),)))
    changed = branch.reserve("A", {"milk": 6}, revision=2)
    assert lines(changed) == {"lait": (2, 2, 0, 0), "milk": (4, 0, 0, 4)}
    less = branch.reserve("A", {"milk": 1, "lait": 2}, revision=3)
    assert sum(line.open for line in less.lines) == 1_000  # three in all, of which two were served
