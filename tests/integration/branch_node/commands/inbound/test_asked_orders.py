"""Told events that head office asks for, on both databases: what each records, whatever becomes of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import pytest

from branch_node.clock.clock_repair import redating_commands
from branch_node.clock.misdated_events import MisdatedEvent, misdated_events
from branch_node.commands.inbound import order_event_commands
from branch_node.commands.inbound.asked_orders import TakeOrderInstruction
from branch_node.database.inbound.inbound_order_rows import inbound_orders
from branch_node.model import Item, View
from shared.events import Event
from shared.orders.order_instructions import OrderInstruction, OrderInstructionLine
from shared.orders.order_outcomes import OrderOutcome, RecordedOutcome, RefusedLine
from shared.runtime.problems import DATABASE_BUSY, Problem
from tests.integration.branch_node.writer.test_projection_property import check_everything
from tests.support.branch import Branch, PutItems
from tests.support.events import MINUTE, NOON
from tests.support.order_events import Shop, answers_in, told_orders

DAY = 24 * 60 * MINUTE


@pytest.fixture
def shop(any_branch: Branch) -> Iterator[Shop]:
    any_branch.event("PURCHASE_RECEIVED", "milk", 20)
    any_branch.event("PURCHASE_RECEIVED", "cup", 20)
    made = Shop(any_branch)
    yield made
    check(made)


def check(shop: Shop) -> None:
    """What is kept of told orders, and every figure, follows from the log."""
    check_everything(shop.branch)
    derived = told_orders(shop.branch.events())
    with shop.branch.store.reading() as connection:
        stored = inbound_orders(connection, list(derived))
        assert {(each.order_id, each.source): each for each in stored} == derived


def figures(shop: Shop, item_id: str = "milk") -> tuple[float, float]:
    standing = shop.branch.standings()[item_id]
    return standing.on_hand / 1_000, standing.reserved / 1_000


def newest(shop: Shop) -> Event:
    return shop.branch.events()[-1]


def said(event: Event) -> tuple[str, str | None, str | None, int | None]:
    """Type, reason, and the kind and revision of what it refers to."""
    reference = event.reference
    assert reference is not None
    assert (reference.id, event.source, event.actor) == ("1", "shop", "inbound/shop")
    return event.type.value, event.reason, reference.kind, reference.revision


@contextmanager
def left_open(shop: Shop, code: str) -> Iterator[None]:
    """It is refused and nothing is recorded, so that head office asks again."""
    before = shop.branch.events()
    with pytest.raises(Problem) as caught:
        yield
    assert caught.value.code == code
    assert shop.branch.events() == before


def ask(shop: Shop, instruction: OrderInstruction) -> RecordedOutcome:
    outcome: RecordedOutcome = shop.branch.run(TakeOrderInstruction(instruction)).outcome
    return outcome


def test_the_course_of_an_order_is_as_if_it_were_told_here(shop: Shop) -> None:
    reserved = shop.ask("placed", "1", lines={"milk": 5, "cup": 2})
    assert (reserved.outcome, figures(shop), figures(shop, "cup")) == ("reserved", (20, 5), (20, 2))
    assert reserved.reservation_id == newest(shop).reservation_id
    assert newest(shop).expires_at == NOON + 14 * DAY
    assert shop.ask("shipped", "1", lines={"milk": 2}).outcome == "shipped"
    assert shop.ask("shipped", "1").reservation_id == reserved.reservation_id
    assert (figures(shop), figures(shop, "cup")) == ((15, 0), (18, 0))
    assert shop.ask("returned", "1", lines={"milk": 1}).outcome == "returned"
    assert figures(shop) == (16, 0)
    first = shop.branch.events()[2]
    assert said(first) == ("STOCK_RESERVED", None, "order", 1)
    assert (first.command_key or "").startswith("larder:inbound:shop:asked:")


def test_each_is_answered_once_however_often_it_is_asked(shop: Shop) -> None:
    course: list[tuple[str, dict[str, Any]]] = [
        ("placed", {"lines": {"milk": 50}}),
        ("placed", {"revision": 2, "lines": {"milk": 5}}),
        ("placed", {"revision": 2, "lines": {"milk": 5}}),
        ("placed", {"revision": 2, "lines": {"milk": 6}}),
        ("placed", {"revision": 1, "lines": {"milk": 5}}),
        ("cancelled", {}),
        ("cancelled", {}),
        ("placed", {"revision": 3, "lines": {"milk": 5}}),
        ("shipped", {"lines": {"milk": 5}, "final": True}),
        ("shipped", {}),
    ]
    instructions = [shop.instruction(told, "1", id=f"e{place}", **data) for place, (told, data) in enumerate(course)]
    answers = [ask(shop, each) for each in instructions]
    assert [(each.outcome.value, each.reason) for each in answers] == [
        ("unavailable", None), ("reserved", None), ("reserved", None), ("refused", "order-superseded"),
        ("superseded", None), ("released", None), ("nothing", None), ("cancelled", None), ("shipped", None),
        ("shipped", None),
    ]  # fmt: skip
    events = shop.branch.events()
    assert answers_in(events) == {each.key: answer for each, answer in zip(instructions, answers, strict=True)}
    shop.branch.writer.close()
    shop.branch.writer.open()
    for number, each in enumerate(instructions, start=1):  # head office gives other numbers after its restore
        taken = shop.branch.run(TakeOrderInstruction(msgspec.structs.replace(each, number=100 + number)))
        assert (taken.outcome, taken.recorded) == (answers[number - 1], False)
    assert shop.branch.events() == events


def test_what_is_short_is_in_the_log_and_so_are_its_lines(shop: Shop) -> None:
    answer = shop.ask("placed", "1", lines={"milk": 25, "cup": 1})
    assert answer == RecordedOutcome(
        outcome=OrderOutcome.UNAVAILABLE, refused=(RefusedLine(item_id="milk", unit="l", asked=25_000),)
    )
    assert said(newest(shop)) == ("RESERVATION_REFUSED", "unavailable", "order", 1)


def test_an_order_placed_after_its_cancellation(shop: Shop) -> None:
    assert shop.ask("cancelled", "1", reason="changed her mind").outcome == "noted"
    assert shop.ask("placed", "1", lines={"milk": 5}).outcome == "cancelled"
    assert said(newest(shop)) == ("ORDER_CANCELLED", "already-cancelled", "order", None)
    assert shop.ask("cancelled", "1", reason="again").outcome == "nothing"
    assert said(newest(shop)) == ("ORDER_CANCELLED", "again", "order", 1)
    assert figures(shop) == (20, 0)


def test_an_order_reserved_as_it_is_placed_also_by_the_source_itself(shop: Shop) -> None:
    told = shop.tell("placed", "1", lines={"cup": 1, "milk": 5})
    stated = shop.branch.events()[2]
    assert shop.ask("placed", "1", lines={"milk": 5, "cup": 1}).outcome == "reserved"
    assert said(newest(shop)) == ("EVENT_REVIEWED", None, "order-reserved", None)
    assert newest(shop).reviewed_event_id == stated.event_id
    assert stated.reservation_id == told.reservation_id
    assert shop.tell("placed", "1", lines={"milk": 5, "cup": 1}).reservation_id == told.reservation_id
    assert (figures(shop), figures(shop, "cup")) == ((20, 5), (20, 1))


def test_an_order_that_was_shipped_before(shop: Shop) -> None:
    shop.ask("shipped", "1", lines={"milk": 2})
    assert shop.ask("placed", "1", lines={"milk": 2}).outcome == "shipped"
    assert said(newest(shop)) == ("EVENT_REVIEWED", None, "order-shipped", 1)
    shop.ask("shipped", "1")  # the last of it
    assert shop.ask("placed", "1", revision=2, lines={"milk": 4}).outcome == "shipped"
    assert said(newest(shop)) == ("EVENT_REVIEWED", None, "order-shipped", None)
    assert shop.ask("shipped", "1").outcome == "shipped"
    assert said(newest(shop)) == ("EVENT_REVIEWED", None, "order-shipped", None)
    assert figures(shop) == (18, 0)


def test_an_overtaken_revision_and_one_that_is_met_by_what_was_shipped(shop: Shop) -> None:
    shop.ask("placed", "1", revision=3, lines={"milk": 5})
    assert shop.ask("placed", "1", revision=2, lines={"milk": 1, "cup": 1}).outcome == "superseded"
    refused = shop.branch.events()[-2:]
    assert [said(each) for each in refused] == [("RESERVATION_REFUSED", "superseded", "order", 2)] * 2
    assert {each.reservation_id for each in refused} == {shop.branch.events()[2].reservation_id}
    shop.ask("shipped", "1", lines={"milk": 2})
    assert shop.ask("placed", "1", revision=4, lines={"milk": 2}) == RecordedOutcome(outcome=OrderOutcome.SHIPPED)
    assert newest(shop).type == "RESERVATION_RELEASED"


def test_all_that_is_left_of_an_order_that_nobody_knows(shop: Shop) -> None:
    answer = shop.ask("shipped", "1")
    assert (answer.outcome, answer.reason) == ("refused", "unknown-order")
    assert said(newest(shop)) == ("ORDER_CANCELLED", "unknown-order", "order", None)
    assert newest(shop).note
    assert shop.ask("placed", "1", lines={"milk": 5}).outcome == "cancelled"  # it was sent: nothing is held for it


def test_a_parcel_that_would_take_a_strict_item_below_zero(shop: Shop) -> None:
    shop.branch.event("PURCHASE_RECEIVED", "gin", 3)
    shop.ask("placed", "1", revision=2, lines={"gin": 2})
    answer = shop.ask("shipped", "1", lines={"gin": 4, "milk": 1})
    assert (answer.outcome, answer.reason) == ("refused", "strict-item-below-zero")
    assert {each.item_id: each.asked for each in answer.refused} == {"gin": 4_000, "milk": 1_000}
    assert said(newest(shop)) == ("RESERVATION_REFUSED", "strict-item-below-zero", "order", None)
    notes = [each.note for each in shop.branch.events()[-2:]]
    assert notes[1] is None
    assert "gin would be below zero" in (notes[0] or "")
    assert figures(shop, "gin") == (3, 2)


def test_without_lines_what_is_left_is_what_was_refused(shop: Shop) -> None:
    shop.branch.event("PURCHASE_RECEIVED", "gin", 3)
    shop.ask("placed", "1", lines={"gin": 2})
    shop.branch.clock.advance(15 * DAY)
    shop.branch.event("STOCKTAKE", "gin", 1)
    answer = shop.ask("shipped", "1")  # it has expired: what is left is deducted
    assert (answer.outcome, answer.reason) == ("refused", "strict-item-below-zero")
    assert answer.refused == (RefusedLine(item_id="gin", unit="l", asked=2_000),)


def test_an_expiry_that_has_passed(shop: Shop) -> None:
    answer = shop.ask("placed", "1", revision=2, lines={"milk": 1}, expires_at="2026-01-01T12:00:00Z")
    assert (answer.outcome, answer.reason) == ("refused", "invalid-time")
    assert said(newest(shop)) == ("RESERVATION_REFUSED", "invalid-time", "order", 2)
    assert shop.ask("placed", "1", lines={"milk": 1}).outcome == "superseded"  # by the one that was refused
    assert shop.ask("placed", "1", revision=2, lines={"milk": 1}).outcome == "reserved"


def test_too_many_reservations(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order_event_commands, "MOST_ACTIVE", 0)
    answer = shop.ask("placed", "1", lines={"milk": 1})
    assert (answer.outcome, answer.reason) == ("refused", "too-many-reservations")


def test_a_moment_ahead_is_now(shop: Shop) -> None:
    shop.ask("shipped", "1", time=NOON + 3 * MINUTE, lines={"milk": 1})
    shop.ask("returned", "1", time=NOON + DAY, lines={"milk": 1})
    shop.ask("shipped", "1", time=NOON - DAY, lines={"milk": 1})
    shop.ask("shipped", "1", time=-(2**62), lines={"milk": 1})
    assert [each.occurred_at - NOON for each in shop.branch.events()[2:5]] == [0, 0, -DAY]
    assert figures(shop) == (18, 0)


def test_what_a_wrong_clock_dated_is_repaired_and_stays_shipped(shop: Shop) -> None:
    key = shop.instruction("shipped", "1", id="e", lines={"milk": 3}).key
    shop.ask("shipped", "1", id="e", time=NOON + DAY, lines={"milk": 3})
    event = newest(shop)
    assert event.occurred_at == event.recorded_at  # so a repair takes it for one that this clock dated
    (command,) = redating_commands([MisdatedEvent(event, -DAY)], "manager-1")
    assert shop.branch.run(command) == 1
    assert shop.ask("placed", "1", lines={"milk": 5}).outcome == "reserved"
    assert figures(shop) == (17, 2)
    assert answers_in(shop.branch.events())[key].outcome == "shipped"
    assert shop.ask("shipped", "1", id="e", time=NOON, lines={"milk": 3}).outcome == "shipped"
    assert figures(shop) == (17, 2)
    with shop.branch.store.reading() as connection:
        assert list(misdated_events(connection)) == []


def test_an_item_that_is_not_known_yet_is_waited_for(shop: Shop) -> None:
    asked = shop.instruction("placed", "1", lines={"milk": 5})
    unknown = msgspec.structs.replace(asked, lines=(*asked.lines, OrderInstructionLine("tea", 1_000, "kg")))  # type: ignore[misc]
    with left_open(shop, "unknown-item"):
        ask(shop, unknown)
    shop.branch.run(PutItems((Item(item_id="tea", name="Tea", unit="kg"),)))
    assert ask(shop, unknown).outcome == "unavailable"


def test_an_item_is_known_by_its_code_only(shop: Shop) -> None:
    shop.branch.run(PutItems((Item(item_id="tea", name="Tea", unit="kg", barcode="590"),)))
    asked = shop.instruction("placed", "1", lines={"milk": 5})
    with left_open(shop, "unknown-item"):
        ask(shop, msgspec.structs.replace(asked, lines=(OrderInstructionLine("590", 1_000, "kg"),)))


def test_what_was_overtaken_names_the_items_that_are_known(shop: Shop) -> None:
    shop.ask("placed", "1", revision=2, lines={"milk": 5})
    asked = shop.instruction("placed", "1", lines={"milk": 5})
    tea = OrderInstructionLine("tea", 1_000, "kg")
    answer = ask(shop, msgspec.structs.replace(asked, lines=(*asked.lines, tea)))  # type: ignore[misc]
    assert answer.outcome == "superseded"
    assert newest(shop).item_id == "milk"
    other = shop.instruction("placed", "1", lines={"milk": 5})
    with left_open(shop, "unknown-item"):
        ask(shop, msgspec.structs.replace(other, lines=(tea,)))


def test_an_item_that_is_kept_in_another_unit_or_stands_for_another(shop: Shop) -> None:
    alias = Item(item_id="tee", name="Tea", unit="kg", stands_for="tea")
    shop.branch.run(PutItems((Item(item_id="tea", name="Tea", unit="kg"), alias)))
    asked = shop.instruction("placed", "1", lines={"milk": 5})
    answer = ask(shop, msgspec.structs.replace(asked, lines=(OrderInstructionLine("tea", 5_000, "g"),)))
    assert (answer.outcome, answer.reason) == ("refused", "unit-differs")
    assert answer.refused == (RefusedLine(item_id="tea", unit="kg", asked=5_000),)  # the unit of the log
    assert newest(shop).note == "tea is kept in kg, not in g"
    other = shop.instruction("returned", "1", lines={"milk": 5})
    answer = ask(shop, msgspec.structs.replace(other, lines=(OrderInstructionLine("tee", 1_000, "kg"),)))
    assert (answer.outcome, answer.reason) == ("refused", "unknown-item")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"location_id": "TRI-01"}, "wrong-location"),
        ({"key": "larder:clock:1"}, "invalid-request"),
        ({"key": "larder:inbound:shop:1"}, "invalid-request"),
        ({"source": "other"}, "invalid-request"),
        ({"lines": (OrderInstructionLine("milk", 1, "l"), OrderInstructionLine("milk", 2, "l"))}, "invalid-request"),
        ({"lines": (OrderInstructionLine("milk", 10**13, "l"),)}, "invalid-request"),
        ({"lines": None}, "invalid-request"),
    ],
)
def test_what_no_head_office_asks_is_left_alone(shop: Shop, change: dict[str, Any], code: str) -> None:
    with left_open(shop, code):
        ask(shop, msgspec.structs.replace(shop.instruction("placed", "1", lines={"milk": 5}), **change))


def test_the_same_key_with_other_content_changes_nothing(shop: Shop) -> None:
    asked = shop.instruction("placed", "1", lines={"milk": 5})
    ask(shop, asked)
    with left_open(shop, "key-reused"):
        ask(shop, msgspec.structs.replace(asked, revision=2))


def test_a_failing_database_leaves_it_open(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: View) -> None:
        raise DATABASE_BUSY("the disk sleeps")

    command = TakeOrderInstruction(shop.instruction("placed", "1", id="e", lines={"milk": 5}))
    monkeypatch.setattr(order_event_commands, "ViewedStock", fails)
    with left_open(shop, "database-busy"):
        shop.branch.run(command)
    monkeypatch.undo()
    assert shop.ask("placed", "1", id="e", lines={"milk": 5}).outcome == "reserved"


def test_those_that_come_at_once_are_decided_one_after_another(shop: Shop) -> None:
    """They are committed as one group, with those that a source of the branch tells of the same order."""
    asked = [
        TakeOrderInstruction(shop.instruction("placed", "1", lines={"milk": 5})),
        shop.command("cancelled", "1"),
        TakeOrderInstruction(shop.instruction("placed", "1", revision=2, lines={"milk": 6})),
        TakeOrderInstruction(shop.instruction("shipped", "2")),
        TakeOrderInstruction(shop.instruction("placed", "2", lines={"milk": 16})),
    ]
    answers: list[Any] = shop.branch.writer.commit(asked)
    outcomes = [
        each if isinstance(each, Problem) else getattr(each.outcome, "outcome", each.outcome) for each in answers
    ]
    assert outcomes == ["reserved", "released", "cancelled", "refused", "cancelled"]
    assert figures(shop) == (20, 0)
