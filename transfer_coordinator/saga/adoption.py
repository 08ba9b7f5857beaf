"""Transfers that head office tells of and this database does not know: adopted, or told to be beyond adopting. Pure.

A coordinator that is new, or was restored from a backup, goes on with what others began. What it needs to know beyond
the facts (where the goods are going, under which unit) is in the instructions that head office keeps, and comes with
the facts. Without them nothing is guessed: the transfer is a *stray*, listed for a person.
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
"""How a stray is listed, where others have their state."""


def adopt(heard: TransferFacts, now: int, policy: Policy) -> NewTransfer | None:
    """The transfer as it is taken into this database, open or ended; None where too little is known of it."""
    source, destination, lines = heard.source, heard.destination, heard.lines
    if source is None or destination is None or source == destination or not lines:
        return None
    if len({line.item_id for line in lines}) < len(lines) or len({line.line for line in lines}) < len(lines):
        return None
    if any(line.line < 1 or line.quantity > MAX_QUANTITY for line in lines):
        return None
    record = TransferRecord(
        transfer=Transfer(transfer_id=heard.transfer_id, source=source, destination=destination, lines=lines),
        state=State.REQUESTED,
        created_at=min((fact.received_at for fact in heard.facts), default=now),
        token=heard.highest_token,
        due_at=now,
        facts=tuple(heard.facts),
    )
    adopted = JournalEntry(State.REQUESTED, None, ADOPTED)
    move = plan(record, heard.highest_token, now, policy)
    if move is not None and move.record.ended:
        return NewTransfer(record=move.record, entries=(adopted, *move.entries), leased=False)
    # Left for whoever takes the lease, under a token above all that were seen.
    return NewTransfer(record=record, entries=(adopted,), leased=False)


def is_over(heard: TransferFacts) -> bool:
    """Whether the logs alone say that nothing of this transfer is left to be done, whichever its sites are."""
    return totals(heard.facts).over


def why_stray(heard: TransferFacts) -> str:
    """For the person who looks at it: what is known, and what is missing."""
    sites = ", ".join(sorted({f"{fact.type} at {fact.location_id}" for fact in heard.facts}))
    return (
        f"head office has {sites or 'nothing'} of it and keeps no instruction that says between which locations it is: "
        "restore the coordinator's own database, or let sender and receiver agree and adjust their stock"
    )
