"""Verify sees every row of an order, recorded or told, that is not what the log says, on both databases."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from branch_node.database import order_verification
from branch_node.database.order_verification import parts_of_orders, verify_orders
from branch_node.database.verification import VerificationFinding
from tests.support.branch import Branch
from tests.support.events import MINUTE
from tests.support.order_events import Shop

MILK = [{"item_id": "milk", "quantity": 2}, {"item_id": "milk", "quantity": 1}]
MORE = [{"item_id": "milk", "quantity": 2}, {"item_id": "cup", "quantity": 1}]


@pytest.fixture
def branch(any_branch: Branch, monkeypatch: pytest.MonkeyPatch) -> Branch:
    """A branch with orders in each state: revised, cancelled, told, lines voided by hand before or after a revision."""
    monkeypatch.setattr(order_verification, "PAGE", 3)
    monkeypatch.setattr(order_verification, "AT_ONCE", 2)
    monkeypatch.setattr(order_verification, "MOST_ORDERS", 3)
    branch, shop = any_branch, Shop(any_branch)
    for item_id in ("milk", "cup"):
        branch.event("PURCHASE_RECEIVED", item_id, 100)
    branch.reserve("A", {"milk": 3})
    branch.order("A", MILK)
    for name in ("B", "C", "D"):
        made = branch.order(name, MILK, source="till-1")
        branch.clock.advance(MINUTE)
        if name == "C":
            branch.void(made.recorded[0].event_id)
        branch.order(name, MORE, source="till-1", revision=2)
        if name == "D":
            branch.void(made.recorded[0].event_id)
    branch.cancel("B", source="till-1")
    shop.tell("placed", "1", lines={"milk": 5})
    shop.tell("shipped", "1", lines={"milk": 7, "cup": 1})
    shop.tell("cancelled", "2")
    shop.tell("shipped", "3", lines={"milk": 1}, final=True)
    shop.tell("placed", "4", lines={"milk": 1_000})
    return branch


def findings(branch: Branch) -> list[VerificationFinding]:
    with branch.store.reading() as connection:
        done: list[int] = []
        found = verify_orders(connection, done.append)
        assert parts_of_orders(connection) > 1
        assert sum(done) >= branch.writer.head.sequence * parts_of_orders(connection)
    return found


def test_what_the_writer_keeps_verifies(branch: Branch) -> None:
    assert findings(branch) == []


@pytest.mark.parametrize(
    ("order", "statement"),
    [
        ("B of till-1", "UPDATE sale_order SET cancelled = NOT cancelled WHERE order_id = 'B'"),
        ("C of till-1", "UPDATE sale_order SET revision = revision + 1 WHERE order_id = 'C'"),
        ("D of till-1", "UPDATE sale_order SET occurred_at = occurred_at + 1 WHERE order_id = 'D'"),
        ("A of api", "UPDATE sale_order SET stated_at = stated_at + 1 WHERE order_id = 'A'"),
        ("A of api", "UPDATE sale_order SET sequences = '[1]' WHERE order_id = 'A'"),
        ("A of api", "UPDATE sale_order SET sequences = 'none' WHERE order_id = 'A'"),
        ("A of api", "DELETE FROM sale_order WHERE order_id = 'A'"),
        ("A of forged", "INSERT INTO sale_order SELECT order_id, 'forged', revision, cancelled, occurred_at, "
            "stated_at, sequences FROM sale_order WHERE order_id = 'A'"),
        ("1 of shop as it was told of", "UPDATE inbound_order SET revision = 9 WHERE order_id = '1'"),
        ("1 of shop as it was told of", "UPDATE inbound_order SET deductions = '[]' WHERE order_id = '1'"),
        ("2 of shop as it was told of", "UPDATE inbound_order SET cancelled = NOT cancelled WHERE order_id = '2'"),
        ("3 of shop as it was told of", "UPDATE inbound_order SET final = NOT final WHERE order_id = '3'"),
        ("4 of shop as it was told of", "UPDATE inbound_order SET covered = NOT covered WHERE order_id = '4'"),
        ("2 of shop as it was told of", "DELETE FROM inbound_order WHERE order_id = '2'"),
        ("X of shop as it was told of", "INSERT INTO inbound_order SELECT 'X', source, revision, covered, cancelled, "
            "final, deductions FROM inbound_order WHERE order_id = '1'"),
    ],
)  # fmt: skip
def test_a_row_that_is_not_what_the_log_says(branch: Branch, order: str, statement: str) -> None:
    engine = branch.store.writing_engine()
    with engine.begin() as connection:
        assert connection.execute(text(statement)).rowcount == 1
    engine.dispose()
    assert [each.what for each in findings(branch)] == [f"the order {order} is not what the log says"]


def test_rows_that_are_all_missing_are_found_in_bounded_parts(branch: Branch) -> None:
    """The parts are made by the rows: where there are none, by what the log has."""
    engine = branch.store.writing_engine()
    with engine.begin() as connection:
        for table in ("sale_order", "inbound_order"):
            connection.execute(text(f"DELETE FROM {table}"))
    engine.dispose()
    with branch.store.reading() as connection:
        found = verify_orders(connection, lambda _: None)
    assert len(found) == 8
    assert {each.recorded for each in found} == {"none"}
