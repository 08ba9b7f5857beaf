"""Yardstick: `eventsourcing` on SQLite, an aggregate given events and saved, so many a transaction. In a child.

Each event carries what a caller of ours gives or ours adds, so that both write about the same; no hash, no chain, no
projection.
"""

from __future__ import annotations

import gc
import time
from datetime import datetime
from decimal import Decimal
from typing import Any

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event

from shared.events import Event
from tests.benchmarks.sample import deductions, moment_of


class Stock(Aggregate):
    """A branch's stock."""

    @event("Begun")
    def __init__(self, location_id: str) -> None:
        self.location_id = location_id
        self.on_hand = Decimal(0)

    @event("Deducted")
    def deduct(
        self,
        *,
        item_id: str,
        quantity: Decimal,
        unit: str,
        occurred_at: datetime,
        utc_offset: int,
        business_date: str,
        actor: str,
        source: str,
        reference: dict[str, Any],
        command_key: str,
        command_digest: str,
        line: int,
        lines: int,
    ) -> None:
        self.on_hand -= quantity


def append(path: str, events: int, group: int) -> dict[str, float]:
    """Record `events` sales, `group` a transaction: made and saved. Events a second; `save`: saving alone."""
    application: Application = Application(env={"PERSISTENCE_MODULE": "eventsourcing.sqlite", "SQLITE_DBNAME": path})
    given = [_arguments(each) for each in deductions(events)]
    saving = 0.0
    gc.collect()
    gc.freeze()
    begin, cpu = time.perf_counter(), time.process_time()
    for start in range(0, events, group):
        stock = Stock("BEY-01")
        for arguments in given[start + 1 : start + group]:  # the aggregate's beginning is an event too
            stock.deduct(**arguments)
        before = time.perf_counter()
        application.save(stock)
        saving += time.perf_counter() - before
    elapsed, cpu = time.perf_counter() - begin, time.process_time() - cpu
    application.close()
    return {"rate": events / elapsed, "a_cpu_second": events / cpu, "save": events / saving}


def _arguments(sale: Event) -> dict[str, Any]:
    reference = sale.reference
    assert reference is not None
    return {
        "item_id": sale.item_id,
        "quantity": Decimal(sale.quantity or 0) / 1_000,
        "unit": sale.unit,
        "occurred_at": moment_of(sale.occurred_at),
        "utc_offset": sale.utc_offset,
        "business_date": sale.business_date,
        "actor": sale.actor,
        "source": sale.source,
        "reference": {"id": reference.id, "kind": reference.kind, "line": reference.line, "product": "latte"},
        "command_key": sale.command_key,
        "command_digest": sale.command_digest,
        "line": sale.line,
        "lines": sale.lines,
    }
