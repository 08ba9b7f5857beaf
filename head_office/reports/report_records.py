"""How head office writes what it knows: quantities as JSON numbers, moments as RFC 3339, hashes in hex."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final

import msgspec

from head_office.log.quarantine import Quarantined
from head_office.reports.event_list import ListedEvent
from head_office.reports.freshness import Freshness
from head_office.reports.group_stock import FigureKey, StockRow, Total
from head_office.reports.in_transit import OnItsWay
from head_office.reports.known_at import AsOf
from head_office.reports.variances import Variance
from shared.event_record import (
    Digest,
    EventRecord,
    Moment,
    Number,
    VoidedBy,
    event_record,
    event_record_as,
    moment_text,
)
from shared.events import quantity_json
from shared.runtime.clock import SECOND
from shared.runtime.http.json_schemas import answer_schema_of


def or_none(micros: int | None) -> str | None:
    return None if micros is None else moment_text(micros)


CLOCK_SKEW: Final = "clock-skew"


class FreshnessOut(msgspec.Struct, frozen=True):
    """How fresh a location's figures are. `behind`: events its branch had at its last call that are not here.

    `skew_seconds`: by how much its clock was ahead of head office's then; over 60 either way `flags` has `clock-skew`.
    """

    sequence: int
    received_at: Moment | None
    occurred_at: Moment | None
    contacted_at: Moment | None
    behind: int
    quarantined: int
    verdict: str | None
    skew_seconds: float | None = None
    flags: tuple[str, ...] = ()


class PeriodOut(msgspec.Struct, frozen=True):
    """On hand over a period [from, to): opening + change = closing, which is the opening of the next period."""

    opening: Number
    change: Number
    closing: Number


class StockOut(msgspec.Struct, frozen=True):
    """One item at one location: the sum over its `codes` in the location's log; `recorded_as` is the first of them.

    `flags`: see /docs of the report.
    """

    item_id: str
    location_id: str
    recorded_as: str
    codes: tuple[str, ...]
    name: str | None
    unit: str | None
    on_hand: Number
    reserved: Number
    available: Number
    as_of: Moment
    counted_at: Moment | None
    flags: tuple[str, ...]
    freshness: FreshnessOut
    period: PeriodOut | None = None


class TotalOut(msgspec.Struct, frozen=True):
    """One item over several locations, in one unit: only equal units are added."""

    item_id: str
    unit: str | None
    locations: int
    on_hand: Number
    reserved: Number
    available: Number
    incomplete: bool
    unit_conflict: bool


class _Report(msgspec.Struct, frozen=True, kw_only=True):
    """The common members of every report: the requested moments, and the cut, the last known sequence by location.

    `as_of`, `from` and `to` are moments, or the business dates that were asked for.

    `known_at_holds_since`: the locations for which that moment is before head office was restored from a backup; from
    the time beside them on, figures known at a moment are complete.
    """

    as_of: str | None = None
    period_from: str | None = msgspec.field(default=None, name="from")
    period_to: str | None = msgspec.field(default=None, name="to")
    known_at: Moment | None = None
    known_at_holds_since: Mapping[str, Moment] = {}
    cut: Mapping[str, int]


class StockPage(_Report, frozen=True, kw_only=True):
    """Stock in the order of item and location."""

    items: list[StockOut]
    next: str | None


class ItemStockReport(_Report, frozen=True, kw_only=True):
    """One item: the group's totals, and each location."""

    item_id: str
    totals: list[TotalOut]
    items: list[StockOut]


class OnItsWayOut(msgspec.Struct, frozen=True):
    """One item of one transfer. `ahead`: received before the log of its sender arrived, so in transit is below zero.

    `incomplete`: an event in quarantine may be of the transfer. `item_id` is null where all that is known of a transfer
    is such an event, and its item cannot be read.
    """

    transfer_id: str
    item_id: str | None
    unit: str | None
    sources: list[str]
    destinations: list[str]
    sent: Number
    reversed: Number
    received: Number
    lost: Number
    in_transit: Number
    since: Moment
    ahead: bool
    incomplete: bool


class InTransitPage(_Report, frozen=True, kw_only=True):
    """What is in transit, the oldest first. `complete` is false where there is more than was listed."""

    items: list[OnItsWayOut]
    complete: bool


class QuarantinedOut(msgspec.Struct, frozen=True):
    """An event that verifies and could not be folded. `line` is its canonical line as far as it is text."""

    location_id: str
    sequence: int
    hash: str
    reason: str
    type: str | None
    item_id: str | None
    transfer_id: str | None
    occurred_at: Moment | None
    received_at: Moment
    released_at: Moment | None
    line: str


def freshness_out(found: Freshness) -> FreshnessOut:
    return FreshnessOut(
        found.sequence,
        or_none(found.received_at),
        or_none(found.occurred_at),
        or_none(found.contacted_at),
        found.behind,
        found.quarantined,
        found.verdict,
        None if found.skew is None else round(found.skew / SECOND, 1),
        (CLOCK_SKEW,) if found.clock_differs else (),
    )


def stock_out(row: StockRow, as_of: str, fresh: FreshnessOut, opening: int | None = None) -> StockOut:
    return StockOut(
        row.item_id,
        row.location_id,
        row.recorded_as,
        row.codes,
        row.name,
        row.unit,
        quantity_json(row.on_hand),
        quantity_json(row.reserved),
        quantity_json(row.available),
        as_of,
        or_none(row.counted_at),
        row.flags,
        fresh,
        None if opening is None else period_out(opening, row.on_hand),
    )


def figures_out(
    rows: Iterable[StockRow], at: AsOf, fresh: Mapping[str, Freshness], opened: Mapping[FigureKey, int] | None
) -> list[StockOut]:
    """The figures of a report as of `at`, each with its freshness, and its opening where a period was asked for."""
    records = {location_id: freshness_out(found) for location_id, found in fresh.items()}
    return [
        stock_out(
            row,
            moment_text(at if isinstance(at, int) else at[row.location_id]),
            records[row.location_id],
            None if opened is None else opened[row.key],
        )
        for row in rows
    ]


def period_out(opening: int, closing: int) -> PeriodOut:
    """What a figure (thousandths) was at the beginning of a period, what changed, what it is at its end."""
    return PeriodOut(quantity_json(opening), quantity_json(closing - opening), quantity_json(closing))


def total_out(total: Total) -> TotalOut:
    return TotalOut(
        total.item_id,
        total.unit,
        total.locations,
        quantity_json(total.on_hand),
        quantity_json(total.reserved),
        quantity_json(total.available),
        total.incomplete,
        total.unit_conflict,
    )


def on_its_way_out(row: OnItsWay) -> OnItsWayOut:
    return OnItsWayOut(
        row.transfer_id,
        row.item_id,
        row.unit,
        row.sources,
        row.destinations,
        quantity_json(row.sent),
        quantity_json(row.reversed),
        quantity_json(row.received),
        quantity_json(row.lost),
        quantity_json(row.in_transit),
        moment_text(row.first_at),
        row.ahead,
        row.incomplete,
    )


def quarantined_out(row: Quarantined) -> QuarantinedOut:
    return QuarantinedOut(
        row.location_id,
        row.sequence,
        row.hash,
        row.reason,
        row.type,
        row.item_id,
        row.transfer_id,
        or_none(row.occurred_at),
        moment_text(row.received_at),
        or_none(row.released_at),
        row.line,
    )


# Events


class ReceivedEventRecord(EventRecord, kw_only=True, gc=False):
    """One event of the group's log, whole, with its hash and when it was received."""

    hash: Digest
    received_at: Annotated[Moment, msgspec.Meta(description="When it arrived at head office")]
    voided_by: VoidedBy = None


def received_event_record(listed: ListedEvent) -> ReceivedEventRecord:
    """The record of an event of the list."""
    return event_record_as(
        ReceivedEventRecord,
        listed.event,
        hash=listed.hash,
        received_at=moment_text(listed.received_at),
        voided_by=listed.voided_by,
    )


EVENT_SCHEMA: Final = answer_schema_of(EventRecord)
RECEIVED_EVENT_SCHEMA: Final = answer_schema_of(ReceivedEventRecord)


def answer_schema(description: str, properties: Mapping[str, Any]) -> dict[str, Any]:
    """A member of FastAPI's `responses`, of an object with these properties."""
    schema = {"type": "object", "properties": dict(properties)}
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def listed_schema(description: str, item: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """The same for a list `{items, next}` of such items."""
    following = {"type": ["string", "null"], "description": "Give it as `after` for the next page"}
    return answer_schema(description, {"items": {"type": "array", "items": item}, "next": following, **more})


NUMBER: Final = {"type": "number"}
INTEGER: Final = {"type": "integer"}
BOOLEAN: Final = {"type": "boolean"}
TEXT: Final = {"type": "string"}
NULLABLE: Final = {"type": ["string", "null"]}


# Counts


def variance_out(row: Variance) -> dict[str, Any]:
    """A count that stands: counted, what the book says by now, what it said when posted."""
    return {
        "location_id": row.event.location_id,
        "item_id": row.item_id,
        "recorded_as": row.event.item_id,
        "unit": row.unit,
        "counted": quantity_json(row.counted),
        "expected": quantity_json(row.expected),
        "expected_when_posted": quantity_json(row.posted),
        "variance": quantity_json(row.variance),
        "incomplete": row.incomplete,
        "occurred_at": moment_text(row.event.occurred_at, row.event.utc_offset),
        "event": event_record(row.event),
    }


VARIANCE_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        **dict.fromkeys(("location_id", "item_id", "recorded_as"), TEXT),
        "unit": NULLABLE,
        "incomplete": BOOLEAN,
        **dict.fromkeys(("counted", "expected", "expected_when_posted", "variance"), NUMBER),
        "occurred_at": {"type": "string", "format": "date-time"},
        "event": EVENT_SCHEMA,
    },
}
