"""The JSON documents of transfers, with the text that explains their state. Pure.

Times are RFC 3339 in UTC, quantities JSON numbers.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from shared.events import quantity_json
from shared.messages import InstructionStep
from shared.runtime.clock import format_rfc3339
from shared.transfers import TransferTotals, totals
from transfer_coordinator.saga.planner import TransferRecord
from transfer_coordinator.saga.saga import NEVER_ASKED, State, TransferConflict


class LineDocument(msgspec.Struct, frozen=True):
    """One item of a transfer: the requested quantity, and the sums of the logs so far."""

    line: int
    item_id: str
    unit: str
    quantity: msgspec.Raw
    sent: msgspec.Raw
    received: msgspec.Raw
    lost: msgspec.Raw


class TransferDocument(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A transfer. `why` explains what it waits for or how it ended; a `conflict` needs a person.

    `overdue`: its deadline has passed and it has not ended.
    """

    transfer_id: str
    state: str
    why: str
    overdue: bool
    source: str | None = None
    destination: str | None = None
    mode: str | None = None
    lines: list[LineDocument] = []
    created_at: str | None = None
    created_by: str | None = None
    deadline: str | None = None
    cancel_requested_at: str | None = None
    ended_at: str | None = None
    end_reason: str | None = None
    conflict: str | None = None


class FactDocument(msgspec.Struct, frozen=True, omit_defaults=True):
    """One event of the transfer in a location's log, as head office has it."""

    location_id: str
    sequence: int
    type: str
    occurred_at: str
    received_at: str
    item_id: str | None = None
    quantity: msgspec.Raw | None = None
    reason: str | None = None


class JournalDocument(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of the journal: the state from then on, and the step requested of a site."""

    number: int
    at: str
    token: int
    holder: str
    state: str
    asked: str | None = None
    note: str | None = None


class TransferDetail(TransferDocument, frozen=True, kw_only=True, omit_defaults=True):
    """A transfer with its requests, facts and journal."""

    token: int
    attempts: int
    last_step: str | None = None
    asked_at: str | None = None
    facts: list[FactDocument]
    journal: list[JournalDocument]


def document(record: TransferRecord, now: int, *, office_away: bool = False) -> TransferDocument:
    """The document of a transfer at `now`; `office_away`: the last call to head office failed."""
    return TransferDocument(**_members(record, now, office_away))


def detail(
    record: TransferRecord, journal: list[JournalDocument], now: int, *, office_away: bool = False
) -> TransferDetail:
    """As `document`, with the transfer's facts and its journal."""
    return TransferDetail(
        **_members(record, now, office_away),
        token=record.token,
        attempts=record.attempts,
        last_step=record.last_step,
        asked_at=_when(record.asked_at),
        facts=[
            FactDocument(
                location_id=fact.location_id,
                sequence=fact.sequence,
                type=fact.type,
                occurred_at=format_rfc3339(fact.occurred_at),
                received_at=format_rfc3339(fact.received_at),
                item_id=fact.item_id,
                quantity=None if fact.quantity is None else quantity_json(fact.quantity),
                reason=fact.reason,
            )
            for fact in record.facts
        ],
        journal=journal,
    )


def sums(record: TransferRecord) -> TransferTotals:
    """The sums of the transfer's facts."""
    return totals(record.facts, record.transfer.source, record.transfer.destination)


def _members(record: TransferRecord, now: int, office_away: bool) -> dict[str, Any]:
    transfer, known = record.transfer, sums(record)
    lines = [
        LineDocument(
            line=line.line,
            item_id=line.item_id,
            unit=line.unit,
            quantity=quantity_json(line.quantity),
            sent=quantity_json(known.sent.get(line.item_id, 0)),
            received=quantity_json(known.received.get(line.item_id, 0)),
            lost=quantity_json(known.lost.get(line.item_id, 0)),
        )
        for line in transfer.lines
    ]
    return {
        "transfer_id": transfer.transfer_id,
        "state": record.state,
        "why": why(record, office_away=office_away),
        "overdue": transfer.deadline is not None and transfer.deadline <= now and not record.ended,
        "source": transfer.source,
        "destination": transfer.destination,
        "mode": transfer.mode,
        "lines": lines,
        "created_at": format_rfc3339(record.created_at),
        "created_by": record.created_by,
        "deadline": _when(transfer.deadline),
        "cancel_requested_at": _when(transfer.cancel_requested_at),
        "ended_at": _when(record.ended_at),
        "end_reason": record.end_reason,
        "conflict": record.conflict,
    }


def _when(micros: int | None) -> str | None:
    return None if micros is None else format_rfc3339(micros)


_CONFLICTS: Final = {
    TransferConflict.SENT_OTHERWISE: "{source} sent something else than was requested",
    TransferConflict.LEFT_AND_REFUSED: "{source} recorded both that the goods left and that it refuses to send them",
    TransferConflict.RECEIVED_AND_REFUSED: (
        "{destination} recorded both that it received goods and that it refuses them"
    ),
    TransferConflict.RECEIVED_AND_REVERSED: "{source} took the goods back, and {destination} received them",
    TransferConflict.RECEIVED_MORE: "{destination} recorded more than {source} sent",
    TransferConflict.RECEIVED_NOT_SENT: "{destination} received goods that {source} refused to send",
    TransferConflict.ELSEWHERE: "its id stands in the log of a location that has no part in it",
    TransferConflict.LEFT_AFTER_REJECTION: "goods left {source} though the transfer had ended without any",
}

_AWAY: Final = "Head office cannot be reached now; the transfer goes on by itself once it can."
_NOT_ASKED: Final = "Recorded; as far as is known here, nothing was asked of {source} yet. " + _AWAY

_WAITS: Final = {
    State.REQUESTED: "Recorded; no instruction was sent yet.",
    State.OUT_PENDING: "{source} is instructed to send the goods, and has not answered.",
    State.OUT_CANCEL_PENDING: "Cancelled: {source} is instructed not to send the goods, and has not answered.",
    State.IN_PENDING: "The goods left {source}; {destination} is instructed to receive them, and has not answered.",
    State.CANCEL_PENDING: "Cancelled: the goods left {source}; {destination} is instructed not to receive them, "
    "and has not answered.",
    State.REVERSE_PENDING: "{destination} will not receive the goods; {source} is instructed to take them back, and "
    "has not answered.",
}


def why(record: TransferRecord, *, office_away: bool = False) -> str:
    """The text that explains what the transfer waits for, or how it ended."""
    names = {"source": record.transfer.source, "destination": record.transfer.destination}
    if record.ended:
        text = _end(record, names)
    elif office_away and record.state in {State.REQUESTED, State.OUT_PENDING} and record.attempts <= 1:
        text = _NOT_ASKED.format(**names)
    else:
        text = _waits(record, names) + (f" {_AWAY}" if office_away else "")
    if record.conflict is not None:
        text += f" A person must act: {_CONFLICTS[record.conflict].format(**names)}."
    return text


def _waits(record: TransferRecord, names: dict[str, str]) -> str:
    known = sums(record)
    if record.state is State.IN_PENDING and not known.sent:
        return "{destination} received the goods; the log of {source} has not come in yet.".format(**names)
    if record.state is State.IN_PENDING and known.settled:
        text = "The goods left {source}; {destination} has received a part of them.".format(**names)
    else:
        text = _WAITS[record.state].format(**names)
    if record.attempts > 1:
        text += f" The instruction was sent {record.attempts} times."
    if record.last_step is InstructionStep.IN and record.transfer.cancel_requested_at is not None:
        text += " It was cancelled too late: some of it had been received."
    return text


def _end(record: TransferRecord, names: dict[str, str]) -> str:
    names = names | {"reason": record.end_reason or ""}
    if record.state is State.COMPLETED:
        known = sums(record)
        if not known.lost:
            text = "All that left {source} was received at {destination}."
        elif known.received:
            text = "A part of what left {source} was received at {destination}, the rest was recorded there as lost."
        else:
            text = "All that left {source} was recorded at {destination} as lost."
    elif record.state is State.REVERSED:
        text = "{destination} refused it ({reason}); the goods are back at {source}."
    elif record.end_reason == NEVER_ASKED:
        text = "Cancelled before any instruction was sent."
    else:
        text = "{source} refused to send it ({reason})."
    return text.format(**names)
