"""Events for tests: short to write, legal in every field."""

from __future__ import annotations

import uuid
from typing import Any

from shared.chain import EMPTY, Head, Sealed, seal
from shared.events import RULES, Cost, Definition, Entered, Event, EventType, Parent, Reference, Tail

NOON = 1_767_268_800_000_000  # 2026-01-01T12:00:00Z
MINUTE = 60_000_000


def an_event(kind: str = "ORDER_DEDUCTION", **fields: Any) -> Event:
    """An unplaced event of `kind`; fields given override the ones made up here."""
    location_id, seed = fields.pop("location_id", "BEY-01"), fields.pop("seed", 1)
    made: dict[str, Any] = {
        "actor": "staff-1",
        "business_date": "2026-01-01",
        "epoch": 0,
        "event_id": str(uuid.UUID(int=(0x0190_0000_0000_7000_8000 << 48) + seed)),
        "line": 1,
        "lines": 1,
        "location_id": location_id,
        "occurred_at": NOON,
        "recorded_at": 0,
        "sequence": 0,
        "source": "test",
        "type": EventType(kind),
        "utc_offset": 120,
        "v": 1,
    }
    if kind not in ("EVENT_REVIEWED", "EPOCH_OPENED", "TRANSFER_REFUSED", "ORDER_CANCELLED"):
        made["item_id"] = "milk"
    if "item_id" in made and kind not in ("EVENT_VOIDED", "ITEM_DEFINED"):
        made["unit"] = "l"
        if kind != "STOCKTAKE":
            made["quantity"] = 1_000
    if "reservation_id" in fields:
        made["reference"] = Reference(id=f"order-{fields['reservation_id']}", kind="order", revision=1)
    return Event(**{**made, **fields})


def seal_all(events: list[Event], head: Head = EMPTY) -> list[Sealed]:
    """Seal events one after another behind `head`, each recorded when it occurred."""
    sealed: list[Sealed] = []
    for event in events:
        each = seal(event, head, max(event.occurred_at, NOON))
        head = Head(each.event.epoch, each.event.sequence, each.hash)
        sealed.append(each)
    return sealed


def whole_event(kind: str) -> Event:
    """An event of `kind` with every field that the type may carry: for golden vectors."""
    rule = RULES[EventType(kind)]
    fields: dict[str, Any] = {
        "area": "walk-in",
        "clock_unconfirmed": True,
        "command_digest": "ab" * 32,
        "command_key": "till-7:4711",
        "cost": Cost(amount="12.50", currency="USD"),
        "entered": Entered(factor=12_000, quantity=2_000, unit="crate"),
        "expires_on": "2026-02-01",
        "lot": "L-9",
        "note": 'Crème "fraîche" \\ قشطة\t€',
        "reason": "spoiled",
        "reference": Reference(id="4711", kind="order", line=3, product="latte"),
    }
    values: dict[str, Any] = {
        "counted": 7_250,
        "expected": -1_000,
        "definition": Definition(barcode="5281", category="dairy", name="Lait", strict=True, unit="l"),
        "parent": Parent(epoch=2, hash="cd" * 32, sequence=41),
        "reservation_id": "r-1",
        "expires_at": NOON + MINUTE,
        "reviewed_event_id": str(uuid.UUID(int=7)),
        "transfer_id": "t-1",
        "transfer_line": 1,
        "voided_event_id": str(uuid.UUID(int=8)),
        "voided_sequence": 2,
    }
    fields |= {name: values[name] for name in rule.required if name in values}
    if kind == "EPOCH_OPENED":
        fields["tail"] = Tail(digest="ef" * 32, size=12)
    if kind == "ADJUSTMENT":
        fields |= {"quantity": -250, "transfer_id": "t-1"}
    return an_event(kind, **fields)
