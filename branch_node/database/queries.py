"""Queries of the GET routes and pages on a read-only connection: items, events, stock, transfers.

Quantities inside are thousandths, times microseconds UTC; a reservation that has expired never counts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import msgspec
from sqlalchemy import Connection, Select, case, func, select

from branch_node.database.lookups import sealed_where, voids_of
from branch_node.database.schema import ITEM, LOCATION, LOG, REORDER_LEVEL, STOCK
from branch_node.model import Location
from branch_node.problems import ITEM_NOT_FOUND
from branch_node.records import BranchEventRecord, ItemRecord, Page, StockRecord, record_of
from shared.event_record import moment_text, stock_flags
from shared.events import Event, EventType, quantity_json
from shared.projection import balances, moment_literal
from shared.runtime.http.cursor import Cursor, Whole, page_of, page_of_log
from shared.stock import Place, Standing
from shared.stock_expressions import EventScope
from shared.transfers import totals

MAX_PAGE: Final = 1_000
BY_ITEM: Final[Cursor[str]] = Cursor(str)
BY_SEQUENCE: Final[Cursor[int]] = Cursor(Whole)
"""The cursors of lists in the order of item codes, and of sequences."""

M = TypeVar("M")


def location_of(connection: Connection) -> Location:
    """Read the location of this log."""
    row = connection.execute(select(LOCATION)).one()
    return Location(location_id=row.location_id, name=row.name, timezone=row.timezone, day_start=row.day_start)


def items(connection: Connection, *, after: str | None, limit: int) -> Page[ItemRecord]:
    """List the catalogue in order of code, with this location's reorder levels."""
    query = (
        select(ITEM, REORDER_LEVEL.c.level, REORDER_LEVEL.c.target)
        .join_from(ITEM, REORDER_LEVEL, ITEM.c.item_id == REORDER_LEVEL.c.item_id, isouter=True)
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
        reorder_level=None if row.level is None else quantity_json(row.level),
        reorder_target=None if row.target is None else quantity_json(row.target),
    )


def _page(found: list[M], limit: int, cursor: Callable[[M], str]) -> Page[M]:
    items, following = page_of(found, limit, cursor)
    return Page(items=items, next=following)


def _page_of_log(found: list[M], limit: int, sequence: Callable[[M], int], after: int) -> Page[M]:
    items, following = page_of_log(
        found, limit, lambda last: BY_SEQUENCE.write(sequence(last)), BY_SEQUENCE.write(after)
    )
    return Page(items=items, next=following)


def events(
    connection: Connection, *, item_id: str | None, kind: EventType | None, after: int, limit: int
) -> Page[BranchEventRecord]:
    """List the log in order of sequence, each event with its void, if any; `next` is given at the end, too."""
    event = LOG.event
    condition = event.c.sequence > after
    if item_id is not None:
        condition &= event.c.item_id == item_id
    if kind is not None:
        condition &= event.c.type == kind.value
    found = sealed_where(connection, condition, limit + 1)
    voids = voids_of(connection, [each.event.sequence for each in found])
    records = [record_of(each, voided_by=voids.get(each.event.sequence)) for each in found]
    return _page_of_log(records, limit, lambda last: last.sequence, after)


def newest_events(
    connection: Connection, *, item_id: str | None, kind: EventType | None, before: int | None, limit: int
) -> Page[BranchEventRecord]:
    """List the log from its end, or from before a sequence, backwards; `next` leads to the older ones."""
    event = LOG.event
    conditions = [event.c.sequence < before] if before is not None else []
    if item_id is not None:
        conditions.append(event.c.item_id == item_id)
    if kind is not None:
        conditions.append(event.c.type == kind.value)
    query = select(event.c.sequence).where(*conditions).order_by(event.c.sequence.desc()).limit(limit + 1)
    sequences = list(connection.execute(query).scalars())
    found = sealed_where(connection, event.c.sequence.in_(sequences))
    voids = voids_of(connection, sequences)
    records = [record_of(each, voided_by=voids.get(each.event.sequence)) for each in reversed(found)]
    return _page(records, limit, lambda last: BY_SEQUENCE.write(last.sequence))


_STOCK_QUERY: Final = select(
    STOCK, ITEM.c.name, ITEM.c.unit, REORDER_LEVEL.c.level, REORDER_LEVEL.c.target
).select_from(
    STOCK.join(ITEM, ITEM.c.item_id == STOCK.c.item_id, isouter=True).join(
        REORDER_LEVEL, REORDER_LEVEL.c.item_id == STOCK.c.item_id, isouter=True
    )
)


def stock(connection: Connection, *, now: int, after: str | None, limit: int) -> Page[StockRecord]:
    """List what stands now of every item that has events, in order of code."""
    query = _STOCK_QUERY.order_by(STOCK.c.item_id).limit(limit + 1)
    if after is not None:
        query = query.where(STOCK.c.item_id > after)
    return _page(_stock_records(connection, query, now), limit, lambda last: BY_ITEM.write(last.item_id))


def low_stock(connection: Connection, *, now: int, after: str | None, limit: int) -> Page[StockRecord]:
    """List the items available at or below their reorder level, in order of code, those without events too."""
    level = REORDER_LEVEL.c.level
    zero = func.coalesce(STOCK.c.on_hand, 0)
    query = (
        select(
            REORDER_LEVEL.c.item_id, level, REORDER_LEVEL.c.target, ITEM.c.name, ITEM.c.unit,
            zero.label("on_hand"), func.coalesce(STOCK.c.reserved, 0).label("reserved"),
            STOCK.c.counted_at, STOCK.c.counted_sequence, func.coalesce(STOCK.c.recount, False).label("recount"),
        )
        .select_from(
            REORDER_LEVEL.join(ITEM, ITEM.c.item_id == REORDER_LEVEL.c.item_id, isouter=True).join(
                STOCK, STOCK.c.item_id == REORDER_LEVEL.c.item_id, isouter=True
            )
        )
        # Where something is reserved, the comparison is made below, without what has expired.
        .where(case((func.coalesce(STOCK.c.reserved, 0) > 0, True), else_=zero <= level))
        .order_by(REORDER_LEVEL.c.item_id)
    )  # fmt: skip
    if after is not None:
        query = query.where(REORDER_LEVEL.c.item_id > after)
    rows = connection.execute(query).all()
    reserved = _unexpired(connection, [row.item_id for row in rows if row.reserved], now)
    low = [row for row in rows if row.on_hand - reserved.get(row.item_id, 0) <= row.level]
    return _page(
        [_stock_record(row, reserved, now) for row in low[: limit + 1]], limit, lambda last: BY_ITEM.write(last.item_id)
    )


def _stock_records(connection: Connection, query: Select[Any], now: int) -> list[StockRecord]:
    rows = connection.execute(query).all()
    reserved = _unexpired(connection, [row.item_id for row in rows if row.reserved], now)
    return [_stock_record(row, reserved, now) for row in rows]


def _unexpired(connection: Connection, item_ids: Sequence[str], now: int) -> dict[str, int]:
    """Fold what is reserved of these items and has not expired, by item."""
    if not item_ids:
        return {}
    pairs = select(STOCK.c.location_id, STOCK.c.item_id).where(STOCK.c.item_id.in_(item_ids)).subquery("pairs")
    rows = connection.execute(balances(LOG, pairs, EventScope(moment=moment_literal(now))))
    return {row.item_id: row.reserved for row in rows}


def _stock_record(row: Any, reserved: dict[str, int], now: int) -> StockRecord:
    last_count = None if row.counted_at is None else Place(row.counted_at, row.counted_sequence)
    standing = Standing(row.on_hand, reserved.get(row.item_id, 0), last_count, recount=bool(row.recount))
    return stock_record(row.item_id, standing, now, row)


def stock_record(item_id: str, standing: Standing, as_of: int, item: Any) -> StockRecord:
    """Make the record of a standing whose `reserved` is without what has expired; `item` is its `item_row`."""
    record = StockRecord(
        item_id=item_id,
        name=None if item is None else item.name,
        unit=None if item is None else item.unit,
        on_hand=quantity_json(standing.on_hand),
        reserved=quantity_json(standing.reserved),
        available=quantity_json(standing.on_hand - standing.reserved),
        as_of=moment_text(as_of),
        counted_at=None if standing.last_count is None else moment_text(standing.last_count.occurred_at),
        flags=stock_flags(standing.on_hand, standing.reserved, recount=standing.recount),
    )
    if item is not None and item.level is not None:
        record.reorder_level, record.reorder_target = quantity_json(item.level), quantity_json(item.target)
    return record


def item_row(connection: Connection, item_id: str) -> Any:
    """Read name, unit, level and target of an item; None where the catalogue does not have it."""
    query = (
        select(ITEM.c.name, ITEM.c.unit, REORDER_LEVEL.c.level, REORDER_LEVEL.c.target)
        .join_from(ITEM, REORDER_LEVEL, ITEM.c.item_id == REORDER_LEVEL.c.item_id, isouter=True)
        .where(ITEM.c.item_id == item_id)
    )
    return connection.execute(query).one_or_none()


def stock_of(connection: Connection, item_id: str, *, now: int, as_of: int | None) -> StockRecord:
    """Read what stands of one item now, or as of a moment (microseconds UTC). Raises 404 `item-not-found`."""
    if as_of is None:
        row = connection.execute(_STOCK_QUERY.where(STOCK.c.item_id == item_id)).one_or_none()
        if row is not None:
            return _stock_record(row, _unexpired(connection, [item_id] if row.reserved else [], now), now)
    item = item_row(connection, item_id)
    pairs = select(STOCK.c.location_id, STOCK.c.item_id).where(STOCK.c.item_id == item_id).subquery("pairs")
    moment = now if as_of is None else as_of
    found = connection.execute(balances(LOG, pairs, EventScope(moment=moment_literal(moment)))).one_or_none()
    if found is None and item is None:
        raise ITEM_NOT_FOUND(f"there is no item {item_id!r}", item_id=item_id)
    standing = Standing()
    if found is not None:
        last_count = None if found.counted_at is None else Place(found.counted_at, found.counted_sequence)
        standing = Standing(found.on_hand, found.reserved, last_count, recount=bool(found.recount))
    return stock_record(item_id, standing, moment, item)


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
