"""Adoption of transfers that head office reports and this database does not know. Pure.

A coordinator that is new, or was restored from a backup, continues the transfers of others. What it needs beyond the
facts (the sites, and the units of the lines) is in the instructions that head office keeps and sends with the facts.
Without them nothing is guessed: the transfer is *unadoptable*, and listed for a person (table `stray`).
"""

from __future__ import annotations

from typing import Final

from shared.events import MAX_QUANTITY
from shared.messages import TransferFacts
from shared.transfers import totals
from transfer_coordinator.saga.planner import JournalEntry, NewTransfer, Policy, TransferRecord, plan
from transfer_coordinator.saga.saga import State, Transfer

ADOPTED: Final = "adopted from head office's facts"
UNADOPTABLE: Final = "UNADOPTABLE"
"""The state under which an unadoptable transfer is listed."""


def adopt(reported: TransferFacts, now: int, policy: Policy) -> NewTransfer | None:
    """The transfer to create in this database, open or ended; None where too little is known of it."""
    source, destination, lines = reported.source, reported.destination, reported.lines
    if source is None or destination is None or source == destination or not lines:
        return None
    if len({line.item_id for line in lines}) < len(lines) or len({line.line for line in lines}) < len(lines):
        return None
    if any(line.line < 1 or line.quantity > MAX_QUANTITY for line in lines):
        return None
    record = TransferRecord(
        transfer=Transfer(transfer_id=reported.transfer_id, source=source, destination=destination, lines=lines),
        state=State.REQUESTED,
        created_at=min((fact.received_at for fact in reported.facts), default=now),
        token=reported.highest_token,
        due_at=now,
        facts=tuple(reported.facts),
    )
    adopted = JournalEntry(State.REQUESTED, None, ADOPTED)
    move = plan(record, reported.highest_token, now, policy)
    if move is not None and move.record.ended:
        return NewTransfer(record=move.record, entries=(adopted, *move.entries), leased=False)
    # Any coordinator may take its lease, which raises the token above all that head office has seen.
    return NewTransfer(record=record, entries=(adopted,), leased=False)


def is_over(reported: TransferFacts) -> bool:
    """Whether the logs alone say that nothing of this transfer is left to be done, whichever its sites are."""
    return totals(reported.facts).over


def why_unadoptable(reported: TransferFacts) -> str:
    """The text that tells a person what is known and what is missing."""
    sites = ", ".join(sorted({f"{fact.type} at {fact.location_id}" for fact in reported.facts}))
    return (
        f"head office has {sites or 'nothing'} of it and keeps no instruction that says between which locations it is: "
        "restore the coordinator's own database, or let sender and receiver agree and adjust their stock"
    )
