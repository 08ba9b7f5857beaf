"""What counts as used, and the events of it: sold, used, produced with, wasted, sent away; less what came back.

Quantities are thousandths, moments microseconds UTC. What is counted is what INTERFACES A5 counts as daily usage.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from sqlalchemy import BigInteger, ColumnElement, FromClause, and_, func, literal, select

from head_office.catalogue.item_codes import items_meant, mappings
from head_office.database.arrays import array
from head_office.database.schema import EVENT, ITEM_UNIT, STOCK, VOIDED
from head_office.reports.known_at import Cut, moment_at
from head_office.reports.tables.table_report import TableScope
from shared.events import EventType
from shared.stock_expressions import EventScope, known, stands

USED_AS: Final[dict[str, str]] = {
    EventType.ORDER_DEDUCTION.value: "sold",
    EventType.RESERVATION_CONFIRMED.value: "sold",
    EventType.INTERNAL_USE.value: "internal_use",
    EventType.PRODUCTION_USED.value: "production",
    EventType.WASTE_RECORDED.value: "waste",
    EventType.TRANSFER_OUT.value: "transferred_out",
    EventType.CUSTOMER_RETURN.value: "returned",
}
"""The figure that an event of each type counts in, by its value. One that was reversed or voided counts in none."""

FIGURES: Final = ("sold", "internal_use", "production", "waste", "transferred_out", "returned")
"""The figures of a row, in order; each is the sum of quantities, so never below zero."""


class UsageFigures(NamedTuple):
    """The figures of a row, in thousandths. `first_at`: when the first event of it occurred."""

    sold: int
    internal_use: int
    production: int
    waste: int
    transferred_out: int
    returned: int
    first_at: int

    @property
    def total(self) -> int:
        """What was used in all, less what came back."""
        used = self.sold + self.internal_use + self.production + self.waste + self.transferred_out
        return used - self.returned


def is_usage(event: FromClause) -> ColumnElement[bool]:
    """An event is of a type that counts as used, or as returned."""
    return event.c.type == func.any(array(sorted(USED_AS)))


def usage_codes(scope: TableScope, cut: Cut) -> FromClause:
    """The codes in the logs of the scope: (location_id, code, item_id, unit, known_through), of its item alone if one
    is asked for. `item_id` is what the code stands for there, `unit` empty where none is known."""
    mapping = mappings(None if scope.known_at is None else literal(scope.known_at, BigInteger))
    heads = cut.table()
    here = and_(ITEM_UNIT.c.location_id == STOCK.c.location_id, ITEM_UNIT.c.item_id == STOCK.c.item_id)
    aliased = and_(mapping.c.location_id == STOCK.c.location_id, mapping.c.alias == STOCK.c.item_id)
    item_id = func.coalesce(mapping.c.item_id, STOCK.c.item_id)
    query = select(
        STOCK.c.location_id,
        STOCK.c.item_id.label("code"),
        item_id.label("item_id"),
        func.coalesce(ITEM_UNIT.c.unit, "").label("unit"),
        heads.c.sequence.label("known_through"),
    ).select_from(
        STOCK.join(heads, heads.c.location_id == STOCK.c.location_id)
        .outerjoin(mapping, aliased)
        .outerjoin(ITEM_UNIT, here)
    )
    if scope.item_id is not None:
        meant = items_meant(scope.connection, scope.item_id, scope.location_ids, scope.known_at)
        query = query.where(item_id == func.any(array(meant)))
    return query.subquery("code")


def usage_conditions(scope: TableScope, cut: Cut, of: FromClause) -> list[ColumnElement[bool]]:
    """The conditions that an event is usage of the scope, and stands; `of` is the enclosing row, with its location and
    what is known there."""
    within = EventScope(None, of.c.known_through, cut.unknown())
    conditions: list[ColumnElement[bool]] = [
        EVENT.c.location_id == of.c.location_id,
        is_usage(EVENT),
        *known(EVENT, within),
        stands(EVENT, VOIDED, within, of),
    ]
    if scope.begin is not None:
        conditions.append(EVENT.c.occurred_at >= moment_at(of.c.location_id, scope.begin))
    if scope.end is not None:
        conditions.append(EVENT.c.occurred_at < moment_at(of.c.location_id, scope.end))
    return conditions


def used_quantity() -> ColumnElement[int]:
    """How much an event used, or gave back: never below zero."""
    return func.abs(EVENT.c.on_hand_change)


def figure_sums() -> list[ColumnElement[Any]]:
    """The aggregates of the figures over rows of `event`."""
    quantity = func.sum(used_quantity())
    kinds = {name: [kind for kind, figure in USED_AS.items() if figure == name] for name in FIGURES}
    return [
        func.coalesce(quantity.filter(EVENT.c.type == func.any(array(of))), 0).label(name) for name, of in kinds.items()
    ]
