"""Bugs of orders to suppliers, planted one at a time: the histories of purchasing find each of them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from sqlalchemy import and_, select, true, update

import branch_node.database.purchases.delivery_rows
import branch_node.database.purchases.pulled_order_lists
import branch_node.sync.catalogue_update
import head_office.database.awaited_lines
import head_office.log.appender
import head_office.reports.mornings.morning_report
from branch_node.commands.keyed_command import KeyedCommand
from branch_node.database.schema import DELIVERED_LINE, LOG, PURCHASES
from head_office.database.purchase_tables import PURCHASE_ORDER_LINE
from head_office.reports.mornings.morning_maker import MorningMaker
from shared.runtime.clock import DAY
from tests.simulation.branch import SimulatedBranch
from tests.simulation.purchasing.purchase_playing import first_broken_purchase
from tests.support.databases import Databases

MOST_HISTORIES = 12

Plant = Callable[[pytest.MonkeyPatch], None]


def void_does_not_open_the_line(patch: pytest.MonkeyPatch) -> None:
    """Head office sums deliveries whether or not they were voided."""
    patch.setattr(head_office.database.awaited_lines, "stands", lambda *_: true())


def line_of_a_voided_delivery_is_not_awaited_again(patch: pytest.MonkeyPatch) -> None:
    """A void renews no line: what was received in full stays settled, though it is open again."""
    patch.setattr(head_office.log.appender, "lines_delivered_at", lambda *_: set())


def delivery_is_counted_again_after_a_crash(patch: pytest.MonkeyPatch) -> None:
    """A process knows the keys that were told to it, and none that an earlier one was told."""
    right, start, starts = KeyedCommand.__init__, SimulatedBranch.start, count(1)
    process = [0]

    def wrong(command: Any, content: Any, *, key: str, actor: str) -> None:
        right(command, content, key=f"{key}/{process[0]}", actor=actor)

    def started(branch: SimulatedBranch) -> None:
        process[0] = next(starts)
        start(branch)

    patch.setattr(KeyedCommand, "__init__", wrong)
    patch.setattr(SimulatedBranch, "start", started)


def change_of_an_order_is_lost_on_pull(patch: pytest.MonkeyPatch) -> None:
    """An order that the branch has is not written again."""
    module: Any = branch_node.sync.catalogue_update
    right = module.store_purchase_orders

    def wrong(connection: Any, orders: Any) -> None:
        known = set(connection.execute(select(PURCHASES.order.c.purchase_order_id)).scalars())
        right(connection, [each for each in orders if each.purchase_order_id not in known])

    patch.setattr(module, "store_purchase_orders", wrong)


def delivery_of_another_item_counts_at_the_branch(patch: pytest.MonkeyPatch) -> None:
    """What was recorded before its order was pulled counts for the line that it names, whatever it was."""
    row, line = DELIVERED_LINE.c, PURCHASES.line.c
    voided = LOG.voided.c

    def wrong() -> Any:
        stands = ~select(voided.sequence).where(voided.sequence == row.sequence).exists()
        return and_(row.purchase_order_id == line.purchase_order_id, row.line == line.line, stands)

    patch.setattr(branch_node.database.purchases.delivery_rows, "counts_for_line", wrong)
    patch.setattr(branch_node.database.purchases.pulled_order_lists, "counts_for_line", wrong)


def line_received_in_part_is_not_awaited(patch: pytest.MonkeyPatch) -> None:
    """Whatever comes of a line settles it."""
    module: Any = head_office.log.appender
    right = module.renew_lines

    def wrong(connection: Any, lines: Any, location_id: str) -> None:
        right(connection, lines, location_id)
        line = PURCHASE_ORDER_LINE.c
        for order_id, number in lines:
            of_it = and_(line.purchase_order_id == order_id, line.line == number, line.location_id == location_id)
            connection.execute(update(PURCHASE_ORDER_LINE).values(awaited=False).where(of_it))

    patch.setattr(module, "renew_lines", wrong)


def report_of_a_morning_is_that_of_now(patch: pytest.MonkeyPatch) -> None:
    """A morning's report is read as of its moment, but by all that is known since."""
    module: Any = head_office.reports.mornings.morning_report
    right = module.purchasing_report
    patch.setattr(
        module,
        "purchasing_report",
        lambda connection, **asked: right(connection, **{**asked, "known_at": asked["known_at"] + 30 * DAY}),
    )


def mornings_of_a_downtime_are_left_out(patch: pytest.MonkeyPatch) -> None:
    """Of what is due the newest alone is made."""
    right = MorningMaker._due
    patch.setattr(MorningMaker, "_due", lambda maker: right(maker)[-1:])


@pytest.mark.parametrize(
    ("plant", "rules"),
    [
        (void_does_not_open_the_line, {"P2"}),
        (line_of_a_voided_delivery_is_not_awaited_again, {"P2"}),
        (line_received_in_part_is_not_awaited, {"P2"}),
        (delivery_is_counted_again_after_a_crash, {"P1", "P2", "P3"}),
        (change_of_an_order_is_lost_on_pull, {"P2"}),
        (delivery_of_another_item_counts_at_the_branch, {"P1", "P2"}),
        (report_of_a_morning_is_that_of_now, {"P4"}),
        (mornings_of_a_downtime_are_left_out, {"P4"}),
    ],
)
def test_the_histories_of_purchasing_find_it(
    plant: Plant, rules: set[str], databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    found = first_broken_purchase(databases, range(MOST_HISTORIES))
    assert found is not None, f"{MOST_HISTORIES} histories did not find it"
    assert found.rule in rules, found
