"""The items that have a reorder level, each with its stock, what is on its way and what is on order, at a cut.

One query for a few locations at a time that leaves out what does not have to be ordered. Quantities are thousandths.
Works inside the transaction of the Connection it is given.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    Connection,
    FromClause,
    Row,
    Select,
    and_,
    cast,
    func,
    or_,
    select,
)

from head_office.database.arrays import BIGINT, TEXT, array, unnest
from head_office.reports.purchasing.code_figures import code_figures
from head_office.reports.purchasing.cut_changes import CutChanges
from head_office.reports.purchasing.delivered_quantities import OnOrder
from head_office.reports.purchasing.goods_on_their_way import OnTheWay
from head_office.reports.purchasing.known_catalogue import KnownCatalogue
from shared.levels.level_columns import LEVEL_COLUMNS, level_of
from shared.levels.reorder_levels import ReorderLevel, is_low


class LevelStanding(NamedTuple):
    """What stands of an item at a location that has a level. `unit` is None where no event known then fixed it."""

    location_id: str
    item_id: str
    level: ReorderLevel
    unit: str | None
    on_hand: int
    reserved: int
    recount: bool
    in_transit: int
    on_order: int

    @property
    def projected(self) -> int:
        return self.on_hand - self.reserved + self.in_transit + self.on_order


class Coming(NamedTuple):
    """What comes to each location and item: by transfers, and by orders to suppliers."""

    on_their_way: Mapping[tuple[str, str], OnTheWay]
    on_order: Mapping[tuple[str, str], OnOrder]


def level_standings(
    connection: Connection,
    changes: CutChanges,
    catalogue: KnownCatalogue,
    coming: Coming,
    location_ids: Collection[str],
    *,
    all_rows: bool,
) -> list[LevelStanding]:
    """Read what stands of the items of these locations that are to be ordered, or of all that have a level."""
    code = code_figures(connection, changes, location_ids)
    level = catalogue.levels(location_ids)
    query = _standings(code, level, catalogue.mappings(), coming, location_ids, all_rows=all_rows)
    rows = connection.execute(query).all()
    mixed = [(row.location_id, row.item_id) for row in rows if row.mixed]
    units = _in_one_unit(connection, code, catalogue, mixed) if mixed else {}
    found = (_standing(row, units.get((row.location_id, row.item_id))) for row in rows)
    return [each for each in found if all_rows or is_low(each.level, each.projected)]


class _Figure(NamedTuple):
    unit: str | None
    on_hand: int
    reserved: int
    recount: bool


def _standing(row: Row[Any], figure: _Figure | None) -> LevelStanding:
    of_row = _Figure(row.unit, row.on_hand, row.reserved, row.recount)
    return LevelStanding(row.location_id, row.item_id, level_of(row), *(figure or of_row), row.in_transit, row.on_order)


def _standings(
    code: FromClause,
    level: FromClause,
    mapping: FromClause,
    coming: Coming,
    location_ids: Collection[str],
    *,
    all_rows: bool,
) -> Select[Any]:
    item_id = func.coalesce(mapping.c.item_id, code.c.code)
    lowest, highest = func.min(code.c.unit), func.max(code.c.unit)
    figure = (
        select(
            code.c.location_id,
            item_id.label("item_id"),
            lowest.label("unit"),
            func.coalesce(lowest != highest, False).label("mixed"),
            cast(func.sum(code.c.on_hand), BigInteger).label("on_hand"),
            cast(func.sum(code.c.reserved), BigInteger).label("reserved"),
            func.bool_or(code.c.recount).label("recount"),
        )
        .select_from(
            code.outerjoin(mapping, and_(mapping.c.location_id == code.c.location_id, mapping.c.alias == code.c.code))
        )
        .group_by(code.c.location_id, item_id)
        .subquery("figure")
    )
    places = set(location_ids)
    on_their_way = _quantities("on_their_way", coming.on_their_way, places)
    on_order = _quantities("on_order", coming.on_order, places)

    def joined(other: FromClause) -> Any:
        return and_(other.c.location_id == level.c.location_id, other.c.item_id == level.c.item_id)

    on_hand = func.coalesce(figure.c.on_hand, 0)
    reserved = func.coalesce(figure.c.reserved, 0)
    transit = func.coalesce(on_their_way.c.quantity, 0)
    ordered = func.coalesce(on_order.c.quantity, 0)
    mixed = func.coalesce(figure.c.mixed, False)
    query = (
        select(
            level.c.location_id,
            level.c.item_id,
            *(level.c[name] for name in LEVEL_COLUMNS),
            figure.c.unit,
            mixed.label("mixed"),
            on_hand.label("on_hand"),
            reserved.label("reserved"),
            func.coalesce(figure.c.recount, False).label("recount"),
            transit.label("in_transit"),
            ordered.label("on_order"),
        )
        .select_from(
            level.outerjoin(figure, joined(figure))
            .outerjoin(on_their_way, joined(on_their_way))
            .outerjoin(on_order, joined(on_order))
        )
        .where(level.c.location_id == func.any(array(sorted(places))))
    )
    if all_rows:
        return query
    # `reorder_levels.is_low`; sums over different units are looked at again.
    return query.where(or_(on_hand - reserved + transit + ordered <= level.c.reorder_point, mixed))


def _quantities(
    name: str, quantities: Mapping[tuple[str, str], OnTheWay | OnOrder], places: Collection[str]
) -> FromClause:
    rows = [(*key, each.quantity) for key, each in quantities.items() if key[0] in places]
    return unnest(name, (("location_id", TEXT), ("item_id", TEXT), ("quantity", BIGINT)), rows)


def _in_one_unit(
    connection: Connection, code: FromClause, catalogue: KnownCatalogue, mixed: Collection[tuple[str, str]]
) -> dict[tuple[str, str], _Figure]:
    """Of items whose codes have different units: the sum of those with the catalogue's, else with the first code's."""
    codes = {pair: catalogue.codes_at(*pair) for pair in mixed}
    wanted = unnest(
        "wanted",
        (("location_id", TEXT), ("code", TEXT)),
        [(place, each) for (place, _), several in codes.items() for each in several],
    )
    same = and_(wanted.c.location_id == code.c.location_id, wanted.c.code == code.c.code)
    rows = {
        (row.location_id, row.code): _Figure(row.unit, row.on_hand, row.reserved, row.recount)
        for row in connection.execute(select(code).select_from(code.join(wanted, same)))
    }
    items = catalogue.items({item_id for _, item_id in mixed})
    found = {}
    for place, item_id in mixed:
        figures = [rows[place, each] for each in codes[place, item_id] if (place, each) in rows]
        listed, units = items[item_id], [each.unit for each in figures if each.unit is not None]
        unit = listed.unit if listed is not None and listed.unit in units else units[0]
        added = [each for each in figures if each.unit in {unit, None}]
        found[place, item_id] = _Figure(
            unit,
            sum(each.on_hand for each in added),
            sum(each.reserved for each in added),
            any(each.recount for each in added),
        )
    return found
