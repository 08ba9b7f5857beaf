"""Orders to suppliers at head office and deliveries in branches' logs, beside a ledger of them in plain Python.

The ledger knows what was ordered and recorded, and sums it event by event: it shares no statement with the product.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from unittest.mock import patch

from msgspec.structs import replace
from sqlalchemy import Connection, Engine, insert, update

from head_office.catalogue import item_proposals, items
from head_office.catalogue.catalogue_history import Change, lock, publish
from head_office.database.purchase_tables import PURCHASE_ORDER, PURCHASE_ORDER_LINE
from head_office.database.schema import now
from head_office.log import decoder
from head_office.log.quarantine import retry
from shared.catalogue_messages import CatalogueItem, CataloguePurchaseOrder
from shared.chain import understand
from shared.events import Definition, Event, EventType, Reference
from shared.purchases.purchase_orders import PurchaseOrder, PurchaseOrderLine, closed_order
from tests.support.consolidation import PLACE, Branch, OldVersion, open_location
from tests.support.events import MINUTE, NOON, an_event

THERE = "BEY-02"
PLACES = (PLACE, THERE)
ITEMS = ("apple", "pear")
OWN = "apfel"  # the code of its own by which PLACE knows an item
CODES = (*ITEMS, OWN)

OnOrderByItem = dict[tuple[str, str], tuple[int, str | None]]


def an_order(
    order_id: str, location_id: str, lines: Sequence[tuple[str, int]], due: str | None = None
) -> PurchaseOrder:
    """An order in kilograms."""
    stated = tuple(
        PurchaseOrderLine(line=number, item_id=item, unit="kg", quantity=quantity)
        for number, (item, quantity) in enumerate(lines, start=1)
    )
    return PurchaseOrder(
        purchase_order_id=order_id, location_id=location_id, supplier_id="farm", lines=stated, created_at=0, due=due
    )


def write_order(connection: Connection, order: PurchaseOrder) -> None:
    """Write a new order and its entry of the catalogue."""
    lock(connection)
    connection.execute(
        insert(PURCHASE_ORDER).values(
            purchase_order_id=order.purchase_order_id,
            location_id=order.location_id,
            supplier_id=order.supplier_id,
            due=order.due,
            created_at=order.created_at,
            content_digest="",
        )
    )
    rows = [
        {
            "purchase_order_id": order.purchase_order_id,
            "line": line.line,
            "location_id": order.location_id,
            "item_id": line.item_id,
            "unit": line.unit,
            "quantity": line.quantity,
            "closed": line.closed,
            "awaited": not line.closed,
        }
        for line in order.lines
    ]
    connection.execute(insert(PURCHASE_ORDER_LINE), rows)
    _publish(connection, order)


def close_order(connection: Connection, order: PurchaseOrder, lines: Sequence[int] | None) -> PurchaseOrder:
    """Close lines of an order (None: all) and publish it; the order as it stands then."""
    lock(connection)
    closed = closed_order(order, lines, None)
    for line in closed.lines:
        if line.closed:
            at = PURCHASE_ORDER_LINE.c
            of_line = (at.purchase_order_id == order.purchase_order_id, at.line == line.line)
            connection.execute(update(PURCHASE_ORDER_LINE).where(*of_line).values(closed=True, awaited=False))
    _publish(connection, closed)
    return closed


def _publish(connection: Connection, order: PurchaseOrder) -> None:
    content = CataloguePurchaseOrder(purchase_order_id=order.purchase_order_id, order=order)
    publish(connection, [Change(content, order.location_id)])


def delivery(order_id: str, line: int, quantity: int, **fields: object) -> Event:
    """An unplaced PURCHASE_RECEIVED against an order's line; `kind` may make it a PURCHASE_RETURNED."""
    kind = str(fields.pop("kind", "PURCHASE_RECEIVED"))
    reference = Reference(kind="purchase-order", id=order_id, line=line)
    made: dict[str, object] = {"item_id": "apple", "unit": "kg", "quantity": quantity, "reference": reference}
    return an_event(kind, **(made | fields))


class OrderLedger:
    """A head office of two branches with two items, of which PLACE has a code of its own, too; and the ledger of it."""

    def __init__(self, office: Engine) -> None:
        self.office = office
        self.logs = {place: Branch(place) for place in PLACES}
        self.shipped = dict.fromkeys(PLACES, 0)
        self.orders: dict[str, PurchaseOrder] = {}
        self.mapped: dict[tuple[str, str], str] = {}
        self.held: set[tuple[str, int]] = set()  # in quarantine
        self._seeds = count(1_000)
        with office.begin() as connection:
            open_location(connection, THERE)
            items.put(connection, [CatalogueItem(item_id=each, name=each, unit="kg") for each in ITEMS])
        own = an_event("ITEM_DEFINED", item_id=OWN, definition=Definition(name="Apfel", unit="kg"), seed=1)
        self.record(PLACE, own)
        self.ship(PLACE)

    def order(self, order_id: str, location_id: str, lines: Sequence[tuple[str, int]], due: str | None = None) -> None:
        order = an_order(order_id, location_id, lines, due)
        with self.office.begin() as connection:
            write_order(connection, order)
        self.orders[order_id] = order

    def close(self, order_id: str, lines: Sequence[int] | None = None) -> None:
        with self.office.begin() as connection:
            self.orders[order_id] = close_order(connection, self.orders[order_id], lines)

    def postpone(self, order_id: str, due: str | None) -> None:
        order = replace(self.orders[order_id], due=due)
        with self.office.begin() as connection:
            lock(connection)
            of_order = PURCHASE_ORDER.c.purchase_order_id == order_id
            connection.execute(update(PURCHASE_ORDER).where(of_order).values(due=due))
            _publish(connection, order)
        self.orders[order_id] = order

    def map(self, item_id: str) -> None:
        with self.office.begin() as connection:
            item_proposals.map_to(connection, PLACE, OWN, item_id)
        self.mapped[PLACE, OWN] = item_id

    def record(self, place: str, event: Event) -> int:
        """Append an event to a branch's log, not shipped; its sequence."""
        event.event_id = f"01900000-0000-7000-8000-{next(self._seeds):012x}"
        self.logs[place].record([event])
        return len(self.logs[place].lines)

    def deliver(self, place: str, order_id: str, line: int, quantity: int, **fields: object) -> int:
        return self.record(place, delivery(order_id, line, quantity, **fields))

    def void(self, place: str, sequence: int, **fields: object) -> None:
        """Void an event that is not voided yet."""
        voided = self.events(place)[sequence - 1]
        self.record(
            place,
            an_event(
                "EVENT_VOIDED",
                item_id=voided.item_id,
                voided_sequence=sequence,
                voided_event_id=voided.event_id,
                reason="wrong",
                **({"occurred_at": NOON + sequence * MINUTE} | fields),
            ),
        )

    def ship(self, place: str, last: int | None = None) -> None:
        """Ship to a version that does not understand events whose note begins with "new"."""
        first, last = self.shipped[place] + 1, len(self.logs[place].lines) if last is None else last
        if first > last:
            return
        with patch.object(decoder, "understand", OldVersion.understand):
            self.logs[place].ship(self.office, first, last)
        self.shipped[place] = last
        for event in self.events(place)[first - 1 : last]:
            if (event.note or "").startswith("new") or (place, event.voided_sequence) in self.held:
                self.held.add((place, event.sequence))

    def release(self, place: str) -> None:
        """Retry the quarantine of a branch by a version that understands everything."""
        with self.office.begin() as connection:
            retry(connection, place)
        self.held = {each for each in self.held if each[0] != place}

    def now(self) -> int:
        with self.office.begin() as connection:
            return now(connection)

    def events(self, place: str) -> list[Event]:
        return [understand(line) for line in self.logs[place].lines]

    def standing(self, place: str, as_of: int | None = None) -> list[Event]:
        """What of a branch's shipped log is known, occurred by a moment and is not voided."""
        known = [each for each in self.events(place)[: self.shipped[place]] if (place, each.sequence) not in self.held]
        undone = {each.voided_sequence for each in known if each.type is EventType.EVENT_VOIDED}
        return [each for each in known if each.sequence not in undone and (as_of is None or each.occurred_at <= as_of)]

    def delivered(self, order_id: str, as_of: int | None = None) -> dict[int, tuple[int, int]]:
        """(received, returned) of each line of an order with a delivery that stands."""
        order = self.orders[order_id]
        found: dict[int, tuple[int, int]] = {}
        for event in self.standing(order.location_id, as_of):
            reference, item = event.reference, event.item_id or ""
            if reference is None or reference.kind != "purchase-order" or reference.id != order_id:
                continue
            for line in order.lines:
                if line.line == reference.line and line.item_id == self.mapped.get((order.location_id, item), item):
                    received, returned = found.get(line.line, (0, 0))
                    if event.type is EventType.PURCHASE_RECEIVED:
                        found[line.line] = received + (event.quantity or 0), returned
                    else:
                        found[line.line] = received, returned + (event.quantity or 0)
        return found

    def on_order(self, as_of: int | None = None) -> OnOrderByItem:
        found: OnOrderByItem = {}
        for order in self.orders.values():
            delivered = self.delivered(order.purchase_order_id, as_of)
            for line in order.lines:
                rest = line.quantity - delivered.get(line.line, (0, 0))[0]
                if line.closed or rest <= 0:
                    continue
                key = order.location_id, line.item_id
                quantity, due = found.get(key, (0, None))
                dates = [each for each in (due, order.due) if each is not None]
                found[key] = quantity + rest, min(dates, default=None)
        return found
