"""Requests of callers in a round: transfers created under their idempotency keys, and cancelled."""

from __future__ import annotations

from collections.abc import Iterable

from shared.messages import InstructionLine
from shared.runtime.problems import INTERNAL_ERROR, Problem
from transfer_coordinator.database import transfer_writer
from transfer_coordinator.database.transfer_reader import Existing, load, load_by_key
from transfer_coordinator.problems import KEY_REUSED
from transfer_coordinator.saga.planner import JournalEntry, Move, NewTransfer, TransferRecord, plan
from transfer_coordinator.saga.saga import State
from transfer_coordinator.worker.mailboxes import Cancel, Create
from transfer_coordinator.worker.round_draft import Held, RoundDraft


def create(draft: RoundDraft, creates: Iterable[Create]) -> None:
    """Insert the new transfers and, while there is room for leases, plan their first step at once."""
    new_transfers: dict[str, NewTransfer] = {}
    moves: dict[str, Move] = {}
    requested: dict[str, Create] = {}
    keys: set[str] = set()
    room = draft.room()
    for each in creates:
        name, key = each.transfer.transfer_id, each.command_key
        if name in new_transfers or key in keys:
            draft.later.append(each)  # one statement cannot insert both; the next round finds the first one
            continue
        if key is not None:
            keys.add(key)
        requested[name] = each
        new_transfers[name], move = _new(draft, each, leased=len(new_transfers) < room)
        if move is not None:
            moves[name] = move
    made = draft.create(list(new_transfers.values()))
    for name, each in requested.items():
        if name not in made:
            draft.answers.append((each.future, _existing_answer(draft, each)))
            continue
        record, expires_at = new_transfers[name].record, made[name]
        draft.answers.append((each.future, record))
        if expires_at is not None:
            draft.changed[name] = Held(record, expires_at)
            draft.send(moves[name])


def _new(draft: RoundDraft, requested: Create, *, leased: bool) -> tuple[NewTransfer, Move | None]:
    """The row of a new transfer; `leased`: held by this coordinator, with its first step planned."""
    record = TransferRecord(
        transfer=requested.transfer,
        state=State.REQUESTED,
        created_at=draft.now,
        created_by=requested.created_by,
        token=int(leased),
        due_at=None if leased else draft.now,
    )
    entries: tuple[JournalEntry, ...] = (JournalEntry(State.REQUESTED),)
    move = plan(record, None, draft.now, draft.policy) if leased else None
    if move is not None:
        record, entries = move.record, entries + move.entries
    new = NewTransfer(
        record=record,
        entries=entries,
        command_key=requested.command_key,
        digest=requested.digest,
        leased=move is not None,
    )
    return new, move


def _existing_answer(draft: RoundDraft, requested: Create) -> TransferRecord | Problem:
    """The record that was created by the same request before, or the Problem that refuses this one."""
    name = requested.transfer.transfer_id
    existing = load(draft.connection, [name]).get(name)
    if existing is not None and _same(requested, existing):
        return existing.record
    if existing is None and requested.command_key is not None:
        existing = load_by_key(draft.connection, requested.command_key)
    if existing is None:
        return INTERNAL_ERROR("the transfer could not be kept")
    other = existing.record.transfer.transfer_id
    return KEY_REUSED(f"the transfer {other} was created with this key, and is another one", transfer_id=other)


def _same(requested: Create, existing: Existing) -> bool:
    """Whether both requests have the same content. Of an adopted transfer only sites and goods are known."""
    if existing.digest is not None:
        return existing.digest == requested.digest
    mine, theirs = requested.transfer, existing.record.transfer
    same_sites = (mine.source, mine.destination) == (theirs.source, theirs.destination)
    return same_sites and _goods(mine.lines) == _goods(theirs.lines)


def _goods(lines: Iterable[InstructionLine]) -> list[tuple[str, int]]:
    return sorted((line.item_id, line.quantity) for line in lines)


def cancel(draft: RoundDraft, cancels: Iterable[Cancel]) -> set[str]:
    """Store the cancel requests; the ids of the transfers to decide on now."""
    names = set()
    for each in cancels:
        transfer_writer.request_cancel(draft.connection, each.transfer_id, each.by)
        held = draft.at(each.transfer_id)
        if held is not None:
            draft.request_cancel(held, draft.now)
        names.add(each.transfer_id)
    return names


def answer_cancels(draft: RoundDraft, cancels: Iterable[Cancel]) -> None:
    """Answer the cancel requests with the records as this round leaves them."""
    for each in cancels:
        existing = load(draft.connection, [each.transfer_id]).get(each.transfer_id)
        draft.answers.append((each.future, None if existing is None else existing.record))
