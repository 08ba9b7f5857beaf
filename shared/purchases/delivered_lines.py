"""The events of a log that are deliveries against an order's line: which they are, and the table that keeps them.

An event is one by its reference `{kind: "purchase-order", id, line}`, whether or not the order is known where it was
recorded. What stands of a line is summed from the rows whose events are not voided: `delivered_by_line`. Quantities are
thousandths, times microseconds UTC.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from sqlalchemy import BigInteger, CheckConstraint, Column, Index, Integer, MetaData, PrimaryKeyConstraint, Table, Text

from shared.events import MAX_LINES, MAX_QUANTITY, Event, EventType
from shared.purchases.purchase_orders import Delivered

PURCHASE_ORDER: Final = "purchase-order"
"""The kind of reference by which a delivery, or a return, names the order and its line."""

DELIVERIES: Final = frozenset({EventType.PURCHASE_RECEIVED, EventType.PURCHASE_RETURNED})
"""The types of events that count for an order's line, where their reference names one."""


class DeliveredLine(NamedTuple):
    """One event that received of an order's line (`received` above zero) or returned of it. `item_id` as recorded."""

    sequence: int
    purchase_order_id: str
    line: int
    item_id: str
    received: int
    returned: int
    occurred_at: int


def delivered_line_of(event: Event) -> DeliveredLine | None:
    """The delivery that a placed event is, if it is one."""
    kind, reference = event.type, event.reference
    if (
        kind not in DELIVERIES
        or reference is None
        or reference.kind != PURCHASE_ORDER
        or reference.line is None
        or "\x00" in reference.id  # no order is called so, and PostgreSQL cannot hold it
    ):
        return None
    quantity = event.quantity or 0
    received = quantity if kind is EventType.PURCHASE_RECEIVED else 0
    return DeliveredLine(
        event.sequence,
        reference.id,
        reference.line,
        event.item_id or "",
        received,
        quantity - received,
        event.occurred_at,
    )


def delivered_by_line(standing: Iterable[DeliveredLine]) -> dict[int, Delivered]:
    """Sum the deliveries of one order that stand, by line."""
    sums: dict[int, list[int]] = {}
    for each in standing:
        line = sums.setdefault(each.line, [0, 0])
        line[0] += each.received
        line[1] += each.returned
    return {line: Delivered(received=received, returned=returned) for line, (received, returned) in sums.items()}


def delivered_line_table(metadata: MetaData, *, consolidated: bool) -> Table:
    """Define the deliveries of one location's log, or of every location's. Derived from the log, as the stock is."""
    key = ("location_id", "sequence") if consolidated else ("sequence",)
    scope = ("location_id",) if consolidated else ()
    sequence = BigInteger().with_variant(Integer(), "sqlite")
    return Table(
        "delivered_line",
        metadata,
        *([Column("location_id", Text, nullable=False)] if consolidated else []),
        Column("sequence", sequence, nullable=False, autoincrement=False),
        Column("purchase_order_id", Text, nullable=False),
        Column("line", Integer, nullable=False),
        Column("item_id", Text, nullable=False),  # the code in the log
        Column("received", BigInteger, nullable=False),
        Column("returned", BigInteger, nullable=False),
        Column("occurred_at", BigInteger, nullable=False),
        PrimaryKeyConstraint(*key),
        CheckConstraint(f"line BETWEEN 1 AND {MAX_LINES}", name="delivered_line_number"),
        CheckConstraint(
            f"received BETWEEN 0 AND {MAX_QUANTITY} AND returned BETWEEN 0 AND {MAX_QUANTITY}"
            " AND (received = 0) <> (returned = 0)",
            name="delivered_line_one_way",
        ),
        Index("delivered_line_order", *scope, "purchase_order_id", "line"),
    )
