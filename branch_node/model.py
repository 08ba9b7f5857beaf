"""Commands, the view on which they decide, and their decisions.

A command is plain data and one deterministic step: `decide(view)` queries the view and returns unplaced events (and
rows of side tables), or raises a Problem, in which case nothing is recorded. The writer places, seals and commits them,
then calls the command's `answer`. A command decides the same on the same state, so a failed group can be retried.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from functools import lru_cache
from typing import Any, Protocol
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import Connection

from shared.chain import Head, Sealed
from shared.events import Event, EventType, schema_of
from shared.orders.inbound_orders import InboundOrder
from shared.purchases.purchase_orders import PurchaseOrder
from shared.reservations import Reservation
from shared.runtime.clock import MINUTE, business_date, offset_minutes
from shared.runtime.text.nearest_codes import Candidate, nearest_codes
from shared.stock import Movement, Standing


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """One item of the branch's catalogue. `defined_here`: defined by this branch and not yet known to head office.

    `stands_for`: head office mapped this code to that item of the group.
    """

    item_id: str
    name: str
    unit: str
    category: str | None = None
    barcode: str | None = None
    strict: bool = False
    defined_here: bool = False
    stands_for: str | None = None


def nearest_item_codes(item_id: str, items: Iterable[Item]) -> list[str]:
    """Up to five codes of `items` that may have been meant by an unknown one, the likeliest first."""
    return nearest_codes(item_id, (Candidate(item.item_id, item.name, item.barcode) for item in items))


class Location(msgspec.Struct, frozen=True, kw_only=True):
    """The branch's location. `timezone` is an IANA name, `day_start` is in minutes after local midnight."""

    location_id: str
    name: str
    timezone: str
    day_start: int = 240

    def day(self, occurred_at: int) -> tuple[str, int]:
        """(business date, offset from UTC in minutes) of a moment in microseconds UTC."""
        minute = occurred_at // MINUTE
        whole_hour = _day_of_hour(minute // 60, self.timezone, self.day_start)
        return whole_hour or _day(minute, self.timezone, self.day_start)


@lru_cache(maxsize=8_192)
def _day_of_hour(hour: int, timezone: str, day_start: int) -> tuple[str, int] | None:
    """What is so throughout an hour of UTC; None where a day begins in it, or the clocks change."""
    first, last = (_day(minute, timezone, day_start) for minute in (60 * hour, 60 * hour + 59))
    return first if first == last else None


@lru_cache(maxsize=8_192)
def _day(minute: int, timezone: str, day_start: int) -> tuple[str, int]:
    # Since 2000 every zone changes at whole minutes, by whole minutes.
    zone, moment = ZoneInfo(timezone), minute * MINUTE
    return business_date(moment, zone, day_start).isoformat(), offset_minutes(moment, zone)


class OrderState(msgspec.Struct, frozen=True, kw_only=True):
    """The state of one order: its newest revision, and the sequences of that revision's deductions.

    Some of the deductions may have been voided by hand since. `stated_at` is the sequence of the first event of the
    command that recorded the newest revision. Everything here follows from the log (`branch_node.order_states`).
    """

    order_id: str
    source: str
    revision: int
    cancelled: bool
    occurred_at: int
    stated_at: int
    sequences: tuple[int, ...]


class RunKind(StrEnum):
    """How a run began.

    `start`: the process started, and the computer's clock agreed with the run before. `jump`: it started and the
    computer's clock had jumped. `settlement`: the clock was settled by a manager.
    """

    START = "start"
    JUMP = "jump"
    SETTLEMENT = "settlement"


class ClockRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run: a stretch of the log in which the node's time went on unbroken, so that one correction holds for it.

    From the event `first_sequence` on; a run that ended before any event has the same as the next. `started_at` is by
    its own time, in microseconds UTC. `correction` of a settlement: what it added to the time of the run before.
    """

    first_sequence: int
    started_at: int
    kind: RunKind
    correction: int = 0


class NewestHashes(Protocol):
    """Which event of each code is the newest."""

    def of(self, item_id: str) -> bytes:
        """The hash of the newest event of a code, all decisions so far included; empty where it has none."""


class View(Protocol):
    """The state on which a command decides: log and projections, with the decisions of its group so far.

    Valid only inside `decide`, on the writer's thread. Times are microseconds UTC, quantities thousandths.
    """

    now: int
    clock_unconfirmed: bool
    location: Location

    @property
    def newest_events(self) -> NewestHashes: ...

    @property
    def head(self) -> Head:
        """The end of the log, including the group's events so far."""

    @property
    def connection(self) -> Connection:
        """The writing connection, in the group's transaction, with all decisions so far in the tables."""

    def new_id(self) -> str:
        """A new UUIDv7 as text."""

    def item(self, item_id: str) -> Item | None: ...

    def codes(self, item_id: str) -> list[str]:
        """The codes under which this log has an item: its own, unless that stands for another item, and its aliases."""

    def items_with_barcode(self, barcode: str) -> list[Item]:
        """The items that have this barcode, in order of code."""

    def standing(self, item_id: str) -> Standing:
        """The standing of an item as folded. What has expired is recorded before any command of a group decides."""

    def available(self, item_id: str) -> int:
        """On hand − reserved, in thousandths. For decisions."""

    def movements(self, item_id: str) -> list[Movement]:
        """Every movement of an item, in order of place."""

    def event(self, event_id: str) -> Event | None: ...

    def events_at(self, sequences: Sequence[int]) -> list[Event]:
        """The events with these sequences, in order; unknown ones are left out."""

    def voided_by(self, sequences: Sequence[int]) -> dict[int, int]:
        """The voids or reversals of these events: sequence of the event -> sequence of the void."""

    def transfer_events(self, transfer_id: str) -> list[Event]:
        """Every event of a transfer in this log, in order."""

    def transfer_token(self, transfer_id: str) -> int:
        """The highest fencing token seen for a transfer, 0 if none."""

    def order(self, order_id: str, source: str) -> OrderState | None: ...

    def inbound_order(self, order_id: str, source: str) -> InboundOrder | None:
        """What another system told of an order, by events."""

    def purchase_order(self, purchase_order_id: str) -> PurchaseOrder | None:
        """An order to a supplier as it was pulled last; None for one that was not."""

    def reservation(self, reservation_id: str) -> Reservation | None:
        """A reservation by its id, also one that has ended."""

    def reservations_of(self, order_id: str, source: str) -> list[Reservation]:
        """All reservations of an order, in the order of their creation."""

    def active_reservation(self, order_id: str, source: str) -> Reservation | None:
        """The reservation of an order of which any is open."""

    def reservation_count(self) -> int:
        """How many reservations are active, about."""

    def active_reservations(self) -> list[Reservation]:
        """Every active reservation, in order of id."""

    def recorded_at(self, sequence: int) -> RecordedCommand:
        """The recorded command whose first event has this sequence, as for a repeated request."""


Write = Callable[[Connection], None]


class Decision(msgspec.Struct, kw_only=True):
    """The decision of a command.

    `events` are unplaced, without command_key, command_digest, line, lines: the writer sets those. Each of `further` is
    recorded behind them as a command of its own without a key, in the same transaction. All are recorded at
    `recorded_at` (microseconds UTC); None: now. `writes` change side tables, in the same transaction, in order; they
    may not raise a Problem. `items`, `location` and `order` replace rows with the same id, in the table and in the
    writer's state. `answer` is the answer of a decision without events; `kept` is that answer as JSON where the
    decision has an effect: it is stored under the command's key, for `Command.again`. Each of `forget` begins the keys
    of kept answers that no longer stand for an equal request. `levels_changed`: `writes` change reorder levels, or
    which level acts for an item.
    `after_commit` runs on the writer's thread after the commit and before the answer is sent; it may not fail.
    """

    events: Sequence[Event] = ()
    further: Sequence[Sequence[Event]] = ()
    recorded_at: int | None = None
    writes: Sequence[Write] = ()
    items: Sequence[Item] = ()
    location: Location | None = None
    order: OrderState | None = None
    answer: object = None
    kept: bytes | None = None
    forget: Sequence[str] = ()
    levels_changed: bool = False
    after_commit: Sequence[Callable[[], None]] = ()


class RecordedCommand(msgspec.Struct, frozen=True):
    """The recorded events of a command, from which its answer is made, at first and when it is repeated.

    `standings` is the standing of each item named in the events right after them. `look` returns the connection, with
    everything decided so far in the tables.
    """

    sealed: list[Sealed]
    standings: Mapping[str, Standing]
    repeated: bool
    look: Callable[[], Connection]


class Command:
    """Base of all commands.

    `key` and `digest` (SHA-256, hex, of the canonical content) make it idempotent: both or neither. A command without
    key changes side tables only, or records events that may be recorded twice. `size` is the approximate number of its
    events, `content_bytes` how long its content is. `order` is the (order id, source) whose state the writer loads
    together with those of its group; `reserves`: its reservations, too, and what was told of it. `alone`: it is decided
    in a transaction of its own. `after_expiries`: what has expired by now is recorded before it decides.
    """

    key: str | None = None
    digest: str | None = None
    size: int = 1
    content_bytes: int = 1_000
    order: tuple[str, str] | None = None
    reserves: bool = False
    alone: bool = False
    after_expiries: bool = True

    def decide(self, view: View) -> Decision:
        """Decide on the current state. Raises Problem to refuse; nothing is recorded then."""
        raise NotImplementedError

    def answer(self, recorded: RecordedCommand) -> object:
        """The answer, made from the recorded events alone. Called only if there are any."""
        return recorded.sealed

    def key_after(self, first: Event, view: View) -> str | None:  # noqa: ARG002
        """The key to decide under where what this command's key recorded, `first` and on, no longer stands for an
        equal request; None: it does. A caller's key stands for its request for ever."""
        return None

    def stands_at(self, first: Event, view: View) -> Sequence[int]:  # noqa: ARG002
        """The events that answer an equal request in place of what its key recorded, `first` and on; none: that."""
        return ()

    @property
    def reused_hint(self) -> str | None:
        """What to do where the key recorded other content; None: what the problem `key-reused` says of itself."""
        return None

    def again(self, kept: bytes) -> object:
        """The answer to a repeated command, from the stored `Decision.kept`."""
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
    """An event for a Decision, occurring now unless `occurred_at` is given; `fields` are further envelope fields."""
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
        v=schema_of(kind, fields),
        **fields,
    )
