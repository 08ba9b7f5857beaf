"""Told events of orders through the writer, on both databases: each rule of INTERFACES A3 as an example."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from branch_node.clock.clock_repair import redating_commands
from branch_node.clock.misdated_events import MisdatedEvent
from branch_node.database.inbound.inbound_order_rows import inbound_orders
from branch_node.model import Item
from shared.events import Event
from shared.runtime.problems import Problem
from tests.support.branch import Branch, PutItems
from tests.support.events import MINUTE, NOON
from tests.support.order_events import Shop, told_orders

DAY = 24 * 60 * MINUTE


@pytest.fixture
def shop(any_branch: Branch) -> Shop:
    any_branch.event("PURCHASE_RECEIVED", "milk", 20)
    any_branch.event("PURCHASE_RECEIVED", "cup", 20)
    return Shop(any_branch)


def figures(shop: Shop, item_id: str = "milk") -> tuple[float, float]:
    """On hand and reserved, in base units."""
    standing = shop.branch.standings()[item_id]
    return standing.on_hand / 1_000, standing.reserved / 1_000


def recorded(shop: Shop, after: int) -> list[tuple[str, str | None, float]]:
    return [(each.type.value, each.item_id, (each.quantity or 0) / 1_000) for each in shop.branch.events()[after:]]


@contextmanager
def refused(code: str, status: int) -> Iterator[Problem]:
    with pytest.raises(Problem) as caught:
        yield caught  # type: ignore[misc]
    assert (caught.value.code, caught.value.status) == (code, status)


def test_placed_shipped_in_two_parcels_and_returned(shop: Shop) -> None:
    first = shop.tell("placed", "1", lines={"milk": 5, "cup": 2})
    assert (first.outcome, figures(shop), figures(shop, "cup")) == ("reserved", (20, 5), (20, 2))
    assert shop.outcome("shipped", "1", lines={"milk": 2}) == "shipped"
    assert (figures(shop), figures(shop, "cup")) == ((18, 3), (20, 2))
    last = shop.tell("shipped", "1")
    assert (last.outcome, last.reservation_id) == ("shipped", first.reservation_id)
    assert (figures(shop), figures(shop, "cup")) == ((15, 0), (18, 0))
    assert shop.outcome("returned", "1", lines={"milk": 1}) == "returned"
    assert figures(shop) == (16, 0)
    event = shop.branch.events()[-1]
    assert (event.type, event.source, event.actor) == ("CUSTOMER_RETURN", "shop", "inbound/shop")
    assert event.reference is not None
    assert (event.reference.kind, event.reference.id, event.reference.line) == ("order", "1", 1)


def test_all_or_nothing_and_what_is_short_is_told_and_recorded(shop: Shop) -> None:
    answer = shop.tell("placed", "1", id="e", lines={"milk": 25, "cup": 1})
    assert answer.outcome == "unavailable"
    assert [(each.item_id, each.asked, each.available) for each in answer.short] == [("milk", 25_000, 20_000)]
    assert recorded(shop, 2) == [("RESERVATION_REFUSED", "milk", 25)]
    assert figures(shop, "cup") == (20, 0)
    shop.branch.event("PURCHASE_RECEIVED", "milk", 10)
    assert shop.tell("placed", "1", id="e", lines={"milk": 25, "cup": 1}) == answer  # the same event, for ever
    assert shop.outcome("placed", "1", lines={"milk": 25, "cup": 1}) == "reserved"  # told anew, it is tried anew


def test_the_same_event_is_the_same_whatever_does_not_matter(shop: Shop) -> None:
    lines = [{"item_id": "milk", "quantity": 2}, {"item_id": "cup", "quantity": 1}, {"item_id": "milk", "quantity": 1}]
    first = shop.tell("placed", "1", id="e", lines=lines)
    head = shop.branch.writer.head
    other = [{"item_id": "cup", "quantity": "1.0"}, {"item_id": "milk", "quantity": 3, "price": 5}]
    later = "2026-01-02T12:00:00Z"
    assert shop.tell("placed", "1", id="e", time=NOON - MINUTE, lines=other, expires_at=later, customer={}) == first
    for changed in ({"lines": {"milk": 3}}, {"lines": lines, "revision": 2}):
        with refused("key-reused", 409):
            shop.tell("placed", "1", id="e", **changed)
    with refused("key-reused", 409):
        shop.tell("cancelled", "1", id="e")
    assert shop.branch.writer.head == head


def test_a_new_revision_states_what_is_left_and_an_old_one_comes_too_late(shop: Shop) -> None:
    first = shop.tell("placed", "1", lines={"milk": 5})
    shop.tell("shipped", "1", lines={"milk": 2})
    third = shop.tell("placed", "1", revision=3, lines={"milk": 10, "cup": 1})
    assert (third.outcome, third.reservation_id) == ("reserved", first.reservation_id)
    assert (figures(shop), figures(shop, "cup")) == ((18, 8), (20, 1))
    assert shop.outcome("placed", "1", revision=2, lines={"milk": 1}) == "superseded"
    assert shop.tell("placed", "1", revision=3, lines={"cup": 1, "milk": 10}) == third  # under another id
    with refused("order-superseded", 409) as problem:
        shop.tell("placed", "1", revision=3, lines={"milk": 10})
    assert problem.value.extras["revision"] == 3  # type: ignore[attr-defined]
    assert shop.outcome("placed", "1", revision=4, lines={"milk": 2}) == "shipped"  # reduced to what was sent
    assert (figures(shop), figures(shop, "cup")) == ((18, 0), (20, 0))


def test_a_cancel_before_its_order(shop: Shop) -> None:
    assert shop.outcome("cancelled", "1", reason="changed her mind") == "noted"
    assert recorded(shop, 2) == [("ORDER_CANCELLED", None, 0)]
    assert shop.outcome("cancelled", "1") == "nothing"
    assert shop.outcome("placed", "1", lines={"milk": 5}) == "cancelled"
    with refused("order-cancelled", 409):
        shop.branch.reserve("1", {"milk": 1}, source="shop")
    assert shop.branch.reserve("1", {"milk": 1}, source="other")  # of another source it is another order
    assert figures(shop) == (20, 1)


def test_a_cancel_between_two_parcels_and_a_shipment_after_it(shop: Shop) -> None:
    shop.tell("placed", "1", lines={"milk": 5})
    shop.tell("shipped", "1", lines={"milk": 2})
    assert shop.outcome("cancelled", "1", reason="x" * 65) == "released"
    assert figures(shop) == (18, 0)
    cancel = shop.branch.events()[-1]
    assert (cancel.type, cancel.reason, cancel.note) == ("ORDER_CANCELLED", "order-cancelled", "x" * 65)
    assert shop.outcome("shipped", "1", lines={"milk": 3}) == "shipped"  # it happened all the same
    assert shop.outcome("placed", "1", revision=2, lines={"milk": 9}) == "cancelled"
    assert figures(shop) == (15, 0)


@pytest.mark.parametrize("reason", ["already-cancelled", "unknown-order", "final", "restated"])
def test_a_reason_that_has_a_meaning_in_the_log_is_kept_as_a_note(shop: Shop, reason: str) -> None:
    shop.tell("placed", "1", lines={"milk": 5})
    assert shop.outcome("cancelled", "1", reason=reason) == "released"
    assert {(each.reason, each.note) for each in shop.branch.events()[-2:]} == {
        ("order-cancelled", None), ("order-cancelled", reason),
    }  # fmt: skip
    assert shop.outcome("cancelled", "2", id="c", reason=reason) == "noted"
    assert shop.outcome("cancelled", "2", id="c", reason=reason) == "noted"
    assert shop.outcome("shipped", "1") == "shipped"  # all that is left, as of any cancelled order
    assert figures(shop) == (15, 0)


def test_a_shipment_before_its_order(shop: Shop) -> None:
    assert shop.outcome("shipped", "1", lines={"milk": 2, "cup": 1}) == "shipped"
    assert figures(shop) == (18, 0)
    assert shop.outcome("placed", "1", lines={"milk": 5, "cup": 1}) == "reserved"
    assert (figures(shop), figures(shop, "cup")) == ((18, 3), (19, 0))
    assert shop.outcome("shipped", "1", lines={"milk": 4}) == "shipped"  # one more than ordered
    assert figures(shop) == (14, 0)


def test_without_lines_everything_that_is_left_was_shipped(shop: Shop) -> None:
    with refused("unknown-order", 409):
        shop.tell("shipped", "1", id="all")
    shop.tell("placed", "1", lines={"milk": 5})
    shop.branch.clock.advance(14 * DAY)  # it has expired
    assert shop.outcome("shipped", "1", id="all") == "shipped"  # nothing was recorded under its id: decided anew
    assert figures(shop) == (15, 0)
    assert shop.outcome("shipped", "1") == "shipped"
    assert shop.outcome("placed", "1", revision=2, lines={"milk": 9}) == "shipped"
    assert figures(shop) == (15, 0)


def test_an_order_that_was_shipped_before_it_was_placed_is_known(shop: Shop) -> None:
    shop.tell("shipped", "1", lines={"milk": 2})
    assert shop.outcome("placed", "1", id="p", lines={"milk": 2}) == "shipped"
    assert shop.outcome("shipped", "1") == "shipped"
    assert shop.outcome("placed", "1", id="p", lines={"milk": 2}) == "shipped"
    assert shop.outcome("placed", "1", revision=2, lines={"milk": 4}) == "shipped"  # the last of it was sent
    assert figures(shop) == (18, 0)
    shop.tell("placed", "2", lines={"milk": 99})
    with refused("unknown-order", 409):
        shop.tell("shipped", "2")  # what was refused is not known item by item


def test_the_final_parcel_releases_the_rest_in_whatever_order_it_comes(shop: Shop) -> None:
    shop.tell("placed", "1", lines={"milk": 5, "cup": 2})
    assert shop.outcome("shipped", "1", lines={"milk": 3}, final=True) == "shipped"
    assert (figures(shop), figures(shop, "cup")) == ((17, 0), (20, 0))
    assert shop.outcome("shipped", "1", lines={"milk": 1}) == "shipped"  # a parcel that was overtaken
    assert shop.outcome("placed", "1", revision=2, lines={"milk": 9}) == "shipped"
    assert figures(shop) == (16, 0)
    shop.tell("shipped", "2", lines={"cup": 1}, final=True)
    assert shop.outcome("placed", "2", lines={"cup": 9}) == "shipped"
    assert figures(shop, "cup") == (19, 0)


def test_an_expiry_that_has_passed_is_refused(shop: Shop) -> None:
    for moment in ("2026-01-01T12:00:00Z", "2027-01-03T12:00:00Z"):
        with refused("invalid-time", 422):
            shop.tell("placed", "1", lines={"milk": 1}, expires_at=moment)
    shop.tell("placed", "1", lines={"milk": 1}, expires_at="2026-01-01T12:30:00Z")
    shop.tell("placed", "2", lines={"milk": 1})
    expiries = {each.reference.id: each.expires_at for each in shop.branch.events() if each.reference is not None}
    assert expiries == {"1": NOON + 30 * MINUTE, "2": NOON + 14 * DAY}
    assert len(shop.branch.events()) == 4


def test_the_time_of_an_event_dates_shipments_and_returns(shop: Shop) -> None:
    shop.branch.clock.advance(60 * MINUTE)
    shop.tell("placed", "1", lines={"milk": 2})
    shop.branch.clock.advance(60 * MINUTE)
    shop.tell("shipped", "1", time=NOON + 90 * MINUTE, lines={"milk": 1})
    shop.tell("shipped", "1", time=NOON + 5 * MINUTE, lines={"milk": 1})  # before it was reserved
    shop.tell("shipped", "2", time=NOON + 5 * MINUTE, lines={"milk": 1})
    shop.tell("returned", "2", time=NOON + 10 * MINUTE, lines={"milk": 1})
    moments = [(each.type.value, (each.occurred_at - NOON) // MINUTE) for each in shop.branch.events()[2:]]
    assert moments == [
        ("STOCK_RESERVED", 60),
        ("RESERVATION_CONFIRMED", 90),
        ("RESERVATION_CONFIRMED", 60),
        ("ORDER_DEDUCTION", 5),
        ("CUSTOMER_RETURN", 10),
    ]
    for kind in ("shipped", "returned"):
        with refused("future-date", 422):
            shop.tell(kind, "2", time=NOON + 126 * MINUTE, lines={"milk": 1})


def test_a_shipment_from_before_a_count_does_not_change_what_was_counted(shop: Shop) -> None:
    shop.tell("placed", "1", lines={"milk": 5})
    shop.branch.clock.advance(60 * MINUTE)
    shop.branch.event("STOCKTAKE", "milk", 17)
    shop.tell("shipped", "1", time=NOON + 30 * MINUTE, lines={"milk": 3})
    assert figures(shop) == (17, 2)
    assert shop.outcome("placed", "2", lines={"milk": 15}) == "reserved"
    assert shop.outcome("placed", "3", lines={"milk": 1}) == "unavailable"


def test_what_was_voided_was_not_shipped(shop: Shop) -> None:
    shop.tell("shipped", "1", lines={"milk": 3})
    shop.branch.void(shop.branch.events()[-1].event_id)
    assert shop.outcome("placed", "1", lines={"milk": 5}) == "reserved"
    assert figures(shop) == (20, 5)


def test_what_a_wrong_clock_dated_was_shipped_all_the_same(shop: Shop) -> None:
    shop.tell("shipped", "1", lines={"milk": 3})
    event = shop.branch.events()[-1]
    (command,) = redating_commands([MisdatedEvent(event, -DAY)], "manager-1")
    assert shop.branch.run(command) == 1
    assert [(each.type.value, each.occurred_at) for each in shop.branch.events()[-2:]][1] == (
        "ORDER_DEDUCTION",
        NOON - DAY,
    )
    assert shop.outcome("placed", "1", lines={"milk": 5}) == "reserved"
    assert figures(shop) == (17, 2)
    derived = told_orders(shop.branch.events())
    with shop.branch.store.reading() as connection:
        assert inbound_orders(connection, [("1", "shop")]) == [derived["1", "shop"]]


def test_events_that_come_at_once_are_decided_one_after_another(shop: Shop) -> None:
    """They are committed as one group; one of them is refused, and harms no other."""
    told: list[tuple[str, str, dict[str, Any]]] = [
        ("placed", "1", {"lines": {"milk": 5}}),
        ("placed", "1", {"lines": {"milk": 5}}),
        ("placed", "2", {"lines": {"milk": 16}}),
        ("shipped", "1", {"lines": {"milk": 6}}),
        ("shipped", "3", {}),
        ("placed", "1", {"revision": 2, "lines": {"milk": 8}}),
        ("cancelled", "1", {}),
        ("cancelled", "1", {}),
        ("placed", "1", {"revision": 3, "lines": {"milk": 9}}),
        ("placed", "2", {"lines": {"milk": 14}}),
    ]
    commands = [
        shop.command(kind, order_id, id=f"e{place}", **data) for place, (kind, order_id, data) in enumerate(told)
    ]
    answers = shop.branch.writer.commit(commands)
    outcomes = [each.code if isinstance(each, Problem) else str(each.outcome) for each in answers]
    assert outcomes == [
        "reserved", "reserved", "unavailable", "shipped", "unknown-order", "reserved", "released", "nothing",
        "cancelled", "reserved",
    ]  # fmt: skip
    assert figures(shop) == (14, 14)
    again = [shop.command(kind, order_id, id=f"e{place}", **data) for place, (kind, order_id, data) in enumerate(told)]
    repeated = shop.branch.writer.commit(again)
    assert [each for each in repeated if not isinstance(each, Problem)] == [
        each for each in answers if not isinstance(each, Problem)
    ]


def test_items_by_code_or_barcode_and_unknown_ones(shop: Shop) -> None:
    items = (
        Item(item_id="tea", name="Tea", unit="kg", barcode="590"),
        Item(item_id="tee", name="Tea", unit="kg", barcode="590", stands_for="tea"),
        Item(item_id="a", name="A", unit="kg", barcode="591"),
        Item(item_id="b", name="B", unit="kg", barcode="591"),
    )
    shop.branch.run(PutItems(items))
    shop.branch.event("PURCHASE_RECEIVED", "tea", 5)
    assert shop.outcome("placed", "1", lines={"590": 1, "tea": 1}) == "reserved"
    assert shop.outcome("shipped", "1", lines={"tee": 2}) == "shipped"  # another code of the item
    assert shop.branch.standings()["tea"].reserved == 0
    head = shop.branch.writer.head
    with refused("unknown-item", 422) as problem:
        shop.tell("placed", "2", lines={"milk": 1, "nosuch": 1, "none": 1})
    errors = {each["field"]: each["message"] for each in problem.value.extras["errors"]}  # type: ignore[attr-defined]
    assert errors.keys() == {"data.lines[1].item_id", "data.lines[2].item_id"}
    with refused("ambiguous-barcode", 409) as problem:
        shop.tell("placed", "2", lines={"591": 1})
    assert problem.value.extras["items"] == ["a", "b"]  # type: ignore[attr-defined]
    assert shop.branch.writer.head == head


def test_a_strict_item_is_never_taken_below_zero(shop: Shop) -> None:
    shop.branch.event("PURCHASE_RECEIVED", "gin", 3)
    shop.tell("placed", "1", lines={"gin": 2})
    head = shop.branch.writer.head
    with refused("strict-item-below-zero", 409):
        shop.tell("shipped", "1", id="e", lines={"gin": 4})
    assert shop.branch.writer.head == head
    shop.branch.event("PURCHASE_RECEIVED", "gin", 1)
    assert shop.outcome("shipped", "1", id="e", lines={"gin": 4}) == "shipped"
    assert figures(shop, "gin") == (0, 0)


def test_an_order_that_was_recorded_here_is_not_reserved_again(shop: Shop) -> None:
    shop.branch.order("1", [{"item_id": "milk", "quantity": 2}], source="shop")
    assert shop.outcome("placed", "1", lines={"milk": 3}) == "reserved"
    assert figures(shop) == (18, 1)
    shop.branch.order("2", [{"item_id": "milk", "quantity": 2}], source="shop")
    shop.branch.cancel("2", source="shop")
    assert shop.outcome("placed", "2", lines={"milk": 3}) == "cancelled"


def test_nothing_is_reserved_by_hand_for_an_order_whose_last_parcel_was_told(shop: Shop) -> None:
    shop.tell("placed", "1", lines={"milk": 5})
    shop.tell("shipped", "1", lines={"milk": 3}, final=True)
    head = shop.branch.writer.head
    with refused("reservation-ended", 409) as problem:
        shop.branch.reserve("1", {"milk": 6}, source="shop", revision=2)
    assert problem.value.extras["state"] == "CONFIRMED"  # type: ignore[attr-defined]
    assert shop.branch.writer.head == head


def test_what_is_known_of_told_orders_follows_from_the_log_and_outlives_a_restart(shop: Shop) -> None:
    answers = {}
    course: list[tuple[str, str, dict[str, Any]]] = [
        ("placed", "1", {"lines": {"milk": 5}}),
        ("shipped", "1", {"lines": {"milk": 6}, "final": True}),
        ("placed", "1", {"lines": {"milk": 7}}),
        ("cancelled", "2", {}),
        ("cancelled", "2", {}),
        ("placed", "2", {"lines": {"milk": 1}}),
        ("placed", "3", {"revision": 4, "lines": {"milk": 50}}),
        ("placed", "3", {"revision": 3, "lines": {"milk": 1}}),
        ("returned", "4", {"lines": {"cup": 1}}),
    ]
    for number, (told, order_id, data) in enumerate(course):
        answers[number] = (told, order_id, data, shop.tell(told, order_id, id=f"e{number}", **data))
    events: list[Event] = shop.branch.events()
    derived = told_orders(events)
    with shop.branch.store.reading() as connection:
        stored = inbound_orders(connection, list(derived))
    assert {(each.order_id, each.source): each for each in stored} == derived
    shop.branch.writer.close()
    shop.branch.writer.open()
    for number, (told, order_id, data, answer) in answers.items():
        assert shop.tell(told, order_id, id=f"e{number}", **data) == answer
    assert shop.branch.events() == events
