"""An event's record against a generic rule: every field of the event, its quantities, moments and offset turned."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from branch_node.records import BranchEventRecord, record_of
from head_office.reports.event_list import ListedEvent
from head_office.reports.report_records import (
    EVENT_SCHEMA,
    RECEIVED_EVENT_SCHEMA,
    ReceivedEventRecord,
    received_event_record,
)
from shared.chain import Head
from shared.event_record import EventRecord, event_record, moment_text
from shared.events import Event, EventType, quantity_text
from shared.runtime.clock import format_rfc3339
from shared.runtime.http.json_schemas import answer_schema_of
from shared.stock import Standing
from tests.support.events import NOON, seal_all, whole_event
from tests.support.histories import histories

QUANTITIES = ("quantity", "counted", "expected")
MOMENTS = ("occurred_at", "recorded_at", "expires_at")
REQUIRED = set(msgspec.json.schema(Event)["$defs"]["Event"]["required"]) - {"utc_offset"}
BOUNDS = ("minLength", "maxLength", "minimum", "maximum")


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
    listed = ListedEvent(event=sealed.event, hash=sealed.hash.hex(), received_at=NOON + 1, voided_by=7)
    record = received_event_record(listed)
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
    fields = set(Event.__struct_fields__) - {"utc_offset"}
    assert set(EVENT_SCHEMA["properties"]) == fields
    assert set(RECEIVED_EVENT_SCHEMA["properties"]) == fields | {"hash", "received_at", "voided_by"}
    branch = answer_schema_of(BranchEventRecord)
    assert set(branch["properties"]) == fields | {"hash", "voided_by", "on_hand_after", "flags"}


@pytest.mark.parametrize("kind", [EventRecord, BranchEventRecord, ReceivedEventRecord])
def test_the_documented_schema_is_exact(kind: type[EventRecord]) -> None:
    """What every event has is required, what some have is absent from the others and never null, text is bounded."""
    schema = answer_schema_of(kind)
    own = {"hash", "received_at"} & set(kind.__struct_fields__)
    assert set(schema["required"]) == REQUIRED | own
    assert '"null"' not in json.dumps(schema)
    hexadecimal = {"type": "string", "minLength": 64, "maxLength": 64}
    if "hash" in own:
        assert schema["properties"]["hash"].items() >= hexadecimal.items()
    of_the_event = msgspec.json.schema(Event)["$defs"]["Event"]["properties"]
    for name in set(of_the_event) - {"utc_offset", "type", *QUANTITIES, *MOMENTS}:
        rule = of_the_event[name]
        found = {member: schema["properties"][name].get(member) for member in BOUNDS}
        assert found == {member: next(iter(rule.get("anyOf", [rule]))).get(member) for member in BOUNDS}, name
    for name in QUANTITIES:
        assert schema["properties"][name] == {"type": "number"}
    for name in MOMENTS:
        assert schema["properties"][name] == {"type": "string", "format": "date-time"}


@given(st.integers(0, 4_000_000_000_000_000), st.integers(-1_080, 1_080))
def test_a_moment_is_the_text_of_rfc3339(micros: int, offset: int) -> None:
    assert moment_text(micros, offset) == format_rfc3339(micros, offset)
    assert moment_text(micros - micros % 1_000_000, offset) == format_rfc3339(micros - micros % 1_000_000, offset)
