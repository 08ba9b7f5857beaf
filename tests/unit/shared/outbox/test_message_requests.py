"""The list of messages: a page is empty at the end of the log, and not wherever one read finds nothing wanted."""

from __future__ import annotations

import json
from typing import Any

from shared.events import Event, LowStock
from shared.outbox.message_records import MessageType
from shared.outbox.message_requests import MOST_READS, START, message_page
from tests.support.events import NOON, an_event, seal_all
from tests.support.published import PLACE, MemoryLog, reader_of

LOW = MessageType.LOW_STOCK_DETECTED.value


def a_log(count: int) -> MemoryLog:
    """So many sales, the last of which made its item low."""
    events: list[Event] = [an_event(seed=seed, occurred_at=NOON + seed) for seed in range(1, count + 1)]
    events[-1].low = LowStock(reorder_point=4_000, reorder_quantity=6_500)
    return MemoryLog(seal_all(events))


def page(log: MemoryLog, after: str = START, types: str | None = LOW, limit: int = 100) -> Any:
    return json.loads(bytes(message_page(reader_of(log), PLACE, after, types, limit).body))


def test_a_message_behind_many_that_are_not_wanted_is_found() -> None:
    for limit in (1, 100):
        found = page(a_log(700), limit=limit)
        assert [each["type"] for each in found["items"]] == [LOW]


def test_a_page_ends_after_so_many_reads_and_goes_on() -> None:
    log = a_log(64 * MOST_READS + 5)
    first = page(log, limit=1)
    assert first["items"] == []
    second = page(log, after=first["next"], limit=1)
    assert [each["type"] for each in second["items"]] == [LOW]
    last = page(log, after=second["next"], limit=1)
    assert last["items"] == []
    assert page(log, after=last["next"], limit=1) == {"items": [], "next": last["next"]}
