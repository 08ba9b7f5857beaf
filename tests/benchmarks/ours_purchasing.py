"""The purchasing report of a group, made and written in this process. Each function runs in a child process.

A location's log has a delivery of each item and then, over four weeks, sales of every item in turn; at its end some
goods leave for the next location. A fifth of the items are at or below their reorder level, of those a tenth on order.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from os import getpid
from random import Random
from statistics import median
from typing import Any, TypeVar

from sqlalchemy import Engine, select

from head_office.catalogue import items, locations
from head_office.catalogue.location_levels import LevelChange, put_levels
from head_office.database.schema import MIGRATIONS, STOCK, VERSION_TABLE
from head_office.log.ingest import ingest
from head_office.reports.known_at import report_snapshot
from head_office.reports.purchasing.files.rendered_report import FileFormat, render
from head_office.reports.purchasing.purchasing_json import purchasing_parts
from head_office.reports.purchasing.purchasing_report import purchasing_report
from head_office.transfers import instructions
from shared import wire
from shared.catalogue_messages import CatalogueItem, CatalogueLocation
from shared.chain import EMPTY, Head, seal
from shared.events import Event, EventType, Reference
from shared.levels.reorder_levels import ReorderLevel
from shared.messages import Instruction, InstructionLine, InstructionStep
from shared.runtime.clock import DAY, LATEST
from shared.runtime.database.engine import postgres_engine
from shared.runtime.database.migrations import migrate
from tests.benchmarks.machine import peak_memory
from tests.benchmarks.sample import SECOND, now_micros, uuid7
from tests.support.order_ledger import an_order, write_order

WINDOW = 28 * DAY
DELIVERED = 500_000
BATCH = 5_000
IN_FIVE, IN_FIFTY = 5, 50
ON_THE_WAY = 20
SUPPLIERS = 40
SENT = 2_000
Each = TypeVar("Each")


@dataclass(frozen=True)
class GroupSize:
    """How many locations, items at each, and events of each item."""

    places: int
    items: int
    events: int

    def place(self, number: int) -> str:
        return f"BR-{number % self.places:03d}"


@contextmanager
def engine_of(url: str) -> Iterator[Engine]:
    """The engine, as head office has it."""
    engine = postgres_engine(url)
    try:
        yield engine
    finally:
        engine.dispose()


def prepare(url: str, places: int, items_each: int, events: int) -> dict[str, float]:
    """Fill a new database; how many events it has then."""
    size = GroupSize(places, items_each, events)
    with engine_of(url) as engine:
        migrate(engine, MIGRATIONS, VERSION_TABLE)
        _fill_catalogue(engine, size)
        count = sum(_fill_log(engine, size, number) for number in range(places))
        # Suppliers' orders of a tenth of what is low.
        with engine.begin() as connection:
            for number in range(places):
                place = size.place(number)
                lines = [(_item(each), 20_000) for each in range(0, items_each, IN_FIFTY)]
                for order, few in enumerate(_some(lines, 10)):
                    write_order(connection, an_order(f"PO-{number:03d}-{order}", place, few, "2026-12-24"))
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("VACUUM ANALYZE")
            connection.exec_driver_sql("CHECKPOINT")
    return {"events": count}


def _item(number: int) -> str:
    return f"item-{number:05d}"


def _some(values: Iterable[Each], most: int) -> Iterator[list[Each]]:
    each = iter(values)
    while some := list(islice(each, most)):
        yield some


def _fill_catalogue(engine: Engine, size: GroupSize) -> None:
    names = [_item(number) for number in range(size.items)]
    with engine.begin() as connection:
        for some in _some(names, 1_000):
            items.put(connection, [CatalogueItem(item_id=each, name=f"Item {each}", unit="kg") for each in some])
        for number in range(size.places):
            place = size.place(number)
            known = CatalogueLocation(location_id=place, name=place, timezone="Asia/Beirut", day_start=240)
            locations.add(connection, known)
            changes = [LevelChange(place, _item(each), _level(each)) for each in range(size.items)]
            for few in _some(changes, 1_000):
                put_levels(connection, few)


def _level(number: int) -> ReorderLevel:
    reorder_point = 2 * DELIVERED if number % IN_FIVE == 0 else DELIVERED // 10
    supplier_id = f"supplier-{number % SUPPLIERS:02d}"
    return ReorderLevel(
        reorder_point=reorder_point, order_up_to=3 * DELIVERED, pack_size=6_000, supplier_id=supplier_id, lead_days=2
    )


def _fill_log(engine: Engine, size: GroupSize, number: int) -> int:
    """Ship a location's log, a transaction for each batch; its length."""
    place, head = size.place(number), EMPTY
    for some in _some(_events(size, number), BATCH):
        lines, first, before = [], head.sequence + 1, head.hash
        for event in some:
            sealed = seal(event, head, event.occurred_at + 5_000)
            head = Head(1, sealed.event.sequence, sealed.hash)
            lines.append(sealed.line)
        body = wire.pack(place, 1, first, before, lines, last_hash=head.hash)
        with engine.begin() as connection:
            ingest(connection, wire.unpack(body))
    with engine.begin() as connection:
        instructions.put(connection, [_instruction(size, number, each) for each in range(_moved(size))])
    return head.sequence


def _moved(size: GroupSize) -> int:
    return min(ON_THE_WAY, size.items) if size.places > 1 else 0


def _events(size: GroupSize, number: int) -> Iterator[Event]:
    chance = Random(number)
    sold = size.items * (size.events - 1)
    start = now_micros() - WINDOW
    step = (WINDOW - 600 * SECOND) // max(sold, 1)
    for item in range(size.items):
        yield _event(size, number, start - DAY, chance, EventType.PURCHASE_RECEIVED, item, DELIVERED)
    for sale in range(sold):
        named = {"reference": Reference(id=f"A-{sale // 3:07d}", kind="order", line=sale % 3 + 1, product="latte")}
        moment, quantity = start + sale * step, 1_000 + sale % 8 * 250
        item = sale % size.items
        yield _event(size, number, moment, chance, EventType.ORDER_DEDUCTION, item, quantity, **named)
    for item in range(_moved(size)):
        moved = {"transfer_id": f"t-{number}-{item}", "transfer_line": 1}
        yield _event(size, number, start + WINDOW - 60 * SECOND, chance, EventType.TRANSFER_OUT, item, SENT, **moved)


def _event(
    size: GroupSize, number: int, moment: int, chance: Random, kind: EventType, item: int, quantity: int, **more: Any
) -> Event:
    key = uuid7(moment, chance)
    return Event(
        actor="lk_3f9c2a71",
        business_date="2026-01-01",
        command_digest="5f" * 32,
        command_key=str(key),
        epoch=1,
        event_id=str(key),
        item_id=_item(item),
        line=1,
        lines=1,
        location_id=size.place(number),
        occurred_at=moment,
        quantity=quantity,
        recorded_at=0,
        sequence=0,
        source="api",
        type=kind,
        unit="kg",
        utc_offset=120,
        v=1,
        **more,
    )


def _instruction(size: GroupSize, number: int, item: int) -> Instruction:
    return Instruction(
        transfer_id=f"t-{number}-{item}",
        step=InstructionStep.OUT,
        token=1,
        location_id=size.place(number),
        source=size.place(number),
        destination=size.place(number + 1),
        lines=(InstructionLine(line=1, item_id=_item(item), quantity=SENT, unit="kg"),),
    )


def _write(engine: Engine, form: str, *, all_rows: bool) -> tuple[int, int]:
    """Answer the report of now, as the route does it; rows and bytes."""
    with report_snapshot(engine, LATEST - 1) as (connection, settled):
        if settled is None:
            raise AssertionError("the report is known at a moment")
        report = purchasing_report(
            connection, location_ids=None, as_of=None, known_at=settled, given=False, all_rows=all_rows
        )
    parts = purchasing_parts(report) if form == "json" else render(report, FileFormat(form)).content
    return len(report.rows), sum(map(len, parts))


def compare(url: str, rounds: int) -> dict[str, float]:
    """Make the report and read the projection by turns, in one process; the median of both in seconds."""
    taken: dict[str, list[float]] = {"report": [], "select": []}
    with engine_of(url) as engine:
        for number in range(rounds + 2):
            begin = time.perf_counter()
            rows, size = _write(engine, "json", all_rows=False)
            made = time.perf_counter()
            with engine.connect() as connection:
                stock = len(connection.execute(_projection()).all())
            read = time.perf_counter()
            if number >= 2:  # the first ones fill caches
                taken["report"].append(made - begin)
                taken["select"].append(read - made)
    return {name: median(each) for name, each in taken.items()} | {"rows": rows, "bytes": size, "stock": stock}


def _projection() -> Any:
    return select(STOCK.c.location_id, STOCK.c.item_id, STOCK.c.on_hand, STOCK.c.reserved)


def memory(url: str, form: str, all_rows: bool) -> dict[str, float]:
    """Make one report; the most memory that this process took, in MB, and seconds."""
    with engine_of(url) as engine:
        begin = time.perf_counter()
        rows, size = _write(engine, form, all_rows=all_rows)
        seconds = time.perf_counter() - begin
    return {"megabytes": peak_memory(getpid()) / 1e6, "seconds": seconds, "rows": rows, "bytes": size}
