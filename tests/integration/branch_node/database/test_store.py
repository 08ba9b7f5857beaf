"""What is read from a branch's database, SQLite or PostgreSQL."""

from __future__ import annotations

from branch_node.database.schema import LOG
from branch_node.database.stock import stock_figures
from shared.event_log import read_head
from tests.support.branch import Branch


def test_everything_read_is_of_the_snapshot_at_the_beginning(any_branch: Branch) -> None:
    any_branch.event("PURCHASE_RECEIVED", quantity=5)
    with any_branch.store.reading() as connection:
        any_branch.event("ORDER_DEDUCTION", quantity=1)
        now = any_branch.clock.now()
        head = read_head(connection, LOG, any_branch.writer.location.location_id)
        any_branch.event("ORDER_DEDUCTION", quantity=2)
        stock = stock_figures.stock_of(connection, "milk", now=now, as_of=None)
    assert head is not None
    assert (head.sequence, bytes(stock.on_hand)) == (1, b"5")
