"""Queries of the GET routes and pages on a read-only connection: items, events, transfers. Stock: `stock_figures`.

Quantities inside are thousandths, times microseconds UTC; a reservation that has expired never counts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, TypeVar

import msgspec
from sqlalchemy import ColumnElement, Connection, and_, func, select

from branch_node.database.lookups import sealed_where, voids_of
from branch_node.database.schema import ITEM, LOG, REORDER_LEVEL
from branch_node.database.stock.level_rows import LEVEL_FIELDS, acting_on
from branch_node.records import BranchEventRecord, ItemRecord, Page, record_of
from shared.event_record import moment_text
from shared.events import Event, EventType, quantity_json
from shared.projection import moment_literal
from shared.runtime.http.cursor import Cursor, Whole, page_of, page_of_log
from shared.transfers import totals

MAX_PAGE: Final = 1_000
BY_ITEM: Final[Cursor[str]] = Cursor(str)
BY_SEQUENCE: Final[Cursor[int]] = Cursor(Whole)
"""The cursors of lists in the order of item codes, and of sequences."""

M = TypeVar("M")


def items(connection: Connection, *, after: str | None, limit: int) -> Page[ItemRecord]:
    """List the catalogue in order of code, with this location's reorder levels."""
    query = (
        select(ITEM, *LEVEL_FIELDS)
        .join_from(ITEM, REORDER_LEVEL, acting_on(ITEM.c.item_id), isouter=True)
        .order_by(ITEM.c.item_id)
        .limit(limit + 1)
    )
    if after is not None:
        query = query.where(ITEM.c.item_id > after)
    found = [_item(row) for row in connection.execute(query)]
    return _page(found, limit, lambda last: BY_ITEM.write(last.item_id))


def _item(row: Any) -> ItemRecord:
    return ItemRecord(
        item_id=row.item_id,
        name=row.name,
        unit=row.unit,
        category=row.category,
        barcode=row.barcode,
        strict=bool(row.strict),
        defined_here=bool(row.defined_here),
        reorder_point=_figure(row.reorder_point),
        order_up_to=_figure(row.order_up_to),
        order_quantity=_figure(row.order_quantity),
        stands_for=row.stands_for,
    )


def _figure(quantity: int | None) -> msgspec.Raw | None:
    return None if quantity is None else quantity_json(quantity)


def _page(found: list[M], limit: int, cursor: Callable[[M], str]) -> Page[M]:
    items, following = page_of(found, limit, cursor)
    return Page(items=items, next=following)


def _page_of_log(found: list[M], limit: int, sequence: Callable[[M], int], after: int) -> Page[M]:
    items, following = page_of_log(
        found, limit, lambda last: BY_SEQUENCE.write(sequence(last)), BY_SEQUENCE.write(after)
    )
    return Page(items=items, next=following)


class EventsWanted(NamedTuple):
    """What the listed events have in common; None: any. They occurred in the period [begin, end).

    `codes`: they are recorded under one of these, see `stock_figures.codes_of`.
    """

    codes: Sequence[str] | None = None
    kind: EventType | None = None
    begin: int | None = None
    end: int | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        event = LOG.event
        found: list[ColumnElement[bool]] = []
        if self.codes is not None:
            found.append(event.c.item_id.in_(self.codes))
        if self.kind is not None:
            found.append(event.c.type == self.kind.value)
        if self.begin is not None:
            found.append(event.c.occurred_at >= moment_literal(self.begin))
        if self.end is not None:
            found.append(event.c.occurred_at < moment_literal(self.end))
        return found


def events(connection: Connection, wanted: EventsWanted, *, after: int, limit: int) -> Page[BranchEventRecord]:
    """List the log in order of sequence, each event with its void, if any; `next` is given at the end, too."""
    conditions = and_(LOG.event.c.sequence > after, *wanted.conditions())
    found = sealed_where(connection, conditions, limit + 1)
    voids = voids_of(connection, [each.event.sequence for each in found])
    records = [record_of(each, voided_by=voids.get(each.event.sequence)) for each in found]
    return _page_of_log(records, limit, lambda last: last.sequence, after)


def newest_events(
    connection: Connection, wanted: EventsWanted, *, before: int | None, limit: int
) -> Page[BranchEventRecord]:
    """List the log from its end, or from before a sequence, backwards; `next` leads to the older ones."""
    event = LOG.event
    conditions = wanted.conditions()
    if before is not None:
        conditions.append(event.c.sequence < before)
    query = select(event.c.sequence).where(*conditions).order_by(event.c.sequence.desc()).limit(limit + 1)
    sequences = list(connection.execute(query).scalars())
    found = sealed_where(connection, event.c.sequence.in_(sequences))
    voids = voids_of(connection, sequences)
    records = [record_of(each, voided_by=voids.get(each.event.sequence)) for each in reversed(found)]
    return _page(records, limit, lambda last: BY_SEQUENCE.write(last.sequence))


class TransferLine(msgspec.Struct, kw_only=True):
    """One item of a transfer as this site's log has it, in its base unit."""

    item_id: str
    unit: str | None
    sent: msgspec.Raw
    received: msgspec.Raw
    lost: msgspec.Raw


class SiteTransfer(msgspec.Struct, kw_only=True):
    """What this site's log says of one transfer."""

    transfer_id: str
    lines: list[TransferLine]
    refused: str | None
    reversed: bool
    first_sequence: int
    first_recorded_at: str
    last_recorded_at: str


def transfers(connection: Connection, *, after: int, limit: int) -> Page[SiteTransfer]:
    """The transfers in this log, in the order of their first events; `next` is given at the end, too."""
    event = LOG.event
    first = func.min(event.c.sequence)
    rows = connection.execute(
        select(event.c.transfer_id, first.label("first"))
        .where(event.c.transfer_id.is_not(None))
        .group_by(event.c.transfer_id)
        .having(first > after)
        .order_by(first)
        .limit(limit + 1)
    ).all()
    by_id: dict[str, list[Event]] = {row.transfer_id: [] for row in rows}
    for each in sealed_where(connection, event.c.transfer_id.in_(list(by_id))):
        by_id[each.event.transfer_id or ""].append(each.event)
    found = [_transfer(transfer_id, events) for transfer_id, events in by_id.items()]
    return _page_of_log(found, limit, lambda last: last.first_sequence, after)


def _transfer(transfer_id: str, events: Sequence[Event]) -> SiteTransfer:
    sums = totals(events)
    units = {event.item_id: event.unit for event in reversed(events)}
    return SiteTransfer(
        transfer_id=transfer_id,
        lines=[
            TransferLine(
                item_id=item_id,
                unit=units[item_id],
                sent=quantity_json(sums.sent.get(item_id, 0)),
                received=quantity_json(sums.received.get(item_id, 0)),
                lost=quantity_json(sums.lost.get(item_id, 0)),
            )
            for item_id in {**sums.sent, **sums.settled}
        ],
        refused=next(iter(sums.refused.values()), None),
        reversed=bool(sums.reversed),
        first_sequence=events[0].sequence,
        first_recorded_at=moment_text(events[0].recorded_at, events[0].utc_offset),
        last_recorded_at=moment_text(events[-1].recorded_at, events[-1].utc_offset),
    )
