"""Orders that a shop tells head office of, while everything fails: an order is reserved at one place, and ends."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable
from typing import Any

import pytest
import structlog
from sqlalchemy import text

from head_office.database.schema import now
from head_office.orders.order_advance import SoughtLocation, choose_locations
from head_office.orders.order_course import ChooseLocation
from head_office.orders.order_router import OrderRouter
from head_office.orders.routed_order_rows import lock_orders, store_orders
from head_office.orders.routed_orders import OrderName
from shared.orders.order_event_inputs import OrderEventKind
from shared.runtime.clock import MINUTE, SECOND
from tests.simulation.office import prepare_office
from tests.simulation.rule_broken import RuleBroken
from tests.simulation.told_orders import HEARD_WITHIN, OrderHistory
from tests.support.databases import Databases

STEPS = 250
HISTORIES = 40
TOGETHER = 8
"""How many of them `make test` plays; `make exhaustive` plays the others."""
EXPECTED = {
    "dropped", "answer lost", "duplicated", "delayed", "delivered late", "truncated", "link cut", "refused by a cut",
    "branch crashed in a commit", "head office crashed", "head office crashed as it routed", "event repeated",
    "told asked", "told unavailable", "told noted", "told cancelled", "told superseded", "answered reserved",
    "answered unavailable", "answered released", "answered shipped", "answered returned",
    "waited for who was away",
}  # fmt: skip


def play(databases: Databases, seed: int, steps: int = STEPS) -> Counter[str]:
    with (
        structlog.testing.capture_logs(),
        databases.fresh(prepare_office) as url,
        OrderHistory(seed, url) as history,
    ):
        logging.getLogger("httpx").setLevel(logging.WARNING)
        try:
            return history.run(steps)
        except BaseException as error:
            error.add_note(f"seed {seed}; the last steps:\n  " + "\n  ".join(history.trace[-15:]))
            raise


def play_all(databases: Databases, seeds: Iterable[int]) -> Counter[str]:
    total: Counter[str] = Counter()
    for seed in seeds:
        total += play(databases, seed)
    return total


@pytest.mark.parametrize(
    "first",
    [
        pytest.param(first, marks=() if first == 0 else pytest.mark.exhaustive)
        for first in range(0, HISTORIES, TOGETHER)
    ],
)
def test_orders_end_and_are_reserved_at_one_place(first: int, databases: Databases, tell_faults: Any) -> None:
    injected = play_all(databases, range(first, first + TOGETHER))
    tell_faults(injected)
    assert EXPECTED - injected.keys() == set()


def asks_the_next_upon_silence(router: OrderRouter) -> None:
    """Who has not answered for a minute is taken to have refused."""
    with router._engine.begin() as connection:
        query = text("SELECT source, order_id FROM order_instruction WHERE answer IS NULL")
        names = {OrderName(*row) for row in connection.execute(query)}
        moment = now(connection)
        orders = lock_orders(connection, sorted(names))
        for order in orders:
            last = order.asks[-1]
            number = last.asked.event
            silent = last.asked.answer is None and last.asked_at < moment - MINUTE
            if silent and order.event(number).routed.kind is OrderEventKind.PLACED:
                never = frozenset(each.asked.location_id for each in order.asks)
                sought = SoughtLocation(order, ChooseLocation(event=number, never=never))
                choose_locations(connection, [sought], now=moment, heard_within=HEARD_WITHIN * SECOND)
        store_orders(connection, orders, moment)


def test_the_simulation_finds_a_router_that_takes_silence_for_a_refusal(
    databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = OrderRouter.step

    def step(router: OrderRouter) -> int:
        asks_the_next_upon_silence(router)
        return right(router)

    monkeypatch.setattr(OrderRouter, "step", step)
    with pytest.raises(RuleBroken, match="O1"):
        play_all(databases, range(HISTORIES))
