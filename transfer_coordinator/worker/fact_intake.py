"""Facts and answers of head office in a round: stored, applied to held transfers, and used to adopt unknown ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from shared.messages import InstructionOutcome, TransferFacts
from shared.runtime.telemetry import get_logger
from transfer_coordinator.database import lease, transfer_writer
from transfer_coordinator.database.transfer_reader import Existing, load
from transfer_coordinator.saga.adoption import adopt, is_over, why_unadoptable
from transfer_coordinator.saga.planner import NewTransfer, merged
from transfer_coordinator.saga.saga import contradiction
from transfer_coordinator.worker.mailboxes import AnsweredInstruction, FactPage
from transfer_coordinator.worker.round_draft import Held, RoundDraft

log = get_logger("larder.saga")


class UnheldTransfer(NamedTuple):
    """A transfer that is not held: the facts received, and its row before this round, None where it is unknown."""

    reported: TransferFacts
    known: Existing | None


def take_facts(draft: RoundDraft, pages: Sequence[FactPage]) -> dict[str, UnheldTransfer]:
    """Store all facts and merge those of held transfers; returns the other transfers by id. Sets the draft's time."""
    unheld: dict[str, TransferFacts] = {}
    reported = [each for page in pages for each in page.transfers]
    for each in reported:
        held = draft.at(each.transfer_id)
        if held is None:
            unheld[each.transfer_id] = each
        else:
            record = merged(held.record, each.facts)
            draft.changed[each.transfer_id] = Held(record, held.expires_at, each.highest_token)
    known = load(draft.connection, list(unheld))  # as it was before this round stored more
    cursor = next((page.cursor for page in reversed(pages) if page.cursor is not None), None)
    if draft.one_by_one:

        def keep(some: Sequence[TransferFacts]) -> dict[str, None]:
            transfer_writer.store_facts(draft.connection, some)
            return {}

        draft.write(reported, keep)
        reported = []
    draft.now = transfer_writer.store_facts(draft.connection, reported, cursor)
    return {name: UnheldTransfer(each, known.get(name)) for name, each in unheld.items()}


def take_unheld_facts(draft: RoundDraft, unheld: Mapping[str, UnheldTransfer]) -> set[str]:
    """Adopt unknown transfers and mark contradictions of ended ones; the ids of open ones that have new facts."""
    conflicts: dict[str, str] = {}
    new_transfers: list[NewTransfer] = []
    names: set[str] = set()
    for name, (reported, found) in unheld.items():
        if found is None:
            new = adopt(reported, draft.now, draft.policy) if reported.facts else None
            if new is not None:
                new_transfers.append(new)
            elif reported.facts:
                _record_unadoptable(draft, reported)
        elif not found.record.ended:
            if merged(found.record, reported.facts) is not found.record:
                names.add(name)
        else:
            conflict = contradiction(found.record.transfer, found.record.state, reported)
            if conflict is not None and conflict is not found.record.conflict:
                conflicts[name] = conflict
                log.error("the logs contradict the end of a transfer", transfer_id=name, conflict=conflict)
    transfer_writer.mark_conflicts(draft.connection, conflicts)
    made = draft.create(new_transfers)
    if made:
        transfer_writer.remove_unadoptable(draft.connection, list(made))
        log.warning("transfers were adopted from head office's facts", count=len(made), some=sorted(made)[:20])
    return names | {each.record.transfer.transfer_id for each in new_transfers if not each.record.ended}


def _record_unadoptable(draft: RoundDraft, reported: TransferFacts) -> None:
    if is_over(reported):
        transfer_writer.remove_unadoptable(draft.connection, [reported.transfer_id])
    elif transfer_writer.add_unadoptable(draft.connection, reported.transfer_id, draft.now, why_unadoptable(reported)):
        log.error("a transfer cannot be adopted", transfer_id=reported.transfer_id, why=why_unadoptable(reported))


def raise_tokens(draft: RoundDraft, answers: Iterable[AnsweredInstruction]) -> None:
    """Raise our token above a higher one that head office has seen, so that our instructions are no longer fenced."""
    seen: dict[str, tuple[int, int]] = {}
    for each in answers:
        name, token = each.instruction.transfer_id, each.instruction.token
        held = draft.at(name)
        if held is None or held.record.token != token:
            continue
        if each.answer.outcome is InstructionOutcome.FENCED:
            seen[name] = (token, each.answer.highest_token)
        else:
            log.warning("head office takes no instruction", transfer_id=name, why=each.answer.outcome)
    raised = lease.raise_tokens(draft.connection, draft.holder, draft.length, seen)
    for name, (_, highest) in seen.items():
        held = draft.at(name)
        if held is None or name not in raised:
            draft.lose(name)
            continue
        # As if the step had not been requested yet: it is requested at once, under the new token.
        token, expires_at = raised[name]
        record = msgspec.structs.replace(held.record, token=token, attempts=0)
        draft.changed[name] = Held(record, expires_at, max(highest, held.reported_token or 0))
        draft.fact_requests[name] = None
