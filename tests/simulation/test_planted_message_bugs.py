"""Eight bugs of messages and their delivery, planted one at a time: each is found under the rule that it breaks.

The rules M1 to M7 are those of `tests/simulation/subscribers`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

import branch_node.writer.command_group
import branch_node.writer.low_stock
import shared.outbox.running_figures
import shared.subscriptions.deliverer
import shared.subscriptions.lanes
from shared.events import FIELD_SCHEMAS, LowStock
from shared.levels.reorder_levels import is_low, to_order
from shared.outbox.message_cursor import MAX_PART, MessageCursor
from shared.outbox.outbox_reader import _Page
from shared.runtime.webhooks.webhook_poster import AttemptOutcome
from shared.subscriptions import delivery_notes
from shared.subscriptions.deliverer import Deliverer
from shared.subscriptions.delivery_state import Delivery, DeliveryState
from tests.simulation.playing import first_broken
from tests.support.databases import Databases

MOST_HISTORIES = 20
STEPS = 150

Plant = Callable[[pytest.MonkeyPatch], None]


def cursor_is_committed_before_the_post(patch: pytest.MonkeyPatch) -> None:
    """Messages are noted as delivered, then posted."""
    send = Deliverer._send

    def early(deliverer: Any, lane: Any, at: Any, messages: Any, read_to: Any) -> None:
        tried = [
            Delivery(message_id=each.id, type=each.type, cursor=each.cursor, state=DeliveryState.DELIVERED)
            for each in messages
        ]
        deliverer._note(at, delivery_notes.cursor_after(at, tried, read_to), tried, gone=False)
        send(deliverer, lane, at, messages, read_to)

    patch.setattr(Deliverer, "_send", early)


def refused_message_is_skipped(patch: pytest.MonkeyPatch) -> None:
    """What is answered with 500 is given up at once, and the next one goes."""
    deliverer: Any = shared.subscriptions.deliverer
    right = deliverer.after_attempt

    def wrong(before: Any, attempt: Any, now: int, jitter: float) -> Any:
        after = right(before, attempt, now, jitter)
        if attempt.outcome is AttemptOutcome.REFUSED:
            return msgspec.structs.replace(after, state=DeliveryState.DEAD, next_try_at=None)
        return after

    patch.setattr(deliverer, "after_attempt", wrong)


def order_is_lost_after_a_restart(patch: pytest.MonkeyPatch) -> None:
    """A deliverer that has just started sends the newest of what waits first."""
    send = Deliverer._send

    def newest_first(deliverer: Any, lane: Any, at: Any, messages: Any, read_to: Any) -> None:
        if not hasattr(deliverer, "has_sent"):
            deliverer.has_sent = True
            messages = [*messages[-1:], *messages[:-1]]
        send(deliverer, lane, at, messages, read_to)

    patch.setattr(Deliverer, "_send", newest_first)


def failed_message_is_behind_the_cursor(patch: pytest.MonkeyPatch) -> None:
    """The cursor that is noted with a failure is that of the message which is to be tried again."""
    right = delivery_notes.cursor_after

    def wrong(before: Any, tried: Any, reached: Any) -> Any:
        return right(before, tried, tried[-1].cursor if tried and not tried[-1].done else reached)

    patch.setattr(shared.subscriptions.deliverer, "cursor_after", wrong)


def page_ends_with_the_command(patch: pytest.MonkeyPatch) -> None:
    """A page that is full goes on behind the command, also where parts of it did not fit."""
    add = _Page._add

    def wrong(page: Any, found: Any) -> bool:
        is_full = add(page, found)
        if is_full:
            last = page._messages[-1].cursor
            page._next = MessageCursor(last.epoch, last.sequence, MAX_PART)
        return is_full

    patch.setattr(_Page, "_add", wrong)


def late_count_is_not_folded_anew(patch: pytest.MonkeyPatch) -> None:
    """Figures that cannot be folded forward stay as they were."""
    figures: Any = shared.outbox.running_figures
    right = figures.advance_event

    def wrong(standing: Any, event: Any, voided: Any = None) -> Any:
        return right(standing, event, voided) or standing

    patch.setattr(figures, "advance_event", wrong)


def low_stock_is_told_each_time(patch: pytest.MonkeyPatch) -> None:
    """A command that touches an item which is low already is marked, too, not just the one that took it there."""
    low_stock = branch_node.writer.low_stock
    right = low_stock.mark_low_stock

    def wrong(events: Any, watched: Any, last_sequence: int, view: Any) -> None:
        right(events, watched, last_sequence, view)
        for event in events:
            item = watched.get(event.item_id or "")
            available = 0 if item is None else low_stock._available(view.standing(event.item_id))
            if item is not None and event.low is None and is_low(item.level, available):
                quantity = to_order(item.level, available)
                event.low = LowStock(reorder_point=item.level.reorder_point, reorder_quantity=quantity)
                event.v = max(event.v, FIELD_SCHEMAS["low"])

    patch.setattr(branch_node.writer.command_group, "mark_low_stock", wrong)


def paused_subscription_is_sent_to(patch: pytest.MonkeyPatch) -> None:
    """Who is paused is sent messages like all others."""
    lanes: Any = shared.subscriptions.lanes
    right = lanes.list_subscriptions
    patch.setattr(
        lanes,
        "list_subscriptions",
        lambda connection, tables, **given: right(connection, tables, **{**given, "state": None}),
    )


@pytest.mark.parametrize(
    ("plant", "rules"),
    [
        (cursor_is_committed_before_the_post, {"M1"}),
        (refused_message_is_skipped, {"M1", "M2"}),
        (order_is_lost_after_a_restart, {"M2"}),
        (failed_message_is_behind_the_cursor, {"M1"}),
        (page_ends_with_the_command, {"M1"}),
        (late_count_is_not_folded_anew, {"M2", "M4"}),
        (low_stock_is_told_each_time, {"M5"}),
        (paused_subscription_is_sent_to, {"M7"}),
    ],
)
def test_the_simulation_finds_it(
    plant: Plant, rules: set[str], databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    found = first_broken(databases, range(MOST_HISTORIES), STEPS)
    assert found is not None, f"{MOST_HISTORIES} histories did not find it"
    assert found.rule in rules, found
