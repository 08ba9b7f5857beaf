"""The purchasing report: a stand-in until the module of this name comes; on hand against the levels alone."""

from __future__ import annotations

from collections.abc import Collection

import msgspec
from sqlalchemy import BigInteger, Connection, literal

from head_office.catalogue.catalogue_history import entries_at
from head_office.database.schema import LOCATION
from head_office.reports.freshness import freshness
from head_office.reports.group_stock import stock
from head_office.reports.known_at import AsOf, SettledMoment
from head_office.reports.purchasing.purchasing_records import (
    DEFAULT_WINDOW_DAYS,
    LocationState,
    PurchasingLocation,
    PurchasingReport,
    PurchasingRow,
)
from shared.catalogue_messages import CatalogueLevel
from shared.levels.reorder_levels import is_low, to_order


def purchasing_report(
    connection: Connection,
    *,
    location_ids: Collection[str] | None,
    as_of: AsOf | None,
    known_at: SettledMoment,
    given: bool,
    window_days: int = DEFAULT_WINDOW_DAYS,
    all_rows: bool = False,
) -> PurchasingReport:
    """Read the report as of a moment, known at another."""
    if location_ids is None:
        location_ids = list(connection.execute(LOCATION.select().with_only_columns(LOCATION.c.location_id)).scalars())
    moment = known_at if as_of is None else as_of
    assert isinstance(moment, int)
    found = stock(connection, location_ids=location_ids, as_of=moment, known_at=known_at)
    figures = {(row.location_id, row.item_id): row for row in found.rows}
    fresh = freshness(connection, location_ids, found.cut)
    if given:
        gone = {"contacted_at": None, "branch_sequence": None, "verdict": None, "skew": None, "occurred_at": None}
        fresh = {place: msgspec.structs.replace(each, open_counts=(), **gone) for place, each in fresh.items()}
    levels = {
        (row.location_id, row.subject): msgspec.json.decode(row.content, type=CatalogueLevel).reorder_level()
        for row in connection.execute(entries_at("reorder_level", literal(known_at, BigInteger)))
    }
    rows = []
    for location_id in sorted(location_ids):
        for (place, item_id), level in sorted(levels.items()):
            if place != location_id or level is None:
                continue
            row = figures.get((location_id, item_id))
            available = 0 if row is None else row.on_hand - row.reserved
            if not all_rows and not is_low(level, available):
                continue
            order, pack = to_order(level, available), level.pack_size
            rows.append(
                PurchasingRow(
                    location_id=location_id,
                    item_id=item_id,
                    name=None if row is None else row.name,
                    unit=None if row is None else row.unit,
                    supplier_id=level.supplier_id,
                    supplier_name=None,
                    on_hand=0 if row is None else row.on_hand,
                    reserved=0 if row is None else row.reserved,
                    available=available,
                    in_transit=0,
                    on_order=0,
                    next_due=None,
                    projected=available,
                    reorder_point=level.reorder_point,
                    order_up_to=level.order_up_to,
                    order_quantity=level.order_quantity,
                    pack_size=pack,
                    to_order=order,
                    packs=None if pack is None else order // pack,
                    daily_usage=None,
                    days_left=None,
                    lead_days=level.lead_days,
                    suggested_reorder_point=None,
                    flags=(),
                    location_state=LocationState.FRESH,
                )
            )
    rows.sort(key=lambda row: (row.supplier_id is None, row.supplier_id or "", row.location_id, row.item_id))
    return PurchasingReport(
        as_of=moment,
        known_at=known_at,
        date=None,
        window_days=window_days,
        cut=dict(found.cut.sequences),
        locations=[
            PurchasingLocation(
                location_id=location_id,
                name=each.name,
                as_of=moment,
                known_at=known_at,
                state=LocationState.INCOMPLETE if each.quarantined else LocationState.FRESH,
                freshness=each,
            )
            for location_id, each in sorted(fresh.items())
        ],
        rows=rows,
    )
