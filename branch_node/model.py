"""What the writer records: commands, the view they decide on, and their decisions.

A command is plain data and one pure-looking step: `decide(view)` asks what it must know and answers with unplaced
events (and rows of side tables) or raises a Problem, in which case nothing is recorded. The writer places, seals and
commits them, then asks the command for its answer. The same command decided twice on the same state decides the same,
so a group that failed can be redone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Protocol
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import Connection

from shared.chain import Head, Sealed
from shared.events import SCHEMA_VERSION, Event, EventType
from shared.runtime.clock import MINUTE, business_date, offset_minutes
from shared.runtime.nearest_codes import Candidate, nearest_codes
from shared.stock import Movement, Standing


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """One item of the branch's catalogue. `defined_here`: by this branch itself; head office does not know it yet."""

    item_id: str
    name: str
    unit: str
    category: str | None = None
    barcode: str | None = None
    strict: bool = False
    defined_here: bool = False


def nearest_item_codes(item_id: str, items: Iterable[Item]) -> list[str]:
    """Up to five codes of `items` that may have been meant by an unknown one, the likeliest first."""
    return nearest_codes(item_id, (Candidate(item.item_id, item.name, item.barcode) for item in items))


class Location(msgspec.Struct, frozen=True, kw_only=True):
    """This branch. `timezone` is an IANA name, `day_start` minutes after local midnight."""

    location_id: str
    name: str
    timezone: str
    day_start: int = 240

    def day(self, occurred_at: int) -> tuple[str, int]:
        """(business date, offset from UTC in minutes) of a moment here."""
        return _day(occurred_at // MINUTE, self.timezone, self.day_start)


@lru_cache(maxsize=8_192)
def _day(minute: int, timezone: str, day_start: int) -> tuple[str, int]:
    # Since 2000 every zone changes at whole minutes, by whole minutes.
    zone, moment = ZoneInfo(timezone), minute * MINUTE
    return business_date(moment, zone, day_start).isoformat(), offset_minutes(moment, zone)


class OrderState(msgspec.Struct, frozen=True, kw_only=True):
    """What the log says of one order: its newest revision, and the sequences of the deductions that state it.

    A deduction among them may have been voided by hand since. `stated_at` is the first event of the command that
    recorded the newest revision. Derived from the log, see `orders.derive`.
    """

    order_id: str
    source: str
    revision: int
    cancelled: bool
    occurred_at: int
    stated_at: int
    sequences: tuple[int, ...]


class View(Protocol):
    """What a command may ask while it decides: the log and all it projects to, with what its group decided before it.

    Valid only inside `decide`, on the writer's thread. Times are microseconds UTC.
    """

    now: int
    clock_unconfirmed: bool
    location: Location

    @property
    def head(self) -> Head:
        """Where the log ends, what the group decided so far included."""

    @property
    def connection(self) -> Connection:
        """The writing connection, in the group's transaction; all that was decided so far is in the tables."""

    def new_id(self) -> str:
        """A new UUIDv7 as text."""

    def item(self, item_id: str) -> Item | None: ...

    def standing(self, item_id: str) -> Standing:
        """What stands of an item (raw sums: expired reservations still in `reserved`)."""

    def available(self, item_id: str) -> int:
        """On hand − reserved at now, expired reservations not counted, in thousandths. For decisions."""

    def movements(self, item_id: str) -> list[Movement]:
        """Every movement of an item, in order of place."""

    def event(self, event_id: str) -> Event | None: ...

    def events_at(self, sequences: Sequence[int]) -> list[Event]:
        """The events with these sequences, in order; one that the log does not have is left out."""

    def voided_by(self, sequences: Sequence[int]) -> dict[int, int]:
        """Which of these events are voided or reversed: sequence -> sequence of the void."""

    def transfer_events(self, transfer_id: str) -> list[Event]:
        """Every event of a transfer in this log, in order."""

    def transfer_token(self, transfer_id: str) -> int:
        """The highest token seen for a transfer, 0 if none."""

    def order(self, order_id: str, source: str) -> OrderState | None: ...

    def recorded_at(self, sequence: int) -> RecordedCommand:
        """The whole command whose first event has this sequence, as if it were repeated."""


Write = Callable[[Connection], None]


class Decision(msgspec.Struct, kw_only=True):
    """What a command decided.

    `events` are unplaced, without command_key, command_digest, line, lines: the writer stamps those. `writes` change
    side tables, in the same transaction, in order; they may not refuse. `items`, `location` and `order` replace what
    was known under the same id, in the table and in the writer's memory. `answer` is what a decision without events
    answers; `kept` is that answer as JSON where it takes effect all the same: it is kept under the command's key, for
    `Command.again`. `after_commit` runs on the writer's thread once all is on disk, before the answer goes out; it may
    not fail.
    """

    events: Sequence[Event] = ()
    writes: Sequence[Write] = ()
    items: Sequence[Item] = ()
    location: Location | None = None
    order: OrderState | None = None
    answer: object = None
    kept: bytes | None = None
    after_commit: Sequence[Callable[[], None]] = ()


class RecordedCommand(msgspec.Struct, frozen=True):
    """A command's events in the log: what an answer is made of, the first time and every time it is repeated.

    `standings` is what stood of each item named in the events right after them. `look` gives the connection, with
    everything decided so far in the tables.
    """

    sealed: list[Sealed]
    standings: Mapping[str, Standing]
    repeated: bool
    look: Callable[[], Connection]


class Command:
    """Base of all commands.

    `key` and `digest` (sha256, hex, of the canonical content) make it idempotent: both or neither. A command without
    key records at most side tables, or events that may well be recorded twice. `size` is about how many events it
    makes. `order` is the (order id, source) whose state the writer should gather with the rest of its group.
    """

    key: str | None = None
    digest: str | None = None
    size: int = 1
    order: tuple[str, str] | None = None

    def decide(self, view: View) -> Decision:
        """Decide on what is. Raises Problem to refuse; nothing is recorded then."""
        raise NotImplementedError

    def answer(self, recorded: RecordedCommand) -> object:
        """The answer, from the recorded events alone. Called only where there are any."""
        return recorded.sealed

    def again(self, kept: bytes) -> object:
        """The answer once more, from what `Decision.kept` was."""
        return msgspec.Raw(kept)


def unplaced(
    view: View,
    kind: EventType,
    *,
    actor: str,
    source: str,
    occurred_at: int | None = None,
    **fields: Any,
) -> Event:
    """An event for a Decision, occurring now unless told otherwise; `fields` are the envelope's others."""
    moment = view.now if occurred_at is None else occurred_at
    day, offset = view.location.day(moment)
    return Event(
        actor=actor,
        business_date=day,
        clock_unconfirmed=True if view.clock_unconfirmed else None,
        epoch=0,
        event_id=view.new_id(),
        line=1,
        lines=1,
        location_id=view.location.location_id,
        occurred_at=moment,
        recorded_at=0,
        sequence=0,
        source=source,
        type=kind,
        utc_offset=offset,
        v=SCHEMA_VERSION,
        **fields,
    )
