"""The plan for one transfer in a round: the saga's decision, when to repeat a request, what to journal. Pure.

A *record* is a transfer as its row, lines and facts have it; a *move* is the record after the decision, with its
journal entries and what to send once they are committed. Times are microseconds UTC.
"""

from __future__ import annotations

from typing import Final

import msgspec

from shared.messages import Fact, Instruction, InstructionStep, TransferFacts
from transfer_coordinator.saga.saga import (
    CANCEL_STEPS,
    ENDED,
    State,
    Transfer,
    TransferConflict,
    instruction,
    next_step,
)

SECOND: Final = 1_000_000


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of one coordinator: seconds of a lease and between repeated requests, leases held at one time.

    An unanswered instruction is sent again after `ask_again`, then after twice as long, up to `ask_again_longest`.
    """

    lease: float = 10.0
    ask_again: float = 5.0
    ask_again_longest: float = 300.0
    most_held: int = 5_000


class TransferRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The current state of one transfer. `attempts` counts the requests of `last_step` since it is the next step."""

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
    """One line of the journal: the state from here on, and the step requested with it."""

    state: State
    asked: InstructionStep | None = None
    note: str | None = None


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """A change to write under the token `token`, and what to do after the commit.

    `instruction` is sent to head office; `request_facts` reads the facts there; `release` gives up the lease, as no
    answer is expected soon.
    """

    token: int
    record: TransferRecord
    entries: tuple[JournalEntry, ...] = ()
    instruction: Instruction | None = None
    request_facts: bool = False
    release: bool = False


class NewTransfer(msgspec.Struct, frozen=True, kw_only=True):
    """A transfer to be created, already planned: `entries` are the first lines of its journal.

    `digest` is the SHA-256 (hex) of the request, None where it is adopted. `leased`: the creator holds its lease.
    """

    record: TransferRecord
    entries: tuple[JournalEntry, ...]
    command_key: str | None = None
    digest: str | None = None
    leased: bool = True


def plan(record: TransferRecord, reported_token: int | None, now: int, policy: Policy) -> Move | None:
    """The next move of an open transfer, or None where there is nothing to do now.

    `reported_token` is the highest token that head office reported since this coordinator took the lease, None before
    any report.
    """
    transfer = record.transfer
    decision = next_step(transfer, _facts(record, reported_token), now)
    if decision.state in ENDED:
        ended = _replaced(
            record, state=decision.state, end_reason=decision.end, ended_at=now, conflict=decision.conflict, due_at=None
        )
        return Move(token=record.token, record=ended, entries=(JournalEntry(decision.state, None, decision.end),))
    step = decision.request.step if decision.request is not None else None
    due = record.due_at is None or now >= record.due_at
    new_step = step is not record.last_step or record.attempts == 0
    changed = decision.state is not record.state or decision.conflict is not record.conflict
    if not (changed or due or (new_step and (step is not None or decision.request_facts))):
        return None
    attempts = 1 if new_step else record.attempts + due
    requesting = decision.request is not None and (new_step or due)
    # The first request to refuse raises the token, so that an earlier instruction still on its way is fenced.
    token = record.token + (step in CANCEL_STEPS and step not in transfer.asked)
    after = _replaced(
        record,
        transfer=transfer if step is None else msgspec.structs.replace(transfer, asked=transfer.asked | {step}),
        state=decision.state,
        conflict=decision.conflict,
        token=token,
        last_step=step,
        attempts=attempts,
        asked_at=now if requesting else record.asked_at,
        due_at=_due(record, attempts, now, policy) if new_step or due else record.due_at,
    )
    journalled = changed or (requesting and new_step)
    return Move(
        token=record.token,
        record=after,
        entries=(JournalEntry(decision.state, step if requesting else None, decision.conflict),) if journalled else (),
        instruction=instruction(transfer, decision.request, token)
        if requesting and decision.request is not None
        else None,
        # The answer to an overdue request may have been missed, so the facts are read again.
        request_facts=decision.request_facts or (due and not new_step),
        release=attempts > 1 and not decision.request_facts,
    )


def _facts(record: TransferRecord, reported_token: int | None) -> TransferFacts | None:
    if reported_token is None and not record.facts:
        return None
    return TransferFacts(
        transfer_id=record.transfer.transfer_id, highest_token=reported_token or 0, facts=list(record.facts)
    )


def _due(record: TransferRecord, attempts: int, now: int, policy: Policy) -> int:
    """When to repeat the request: intervals double from `ask_again`, and end at a deadline that is still to come."""
    seconds = min(policy.ask_again * 2 ** min(attempts - 1, 30), policy.ask_again_longest)
    due = now + int(seconds * SECOND)
    deadline = record.transfer.deadline
    return min(due, deadline) if deadline is not None and deadline > now else due


def merged(record: TransferRecord, facts: list[Fact]) -> TransferRecord:
    """The record with these facts added. Known facts stay, even where a restored head office lost them."""
    if not facts:
        return record
    known = {(fact.location_id, fact.sequence): fact for fact in record.facts}
    before = len(known)
    for fact in facts:
        known.setdefault((fact.location_id, fact.sequence), fact)
    if len(known) == before:
        return record
    return _replaced(record, facts=tuple(known[place] for place in sorted(known)))


def _replaced(record: TransferRecord, **changes: object) -> TransferRecord:
    return msgspec.structs.replace(record, **changes)
