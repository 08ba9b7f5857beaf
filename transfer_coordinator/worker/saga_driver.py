"""Leases and decisions in a round: leases acquired and renewed, sagas planned and written under their tokens."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from transfer_coordinator.database import lease, transfer_writer
from transfer_coordinator.database.transfer_reader import load
from transfer_coordinator.saga.planner import Move, plan
from transfer_coordinator.worker.round_draft import Held, RoundDraft

MOST_TAKEN: Final = 1_000
"""Leases acquired in one round, so that a backlog does not become one long transaction."""


def reload(draft: RoundDraft) -> None:
    """Read the held transfers again after a round of which it is not known whether it was committed."""
    existing = load(draft.connection, list(draft.held))
    for name, held in draft.held.items():
        found = existing.get(name)
        if found is None or found.holder != draft.holder:
            draft.changed[name] = None
            if found is not None and found.record.ended:
                draft.ended.append(found.record)
        else:
            draft.changed[name] = Held(found.record, found.expires_at, held.reported_token)


def take(draft: RoundDraft, names: Sequence[str], *, sweep: bool) -> None:
    """Acquire the leases of the named transfers that are free and, with `sweep`, of those that are due."""
    room = min(draft.room(), MOST_TAKEN)
    taken = lease.acquire(draft.connection, draft.holder, draft.length, names[:room])
    if sweep and room > len(taken):
        taken |= lease.acquire_due(draft.connection, draft.holder, draft.length, room - len(taken))
    for name, found in load(draft.connection, list(taken)).items():
        draft.changed[name] = Held(found.record, taken[name].expires_at)


def renew(draft: RoundDraft) -> None:
    """Renew the leases of which half the time has passed."""
    half = draft.now + draft.length // 2
    wanted = {name: held for name, held in draft.held.items() if held.expires_at <= half and name not in draft.changed}
    tokens = {name: held.record.token for name, held in wanted.items()}
    renewed = lease.renew(draft.connection, draft.holder, draft.length, tokens)
    for name, held in wanted.items():
        if name in renewed:
            draft.changed[name] = Held(held.record, renewed[name].expires_at, held.reported_token)
        else:
            draft.lose(name)


def decide(draft: RoundDraft, *, sweep: bool) -> None:
    """Plan and write what changed and, with `sweep`, what is due.

    A cancel request that another process stored is found while writing: those transfers are planned once more.
    """
    names = [name for name, held in draft.changed.items() if held is not None]
    if sweep:
        due = (name for name, held in draft.held.items() if (held.record.due_at or 0) <= draft.now)
        names += [name for name in due if name not in draft.changed]
    _move(draft, _move(draft, names))


def _move(draft: RoundDraft, names: Iterable[str]) -> list[str]:
    moves: dict[str, Move] = {}
    for name in names:
        held = draft.at(name)
        move = None if held is None else plan(held.record, held.reported_token, draft.now, draft.policy)
        if move is not None:
            moves[name] = move
    written = draft.write(
        list(moves.values()),
        lambda some: transfer_writer.apply(draft.connection, draft.holder, draft.length, draft.now, some),
    )
    again: list[str] = []
    for name, move in moves.items():
        held = draft.at(name)
        if held is None or name not in written:
            draft.lose(name)
            continue
        expires_at, cancelled_at = written[name]
        if move.record.ended:
            draft.ended.append(move.record)
        draft.send(move)
        if expires_at is None:
            draft.changed[name] = None
            continue
        after = draft.changed[name] = Held(move.record, expires_at, held.reported_token)
        if cancelled_at is not None and move.record.transfer.cancel_requested_at is None:
            draft.request_cancel(after, cancelled_at)
            again.append(name)
    return again
