"""Orders: whole or not at all; a higher revision records the difference at the first one's time; cancelling."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from branch_node.database.lookups import orders_named
from shared.events import EventType
from shared.runtime.problems import Problem
from tests.support.branch import Branch
from tests.support.events import MINUTE, NOON
from tests.support.order_states import derive

LATTE: list[dict[str, Any]] = [
    {"item_id": "milk", "quantity": "0.25", "product": "Latte"},
    {"item_id": "beans", "quantity": "0.018", "product": "Latte"},
    {"item_id": "cup", "quantity": 1},
]


def refused(code: str, call: Any, *arguments: Any, **more: Any) -> Problem:
    with pytest.raises(Problem) as caught:
        call(*arguments, **more)
    assert caught.value.code == code
    return caught.value


def test_an_order_is_one_command(any_branch: Branch) -> None:
    answer = any_branch.order("4711", LATTE, occurred_at="2026-01-01T13:30:00+02:00")
    log = any_branch.events()
    assert [(event.item_id, event.quantity, event.line, event.lines) for event in log] == [
        ("milk", 250, 1, 3), ("beans", 18, 2, 3), ("cup", 1000, 3, 3),
    ]  # fmt: skip
    assert {event.occurred_at for event in log} == {NOON - 30 * MINUTE}
    reference = log[0].reference
    assert reference is not None
    assert (reference.kind, reference.id, reference.line, reference.product) == ("order", "4711", 1, "Latte")
    assert log[0].command_key == "larder:order:api:4711:1"
    assert log[1].command_key is None
    assert [each.sequence for each in answer.recorded] == [1, 2, 3]
    assert any_branch.on_hand("milk") == -250
    assert answer.recorded[0].flags == ("negative",)


def test_one_unknown_item_and_nothing_is_recorded(any_branch: Branch) -> None:
    lines = [*LATTE, {"item_id": "mlik", "quantity": 1}, {"item_id": "ice", "quantity": 1}]
    problem = refused("unknown-item", any_branch.order, "1", lines)
    assert [each["field"] for each in problem.extras["errors"]] == ["lines[3].item_id", "lines[4].item_id"]
    assert any_branch.writer.head.sequence == 0
    assert any_branch.standings() == {}


def test_a_revision_records_the_difference_at_the_original_time(any_branch: Branch) -> None:
    any_branch.order("1", LATTE, occurred_at="2026-01-01T13:30:00+02:00")
    any_branch.clock.advance(5 * MINUTE)
    changed = [LATTE[1], {"item_id": "milk", "quantity": "0.3", "product": "Latte"}, LATTE[2]]
    answer = any_branch.order("1", changed, revision=2)
    new = any_branch.events()[3:]
    assert [event.type for event in new] == [EventType.EVENT_VOIDED, EventType.ORDER_DEDUCTION]
    assert new[0].voided_sequence == 1
    assert new[0].occurred_at == NOON + 5 * MINUTE
    assert (new[1].item_id, new[1].quantity, new[1].occurred_at) == ("milk", 300, NOON - 30 * MINUTE)
    assert new[1].business_date == any_branch.events()[0].business_date
    assert any_branch.on_hand("milk") == -300
    assert any_branch.on_hand("beans") == -18
    assert [each.sequence for each in answer.recorded] == [5]
    assert [each.voided_sequence for each in answer.voided] == [1]


def test_equal_lines_are_counted_not_merged(any_branch: Branch) -> None:
    cup = {"item_id": "cup", "quantity": 1}
    any_branch.order("1", [cup, cup, cup])
    any_branch.order("1", [cup, cup], revision=2)
    assert any_branch.on_hand("cup") == -2_000
    any_branch.order("1", [cup] * 4, revision=3)
    assert any_branch.on_hand("cup") == -4_000
    assert len(any_branch.events()) == 3 + 1 + 2


def test_a_revision_that_changes_nothing_is_in_the_log_all_the_same(any_branch: Branch) -> None:
    any_branch.order("1", LATTE)
    first = any_branch.order("1", LATTE, revision=2)
    assert (first.recorded, first.voided) == ([], [])
    assert any_branch.order("1", LATTE, revision=2) == first
    refused("key-reused", any_branch.order, "1", LATTE[:1], revision=2)
    refused("order-superseded", any_branch.order, "1", LATTE[:1], revision=2, key="another")
    assert any_branch.on_hand("cup") == -1_000


def test_a_line_voided_by_hand_is_recorded_again_if_the_next_revision_has_it(any_branch: Branch) -> None:
    answer = any_branch.order("1", LATTE)
    any_branch.void(answer.recorded[0].event_id)
    assert any_branch.on_hand("milk") == 0
    any_branch.order("1", LATTE, revision=2)
    assert any_branch.on_hand("milk") == -250
    assert any_branch.on_hand("cup") == -1_000


def test_older_and_repeated_revisions(any_branch: Branch) -> None:
    first = any_branch.order("1", LATTE)
    third = any_branch.order("1", LATTE[:2], revision=3)
    head = any_branch.writer.head
    assert any_branch.order("1", LATTE) == first
    assert any_branch.order("1", LATTE[:2], revision=3) == third
    assert any_branch.order("1", LATTE[:2], revision=3, key="another") == third
    refused("key-reused", any_branch.order, "1", LATTE[:1])
    problem = refused("order-superseded", any_branch.order, "1", LATTE, revision=2)
    assert problem.extras["revision"] == 3
    assert any_branch.writer.head == head


def test_what_an_order_was_answered_under_another_key_stands_for_ever(any_branch: Branch) -> None:
    first = any_branch.order("1", LATTE)
    assert any_branch.order("1", LATTE, key="another") == first
    any_branch.order("1", LATTE[:1], revision=2)
    any_branch.cancel("1")
    head = any_branch.writer.head
    again = any_branch.order("1", LATTE, key="another")
    assert msgspec.json.encode(again) == msgspec.json.encode(first)
    refused("key-reused", any_branch.order, "1", LATTE[:1], key="another")
    refused("order-cancelled", any_branch.order, "1", LATTE, key="a third")
    # Of what else may be repeated under another key nothing is answered that was not recorded: it is refused.
    refused("order-cancelled", any_branch.cancel, "1", key="fourth")
    assert any_branch.writer.head == head


def test_orders_of_different_sources_are_different_orders(any_branch: Branch) -> None:
    any_branch.order("1", LATTE, source="till-1")
    any_branch.order("1", LATTE, source="till-2")
    any_branch.cancel("1", source="till-1")
    assert any_branch.on_hand("cup") == -1_000
    refused("order-cancelled", any_branch.order, "1", LATTE, source="till-1", revision=2)
    any_branch.order("1", LATTE[:1], source="till-2", revision=2)
    assert any_branch.on_hand("cup") == 0


def test_cancelling(any_branch: Branch) -> None:
    refused("unknown-order", any_branch.cancel, "1")
    any_branch.order("1", LATTE)
    answer = any_branch.cancel("1", reason="guest-left")
    assert answer.cancelled
    assert [each.voided_sequence for each in answer.voided] == [1, 2, 3]
    assert any_branch.events()[3].reason == "guest-left"
    assert {standing.on_hand for standing in any_branch.standings().values()} == {0}
    assert any_branch.cancel("1", reason="guest-left") == answer
    refused("order-cancelled", any_branch.cancel, "1", key="another")
    refused("order-cancelled", any_branch.order, "1", LATTE, revision=2)


def test_cancelling_when_every_line_was_voided_by_hand(any_branch: Branch) -> None:
    any_branch.void(any_branch.order("1", LATTE[:1]).recorded[0].event_id)
    answer = any_branch.cancel("1")
    assert answer.voided == []
    assert any_branch.cancel("1") == answer
    assert derive(any_branch.events())["1", "api"].cancelled


def test_a_revision_after_a_line_was_voided_by_hand(any_branch: Branch) -> None:
    any_branch.void(any_branch.order("1", LATTE[:1]).recorded[0].event_id)
    any_branch.order("1", LATTE[:1], revision=2)
    assert any_branch.on_hand("milk") == -250
    with any_branch.store.reading() as connection:
        (stored,) = orders_named(connection, ["1"])
    assert derive(any_branch.events()) == {("1", "api"): stored}


def test_an_order_and_its_revision_in_one_group(any_branch: Branch) -> None:
    from branch_node.commands.order_inputs import OrderInput, order_of
    from branch_node.commands.orders import RecordOrder
    from tests.support.branch import read

    commands = [
        RecordOrder(
            order_of(read(OrderInput, {"order_id": "1", "revision": revision, "lines": LATTE[:revision]})),
            key=None,
            actor="till-1",
        )
        for revision in (1, 2, 3, 2)
    ]
    outcomes = any_branch.writer.commit(commands)
    assert [len(each.recorded) for each in outcomes] == [1, 1, 1, 1]
    assert outcomes[3] == outcomes[1]
    assert [any_branch.on_hand(item_id) for item_id in ("milk", "beans", "cup")] == [-250, -18, -1_000]


def test_a_revision_respects_strict_items_and_what_it_gives_back(any_branch: Branch) -> None:
    gin = {"item_id": "gin", "quantity": 2}
    refused("strict-item-below-zero", any_branch.order, "1", [gin])
    any_branch.event("PURCHASE_RECEIVED", "gin", 3)
    any_branch.order("1", [gin])
    any_branch.order("1", [{"item_id": "gin", "quantity": 3}], revision=2)
    assert any_branch.on_hand("gin") == 0
    refused("strict-item-below-zero", any_branch.order, "1", [{"item_id": "gin", "quantity": 4}], revision=3)
    refused("strict-item-below-zero", any_branch.order, "2", [LATTE[0], gin])
    assert any_branch.on_hand("gin") == 0
    assert "milk" not in any_branch.standings()


def test_the_same_revision_with_other_lines_says_to_raise_it(any_branch: Branch) -> None:
    any_branch.order("o", [{"item_id": "milk", "quantity": 1}])
    for key, code in ((None, "key-reused"), ("another", "order-superseded")):
        with pytest.raises(Problem) as caught:
            any_branch.order("o", [{"item_id": "milk", "quantity": 2}], key=key)
        assert caught.value.code == code
        assert caught.value.hint.startswith("Raise `revision` above 1")
    assert any_branch.order("o", [{"item_id": "milk", "quantity": 2}], revision=2).voided
    any_branch.order("p", [{"item_id": "milk", "quantity": 2}], key="another-2")
    with pytest.raises(Problem, match="key-reused") as caught:
        any_branch.order("q", [{"item_id": "milk", "quantity": 3}], key="another-2")
    assert "revision" not in caught.value.hint
