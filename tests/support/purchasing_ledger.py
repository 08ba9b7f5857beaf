"""A group that sells, moves and orders goods, and what its purchasing report must say: in plain Python.

The ledger reads the events that were shipped and sums them one by one, as INTERFACES A5 has it; it shares no statement
and no formula with the product.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from itertools import count
from math import ceil, floor
from typing import Any
from unittest.mock import patch
from zoneinfo import ZoneInfo

from sqlalchemy import Engine

from head_office.catalogue import item_proposals, items, locations
from head_office.catalogue.catalogue_history import Change, lock, publish
from head_office.catalogue.location_levels import LevelChange, put_levels
from head_office.database.purchase_tables import SUPPLIER
from head_office.database.schema import now
from head_office.log import decoder
from head_office.log.quarantine import retry
from head_office.transfers import instructions
from shared.catalogue_messages import CatalogueItem, CatalogueLocation, CatalogueSupplier
from shared.chain import understand
from shared.events import Definition, Event
from shared.levels.reorder_levels import ReorderLevel
from shared.messages import Instruction, InstructionLine, InstructionStep
from shared.purchases.purchase_orders import PurchaseOrder
from shared.purchases.suppliers import Supplier
from tests.support.consolidation import Branch, OldVersion
from tests.support.events import an_event
from tests.support.order_ledger import an_order, close_order, write_order

PLACES = ("BEY-01", "BEY-02", "WH-1")
ITEMS = ("apple", "pear")
OWN = "apfel"  # the code of its own by which the first place knows an item
ZONES = {"BEY-01": ("Asia/Beirut", 240), "BEY-02": ("Pacific/Auckland", 0), "WH-1": ("America/Lima", 600)}
SIGNS = {
    "PURCHASE_RECEIVED": 1, "PURCHASE_RETURNED": -1, "ORDER_DEDUCTION": -1, "CUSTOMER_RETURN": 1, "INTERNAL_USE": -1,
    "WASTE_RECORDED": -1, "PRODUCTION_USED": -1, "PRODUCTION_MADE": 1, "ADJUSTMENT": 1, "TRANSFER_OUT": -1,
    "TRANSFER_IN": 1, "RESERVATION_CONFIRMED": -1,
}  # fmt: skip
USES = {
    "ORDER_DEDUCTION": 1, "RESERVATION_CONFIRMED": 1, "INTERNAL_USE": 1, "PRODUCTION_USED": 1, "WASTE_RECORDED": 1,
    "TRANSFER_OUT": 1, "CUSTOMER_RETURN": -1,
}  # fmt: skip
RESERVES = {"STOCK_RESERVED": 1, "RESERVATION_RELEASED": -1, "RESERVATION_EXPIRED": -1, "RESERVATION_CONFIRMED": -1}
MOVES = {"TRANSFER_OUT": 1, "TRANSFER_IN": -1, "TRANSFER_LOST": -1}
NOTHING = {"TRANSFER_REVERSED", "EVENT_VOIDED", "ITEM_DEFINED"}


@dataclass
class Known:
    """What head office knows at a moment."""

    shipped: dict[str, int] = field(default_factory=lambda: dict.fromkeys(PLACES, 0))
    held: set[tuple[str, int]] = field(default_factory=set)  # in quarantine
    mapped: dict[tuple[str, str], str] = field(default_factory=dict)
    levels: dict[tuple[str, str], ReorderLevel] = field(default_factory=dict)
    suppliers: dict[str, Supplier] = field(default_factory=dict)
    orders: dict[str, PurchaseOrder] = field(default_factory=dict)


class PurchasingLedger:
    """Three locations, two items, and everything that happens to them."""

    def __init__(self, office: Engine) -> None:
        self.office = office
        self.known = Known()
        self.logs = {place: Branch(place) for place in PLACES}
        self.transfers: dict[str, str] = {}  # the destination of each
        self._seeds = count(1_000)
        with office.begin() as connection:
            items.put(connection, [CatalogueItem(item_id=each, name=each.title(), unit="kg") for each in ITEMS])
            for place, (zone, day_start) in ZONES.items():
                known = CatalogueLocation(location_id=place, name=place, timezone=zone, day_start=day_start)
                locations.change(connection, known)
        self.record(PLACES[0], "ITEM_DEFINED", item_id=OWN, definition=Definition(name="Apfel", unit="kg"))
        self.ship(PLACES[0])

    # What happens

    def record(self, place: str, kind: str, **fields: Any) -> int:
        """Append an event to a branch's log, not shipped; its sequence."""
        if kind not in {"EVENT_VOIDED", "ITEM_DEFINED"}:
            fields["unit"] = "kg"
        if kind == "WASTE_RECORDED":
            fields["reason"] = "spoiled"
        self.logs[place].record([an_event(kind, seed=next(self._seeds), **fields)])
        return len(self.logs[place].lines)

    def events(self, place: str) -> list[Event]:
        return [understand(line) for line in self.logs[place].lines]

    def ship(self, place: str, last: int | None = None) -> None:
        """Ship to a version that does not understand events whose note begins with "new"."""
        first, last = self.known.shipped[place] + 1, len(self.logs[place].lines) if last is None else last
        if first > last:
            return
        with patch.object(decoder, "understand", OldVersion.understand):
            self.logs[place].ship(self.office, first, last)
        self.known.shipped[place] = last
        for event in self.events(place)[first - 1 : last]:
            if (event.note or "").startswith("new") or (place, event.voided_sequence) in self.known.held:
                self.known.held.add((place, event.sequence))

    def release(self, place: str) -> None:
        with self.office.begin() as connection:
            retry(connection, place)
        self.known.held = {each for each in self.known.held if each[0] != place}

    def level(self, place: str, item_id: str, level: ReorderLevel | None) -> None:
        with self.office.begin() as connection:
            put_levels(connection, [LevelChange(place, item_id, level)])
        self.known.levels.pop((place, item_id), None)
        if level is not None:
            self.known.levels[place, item_id] = level

    def map(self, item_id: str) -> None:
        with self.office.begin() as connection:
            item_proposals.map_to(connection, PLACES[0], OWN, item_id)
        self.known.mapped[PLACES[0], OWN] = item_id

    def supply(self, supplier: Supplier) -> None:
        with self.office.begin() as connection:
            lock(connection)
            row = {"supplier_id": supplier.supplier_id, "name": supplier.name, "lead_days": supplier.lead_days}
            connection.execute(SUPPLIER.delete().where(SUPPLIER.c.supplier_id == supplier.supplier_id))
            connection.execute(SUPPLIER.insert().values(**row))
            publish(connection, [Change(CatalogueSupplier(supplier_id=supplier.supplier_id, supplier=supplier))])
        self.known.suppliers[supplier.supplier_id] = supplier

    def order(self, place: str, item_id: str, quantity: int, due: str | None) -> None:
        order_id = f"PO-{len(self.known.orders)}"
        order = an_order(order_id, place, [(item_id, quantity)], due)
        with self.office.begin() as connection:
            write_order(connection, order)
        self.known.orders[order_id] = order

    def close(self, order_id: str) -> None:
        with self.office.begin() as connection:
            self.known.orders[order_id] = close_order(connection, self.known.orders[order_id], None)

    def send(self, source: str, destination: str, item_id: str, quantity: int, at: int) -> None:
        """A transfer that is asked for and leaves."""
        transfer_id = f"t-{len(self.transfers)}"
        self.transfers[transfer_id] = destination
        line = InstructionLine(line=1, item_id=item_id, quantity=quantity, unit="kg")
        asked = Instruction(
            transfer_id=transfer_id,
            step=InstructionStep.OUT,
            token=1,
            location_id=source,
            source=source,
            destination=destination,
            lines=(line,),
        )
        with self.office.begin() as connection:
            instructions.put(connection, [asked])
        moved = {"transfer_id": transfer_id, "transfer_line": 1, "item_id": item_id}
        self.record(source, "TRANSFER_OUT", quantity=quantity, occurred_at=at, **moved)

    def snapshot(self) -> tuple[int, Known]:
        """The moment, and what is known at it."""
        with self.office.begin() as connection:
            moment = now(connection)
        return moment, deepcopy(self.known)

    # What the report must say

    def report(self, known: Known, as_of: int, window_days: int) -> dict[tuple[str, str], dict[str, Any]]:
        """The rows of all levels by location and item, those that are not low too."""
        logs = {place: list(self._standing(known, place, as_of)) for place in PLACES}
        return {key: self._row(known, logs, *key, as_of, window_days) for key in known.levels}

    def _standing(self, known: Known, place: str, as_of: int) -> Iterator[Event]:
        heard = [
            each for each in self.events(place)[: known.shipped[place]] if (place, each.sequence) not in known.held
        ]
        undone = {each.voided_sequence for each in heard}
        for each in sorted(heard, key=lambda one: (one.occurred_at, one.sequence)):
            if each.sequence not in undone and each.occurred_at <= as_of:
                yield each

    def _row(
        self,
        known: Known,
        logs: dict[str, list[Event]],
        place: str,
        item_id: str,
        as_of: int,
        window_days: int,
    ) -> dict[str, Any]:
        level = known.levels[place, item_id]

        def is_item(where: str, event: Event) -> bool:
            return known.mapped.get((where, event.item_id or ""), event.item_id) == item_id

        mine = [each for each in logs[place] if is_item(place, each) and each.type not in NOTHING]
        codes = {each.item_id for each in mine}
        on_hand = sum(_on_hand([each for each in mine if each.item_id == code]) for code in codes)
        reserved = sum(_reserved([each for each in mine if each.item_id == code], as_of) for code in codes)
        in_transit = 0
        for transfer_id, destination in self.transfers.items():
            moved = sum(
                MOVES.get(each.type, 0) * (each.quantity or 0)
                for where, log in logs.items()
                for each in log
                if each.transfer_id == transfer_id and is_item(where, each)
            )
            in_transit += max(moved, 0) if destination == place else 0
        on_order, dues = 0, []
        for order in known.orders.values():
            line = order.lines[0]
            if order.location_id != place or line.item_id != item_id or line.closed:
                continue
            arrived = sum(
                each.quantity or 0
                for each in mine
                if each.type == "PURCHASE_RECEIVED"
                and each.reference is not None
                and (each.reference.id, each.reference.line) == (order.purchase_order_id, 1)
            )
            if arrived < line.quantity:
                on_order += line.quantity - arrived
                dues.append(order.due)
        available = on_hand - reserved
        projected = available + in_transit + on_order
        want = _want(level, projected)
        packs = None if level.pack_size is None else ceil(Fraction(want, level.pack_size))
        to_order = want if packs is None else packs * (level.pack_size or 0)
        supplier = known.suppliers.get(level.supplier_id or "")
        lead = supplier.lead_days if level.lead_days is None and supplier is not None else level.lead_days
        usage = _daily_usage(place, mine, as_of, window_days)
        held = [self.events(where)[sequence - 1] for where, sequence in known.held if where == place]
        unsure = any(
            is_item(place, each) and (each.occurred_at <= as_of or each.type == "EVENT_VOIDED") for each in held
        )
        flags = {"negative": on_hand < 0, "short": reserved > max(on_hand, 0), "incomplete": unsure}
        return {
            "on_hand": on_hand, "reserved": reserved, "available": available, "in_transit": in_transit,
            "on_order": on_order, "next_due": min((each for each in dues if each), default=None),
            "projected": projected, "to_order": to_order, "packs": packs,
            "daily_usage": None if usage is None else floor(usage + Fraction(1, 2)),
            "days_left": None if not usage or usage < 0 else floor(max(available, 0) / usage * 10),
            "lead_days": lead, "supplier_name": None if supplier is None else supplier.name,
            "suggested_reorder_point": None if usage is None or lead is None
            else max(ceil(usage * (lead + 2) / 1_000) * 1_000, 0),
            "flags": tuple(name for name, raised in flags.items() if raised),
            "listed": projected <= level.reorder_point,
        }  # fmt: skip


def _on_hand(standing: list[Event]) -> int:
    total = 0
    for each in standing:
        total = each.counted if each.counted is not None else total + SIGNS.get(each.type, 0) * (each.quantity or 0)
    return total


def _reserved(standing: list[Event], as_of: int) -> int:
    total = 0
    for reservation in {each.reservation_id for each in standing} - {None}:
        of_it = sorted((each for each in standing if each.reservation_id == reservation), key=lambda one: one.sequence)
        expiry = [each.expires_at for each in of_it if each.expires_at is not None]
        if not expiry or expiry[-1] > as_of:
            total += sum(RESERVES.get(each.type, 0) * (each.quantity or 0) for each in of_it)
    return total


def _want(level: ReorderLevel, projected: int) -> int:
    if projected > level.reorder_point:
        return 0
    if level.order_up_to is not None:
        return level.order_up_to - projected
    want = level.order_quantity or 0
    while projected + want <= level.reorder_point:
        want += level.order_quantity or 0
    return want


def business_day(place: str, moment: int) -> date:
    """The business date of a moment, where the clock is not changed that day."""
    zone, day_start = ZONES[place]
    local = datetime.fromtimestamp(moment / 1_000_000, UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    return (local - timedelta(minutes=day_start)).date()


def _daily_usage(place: str, standing: list[Event], as_of: int, window_days: int) -> Fraction | None:
    today = business_day(place, as_of)
    window = {today - timedelta(days=back) for back in range(1, window_days + 1)}
    if not standing:
        return None
    dates = {day for day in window if day >= business_day(place, standing[0].occurred_at)}
    if not dates:
        return None
    used = sum(
        USES.get(each.type, 0) * (each.quantity or 0)
        for each in standing
        if business_day(place, each.occurred_at) in dates
    )
    return Fraction(used, len(dates))
