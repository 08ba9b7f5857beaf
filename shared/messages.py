"""The messages between the services over HTTP. Hashes are hex, times microseconds UTC, quantities thousandths.

The requests and answers of tills and people are in the `api` of each service.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import msgspec

from shared.events import Code, EventType, HexHash, Id, Key, Text

PROTOCOL_VERSION = 1


class ServiceMessage(msgspec.Struct, frozen=True):
    """Decoding ignores fields it does not know: the other side may be newer."""


class HeadMessage(ServiceMessage, frozen=True):
    """Where a log ends."""

    epoch: int
    sequence: int
    hash: HexHash


class OpenArea(ServiceMessage, frozen=True, kw_only=True, omit_defaults=True):
    """An area of an open count (none: the whole of the item); `actor` is absent where it was not kept."""

    item_id: Id
    area: Code | None = None
    counted: int
    actor: Id | None = None


class OpenCount(ServiceMessage, frozen=True, kw_only=True):
    """A count that waits for the rest of its areas: it is not in the log yet. `opened_at`: of its first area."""

    count_id: Key
    opened_at: int
    areas: Annotated[list[OpenArea], msgspec.Meta(max_length=1_000)]


class Hello(ServiceMessage, frozen=True, kw_only=True):
    """The hello of a branch. `acknowledged` is the last head that head office acknowledged to this node.

    `now` is the node's time when it was sent, `open_counts` the oldest counts that wait for the rest of their areas.
    """

    location_id: Id
    head: HeadMessage
    acknowledged: HeadMessage | None
    protocol: int
    schema: int
    software: Text
    now: int | None = None
    open_counts: Annotated[list[OpenCount], msgspec.Meta(max_length=100)] = []


class Verdict(StrEnum):
    """What hello finds. OK and REWIND go on shipping; the others stop it and need a person or an upgrade."""

    OK = "OK"
    REWIND = "REWIND"
    SUPERSEDED = "SUPERSEDED"
    ROLLED_BACK = "ROLLED_BACK"
    FORKED = "FORKED"
    UPGRADE_REQUIRED = "UPGRADE_REQUIRED"


QUARANTINED_SHOWN = 100
"""The most sequences of events in quarantine that an answer lists."""


class QuarantineMessage(ServiceMessage, frozen=True, kw_only=True):
    """The events of a location in head office's quarantine: how many, and the first QUARANTINED_SHOWN sequences."""

    count: int
    sequences: tuple[int, ...]


class HelloAnswer(ServiceMessage, frozen=True, kw_only=True):
    """Head office's answer to hello: its verdict by its own data, its head of the location, its time, its versions.

    Where head office has no more than the branch, the branch itself compares at `head`.
    `upgrade` names the side to upgrade with UPGRADE_REQUIRED: `branch` or `head-office`.
    """

    verdict: Verdict
    head: HeadMessage
    time: int
    catalogue_version: int
    hello_every_seconds: int
    upgrade: str | None = None
    detail: str | None = None
    quarantined: QuarantineMessage | None = None


class EventsAnswer(ServiceMessage, frozen=True, kw_only=True):
    """A batch was accepted: the head after it, when it was received, how many events were new and how many known.

    `quarantined` is left out by an older head office.
    """

    head: HeadMessage
    received_at: int
    appended: int
    passed_over: int
    quarantined: QuarantineMessage | None = None


class InstructionStep(StrEnum):
    """The step that a site is to record: out, refuse-out, reverse at the source; in, refuse-in at the destination."""

    OUT = "out"
    REFUSE_OUT = "refuse-out"
    IN = "in"
    REFUSE_IN = "refuse-in"
    REVERSE = "reverse"


class InstructionLine(ServiceMessage, frozen=True):
    """One item of a transfer. `line` counts from 1; one item stands in one line."""

    line: int
    item_id: Id
    quantity: Annotated[int, msgspec.Meta(gt=0)]
    unit: Code


class Instruction(ServiceMessage, frozen=True, kw_only=True, omit_defaults=True):
    """One step that a site is to record for a transfer, under the fencing token of the coordinator.

    `number` is given by head office, rising per location: the branch's cursor in its long poll (0 until given).
    """

    transfer_id: Id
    step: InstructionStep
    token: Annotated[int, msgspec.Meta(ge=1)]
    location_id: Id
    source: Id
    destination: Id
    lines: tuple[InstructionLine, ...]
    reason: Code | None = None
    number: int = 0


class InstructionOutcome(StrEnum):
    """The outcome of an instruction at head office. `fenced`: its token is older than the highest seen, so it is
    ignored."""

    ACCEPTED = "accepted"
    FENCED = "fenced"
    UNKNOWN_LOCATION = "unknown-location"


class InstructionAnswer(ServiceMessage, frozen=True, kw_only=True):
    """Head office's answer to one instruction; `highest_token` is the highest it has seen for the transfer."""

    transfer_id: Id
    step: InstructionStep
    outcome: InstructionOutcome
    highest_token: int


class InstructionBatch(ServiceMessage, frozen=True):
    """Several instructions in one request, at most 1,000."""

    instructions: Annotated[list[Instruction], msgspec.Meta(max_length=1_000)]


class InstructionAnswers(ServiceMessage, frozen=True):
    """One answer for each instruction, in the order of the request."""

    answers: list[InstructionAnswer]


class InstructionPage(ServiceMessage, frozen=True):
    """The instructions of a branch in the order of `number`; `next` is the cursor of its next poll."""

    instructions: list[Instruction]
    next: int


class Fact(ServiceMessage, frozen=True, kw_only=True, omit_defaults=True):
    """One event of a transfer as head office's copy of the logs has it."""

    location_id: Id
    sequence: int
    type: EventType
    item_id: Id | None = None
    quantity: int | None = None
    reason: Code | None = None
    occurred_at: int
    received_at: int


class TransferFacts(ServiceMessage, frozen=True, kw_only=True, omit_defaults=True):
    """All facts of one transfer, and the highest token seen for it (0: none).

    `source`, `destination` and `lines` come from the instructions that head office keeps (of the step `out` where there
    is one); absent where it keeps none. A coordinator that does not know the transfer adopts it by them, as events
    alone do not name the destination of goods in transit.
    """

    transfer_id: Id
    highest_token: int
    facts: list[Fact]
    source: Id | None = None
    destination: Id | None = None
    lines: tuple[InstructionLine, ...] = ()


class FactsRequest(ServiceMessage, frozen=True):
    """The transfers to look up, at most 1,000."""

    transfer_ids: Annotated[list[Id], msgspec.Meta(max_length=1_000)]


class FactsAnswer(ServiceMessage, frozen=True):
    """The facts of the requested transfers, in the order of the request."""

    transfers: list[TransferFacts]


class ChangesPage(ServiceMessage, frozen=True):
    """All facts of the transfers that changed after a cursor; `next` is opaque; `more`: there is another page now."""

    transfers: list[TransferFacts]
    next: str
    more: bool
