"""What a round does with one transfer: the decision of the saga, when to ask again, what to journal. Pure.

A *record* is a transfer as its row, lines and facts have it; a *move* is the record after the decision, with the lines
for the journal and what to send once they are committed.
"""

from __future__ import annotations

from typing import Final

import msgspec

from shared.messages import Fact, Instruction, InstructionStep, TransferFacts
from transfer_coordinator.saga.saga import (
    CALLING_BACK,
    ENDED,
    State,
    Transfer,
    TransferConflict,
    instruction,
    next_step,
)

SECOND: Final = 1_000_000


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """How long things may take, in seconds, and how many transfers one coordinator drives at a time.

    An unanswered instruction is asked again after `ask_again`, then after twice as long, up to `ask_again_longest`.
    """

    lease: float = 10.0
    ask_again: float = 5.0
    ask_again_longest: float = 300.0
    most_held: int = 5_000


class TransferRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One transfer as it stands. `attempts` counts how often `last_step` was asked since it became the step to take."""

    transfer: Transfer
    state: State
    created_at: int
    created_by: str | None = None
    ended_at: int | None = None
    end_reason: str | None = None
    conflict: TransferConflict | None = None
    token: int = 0
    last_step: InstructionStep | None = None
    attempts: int = 0
    asked_at: int | None = None
    due_at: int | None = None
    facts: tuple[Fact, ...] = ()

    @property
    def ended(self) -> bool:
        return self.state in ENDED


class JournalEntry(msgspec.Struct, frozen=True):
    """One line of the journal: where the transfer stands from here on, and what is asked now."""

    state: State
    asked: InstructionStep | None = None
    note: str | None = None


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """What to write under the token `token`, and what to do when it is written.

    `instruction` goes to head office; `look` asks it for the facts; `release` gives the lease back, as no answer is
    expected soon.
    """

    token: int
    record: TransferRecord
    entries: tuple[JournalEntry, ...] = ()
    instruction: Instruction | None = None
    look: bool = False
    release: bool = False


class NewTransfer(msgspec.Struct, frozen=True, kw_only=True):
    """A transfer to be created, already planned: `entries` are the first lines of its journal.

    `digest` is the SHA-256 (hex) of what was asked for, None where it is adopted. `leased`: the creator drives it.
    """

    record: TransferRecord
    entries: tuple[JournalEntry, ...]
    command_key: str | None = None
    digest: str | None = None
    leased: bool = True


def plan(record: TransferRecord, told: int | None, now: int, policy: Policy) -> Move | None:
    """The next move of an open transfer, or None where there is nothing to do now.

    `told` is the highest token that head office named since this coordinator took the transfer, None where it was not
    asked yet.
    """
    transfer = record.transfer
    decision = next_step(transfer, _facts(record, told), now)
    if decision.state in ENDED:
        ended = _with(
            record, state=decision.state, end_reason=decision.end, ended_at=now, conflict=decision.conflict, due_at=None
        )
        return Move(token=record.token, record=ended, entries=(JournalEntry(decision.state, None, decision.end),))
    step = decision.ask.step if decision.ask is not None else None
    due = record.due_at is None or now >= record.due_at
    fresh = step is not record.last_step or record.attempts == 0
    changed = decision.state is not record.state or decision.conflict is not record.conflict
    if not (changed or due or (fresh and (step is not None or decision.look))):
        return None
    attempts = 1 if fresh else record.attempts + due
    asking = decision.ask is not None and (fresh or due)
    # A change of mind takes a new token, so that what was asked before, still on its way, is passed over.
    token = record.token + (step in CALLING_BACK and step not in transfer.asked)
    after = _with(
        record,
        transfer=transfer if step is None else msgspec.structs.replace(transfer, asked=transfer.asked | {step}),
        state=decision.state,
        conflict=decision.conflict,
        token=token,
        last_step=step,
        attempts=attempts,
        asked_at=now if asking else record.asked_at,
        due_at=_due(record, attempts, now, policy) if fresh or due else record.due_at,
    )
    told_of = changed or (asking and fresh)
    return Move(
        token=record.token,
        record=after,
        entries=(JournalEntry(decision.state, step if asking else None, decision.conflict),) if told_of else (),
        instruction=instruction(transfer, decision.ask, token) if asking and decision.ask is not None else None,
        # What was asked and not answered for a while may have been answered without our hearing of it.
        look=decision.look or (due and not fresh),
        release=attempts > 1 and not decision.look,
    )


def _facts(record: TransferRecord, told: int | None) -> TransferFacts | None:
    if told is None and not record.facts:
        return None
    return TransferFacts(transfer_id=record.transfer.transfer_id, highest_token=told or 0, facts=list(record.facts))


def _due(record: TransferRecord, attempts: int, now: int, policy: Policy) -> int:
    """When to look again: doubling from `ask_again`, but at the deadline at the latest while that is still to come."""
    seconds = min(policy.ask_again * 2 ** min(attempts - 1, 30), policy.ask_again_longest)
    due = now + int(seconds * SECOND)
    deadline = record.transfer.deadline
    return min(due, deadline) if deadline is not None and deadline > now else due


def merged(record: TransferRecord, facts: list[Fact]) -> TransferRecord:
    """The record with these facts added. They only ever add up: what head office lost in a restore is still known."""
    if not facts:
        return record
    known = {(fact.location_id, fact.sequence): fact for fact in record.facts}
    before = len(known)
    for fact in facts:
        known.setdefault((fact.location_id, fact.sequence), fact)
    if len(known) == before:
        return record
    return _with(record, facts=tuple(known[place] for place in sorted(known)))


def _with(record: TransferRecord, **changes: object) -> TransferRecord:
    return msgspec.structs.replace(record, **changes)
