"""The messages between the services over HTTP. Hashes are hex, times microseconds UTC, quantities thousandths.

The requests and answers of tills and people are in the `api` of each service.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from hashlib import sha256
from typing import Annotated

import msgspec

from shared.events import Code, EventType, HexHash, Id, Key, Text
from shared.levels.reorder_levels import ReorderLevel, level_from_target

PROTOCOL_VERSION = 1


class _Message(msgspec.Struct, frozen=True):
    """Decoding ignores fields it does not know: the other side may be newer."""


class HeadMessage(_Message, frozen=True):
    """Where a log ends."""

    epoch: int
    sequence: int
    hash: HexHash


class OpenArea(_Message, frozen=True, kw_only=True, omit_defaults=True):
    """An area of an open count (none: the whole of the item); `actor` is absent where it was not kept."""

    item_id: Id
    area: Code | None = None
    counted: int
    actor: Id | None = None


class OpenCount(_Message, frozen=True, kw_only=True):
    """A count that waits for the rest of its areas: it is not in the log yet. `opened_at`: of its first area."""

    count_id: Key
    opened_at: int
    areas: Annotated[list[OpenArea], msgspec.Meta(max_length=1_000)]


class Hello(_Message, frozen=True, kw_only=True):
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


class QuarantineMessage(_Message, frozen=True, kw_only=True):
    """The events of a location in head office's quarantine: how many, and the first QUARANTINED_SHOWN sequences."""

    count: int
    sequences: tuple[int, ...]


class HelloAnswer(_Message, frozen=True, kw_only=True):
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


class EventsAnswer(_Message, frozen=True, kw_only=True):
    """A batch was accepted: the head after it, when it was received, how many events were new and how many known.

    `quarantined` is left out by an older head office.
    """

    head: HeadMessage
    received_at: int
    appended: int
    passed_over: int
    quarantined: QuarantineMessage | None = None


class CatalogueItem(_Message, frozen=True, kw_only=True, omit_defaults=True):
    """One item of the group. `strict_at` names the locations where the item is strict."""

    item_id: Id
    name: Text
    unit: Code
    category: Text | None = None
    barcode: Code | None = None
    strict_at: tuple[Id, ...] = ()


class CatalogueKey(_Message, frozen=True, kw_only=True, omit_defaults=True):
    """One API key a branch must know: the SHA-256 of its text, its role, and when it was revoked.

    `scopes` are those that it was given beyond the role's, `earlier_texts` a line of `key_rotation`: its texts before
    rotations, which are good for a while. An older branch knows neither, and refuses those texts at once.
    """

    key_id: Id
    key_hash: HexHash
    role: Code
    location_id: Id | None = None
    revoked_at: int | None = None
    scopes: tuple[Code, ...] = ()
    earlier_texts: str = ""


class CatalogueLevel(_Message, frozen=True, kw_only=True, omit_defaults=True):
    """The reorder level of an item at this location, or that it has none any more. Quantities in thousandths.

    Entries of older versions have `level` and `target` alone, and stay as they are: below or at the first the item is
    to be ordered, up to the second; both zero: no level. Entries are made with both ever since, as older branches
    know nothing else and refuse an entry without them; `level_change` makes and `reorder_level` reads both kinds.
    """

    location_id: Id
    item_id: Id
    level: int
    target: int
    reorder_point: int | None = None
    order_up_to: int | None = None
    order_quantity: int | None = None
    supplier_id: Id | None = None
    pack_size: int | None = None
    lead_days: int | None = None

    def reorder_level(self) -> ReorderLevel | None:
        """Read the level that stands from this entry on; None: there is none."""
        if self.reorder_point is None:
            return level_from_target(self.level, self.target)
        fields = {name: getattr(self, name) for name in ReorderLevel.__struct_fields__}
        return ReorderLevel(**fields)


def level_change(location_id: str, item_id: str, level: ReorderLevel | None) -> CatalogueLevel:
    """Make the entry of an item's reorder level at a location, or of its removal (None)."""
    if level is None:
        return CatalogueLevel(location_id=location_id, item_id=item_id, level=0, target=0)
    up_to = level.order_up_to
    return CatalogueLevel(
        location_id=location_id,
        item_id=item_id,
        level=level.reorder_point,
        target=level.reorder_point + (level.order_quantity or 0) if up_to is None else up_to,
        **msgspec.structs.asdict(level),
    )


class CatalogueLocation(_Message, frozen=True, kw_only=True):
    """One location as its own branch needs to know it. `day_start` is in minutes after local midnight."""

    location_id: Id
    name: Text
    timezone: Text
    day_start: int


class CatalogueAlias(_Message, frozen=True, kw_only=True):
    """At this location, the code `alias` stands for the group's item `item_id`."""

    location_id: Id
    alias: Id
    item_id: Id


CATALOGUE_START = "0" * 64
"""The catalogue's hash at version 0."""


class CatalogueEntry(_Message, frozen=True, kw_only=True, omit_defaults=True):
    """One change of the catalogue: at most one of the last five fields is set. `hash` chains over the entries before.

    With none of them set it stands for one or more changes, up to `version`, that are not for this reader.
    """

    version: int
    hash: HexHash
    item: CatalogueItem | None = None
    key: CatalogueKey | None = None
    reorder_level: CatalogueLevel | None = None
    location: CatalogueLocation | None = None
    alias: CatalogueAlias | None = None


class CataloguePage(_Message, frozen=True, kw_only=True, omit_defaults=True):
    """The catalogue's changes after a version, at most 1,000; `version` is the newest there is.

    `previous` is the hash at the requested version; absent where the catalogue's version is lower.
    """

    entries: list[CatalogueEntry]
    version: int
    more: bool
    previous: HexHash | None = None


class CatalogueDiverged(ValueError):
    """The page does not follow from what the reader holds (head office was restored): begin again from version 0."""


def catalogue_hash(previous: bytes, entry: Mapping[str, object]) -> bytes:
    """The hash (32 bytes) of a catalogue entry after the one whose hash is `previous` (32 zero bytes before the first).

    `entry` is the entry as JSON has it (dicts, lists, text, whole numbers), as stored and sent; its own `hash` is left
    out. Taken over the JSON and not over CatalogueEntry, so that a branch verifies fields it does not know yet.
    """
    body = {name: value for name, value in entry.items() if name != "hash"}
    return sha256(previous + msgspec.json.encode(body, order="sorted")).digest()


def read_catalogue_page(raw: bytes, version: int, digest: str) -> CataloguePage:
    """The page that a reader standing at `version` with the hash `digest` was sent, its chain verified.

    The reader then stands at the version and hash of the last entry. The hash of changes left out is taken as given:
    what they were is not for this reader. Raises CatalogueDiverged, or msgspec.MsgspecError for what is no page.
    """
    page = msgspec.json.decode(raw, type=CataloguePage)
    if page.previous != digest or page.version < version:
        raise CatalogueDiverged(f"the catalogue at version {version} is not the one this node has")
    for entry, sent in zip(page.entries, msgspec.json.decode(raw)["entries"], strict=True):
        left_out = sent.keys() == {"version", "hash"}
        follows = entry.version > version if left_out else entry.version == version + 1
        if not follows or not (left_out or catalogue_hash(bytes.fromhex(digest), sent).hex() == entry.hash):
            raise CatalogueDiverged(f"the catalogue's entry {entry.version} does not follow from the one before")
        version, digest = entry.version, entry.hash
    return page


class InstructionStep(StrEnum):
    """The step that a site is to record: out, refuse-out, reverse at the source; in, refuse-in at the destination."""

    OUT = "out"
    REFUSE_OUT = "refuse-out"
    IN = "in"
    REFUSE_IN = "refuse-in"
    REVERSE = "reverse"


class InstructionLine(_Message, frozen=True):
    """One item of a transfer. `line` counts from 1; one item stands in one line."""

    line: int
    item_id: Id
    quantity: Annotated[int, msgspec.Meta(gt=0)]
    unit: Code


class Instruction(_Message, frozen=True, kw_only=True, omit_defaults=True):
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


class InstructionAnswer(_Message, frozen=True, kw_only=True):
    """Head office's answer to one instruction; `highest_token` is the highest it has seen for the transfer."""

    transfer_id: Id
    step: InstructionStep
    outcome: InstructionOutcome
    highest_token: int


class InstructionBatch(_Message, frozen=True):
    """Several instructions in one request, at most 1,000."""

    instructions: Annotated[list[Instruction], msgspec.Meta(max_length=1_000)]


class InstructionAnswers(_Message, frozen=True):
    """One answer for each instruction, in the order of the request."""

    answers: list[InstructionAnswer]


class InstructionPage(_Message, frozen=True):
    """The instructions of a branch in the order of `number`; `next` is the cursor of its next poll."""

    instructions: list[Instruction]
    next: int


class Fact(_Message, frozen=True, kw_only=True, omit_defaults=True):
    """One event of a transfer as head office's copy of the logs has it."""

    location_id: Id
    sequence: int
    type: EventType
    item_id: Id | None = None
    quantity: int | None = None
    reason: Code | None = None
    occurred_at: int
    received_at: int


class TransferFacts(_Message, frozen=True, kw_only=True, omit_defaults=True):
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


class FactsRequest(_Message, frozen=True):
    """The transfers to look up, at most 1,000."""

    transfer_ids: Annotated[list[Id], msgspec.Meta(max_length=1_000)]


class FactsAnswer(_Message, frozen=True):
    """The facts of the requested transfers, in the order of the request."""

    transfers: list[TransferFacts]


class ChangesPage(_Message, frozen=True):
    """All facts of the transfers that changed after a cursor; `next` is opaque; `more`: there is another page now."""

    transfers: list[TransferFacts]
    next: str
    more: bool
