"""An event's record against a generic rule: every field of the event, its quantities, moments and offset turned."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from branch_node.records import record_of
from head_office.reports.report_records import EVENT_SCHEMA
from shared.chain import Head
from shared.event_record import EventRecord, event_record, moment_text
from shared.events import Event, EventType, quantity_text
from shared.runtime.clock import format_rfc3339
from shared.stock import Standing
from tests.support.events import NOON, seal_all, whole_event
from tests.support.histories import histories

QUANTITIES = ("quantity", "counted", "expected")
MOMENTS = ("occurred_at", "recorded_at", "expires_at")


def by_the_rule(event: Event, **more: object) -> dict[str, Any]:
    """The record made from the event's canonical fields, numbers kept as their text."""
    record = json.loads(msgspec.json.encode(event), parse_int=str)
    offset = int(record.pop("utc_offset"))
    for name in QUANTITIES:
        if name in record:
            record[name] = quantity_text(int(record[name]))
    if "entered" in record:
        for name in ("quantity", "factor"):
            record["entered"][name] = quantity_text(int(record["entered"][name]))
    for name in MOMENTS:
        if name in record:
            record[name] = format_rfc3339(int(record[name]), offset)
    return record | more


def written(record: EventRecord) -> dict[str, Any]:
    """The record as it is answered, numbers kept as their text."""
    return json.loads(msgspec.json.encode(record), parse_int=str, parse_float=str)


@given(histories())
def test_the_record_of_any_history_has_every_field_of_its_events(events: list[Event]) -> None:
    for sealed in seal_all(events):
        assert written(event_record(sealed.event)) == by_the_rule(sealed.event)


@pytest.mark.parametrize("kind", list(EventType))
def test_the_record_of_every_type_with_every_field(kind: EventType) -> None:
    (sealed,) = seal_all([whole_event(kind)], Head(1, 41, bytes(32)))
    assert written(event_record(sealed.event)) == by_the_rule(sealed.event)


def test_head_office_adds_the_hash_the_arrival_and_the_void() -> None:
    (sealed,) = seal_all([whole_event("WASTE_RECORDED")])
    record = event_record(sealed.event, digest=sealed.hash.hex(), received_at=NOON + 1, voided_by=7)
    assert written(record) == by_the_rule(
        sealed.event, hash=sealed.hash.hex(), received_at="2026-01-01T12:00:00.000001Z", voided_by="7"
    )


def test_a_branch_adds_the_hash_the_stock_after_it_and_flags() -> None:
    (sealed,) = seal_all([whole_event("WASTE_RECORDED")])
    record = record_of(sealed, Standing(on_hand=-500, reserved=250, last_count=None, recount=True), voided_by=7)
    assert written(record) == by_the_rule(
        sealed.event,
        hash=sealed.hash.hex(),
        on_hand_after="-0.5",
        flags=["negative", "short", "recount", "clock-unconfirmed"],
        voided_by="7",
    )


def test_the_documented_schema_has_every_field_that_is_answered() -> None:
    assert set(EVENT_SCHEMA["properties"]) == set(EventRecord.__struct_fields__)
    assert set(Event.__struct_fields__) - {"utc_offset"} <= set(EVENT_SCHEMA["properties"])


@given(st.integers(0, 4_000_000_000_000_000), st.integers(-1_080, 1_080))
def test_a_moment_is_the_text_of_rfc3339(micros: int, offset: int) -> None:
    assert moment_text(micros, offset) == format_rfc3339(micros, offset)
    assert moment_text(micros - micros % 1_000_000, offset) == format_rfc3339(micros - micros % 1_000_000, offset)
