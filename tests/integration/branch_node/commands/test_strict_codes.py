"""A strict item that the branch knows by several codes: the sum over them never falls below zero."""

from __future__ import annotations

import pytest

from branch_node.imports.register.row_commands import ImportEvent
from branch_node.model import Item
from shared.events import EventType
from shared.runtime.problems import Problem
from tests.support.branch import Branch, PutItems

OIL = (
    Item(item_id="oil", name="Oil", unit="l", strict=True),
    Item(item_id="oel", name="Öl", unit="l", stands_for="oil"),
)


@pytest.fixture
def branch(any_branch: Branch) -> Branch:
    any_branch.run(PutItems(OIL))
    any_branch.event("PURCHASE_RECEIVED", "oil", 10)
    any_branch.event("PURCHASE_RECEIVED", "oel", 1)
    return any_branch


def refused(branch: Branch, item_id: str, quantity: int) -> Problem:
    with pytest.raises(Problem) as caught:
        branch.event("ORDER_DEDUCTION", item_id, quantity)
    assert caught.value.code == "strict-item-below-zero"
    return caught.value


def total(branch: Branch) -> int:
    return branch.on_hand("oil") + branch.on_hand("oel")


def test_what_stands_under_another_code_is_not_taken_twice(branch: Branch) -> None:
    branch.event("ORDER_DEDUCTION", "oel", 5)
    refused(branch, "oil", 8)
    refused(branch, "oel", 7)
    assert total(branch) == 6_000


def test_what_stands_under_another_code_may_be_taken(branch: Branch) -> None:
    branch.event("ORDER_DEDUCTION", "oil", 11)
    assert (branch.on_hand("oil"), total(branch)) == (-1_000, 0)
    refused(branch, "oil", 1)
    refused(branch, "oel", 1)


def test_the_lines_of_an_order_are_taken_together(branch: Branch) -> None:
    with pytest.raises(Problem) as caught:
        branch.order("o-1", [{"item_id": "oil", "quantity": 9}, {"item_id": "oel", "quantity": 3}])
    assert caught.value.code == "strict-item-below-zero"
    branch.order("o-2", [{"item_id": "oil", "quantity": 9}, {"item_id": "oel", "quantity": 2}])
    assert total(branch) == 0


def test_a_code_of_a_strict_item_is_strict_in_an_import_too(branch: Branch) -> None:
    event = branch.event_command("ORDER_DEDUCTION", "oel", 12, occurred_at="2026-01-01T11:00:00Z")
    row = ImportEvent(event.entry, key="row-1", actor="import")
    (outcome,) = branch.writer.commit([row])
    assert isinstance(outcome, Problem)
    assert outcome.code == "strict-item-below-zero"


def test_one_code_alone_is_held_by_the_database_again(branch: Branch) -> None:
    branch.run(PutItems((Item(item_id="oel", name="Öl", unit="l"),)))
    refused(branch, "oil", 11)
    branch.event("ORDER_DEDUCTION", "oel", 5)
    assert [each.type for each in branch.events()][-1] is EventType.ORDER_DEDUCTION
