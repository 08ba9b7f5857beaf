"""Events by hand, voids, reviews, items, strict items, the clock's rules: decided and recorded on both databases."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from sqlalchemy import text

from branch_node.database.schema import LOG
from branch_node.model import Command, Decision, Item, View
from shared.chain import understand
from shared.event_log import append
from shared.events import BY_HAND, RULES, Event, EventType
from shared.runtime.problems import Problem
from tests.support.branch import Branch, PutItems
from tests.support.events import MINUTE, NOON, an_event, seal_all, whole_event


class Raw(Command):
    """Appends an event as it is, asking nothing: a type that no command here makes, or a mistake of the writer's."""

    def __init__(self, event: Event) -> None:
        event.command_key = event.command_digest = None
        self.event = event

    def decide(self, view: View) -> Decision:
        return Decision(events=[self.event])


def refused(code: str, call: Any, *arguments: Any, **more: Any) -> Problem:
    with pytest.raises(Problem) as caught:
        call(*arguments, **more)
    assert caught.value.code == code
    return caught.value


@pytest.mark.parametrize("kind", sorted(BY_HAND))
def test_every_type_that_is_recorded_by_hand(branch: Branch, kind: str) -> None:
    record = branch.event(kind, "milk", "2.5")
    (event,) = branch.events()
    assert event.type == kind
    if kind == "STOCKTAKE":
        assert (event.counted, event.expected) == (2_500, 0)
    else:
        assert event.quantity == 2_500
        assert branch.on_hand() == 2_500 * RULES[EventType(kind)].on_hand
    assert (event.unit, event.actor, event.utc_offset, event.business_date) == ("l", "staff-1", 120, "2026-01-01")
    assert (record.sequence, record.event_id, record.hash) == (1, event.event_id, branch.writer.head.hash.hex())


@pytest.mark.parametrize("kind", sorted(set(EventType) - BY_HAND))
def test_every_other_type_is_refused(branch: Branch, kind: str) -> None:
    refused("type-not-by-hand", branch.event, kind, "milk", 1)
    assert branch.writer.head.sequence == 0


def test_an_event_with_everything(any_branch: Branch) -> None:
    any_branch.event(
        "PURCHASE_RECEIVED", "milk", 24, unit="l", entered={"quantity": 2, "unit": "crate", "factor": 12},
        occurred_at="2026-01-01T03:30:00+02:00", reference={"kind": "delivery", "id": "D-7"}, reason="standing-order",
        note="left at the door", cost={"amount": "31.20", "currency": "USD"}, lot="L9", expires_on="2026-02-01",
        area="walk-in", source="tablet-3",
    )  # fmt: skip
    (event,) = any_branch.events()
    assert event.business_date == "2025-12-31"  # before the day's start at four in the morning
    assert event.entered is not None
    assert (event.entered.quantity, event.entered.factor, event.quantity) == (2_000, 12_000, 24_000)
    assert event.cost is not None
    assert (event.cost.amount, event.lot, event.area, event.source) == ("31.20", "L9", "walk-in", "tablet-3")


def test_entered_alone_gives_the_quantity_and_must_agree(branch: Branch) -> None:
    entered = {"quantity": "1.5", "unit": "crate", "factor": 12}
    branch.event("PURCHASE_RECEIVED", "milk", 18, entered=entered)
    assert branch.on_hand() == 18_000
    refused("invalid-quantity", branch.event, "PURCHASE_RECEIVED", "milk", 17, entered=entered)
    refused("unit-differs", branch.event, "PURCHASE_RECEIVED", "milk", 17, unit="kg")


def test_a_production_is_one_command(any_branch: Branch) -> None:
    used = [{"item_id": "milk", "quantity": 2}, {"item_id": "beans", "quantity": "0.5"}]
    answer = any_branch.event("PRODUCTION_MADE", "cup", 10, key="p", used=used)
    log = any_branch.events()
    assert [event.type for event in log] == ["PRODUCTION_MADE", "PRODUCTION_USED", "PRODUCTION_USED"]
    assert {event.lines for event in log} == {3}
    assert [each.item_id for each in answer.used] == ["milk", "beans"]
    assert any_branch.event("PRODUCTION_MADE", "cup", 10, key="p", used=used) == answer
    refused("unknown-item", any_branch.event, "PRODUCTION_MADE", "cup", 1, used=[{"item_id": "ice", "quantity": 1}])
    refused("invalid-event", any_branch.event, "WASTE_RECORDED", "cup", 1, used=used)
    assert any_branch.writer.head.sequence == 3


def test_same_key_same_answer_whatever_happened_since(any_branch: Branch) -> None:
    first = any_branch.event("ORDER_DEDUCTION", "milk", 3, key="k")
    assert first.flags == ("negative",)
    any_branch.event("PURCHASE_RECEIVED", "milk", 10)
    any_branch.count("c", [{"item_id": "milk", "counted": 1}])
    any_branch.void(first.event_id)
    told = any_branch.event("ORDER_DEDUCTION", "milk", 3, key="k")
    assert msgspec.json.encode(told) == msgspec.json.encode(first)
    problem = refused("key-reused", any_branch.event, "ORDER_DEDUCTION", "milk", 4, key="k")
    assert problem.extras["sequence"] == 1
    refused("key-reused", any_branch.void, first.event_id, key="k")
    assert any_branch.writer.head.sequence == 4


def test_equal_content_under_another_key_is_another_event(branch: Branch) -> None:
    for _ in range(3):
        branch.event("ORDER_DEDUCTION", "milk", 1)
    assert branch.on_hand() == -3_000


def test_a_refusal_is_decided_anew(branch: Branch) -> None:
    refused("unknown-item", branch.event, "PURCHASE_RECEIVED", "mint", 1, key="k")
    branch.run(PutItems((Item(item_id="mint", name="Mint", unit="kg"),)))
    assert branch.event("PURCHASE_RECEIVED", "mint", 1, key="k").sequence == 1


# Voids and reviews.


def test_a_void_is_as_if_it_had_never_been(any_branch: Branch) -> None:
    delivery = any_branch.event("PURCHASE_RECEIVED", "milk", 10)
    sale = any_branch.event("ORDER_DEDUCTION", "milk", 3)
    answer = any_branch.void(sale.event_id, "wrong-item")
    assert (answer.voided_event_id, answer.voided_sequence, answer.reason) == (sale.event_id, 2, "wrong-item")
    assert any_branch.on_hand() == 10_000
    assert refused("already-voided", any_branch.void, sale.event_id).extras["voided_by"] == 3
    assert (
        refused("not-voidable", any_branch.void, answer.event_id).hint
        == "A void is not voided: record the event again."
    )
    refused("unknown-event", any_branch.void, "00000000-0000-7000-8000-000000000000")
    refused("unknown-event", any_branch.void, "not an id")
    assert any_branch.void(delivery.event_id).flags == ()
    assert any_branch.on_hand() == 0


def test_voiding_a_count_and_what_was_counted_since(any_branch: Branch) -> None:
    any_branch.event("PURCHASE_RECEIVED", "milk", 10)
    count = any_branch.count("c", [{"item_id": "milk", "counted": 4}]).items[0].event
    any_branch.event("ORDER_DEDUCTION", "milk", 1)
    any_branch.void(count.event_id)
    assert any_branch.on_hand() == 9_000
    sale = any_branch.event("ORDER_DEDUCTION", "milk", 2)
    any_branch.count("d", [{"item_id": "milk", "counted": 6}])
    any_branch.void(sale.event_id)
    assert any_branch.on_hand() == 6_000  # the count saw it already


@pytest.mark.parametrize("kind", ["TRANSFER_OUT", "TRANSFER_IN", "TRANSFER_REFUSED", "STOCK_RESERVED", "ITEM_DEFINED"])
def test_what_cannot_be_voided_says_what_to_do(branch: Branch, kind: str) -> None:
    branch.event("PURCHASE_RECEIVED", "milk", 10)
    (sealed,) = branch.run(Raw(whole_event(kind)))
    problem = refused("not-voidable", branch.void, sealed.event.event_id)
    assert problem.hint
    assert problem.extras["event_type"] == kind


def test_a_review_changes_no_figure(any_branch: Branch) -> None:
    sale = any_branch.event("ORDER_DEDUCTION", "milk", 3)
    review = any_branch.review(sale.event_id, "looked at")
    assert (review.reviewed_event_id, review.note) == (sale.event_id, "looked at")
    assert any_branch.on_hand() == -3_000
    refused("unknown-event", any_branch.review, "x")


# Items of the branch's own.


def test_a_branch_defines_its_own_items(any_branch: Branch) -> None:
    answer = any_branch.define("mint", name="Fresh mint", strict=True, key="k")
    assert (answer.name, answer.unit, answer.strict, answer.defined_here) == ("Fresh mint", "kg", True, True)
    assert any_branch.define("mint", name="Fresh mint", strict=True, key="k") == answer
    head = any_branch.writer.head
    assert any_branch.define("mint", name="Fresh mint", strict=True).name == "Fresh mint"
    assert any_branch.writer.head == head  # nothing new was said
    refused("strict-item-below-zero", any_branch.event, "WASTE_RECORDED", "mint", 1)
    any_branch.define("mint", unit="bunch")
    any_branch.event("PURCHASE_RECEIVED", "mint", 1)
    assert refused("unit-fixed", any_branch.define, "mint", unit="kg").extras["unit"] == "bunch"
    any_branch.define("mint", unit="bunch", name="Mint")
    refused("item-of-the-group", any_branch.define, "milk", name="My milk", unit="l")
    assert any_branch.define("milk", name="Milk", unit="l").defined_here is False


# Strict items.


def test_strict_looks_from_its_place_to_the_next_count(any_branch: Branch) -> None:
    any_branch.event("PURCHASE_RECEIVED", "gin", 5, occurred_at="2026-01-01T08:00:00Z")
    any_branch.event("ORDER_DEDUCTION", "gin", 4, occurred_at="2026-01-01T10:00:00Z")
    problem = refused(
        "strict-item-below-zero", any_branch.event, "WASTE_RECORDED", "gin", 2, occurred_at="2026-01-01T09:00:00Z"
    )
    assert problem.extras["below_zero_at"] == {"occurred_at": "2026-01-01T10:00:00Z", "sequence": 2}
    any_branch.event("WASTE_RECORDED", "gin", 1, occurred_at="2026-01-01T09:00:00Z")
    any_branch.count("c", [{"item_id": "gin", "counted": 7, "occurred_at": "2026-01-01T11:00:00Z"}])
    problem = refused(
        "strict-item-below-zero", any_branch.event, "WASTE_RECORDED", "gin", 1, occurred_at="2026-01-01T10:30:00Z"
    )
    assert problem.extras["below_zero_at"] == {"occurred_at": "2026-01-01T10:30:00Z", "sequence": None}
    any_branch.event("ORDER_DEDUCTION", "gin", 7)
    refused("strict-item-below-zero", any_branch.event, "ADJUSTMENT", "gin", "-0.001")
    any_branch.event("ADJUSTMENT", "gin", "0.001")
    delivery = any_branch.events()[0]
    any_branch.void(delivery.event_id)  # a void always passes


def test_the_database_is_the_last_line_of_defence(any_branch: Branch) -> None:
    any_branch.event("PURCHASE_RECEIVED", "gin", 5, occurred_at="2026-01-01T08:00:00Z")
    any_branch.event("ORDER_DEDUCTION", "gin", 4, occurred_at="2026-01-01T10:00:00Z")
    blind = [
        an_event("WASTE_RECORDED", item_id="gin", quantity=2_000, occurred_at=NOON - 180 * MINUTE, reason="x", seed=9),
        an_event("ORDER_DEDUCTION", item_id="gin", quantity=2_000, occurred_at=NOON, seed=10),
    ]
    for event in blind:
        refused("strict-item-below-zero", any_branch.run, Raw(event))
    any_branch.run(Raw(an_event("ORDER_DEDUCTION", item_id="gin", quantity=1_000, occurred_at=NOON, seed=11)))
    # A transfer or a reservation is decided elsewhere, and history that is played back always passes.
    any_branch.run(
        Raw(an_event("TRANSFER_OUT", item_id="gin", quantity=9_000, transfer_id="t", transfer_line=1, seed=12))
    )
    assert any_branch.on_hand("gin") == -9_000


def test_history_that_is_played_back_passes(any_branch: Branch) -> None:
    sealed = seal_all([an_event("ORDER_DEDUCTION", item_id="gin", quantity=2_000, seed=9)])
    any_branch.writer.close()
    engine = any_branch.store.writing_engine()
    with engine.begin() as connection:
        connection.execute(text("UPDATE location SET replaying = true"))
        append(connection, LOG, sealed)
        connection.execute(text("UPDATE location SET replaying = false"))
    engine.dispose()
    assert [understand(canonical.line) for canonical in sealed] == any_branch.events()


# The clock.


def test_a_date_ahead_is_refused_a_little_ahead_is_not(branch: Branch) -> None:
    refused("future-date", branch.event, "ORDER_DEDUCTION", "milk", 1, occurred_at="2026-01-01T12:05:01Z")
    refused(
        "future-date", branch.count, "c", [{"item_id": "milk", "counted": 1, "occurred_at": "2026-01-02T00:00:00Z"}]
    )
    refused("future-date", branch.order, "o", [{"item_id": "milk", "quantity": 1}], occurred_at="2027-01-01T00:00:00Z")
    assert branch.writer.head.sequence == 0
    branch.event("ORDER_DEDUCTION", "milk", 1, occurred_at="2026-01-01T12:04:59Z")


def test_while_the_clock_is_in_doubt_everything_is_recorded_and_flagged(branch: Branch) -> None:
    branch.event("PURCHASE_RECEIVED", "milk", 9)
    branch.clock.wall += 3_600_000_000  # the wall clock jumps an hour, the monotonic one does not
    assert not branch.node_clock.confirmed
    record = branch.event("ORDER_DEDUCTION", "milk", 1, occurred_at="2026-01-01T13:00:00Z")
    assert record.flags == ("clock-unconfirmed",)
    event = branch.events()[1]
    assert event.clock_unconfirmed
    assert event.recorded_at == NOON  # the jump is not followed
    branch.node_clock.settle(branch.node_clock.compare(branch.clock.wall))
    record = branch.event("ORDER_DEDUCTION", "milk", 1)
    assert record.flags == ()
    assert branch.events()[2].recorded_at == NOON + 60 * MINUTE


def test_recorded_at_never_goes_back(branch: Branch) -> None:
    branch.event("PURCHASE_RECEIVED", "milk", 1)
    branch.clock.wall -= 60_000_000
    branch.event("PURCHASE_RECEIVED", "milk", 1)
    log = branch.events()
    assert log[1].recorded_at >= log[0].recorded_at
