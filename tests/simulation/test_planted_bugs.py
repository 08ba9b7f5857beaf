"""Eight bugs, planted one at a time where they would hurt most: the simulation finds each of them.

A simulation that lets one of these through proves nothing about the others.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import text

import branch_node.imports.importer
import branch_node.sync.log_reader
import branch_node.writer.command_group
import head_office.log.appender
import head_office.transfers.transfer_facts
import transfer_coordinator.database.lease
import transfer_coordinator.database.transfer_writer
import transfer_coordinator.saga.saga
from shared import stock
from shared.events import Event
from tests.simulation.playing import first_broken
from tests.support.databases import Databases
from transfer_coordinator.saga.saga import REFUSED_AT_DESTINATION, InstructionStep, State  # type: ignore[attr-defined]

MOST_HISTORIES = 30
STEPS = 150

Plant = Callable[[pytest.MonkeyPatch], None]


def writer_forgets_what_stands(patch: pytest.MonkeyPatch) -> None:
    """The writer's memory of the stock of an item does not follow a commit, once it has one."""
    publish = branch_node.writer.command_group.CommandGroup.publish

    def forgetful(group: Any) -> None:
        before = dict(group._committed.standings)
        publish(group)
        group._committed.standings.update(before)

    patch.setattr(branch_node.writer.command_group.CommandGroup, "publish", forgetful)


def fold_adds_what_a_count_has_seen(patch: pytest.MonkeyPatch) -> None:
    """A sale backdated to before a count changes the stock after it."""
    right = stock.advance_event

    def wrong(standing: stock.Standing, event: Event, voided: stock.Movement | None = None) -> Any:
        after, change = right(standing, event, voided), stock.effect(event).on_hand_change  # type: ignore[attr-defined]
        if after is None or change is None or after.on_hand != standing.on_hand:
            return after
        return stock.Standing(after.on_hand + change, after.reserved, after.last_count, after.latest, after.recount)

    patch.setattr(branch_node.writer.command_group, "advance_event", wrong)


def ingest_forgets_the_projection_of_a_single_event(patch: pytest.MonkeyPatch) -> None:
    """A batch of one event is appended, and the stock is not brought up to it."""
    append, complete = head_office.log.appender.Appender.append, head_office.log.appender.Appender.complete

    def counting(appender: Any, decoded: Any, **named: Any) -> None:
        appender.taken = getattr(appender, "taken", 0) + len(decoded.sequences)
        append(appender, decoded, **named)

    def forgetting(appender: Any) -> None:
        complete(appender)
        if appender.taken == 1:
            appender._state.fold.touched.clear()

    patch.setattr(head_office.log.appender.Appender, "append", counting)
    patch.setattr(head_office.log.appender.Appender, "complete", forgetting)


def agent_encodes_lines_anew(patch: pytest.MonkeyPatch) -> None:
    """The line is not shipped verbatim: blanks come into it."""
    pack = branch_node.sync.log_reader.wire.pack  # type: ignore[attr-defined]

    def anew(*arguments: Any, **named: Any) -> bytes:
        *before, lines = arguments
        again = [json.dumps(json.loads(line), ensure_ascii=False).encode() for line in lines]
        return pack(*before, again, **named)

    patch.setattr(branch_node.sync.log_reader.wire, "pack", anew)  # type: ignore[attr-defined]


def saga_takes_silence_for_a_refusal(patch: pytest.MonkeyPatch) -> None:
    """A cancelled transfer is reversed without asking the destination, which has not answered."""
    saga = transfer_coordinator.saga.saga
    on_the_way = saga._after_out

    def impatient(transfer: Any, sums: Any, now: int) -> Any:
        decision = on_the_way(transfer, sums, now)
        if decision.state is not State.CANCEL_PENDING:
            return decision
        if sums.over:
            return saga.NextStep(state=State.REVERSED, end="cancelled")
        lines = saga._sent_lines(transfer, sums)
        return saga._request(
            transfer, State.REVERSE_PENDING, InstructionStep.REVERSE, lines, reason=REFUSED_AT_DESTINATION
        )

    patch.setattr(saga, "_after_out", impatient)


def lease_does_not_fence(patch: pytest.MonkeyPatch) -> None:
    """A lease is taken without a new token, and writes do not ask who holds it."""
    lease, store = transfer_coordinator.database.lease, transfer_coordinator.database.transfer_writer
    loose = "t.token = given.token"
    patch.setattr(store, "_APPLY", text(str(store._APPLY).replace(lease.MINE, loose)))
    for name in ("_RENEW", "_RELEASE", "_RAISE"):
        patch.setattr(lease, name, text(str(getattr(lease, name)).replace(lease.MINE, loose)))
    for name in ("_ACQUIRE_DUE", "_ACQUIRE_NAMED"):
        same = str(getattr(lease, name)).replace("SET token = t.token + 1,", "SET token = greatest(t.token, 1),")
        patch.setattr(lease, name, text(same))


def head_office_keeps_to_itself_what_was_asked(patch: pytest.MonkeyPatch) -> None:
    """The facts of a transfer do not say between which locations it is."""
    nothing = str(head_office.transfers.transfer_facts._INSTRUCTED) + " WHERE false"
    patch.setattr(head_office.transfers.transfer_facts, "_INSTRUCTED", text(nothing))


def import_knows_rows_by_their_line(patch: pytest.MonkeyPatch) -> None:
    """A row of a till's file is known by where it stands in the file, not by its own id."""
    patch.setattr(branch_node.imports.importer, "row_identity", lambda *_: lambda line, _cells, _entry: f"id:{line}")


@pytest.mark.parametrize(
    ("plant", "rules"),
    [
        (writer_forgets_what_stands, {6}),
        (fold_adds_what_a_count_has_seen, {6}),
        (ingest_forgets_the_projection_of_a_single_event, {6, 13}),
        (agent_encodes_lines_anew, {17}),
        (saga_takes_silence_for_a_refusal, {8, 9, 10}),
        (lease_does_not_fence, {10, 11, 12}),
        (head_office_keeps_to_itself_what_was_asked, {17}),
        (import_knows_rows_by_their_line, {3, 8}),
    ],
)
def test_the_simulation_finds_it(
    plant: Plant, rules: set[int], databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    found = first_broken(databases, range(MOST_HISTORIES), STEPS)
    assert found is not None, f"{MOST_HISTORIES} histories did not find it"
    assert found.rule in rules, found
