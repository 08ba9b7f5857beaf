"""The orders to suppliers of which nothing is open any more, page by page, on SQLite and PostgreSQL."""

from __future__ import annotations

import msgspec

from branch_node.database.purchases.pulled_order_lists import ended_purchase_orders
from tests.support.branch_api import Caller
from tests.support.events import NOON
from tests.support.pulled_orders import FARM, pulled, purchase_order


def test_they_are_listed_newest_first_each_once_whatever_the_size_of_a_page(any_caller: Caller) -> None:
    orders = [
        msgspec.structs.replace(
            purchase_order(f"PO-{number}", closed=(1, 2) if number % 3 else (1,)), created_at=NOON + number // 4
        )
        for number in range(20)
    ]
    any_caller.node.writer.submit(pulled(FARM, *orders)).result(10)
    ended = [each for each in orders if all(line.closed for line in each.lines)]
    wanted = [
        each.purchase_order_id
        for each in sorted(ended, key=lambda each: (each.created_at, each.purchase_order_id), reverse=True)
    ]
    for size in (1, 3, 50):
        found: list[str] = []
        while True:
            with any_caller.node.store.reading() as connection:
                page = ended_purchase_orders(connection, before=found[-1] if found else None, limit=size)
            if not page:
                break
            assert len(page) <= size
            found += [each.purchase_order_id for each in page]
        assert found == wanted
    # What comes of the open line of one ends it.
    assert (
        any_caller.post("/v1/purchase-orders/PO-0/receive", {"lines": [{"line": 2, "quantity": 5}]}).status_code == 201
    )
    with any_caller.node.store.reading() as connection:
        assert ended_purchase_orders(connection, before=None, limit=50)[-1].purchase_order_id == "PO-0"
        assert ended_purchase_orders(connection, before="no such order", limit=50) == []
