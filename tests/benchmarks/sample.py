"""What the benchmarks record: the same sales for us and for every yardstick.

A branch with ITEMS items sells lines of ordinary size: an item, an exact quantity, when, and the order it stands in.
"""

from __future__ import annotations

import json
import random
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

from shared.chain import EMPTY, Head, Sealed, seal
from shared.events import Event, EventType, Reference

ITEMS = 200
RESERVED_ITEMS = 100
LOCATION = "BEY-01"
SECOND = 1_000_000
_ZONE = timezone(timedelta(hours=2))


def item_ids(count: int = ITEMS) -> list[str]:
    return [f"item-{number:04d}" for number in range(1, count + 1)]


def now_micros() -> int:
    return time.time_ns() // 1_000


def moment_of(micros: int) -> datetime:
    return datetime.fromtimestamp(micros / SECOND, UTC).astimezone(_ZONE)


def rfc3339(micros: int) -> str:
    return moment_of(micros).isoformat(timespec="milliseconds")


def event_body(number: int, moment: int, item_id: str | None = None) -> bytes:
    """The JSON of one sale for POST /v1/events; `number` makes it, `moment` is when it occurred (micros)."""
    chosen = item_id or f"item-{number * 7 % ITEMS + 1:04d}"
    return json.dumps(
        {
            "type": "ORDER_DEDUCTION",
            "item_id": chosen,
            "quantity": 1 + number % 8 / 4,
            "occurred_at": rfc3339(moment),
            "reference": {"kind": "order", "id": f"A-{number // 3:07d}", "line": number % 3 + 1, "product": "latte"},
        },
        separators=(",", ":"),
    ).encode()


def order_body(number: int, moment: int, run: str, lines: int = 12) -> bytes:
    """The JSON of an order of `lines` different items for POST /v1/orders."""
    return json.dumps(
        {
            "order_id": f"{run}-{number:07d}",
            "occurred_at": rfc3339(moment),
            "lines": [
                {
                    "item_id": f"item-{(number * 13 + place * 7) % ITEMS + 1:04d}",
                    "quantity": 1 + (number + place) % 8 / 4,
                    "product": "latte",
                }
                for place in range(lines)
            ],
        },
        separators=(",", ":"),
    ).encode()


def reservation_body(number: int, run: str) -> bytes:
    """The JSON of an order of one line for POST /v1/reservations, of one of RESERVED_ITEMS items."""
    line = {"item_id": f"item-{number % RESERVED_ITEMS + 1:04d}", "quantity": 1 + number % 4 / 4}
    return json.dumps({"order_id": f"{run}-{number:07d}", "lines": [line]}, separators=(",", ":")).encode()


def delivery_body(item: int, quantity: int) -> bytes:
    """The JSON of a delivery for POST /v1/events."""
    return json.dumps(
        {"type": "PURCHASE_RECEIVED", "item_id": f"item-{item + 1:04d}", "quantity": quantity}, separators=(",", ":")
    ).encode()


def deductions(count: int, *, location_id: str = LOCATION, seed: int = 1, items: int = ITEMS) -> Iterator[Event]:
    """`count` unplaced sales, as the branch's command would make them from `event_body`, ending about now."""
    chance = random.Random(seed)
    names = item_ids(items)
    start = now_micros() - count * 200_000 - 60 * SECOND
    day = datetime.fromtimestamp(start / SECOND, UTC).date().isoformat()
    digest = chance.randbytes(32).hex()
    for number in range(count):
        moment = start + number * 200_000
        yield Event(
            actor="lk_3f9c2a71",
            business_date=day,
            command_digest=digest,
            command_key=str(uuid7(moment, chance)),
            epoch=0,
            event_id=str(uuid7(moment, chance)),
            item_id=names[chance.randrange(items)],
            line=1,
            lines=1,
            location_id=location_id,
            occurred_at=moment,
            quantity=1_000 + number % 8 * 250,
            recorded_at=0,
            reference=Reference(id=f"A-{number // 3:07d}", kind="order", line=number % 3 + 1, product="latte"),
            sequence=0,
            source="api",
            type=EventType.ORDER_DEDUCTION,
            unit="kg",
            utc_offset=120,
            v=1,
        )


def uuid7(micros: int, chance: random.Random) -> uuid.UUID:
    value = (micros // 1_000) << 80 | 0x7 << 76 | chance.getrandbits(12) << 64 | 0b10 << 62 | chance.getrandbits(62)
    return uuid.UUID(int=value)


def sealed_log(count: int, *, location_id: str = LOCATION, seed: int = 1, head: Head = EMPTY) -> Iterator[Sealed]:
    """A log of `count` sealed sales after `head`."""
    for event in deductions(count, location_id=location_id, seed=seed):
        each = seal(event, head, event.occurred_at + 5_000)
        head = Head(each.event.epoch, each.event.sequence, each.hash)
        yield each


def write_csv(path: Path, rows: int, *, seed: int = 1) -> None:
    """A till's export of `rows` lines: id, date, time, store, item, quantity, price."""
    chance = random.Random(seed)
    start = datetime(2026, 1, 1, 8, tzinfo=_ZONE)
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write("transaction_id,date,time,quantity,store,product_id,price,product\n")
        for number in range(1, rows + 1):
            moment = start + timedelta(seconds=number * 5)
            item = chance.randrange(ITEMS) + 1
            file.write(
                f"{number},{moment:%Y-%m-%d},{moment:%H:%M:%S},{1 + number % 4},8,item-{item:04d},3.50,Product {item}\n"
            )
