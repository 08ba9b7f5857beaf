"""A log that publishes every type of message, and schemas closed to what they do not name."""

from __future__ import annotations

import json
from typing import Any

from shared.chain import Head
from shared.events import LowStock, Parent, Reference
from tests.support.events import MINUTE, NOON, an_event, seal_all
from tests.support.published import MemoryLog, read_all, reader_of


def closed(schema: Any) -> Any:
    """The schema without room for members that it does not name."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: closed(member) for name, member in schema.items()}
    return {**found, "additionalProperties": False} if "properties" in found else found


def log_of_every_type() -> MemoryLog:
    """A log that publishes a message of every type."""
    order = Reference(id="4711", kind="order", revision=2)
    held = {"reservation_id": "r-1", "reference": order}
    moved = {"transfer_id": "t-1", "transfer_line": 1}
    low = LowStock(reorder_point=8_000, reorder_quantity=12_500)
    events = [
        an_event("PURCHASE_RECEIVED", quantity=9_000),
        an_event(reference=order, low=low, v=3),
        an_event("STOCK_RESERVED", expires_at=NOON + MINUTE, quantity=3_000, **held),
        an_event("RESERVATION_REFUSED", reason="unavailable", **held),
        *(an_event(f"RESERVATION_{kind}", reason="done", **held) for kind in ("CONFIRMED", "RELEASED", "EXPIRED")),
        an_event("TRANSFER_OUT", **moved),
        an_event("TRANSFER_IN", **moved),
        an_event("TRANSFER_REFUSED", transfer_id="t-2", reason="no-stock"),
    ]
    first = seal_all(events)
    last = first[-1]
    opened = an_event("EPOCH_OPENED", parent=Parent(epoch=1, sequence=last.event.sequence, hash=last.hash.hex()))
    return MemoryLog([*first, *seal_all([opened], Head(2, last.event.sequence, last.hash))])


def of_every_type() -> list[dict[str, Any]]:
    """A message of every type."""
    return [json.loads(each.body) for each in read_all(reader_of(log_of_every_type()))]
