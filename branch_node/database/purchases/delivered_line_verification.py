"""Verification of the rows of deliveries at a branch against the events of the log.

Works on the snapshot of the Connection it is given and reads only; memory is bounded by a page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from sqlalchemy import Connection, func, select

from branch_node.database.schema import DELIVERED_LINE, LOG
from branch_node.database.verification import VerificationFinding
from shared.chain import understand
from shared.events import EventNotUnderstood, quantity_text
from shared.purchases.delivered_lines import DELIVERIES, PURCHASE_ORDER, DeliveredLine, delivered_line_of

PAGE: Final = 2_000
_SIGN: Final = PURCHASE_ORDER.encode()
"""It is in every line that refers to an order to a supplier."""

_IS_DELIVERY: Final = LOG.event.c.type.in_(sorted(DELIVERIES))


def count_deliveries(connection: Connection) -> int:
    """Count the events to verify: deliveries, and returns to suppliers."""
    return connection.execute(select(func.count()).select_from(LOG.event).where(_IS_DELIVERY)).scalar_one()


def verify_delivered_lines(connection: Connection, advance: Callable[[int], None]) -> list[VerificationFinding]:
    """Find the rows that are not what the events of the log say, and those that are missing."""
    return list(_findings(connection, advance))


def _findings(connection: Connection, advance: Callable[[int], None]) -> Iterator[VerificationFinding]:
    after = 0
    while page := _page(connection, after):
        reached = page[-1][0]
        yield from _compared(_kept(connection, after, reached), _logged(page))
        advance(len(page))
        after = reached
    while kept := _kept(connection, after, None):
        yield from _compared(kept, {})
        after = max(kept)


def _page(connection: Connection, after: int) -> Sequence[Any]:
    event = LOG.event.c
    query = select(event.sequence, event.line).where(event.sequence > after, _IS_DELIVERY)
    return connection.execute(query.order_by(event.sequence).limit(PAGE)).all()


def _logged(page: Sequence[Any]) -> dict[int, DeliveredLine]:
    """The deliveries of a page of the log; a line that is no event is left out: the chain tells."""
    found: dict[int, DeliveredLine] = {}
    for sequence, line in page:
        # Decoding takes most of the time: what refers to no order is passed over.
        if isinstance(line, str) or _SIGN not in bytes(line):
            continue
        try:
            delivery = delivered_line_of(understand(bytes(line)))
        except EventNotUnderstood:
            continue
        if delivery is not None:
            found[sequence] = delivery
    return found


def _kept(connection: Connection, after: int, last: int | None) -> dict[int, DeliveredLine]:
    """The rows behind a sequence, up to another one; None: the next ones."""
    row = DELIVERED_LINE.c
    query = select(DELIVERED_LINE).where(row.sequence > after).order_by(row.sequence)
    query = query.limit(PAGE) if last is None else query.where(row.sequence <= last)
    return {each.sequence: DeliveredLine(*each) for each in connection.execute(query)}


def _compared(kept: dict[int, DeliveredLine], logged: dict[int, DeliveredLine]) -> Iterator[VerificationFinding]:
    for sequence in sorted(kept.keys() | logged.keys()):
        recorded, computed = kept.get(sequence), logged.get(sequence)
        if recorded != computed:
            yield VerificationFinding(
                what="the delivery against an order's line is not what the log says",
                sequence=sequence,
                recorded=_text(recorded),
                computed=_text(computed),
            )


def _text(delivery: DeliveredLine | None) -> str:
    """What is compared of a delivery, as text."""
    if delivery is None:
        return "none"
    return (
        f"line {delivery.line} of {delivery.purchase_order_id}, {delivery.item_id}, received "
        f"{quantity_text(delivery.received)}, returned {quantity_text(delivery.returned)}, occurred "
        f"{delivery.occurred_at}"
    )
