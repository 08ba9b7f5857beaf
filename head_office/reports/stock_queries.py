"""The queries of `reports.group_stock`, built once for each shape: building them costs more than running them."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    Select,
    Text,
    bindparam,
    case,
    cast,
    column,
    exists,
    func,
    literal,
    null,
    select,
    tuple_,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY

from head_office.catalogue.item_codes import mappings
from head_office.database.office_schema import ITEM
from head_office.database.schema import (
    HEAD,
    ITEM_UNIT,
    LOG,
    OPEN_LINE,
    QUARANTINE,
    RESERVATION,
    RESERVATION_LINE,
    STOCK,
)
from head_office.reports.known_at import in_quarantine
from shared.projection import balances
from shared.stock import BEGINNING
from shared.stock_expressions import EventScope

_TEXTS: Final = ARRAY(Text)
_BIGINTS: Final = ARRAY(BigInteger)


class Shape(NamedTuple):
    """The parameters that a query of stock takes.

    by_location: location_ids. by_item: item_ids, the group's. after: after_item, after_location. limited: limit.
    known_at: known_at, by which the mappings are read.
    """

    by_location: bool
    by_item: bool
    after: bool
    limited: bool
    known_at: bool


def _pairs(shape: Shape) -> Select[Any]:
    """The projection's rows with the group's item, its name and its unit there, in order.

    A code whose only events are in quarantine has a row without figures. `most_codes` is how many codes more than one
    an item has at a location at most: with a limit, so many rows more are given, so that the codes of an item are not
    taken apart.
    """
    mapping = mappings(bindparam("known_at", type_=BigInteger) if shape.known_at else None)
    stock = _codes_with_events(shape)
    group_item = func.coalesce(mapping.c.item_id, stock.c.item_id)
    alias = (mapping.c.location_id == stock.c.location_id) & (mapping.c.alias == stock.c.item_id)
    unit = (ITEM_UNIT.c.location_id == stock.c.location_id) & (ITEM_UNIT.c.item_id == stock.c.item_id)
    query = (
        select(
            stock,
            group_item.label("group_item"),
            ITEM.c.name,
            ITEM_UNIT.c.unit,
            ITEM_UNIT.c.sequence.label("unit_sequence"),
        )
        .select_from(
            stock.outerjoin(mapping, alias).outerjoin(ITEM, ITEM.c.item_id == group_item).outerjoin(ITEM_UNIT, unit)
        )
        .order_by(group_item, stock.c.location_id, stock.c.item_id)
    )
    other = mapping.alias("other")
    if shape.by_location:
        query = query.where(stock.c.location_id == func.any(bindparam("location_ids", type_=_TEXTS)))
    if shape.by_item:
        wanted = bindparam("item_ids", type_=_TEXTS)
        codes = select(func.array_agg(other.c.alias)).where(other.c.item_id == func.any(wanted)).scalar_subquery()
        query = query.where(stock.c.item_id == func.any(func.array_cat(wanted, codes)), group_item == func.any(wanted))
    if shape.after:
        after = tuple_(*(bindparam(name, type_=Text) for name in ("after_item", "after_location")))
        query = query.where(tuple_(group_item, stock.c.location_id) > after)
    if not shape.limited:
        return query.add_columns(literal(0).label("most_codes"))
    same = (other.c.location_id, other.c.item_id)
    aliases = select(func.count().label("codes")).select_from(other).group_by(*same).correlate(None).subquery("aliases")
    most = select(func.coalesce(func.max(aliases.c.codes), 0)).scalar_subquery()
    return query.add_columns(most.label("most_codes")).limit(bindparam("limit", type_=BigInteger) + most)


def _codes_with_events(shape: Shape) -> FromClause:
    """The projection, and the codes that have events in quarantine only."""
    held = (
        select(QUARANTINE.c.location_id, QUARANTINE.c.item_id)
        .where(QUARANTINE.c.item_id.is_not(None))
        .where(
            ~exists().where(STOCK.c.location_id == QUARANTINE.c.location_id, STOCK.c.item_id == QUARANTINE.c.item_id)
        )
        .distinct()
    )
    if not shape.known_at:
        held = held.where(QUARANTINE.c.released_at.is_(None))
    codes = held.subquery("held")
    nothing: dict[str, ColumnElement[Any]] = {
        "on_hand": literal(0, BigInteger),
        "reserved": literal(0, BigInteger),
        "latest_at": literal(BEGINNING.occurred_at, BigInteger),
        "latest_sequence": literal(BEGINNING.sequence, BigInteger),
        "recount": literal(False),
    }
    empty = [
        codes.c[each.name] if each.name in codes.c else nothing.get(each.name, cast(null(), each.type)).label(each.name)
        for each in STOCK.columns
    ]
    return union_all(select(STOCK), select(*empty)).subquery("code")


@lru_cache(maxsize=16)
def current(shape: Shape) -> Select[Any]:
    """Select what stands now, with the head of the location; `quarantined`: whether any event is in quarantine."""
    page = _pairs(shape).subquery("page")
    # A reservation stops counting at its expiry, whether its event is here or not. Of what is open alone, for each row.
    line, now = RESERVATION_LINE.c, select(func.larder_now()).scalar_subquery()
    expired = (
        select(func.coalesce(func.sum(line.quantity - line.confirmed - line.released), 0))
        .select_from(
            RESERVATION_LINE.join(
                RESERVATION,
                (RESERVATION.c.location_id == line.location_id) & (RESERVATION.c.reservation_id == line.reservation_id),
            )
        )
        .where(line.location_id == page.c.location_id, line.item_id == page.c.item_id, OPEN_LINE)
        .where(RESERVATION.c.expires_at <= now)
        .correlate(page)
        .scalar_subquery()
    )
    return (
        select(
            page.c.group_item,
            page.c.location_id,
            page.c.item_id,
            page.c.name,
            page.c.unit,
            page.c.on_hand,
            case((page.c.reserved == 0, 0), else_=page.c.reserved - cast(expired, BigInteger)).label("reserved"),
            page.c.counted_at,
            page.c.latest_at,
            page.c.recount,
            page.c.most_codes,
            HEAD.c.sequence,
            select(exists().where(QUARANTINE.c.released_at.is_(None))).scalar_subquery().label("quarantined"),
        )
        .select_from(page.join(HEAD, HEAD.c.location_id == page.c.location_id))
        .order_by(page.c.group_item, page.c.location_id, page.c.item_id)
    )


@lru_cache(maxsize=64)
def past(shape: Shape, as_of: bool, hides_releases: bool) -> Select[Any]:
    """Select what stood within a cut. Takes cut_locations, cut_sequences, expired_by; as_of and known_at as needed."""
    moment = bindparam("as_of", type_=BigInteger) if as_of else None
    return past_at(shape, lambda _location_id: moment, hides_releases, bindparam("expired_by", type_=BigInteger))


def past_at(
    shape: Shape,
    moment: Callable[[ColumnElement[str]], ColumnElement[int] | None],
    hides_releases: bool,
    expired_by: ColumnElement[int] | None = None,
) -> Select[Any]:
    """The same as of a moment that `moment` gives for each location; reservations expire by it or `expired_by`."""
    known = (
        func.unnest(bindparam("cut_locations", type_=_TEXTS), bindparam("cut_sequences", type_=_BIGINTS))
        .table_valued(column("location_id", Text), column("sequence", BigInteger), name="cut")
        .render_derived()
    )
    page = _pairs(shape).subquery("page")
    wanted = (
        select(page, known.c.sequence.label("known_through"))
        .select_from(page.join(known, known.c.location_id == page.c.location_id))
        .subquery("pairs")
    )

    def unknown(location_id: ColumnElement[str], sequence: ColumnElement[int]) -> ColumnElement[bool]:
        return in_quarantine(location_id, sequence, bindparam("known_at", type_=BigInteger))

    scope = EventScope(
        moment=moment(wanted.c.location_id),
        known_through=wanted.c.known_through,
        unknown=unknown if hides_releases else None,
    )
    fixed = wanted.c.unit_sequence <= wanted.c.known_through
    if hides_releases:
        fixed &= ~unknown(wanted.c.location_id, wanted.c.unit_sequence)
    unit = case((fixed, wanted.c.unit))
    found = balances(LOG, wanted, scope, expired_by=expired_by)
    return found.add_columns(wanted.c.group_item, wanted.c.name, unit.label("unit"), wanted.c.most_codes).order_by(
        wanted.c.group_item, wanted.c.location_id, wanted.c.item_id
    )
