"""What callers want, in a round: transfers created under their keys, and called back."""

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
    """Take the wishes down, and with room for them decide their first step at once."""
    news: dict[str, NewTransfer] = {}
    moves: dict[str, Move] = {}
    asked: dict[str, Create] = {}
    keys: set[str] = set()
    room = draft.room()
    for each in creates:
        name, key = each.transfer.transfer_id, each.command_key
        if name in news or key in keys:
            draft.later.append(each)  # one statement cannot hold both; the next round finds the first one there
            continue
        if key is not None:
            keys.add(key)
        asked[name] = each
        news[name], move = _new(draft, each, leased=len(news) < room)
        if move is not None:
            moves[name] = move
    made = draft.create(list(news.values()))
    for name, each in asked.items():
        if name not in made:
            draft.told.append((each.future, _there_already(draft, each)))
            continue
        record, expires_at = news[name].record, made[name]
        draft.told.append((each.future, record))
        if expires_at is not None:
            draft.changed[name] = Held(record, expires_at)
            draft.send(moves[name])


def _new(draft: RoundDraft, asked: Create, *, leased: bool) -> tuple[NewTransfer, Move | None]:
    """The row of a new transfer; with room for it, under our lease and with its first step decided."""
    record = TransferRecord(
        transfer=asked.transfer,
        state=State.REQUESTED,
        created_at=draft.now,
        created_by=asked.created_by,
        token=int(leased),
        due_at=None if leased else draft.now,
    )
    entries: tuple[JournalEntry, ...] = (JournalEntry(State.REQUESTED),)
    move = plan(record, None, draft.now, draft.policy) if leased else None
    if move is not None:
        record, entries = move.record, entries + move.entries
    new = NewTransfer(
        record=record, entries=entries, command_key=asked.command_key, digest=asked.digest, leased=move is not None
    )
    return new, move


def _there_already(draft: RoundDraft, asked: Create) -> TransferRecord | Problem:
    """What was created under this key before, or why it is refused."""
    name = asked.transfer.transfer_id
    existing = load(draft.connection, [name]).get(name)
    if existing is not None and _same(asked, existing):
        return existing.record
    if existing is None and asked.command_key is not None:
        existing = load_by_key(draft.connection, asked.command_key)
    if existing is None:
        return INTERNAL_ERROR("the transfer could not be kept")
    other = existing.record.transfer.transfer_id
    return KEY_REUSED(f"the transfer {other} was created with this key, and is another one", transfer_id=other)


def _same(asked: Create, existing: Existing) -> bool:
    """Whether the same was asked for. Of an adopted transfer only sites and goods are known."""
    if existing.digest is not None:
        return existing.digest == asked.digest
    mine, theirs = asked.transfer, existing.record.transfer
    same_sites = (mine.source, mine.destination) == (theirs.source, theirs.destination)
    return same_sites and _goods(mine.lines) == _goods(theirs.lines)


def _goods(lines: Iterable[InstructionLine]) -> list[tuple[str, int]]:
    return sorted((line.item_id, line.quantity) for line in lines)


def cancel(draft: RoundDraft, cancels: Iterable[Cancel]) -> set[str]:
    """Keep the wishes; the transfers that somebody has to look at now."""
    names = set()
    for each in cancels:
        transfer_writer.request_cancel(draft.connection, each.transfer_id, each.by)
        held = draft.at(each.transfer_id)
        if held is not None:
            draft.wish(held, draft.now)
        names.add(each.transfer_id)
    return names


def tell(draft: RoundDraft, cancels: Iterable[Cancel]) -> None:
    """How the transfers stand that were called back, now that this round is decided."""
    for each in cancels:
        existing = load(draft.connection, [each.transfer_id]).get(each.transfer_id)
        draft.told.append((each.future, None if existing is None else existing.record))
