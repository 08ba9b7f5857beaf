"""Instructions of transfers as commands of the writer.

The outcome is the event in the log, never an answer over HTTP; an instruction that is fenced or was answered before
records nothing. Idempotent by key `transfer:{transfer_id}:{step}`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Final, Literal

import msgspec
from sqlalchemy import Connection

from branch_node.commands.transfer_decisions import SiteStock, WrongLocation, answer, check_site, history_of
from branch_node.database.schema import TRANSFER_TOKEN
from branch_node.model import Command, Decision, RecordedCommand, View, Write, unplaced
from shared.events import Event
from shared.messages import Instruction, InstructionStep
from shared.runtime.database.row_writes import upsert
from shared.runtime.problems import WRONG_LOCATION

ACTOR: Final = "coordinator"
SOURCE: Final = "transfer"


class StepTaken(msgspec.Struct, frozen=True):
    """The result of an instruction. `fenced`: its token is lower than the highest seen, `highest_token`."""

    outcome: Literal["recorded", "answered-before", "fenced"]
    events: tuple[str, ...] = ()
    highest_token: int = 0


class TakeStep(Command):
    """Record the events that answer one instruction, if any."""

    def __init__(self, instruction: Instruction) -> None:
        self.instruction = instruction
        self.key = f"transfer:{instruction.transfer_id}:{instruction.step}"
        self.digest = _digest(instruction)
        self.size = max(1, len(instruction.lines))

    def decide(self, view: View) -> Decision:
        instruction = self.instruction
        try:
            check_site(instruction, view.location.location_id)
        except WrongLocation as wrong:
            raise WRONG_LOCATION(str(wrong), transfer_id=instruction.transfer_id) from wrong
        highest = view.transfer_token(instruction.transfer_id)
        if instruction.token < highest:
            return Decision(answer=StepTaken("fenced", (), highest))
        history = history_of(view.transfer_events(instruction.transfer_id))
        drafts = answer(instruction, history, lambda item_id: _stock(view, item_id))
        events: list[Event] = [
            unplaced(
                view,
                draft.type,
                actor=ACTOR,
                source=SOURCE,
                transfer_id=instruction.transfer_id,
                item_id=draft.item_id,
                quantity=draft.quantity,
                unit=draft.unit,
                transfer_line=draft.transfer_line,
                reason=draft.reason,
                voided_event_id=draft.voided_event_id,
                voided_sequence=draft.voided_sequence,
            )
            for draft in drafts
        ]
        writes: list[Write] = (
            [] if instruction.token == highest else [_store_tokens({instruction.transfer_id: instruction.token})]
        )
        return Decision(events=events, writes=writes, answer=StepTaken("answered-before", (), instruction.token))

    def answer(self, recorded: RecordedCommand) -> StepTaken:
        kinds = tuple(each.event.type.value for each in recorded.sealed)
        return StepTaken("answered-before" if recorded.repeated else "recorded", kinds, self.instruction.token)


class KeepTokens(Command):
    """Store the highest token of each transfer, also for instructions that are answered by their key alone."""

    def __init__(self, instructions: Iterable[Instruction]) -> None:
        self.tokens: dict[str, int] = {}
        for each in instructions:
            self.tokens[each.transfer_id] = max(each.token, self.tokens.get(each.transfer_id, 0))

    def decide(self, view: View) -> Decision:  # noqa: ARG002 - it depends on nothing but the rows it writes
        return Decision(writes=[_store_tokens(self.tokens)])


def _stock(view: View, item_id: str) -> SiteStock | None:
    """The item's stock under all its codes here. Its own code may stand for another item: then it is unknown here."""
    item = view.item(item_id)
    if item is None or item.stands_for is not None:
        return None
    return SiteStock(item.unit, sum(view.available(code) for code in view.codes(item_id)))


def _digest(instruction: Instruction) -> str:
    """The digest of what every repetition must have in common. Token, number and a refusal's reason may differ."""
    moves = instruction.step in {InstructionStep.OUT, InstructionStep.IN}
    content = (
        instruction.step,
        instruction.source,
        instruction.destination,
        sorted((line.line, line.item_id, line.quantity, line.unit) for line in instruction.lines) if moves else [],
    )
    return sha256(msgspec.json.encode(content)).hexdigest()


def _store_tokens(tokens: Mapping[str, int]) -> Write:
    def write(connection: Connection) -> None:
        rows = [{"transfer_id": each, "token": token} for each, token in sorted(tokens.items())]
        upsert(connection, TRANSFER_TOKEN, rows, only_if={"token": lambda new, old: old < new})

    return write
