"""Ten bugs of reservations, planted one at a time: the simulation finds each under the rule that it breaks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import branch_node.clock.clock_settlement
import branch_node.commands.orders
import branch_node.commands.reservations.reservation_commands
import branch_node.writer.command_group
import branch_node.writer.committed_state
import branch_node.writer.group_reservations
from branch_node.clock.reservation_ends import SettledTime
from branch_node.commands.reservations.reservation_commands import Refusal, Reserve
from branch_node.database import reservation_rows
from branch_node.model import Decision
from branch_node.writer.command_group import CommandGroup
from shared import stock
from shared.events import Event, EventType
from shared.runtime.clock import NodeClock
from tests.simulation.playing import first_broken
from tests.support.databases import Databases

MOST_HISTORIES = 20
STEPS = 150

Plant = Callable[[pytest.MonkeyPatch], None]


def expiry_is_recorded_after_what_it_should_precede(patch: pytest.MonkeyPatch) -> None:
    """A group's commands are decided first, and what has expired by then is recorded behind them."""
    expire, finish = CommandGroup.expire, CommandGroup.finish

    def late(group: CommandGroup, *given: Any) -> Any:
        expire(group)
        return finish(group, *given)

    patch.setattr(CommandGroup, "expire", lambda _group: None)
    patch.setattr(CommandGroup, "finish", late)


def confirmation_leaves_reserved_as_it_is(patch: pytest.MonkeyPatch) -> None:
    """What is confirmed leaves the stock, and stays reserved."""
    right = stock.advance_event

    def wrong(standing: stock.Standing, event: Event, voided: stock.Movement | None = None) -> Any:
        after = right(standing, event, voided)
        if after is None or event.type is not EventType.RESERVATION_CONFIRMED:
            return after
        return stock.Standing(after.on_hand, standing.reserved, after.last_count, after.latest, after.recount)

    patch.setattr(branch_node.writer.command_group, "advance_event", wrong)


def restatement_forgets_what_is_confirmed(patch: pytest.MonkeyPatch) -> None:
    """An order that is stated anew reserves what was sent of it, too."""
    patch.setattr(branch_node.commands.reservations.reservation_commands, "_served", lambda *_given: [])


def refusal_is_answered_and_not_recorded(patch: pytest.MonkeyPatch) -> None:
    """The caller is told what is short, and the log is not."""
    decide = Reserve.decide

    def silent(command: Reserve, view: Any) -> Decision:
        decision = decide(command, view)
        if decision.events and decision.events[0].type is EventType.RESERVATION_REFUSED:
            return Decision(answer=Refusal(order_id=command.content.order_id, short=()))
        return decision

    patch.setattr(Reserve, "decide", silent)


def reservations_are_not_loaded_after_a_crash(patch: pytest.MonkeyPatch) -> None:
    """A writer that starts does not know what was active."""
    patch.setattr(branch_node.writer.committed_state, "active_reservations", lambda _connection: ())


def settlement_forgets_remaining_time(patch: pytest.MonkeyPatch) -> None:
    """The clock is moved, and when reservations expire is not."""
    patch.setattr(branch_node.clock.clock_settlement, "ends_by", lambda _view, _time: [])


def start_far_ahead_ends_reservations(patch: pytest.MonkeyPatch) -> None:
    """A process that starts with a clock weeks ahead takes all that time for passed."""
    patch.setattr(NodeClock, "unmeasured", property(lambda _clock: 0, lambda _clock, _value: None), raising=False)


def settlement_gives_time_that_has_passed(patch: pytest.MonkeyPatch) -> None:
    """Every reservation keeps the time that it has left, also what a right clock had said before the node was off."""
    patch.setattr(SettledTime, "end", lambda time, _stated, kept: kept + time.ahead)


def order_keeps_its_reservation(patch: pytest.MonkeyPatch) -> None:
    """An order is deducted, and what was reserved for it stays reserved."""
    patch.setattr(branch_node.commands.orders._OrderCommand, "_given_back", lambda _order, _view, _so_far: [])


def rows_are_written_once(patch: pytest.MonkeyPatch) -> None:
    """The row of a reservation is written when it is made, and not when it changes."""
    store = reservation_rows.store_reservations

    def only_new(connection: Any, changed: Any) -> None:
        store(connection, [(before, after) for before, after in changed if before is None])

    patch.setattr(branch_node.writer.group_reservations, "store_reservations", only_new)


@pytest.mark.parametrize(
    ("plant", "rules", "steps"),
    [
        (expiry_is_recorded_after_what_it_should_precede, {13}, STEPS),
        (confirmation_leaves_reserved_as_it_is, {6}, STEPS),
        (restatement_forgets_what_is_confirmed, {13}, STEPS),
        (refusal_is_answered_and_not_recorded, {3}, STEPS),
        (reservations_are_not_loaded_after_a_crash, {6, 13, 16}, STEPS),
        (settlement_forgets_remaining_time, {13}, STEPS),
        (start_far_ahead_ends_reservations, {13}, 2 * STEPS),
        (settlement_gives_time_that_has_passed, {13}, 2 * STEPS),
        (order_keeps_its_reservation, {13}, STEPS),
        (rows_are_written_once, {6}, STEPS),
    ],
)
def test_the_simulation_finds_it(
    plant: Plant, rules: set[int], steps: int, databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    found = first_broken(databases, range(MOST_HISTORIES), steps)
    assert found is not None, f"{MOST_HISTORIES} histories did not find it"
    assert found.rule in rules, found
