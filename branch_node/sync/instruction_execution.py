"""Executes a page of instructions: each is a command of the writer, and what it records is the answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from branch_node.commands.inbound.asked_orders import OrderInstructionTaken, TakeOrderInstruction
from branch_node.commands.transfer_commands import KeepTokens, StepTaken, TakeStep
from branch_node.commands.transfer_decisions import WrongLocation, check_site
from branch_node.model import Command
from branch_node.sync.command_recorders import CommandRecorder
from shared.messages import Instruction
from shared.orders.order_instructions import BranchInstructions, OrderInstruction
from shared.runtime.problems import SERVER_ERROR, Problem
from shared.runtime.telemetry import get_logger

log = get_logger("larder.puller")

GROUP_SIZE: Final = 250
"""Instructions submitted to the writer in one group, which shares a commit."""
GROUP_EVENTS: Final = 5_000
"""About how many events the instructions of one group may record."""


class Execution(NamedTuple):
    """How many instructions of a page were recorded just now; why it was broken off, if the writer failed.

    Then the page is to be executed again: what was recorded of it is answered as before.
    """

    recorded: int
    trouble: str | None = None


class _Entry(NamedTuple):
    """One instruction as its command, and what this program logs of it.

    `told`: what to log of its answer where it was recorded just now, else None.
    """

    command: TakeStep | TakeOrderInstruction
    what: str
    name: str
    fields: Mapping[str, object]
    told: Callable[[object], Mapping[str, object] | None]


def execute(recorder: CommandRecorder, location_id: str, page: BranchInstructions) -> Execution:
    """Record the answers to a page's instructions, in groups. One that is refused stays open at head office."""
    steps = [each for each in page.instructions if _is_for_this_site(each, location_id)]
    entries = [_entry_of_step(each) for each in steps] + [_entry_of_order(each) for each in page.orders]
    recorded = 0
    for group in _groups(entries):
        fenced = [each.command.instruction for each in group if isinstance(each.command, TakeStep)]
        before: list[Command] = [KeepTokens(fenced)] if fenced else []
        answers = recorder.record([*before, *(each.command for each in group)])[len(before) :]
        for entry, answer in zip(group, answers, strict=True):
            if isinstance(answer, Problem) and answer.status >= SERVER_ERROR:
                return Execution(recorded, f"{entry.name}: {answer}")
            if isinstance(answer, BaseException):
                # The others go on. It stays open at head office and is sent again.
                log.error("an instruction was refused", **entry.fields, why=repr(answer))
            elif (told := entry.told(answer)) is not None:
                recorded += 1
                log.info(entry.what, **entry.fields, **told)
    return Execution(recorded)


def _groups(entries: Sequence[_Entry]) -> Iterator[list[_Entry]]:
    group: list[_Entry] = []
    events = 0
    for entry in entries:
        if group and (len(group) == GROUP_SIZE or events + entry.command.size > GROUP_EVENTS):
            yield group
            group, events = [], 0
        group.append(entry)
        events += entry.command.size
    if group:
        yield group


def _is_for_this_site(instruction: Instruction, location_id: str) -> bool:
    try:
        check_site(instruction, location_id)
    except WrongLocation as error:
        log.error("an instruction went astray", **_step_fields(instruction), why=str(error))
        return False
    return True


def _entry_of_step(instruction: Instruction) -> _Entry:
    def told(answer: object) -> Mapping[str, object] | None:
        if not isinstance(answer, StepTaken) or answer.outcome != "recorded":
            return None
        return {"recorded": answer.events[0]}

    name = f"{instruction.transfer_id} {instruction.step}"
    return _Entry(TakeStep(instruction), "transfer", name, _step_fields(instruction), told)


def _step_fields(instruction: Instruction) -> dict[str, object]:
    return {"transfer_id": instruction.transfer_id, "step": instruction.step.value, "fencing": instruction.token}


def _entry_of_order(instruction: OrderInstruction) -> _Entry:
    def told(answer: object) -> Mapping[str, object] | None:
        if not isinstance(answer, OrderInstructionTaken) or not answer.recorded:
            return None
        return {"outcome": answer.outcome.outcome.value, "reason": answer.outcome.reason}

    fields = {"source": instruction.source, "order_id": instruction.order_id, "told": instruction.kind.value}
    name = f"{instruction.kind} of the order {instruction.order_id} of {instruction.source}"
    return _Entry(TakeOrderInstruction(instruction), "order", name, fields, told)
