"""What head office told, in a round: facts of held transfers, of others, and of some that nobody here knows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from shared.messages import InstructionOutcome, TransferFacts
from shared.runtime.telemetry import get_logger
from transfer_coordinator.database import lease, transfer_writer
from transfer_coordinator.database.transfer_reader import Existing, load
from transfer_coordinator.saga.adoption import adopt, is_over, why_stray
from transfer_coordinator.saga.planner import NewTransfer, merged
from transfer_coordinator.saga.saga import contradiction
from transfer_coordinator.worker.mailboxes import AnsweredInstruction, FactPage
from transfer_coordinator.worker.round_draft import Held, RoundDraft

log = get_logger("larder.saga")


class Stranger(NamedTuple):
    """A transfer that is not held: what was told of it, and how it stood in the database before, None: not at all."""

    heard: TransferFacts
    known: Existing | None


def hear(draft: RoundDraft, pages: Sequence[FactPage]) -> dict[str, Stranger]:
    """Keep all that was told, and take in what concerns held transfers; the others by id. Sets the draft's time."""
    strangers: dict[str, TransferFacts] = {}
    heard = [each for page in pages for each in page.transfers]
    for each in heard:
        held = draft.at(each.transfer_id)
        if held is None:
            strangers[each.transfer_id] = each
        else:
            record = merged(held.record, each.facts)
            draft.changed[each.transfer_id] = Held(record, held.expires_at, each.highest_token)
    known = load(draft.connection, list(strangers))  # as it was before this round told more
    cursor = next((page.cursor for page in reversed(pages) if page.cursor is not None), None)
    if draft.careful:

        def keep(some: Sequence[TransferFacts]) -> dict[str, None]:
            transfer_writer.hear(draft.connection, some)
            return {}

        draft.write(heard, keep)
        heard = []
    draft.now = transfer_writer.hear(draft.connection, heard, cursor)
    return {name: Stranger(each, known.get(name)) for name, each in strangers.items()}


def look_up(draft: RoundDraft, strangers: Mapping[str, Stranger]) -> set[str]:
    """Sort out what is not held: adopt, mark contradictions; the open ones of which something new is known."""
    conflicts: dict[str, str] = {}
    news: list[NewTransfer] = []
    names: set[str] = set()
    for name, (heard, found) in strangers.items():
        if found is None:
            new = adopt(heard, draft.now, draft.policy) if heard.facts else None
            if new is not None:
                news.append(new)
            elif heard.facts:
                _stray(draft, heard)
        elif not found.record.ended:
            if merged(found.record, heard.facts) is not found.record:
                names.add(name)
        else:
            said = contradiction(found.record.transfer, found.record.state, heard)
            if said is not None and said is not found.record.conflict:
                conflicts[name] = said
                log.error("the logs contradict the end of a transfer", transfer_id=name, conflict=said)
    transfer_writer.mark_conflicts(draft.connection, conflicts)
    made = draft.create(news)
    if made:
        transfer_writer.forget_strays(draft.connection, list(made))
        log.warning("transfers were adopted from head office's facts", count=len(made), some=sorted(made)[:20])
    return names | {each.record.transfer.transfer_id for each in news if not each.record.ended}


def _stray(draft: RoundDraft, heard: TransferFacts) -> None:
    if is_over(heard):
        transfer_writer.forget_strays(draft.connection, [heard.transfer_id])
    elif transfer_writer.keep_stray(draft.connection, heard.transfer_id, draft.now, why_stray(heard)):
        log.error("a transfer cannot be adopted", transfer_id=heard.transfer_id, why=why_stray(heard))


def go_above(draft: RoundDraft, answers: Iterable[AnsweredInstruction]) -> None:
    """Where head office has seen a higher token than the one we asked under, go on above it."""
    seen: dict[str, tuple[int, int]] = {}
    for each in answers:
        name, token = each.asked.transfer_id, each.asked.token
        held = draft.at(name)
        if held is None or held.record.token != token:
            continue
        if each.answer.outcome is InstructionOutcome.FENCED:
            seen[name] = (token, each.answer.highest_token)
        else:
            log.warning("head office takes no instruction", transfer_id=name, why=each.answer.outcome)
    raised = lease.go_above(draft.connection, draft.holder, draft.length, seen)
    for name, (_, highest) in seen.items():
        held = draft.at(name)
        if held is None or name not in raised:
            draft.lose(name)
            continue
        # As if the step had not been asked yet: it is asked at once, under the new token.
        token, expires_at = raised[name]
        record = msgspec.structs.replace(held.record, token=token, attempts=0)
        draft.changed[name] = Held(record, expires_at, max(highest, held.told or 0))
        draft.looks[name] = None
