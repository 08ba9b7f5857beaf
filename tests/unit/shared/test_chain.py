"""Canonical bytes and the hash chain: golden vectors, an independent encoder as the oracle, and every bit mattering."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from shared.chain import EMPTY, GENESIS, Head, canonical, follow, seal, understand
from shared.events import (
    RULES,
    SCHEMA_VERSION,
    CountedArea,
    Event,
    EventNotUnderstood,
    EventType,
    LowStock,
    schema_of,
)
from tests.support.events import NOON, an_event, seal_all, whole_event
from tests.support.histories import histories
from tests.support.log_check import BrokenChain, verify

GOLDEN = Path(__file__).parent / "golden_lines.json"


def test_fields_stand_in_canonical_order() -> None:
    for struct in (Event, *(t for t in _parts())):
        names = [field.name for field in msgspec.structs.fields(struct)]
        assert names == sorted(names), struct


def _parts() -> list[type]:
    import shared.events as events

    return [part for part in vars(events).values() if isinstance(part, type) and issubclass(part, events._Part)]


def counted_in_areas() -> Event:
    """A count of two areas, by two people; the second named no note."""
    areas = (
        CountedArea(actor="k1/ann", area="cellar", counted=7_000, note="au fond", occurred_at=NOON - 1, source="page"),
        CountedArea(actor="k1/bob", counted=250, occurred_at=NOON, source="api"),
    )
    event = whole_event(EventType.STOCKTAKE)
    event.areas, event.v = areas, 2
    return event


def test_the_golden_vector_of_a_count_in_areas() -> None:
    golden = json.loads(GOLDEN.read_text("utf-8"))["STOCKTAKE in areas"]
    sealed = seal(counted_in_areas(), Head(3, 41, bytes(range(32))), NOON + 1)
    assert sealed.line.decode() == golden["line"]
    assert sealed.hash.hex() == golden["hash"]
    assert sealed.hash == sha256(bytes(range(32)) + golden["line"].encode()).digest()
    assert rfc8785.dumps(json.loads(sealed.line)) == sealed.line
    assert understand(sealed.line).areas == counted_in_areas().areas
    other = counted_in_areas()
    other.counted = 7_251
    with pytest.raises(EventNotUnderstood, match="sum"):
        seal(other, EMPTY, NOON)
    waste = an_event("WASTE_RECORDED", reason="spoiled")
    waste.areas = counted_in_areas().areas
    with pytest.raises(EventNotUnderstood, match="areas"):
        seal(waste, EMPTY, NOON)


def test_the_line_of_an_event_with_a_supplier_that_made_an_item_low() -> None:
    low = LowStock(reorder_point=2_000, reorder_quantity=6_000)
    sealed = seal(an_event("PURCHASE_RETURNED", low=low, supplier_id="ACME", v=3), EMPTY, NOON)
    golden = b'"location_id":"BEY-01","low":{"reorder_point":2000,"reorder_quantity":6000},"occurred_at"'
    assert golden in sealed.line
    assert b'"source":"test","supplier_id":"ACME","type"' in sealed.line
    assert rfc8785.dumps(json.loads(sealed.line)) == sealed.line
    assert understand(sealed.line) == sealed.event
    summed = LowStock(available=-1_500, reorder_point=2_000, reorder_quantity=6_000)
    sealed = seal(an_event("ORDER_DEDUCTION", low=summed, v=3), EMPTY, NOON)
    assert b'"low":{"available":-1500,"reorder_point":2000,"reorder_quantity":6000}' in sealed.line
    assert rfc8785.dumps(json.loads(sealed.line)) == sealed.line
    assert understand(sealed.line) == sealed.event
    with pytest.raises(EventNotUnderstood, match="supplier_id"):
        seal(an_event("ORDER_DEDUCTION", supplier_id="ACME"), EMPTY, NOON)


@pytest.mark.parametrize(
    ("kind", "fields", "schema"),
    [
        (EventType.ORDER_DEDUCTION, {"note"}, 1),
        (EventType.STOCKTAKE, {"areas", "note"}, 2),
        (EventType.ORDER_DEDUCTION, {"low"}, 3),
        (EventType.ORDER_CANCELLED, {"reference"}, 3),
    ],
)
def test_an_event_says_the_lowest_schema_that_has_it(kind: EventType, fields: set[str], schema: int) -> None:
    assert schema_of(kind, fields) == schema


@pytest.mark.parametrize("kind", list(EventType))
def test_golden_vectors(kind: EventType) -> None:
    golden = json.loads(GOLDEN.read_text("utf-8"))[kind]
    sealed = seal(whole_event(kind), Head(3, 41, bytes(range(32))), NOON + 1)
    assert sealed.line.decode() == golden["line"]
    assert sealed.hash.hex() == golden["hash"]
    assert sealed.hash == sha256(bytes(range(32)) + golden["line"].encode()).digest()


@pytest.mark.parametrize("kind", list(EventType))
def test_line_is_the_canonical_json_of_rfc_8785(kind: EventType) -> None:
    line = seal(whole_event(kind), EMPTY if kind not in _VOIDS else Head(1, 9, GENESIS), NOON).line
    assert rfc8785.dumps(json.loads(line)) == line
    assert canonical(understand(line)) == line


_VOIDS = {kind for kind, rule in RULES.items() if "voided_sequence" in rule.required}


@given(st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=50))
def test_any_text_is_encoded_as_rfc_8785_says(note: str) -> None:
    line = seal(an_event(note=note), EMPTY, NOON).line
    assert rfc8785.dumps(json.loads(line)) == line


def test_absent_is_left_out_and_zero_is_not() -> None:
    line = seal(an_event("STOCKTAKE", counted=0, expected=0), EMPTY, NOON).line
    assert b'"counted":0' in line
    assert b'"expected":0' in line
    assert b"null" not in line
    assert b"note" not in line


@given(histories(), st.data())
def test_one_flipped_bit_is_found_where_it_is(events: list[Event], data: st.DataObject) -> None:
    sealed = seal_all(events)
    entries = [(each.event.sequence, each.line, each.hash) for each in sealed]
    assert verify(GENESIS, entries) == (sealed[-1].hash if sealed else GENESIS)
    assert follow(GENESIS, [each.line for each in sealed]) == [each.hash for each in sealed]
    if not entries:
        return
    at = data.draw(st.integers(0, len(entries) - 1))
    sequence, line, digest = entries[at]
    bit = data.draw(st.integers(0, len(line) * 8 - 1))
    broken = bytearray(line)
    broken[bit // 8] ^= 1 << (bit % 8)
    entries[at] = (sequence, bytes(broken), digest)
    with pytest.raises(BrokenChain) as caught:
        verify(GENESIS, entries)
    assert caught.value.sequence == sequence


@pytest.mark.parametrize(
    ("line", "word"),
    [
        (b"", "truncated"),
        (b"{", "truncated"),
        (b"[]", "object"),
        (b'{"type":"MAGIC"}', "MAGIC"),
        (b"\xff\xfe", "character"),
        (b'{"actor":"a"}', "business_date"),
    ],
)
def test_lines_that_cannot_be_understood(line: bytes, word: str) -> None:
    with pytest.raises(EventNotUnderstood, match=word):
        understand(line)


@given(st.binary(max_size=400))
def test_no_bytes_break_the_reader(line: bytes) -> None:
    with pytest.raises(EventNotUnderstood):
        understand(line)


def test_unknown_fields_and_newer_schemas_are_not_understood() -> None:
    line = seal(an_event(), EMPTY, NOON).line
    with pytest.raises(EventNotUnderstood, match="colour"):
        understand(line.replace(b'"actor"', b'"colour":"red","actor"'))
    with pytest.raises(EventNotUnderstood, match="newer"):
        understand(line.replace(b'"v":1', f'"v":{SCHEMA_VERSION + 1}'.encode()))


@pytest.mark.parametrize(
    ("kind", "fields", "word"),
    [
        ("ORDER_DEDUCTION", {"quantity": 0}, "above zero"),
        ("ORDER_DEDUCTION", {"quantity": -1}, "above zero"),
        ("ORDER_DEDUCTION", {"quantity": None}, "no quantity"),
        ("ORDER_DEDUCTION", {"counted": 1}, "must not carry counted"),
        ("ORDER_DEDUCTION", {"voided_sequence": 1}, "must not carry voided_sequence"),
        ("ORDER_DEDUCTION", {"line": 2}, "line 2 of 1"),
        ("WASTE_RECORDED", {}, "no reason"),
        ("STOCKTAKE", {"counted": -1, "expected": 0}, "below zero"),
        ("STOCKTAKE", {"counted": 1}, "no expected"),
        ("EVENT_VOIDED", {"reason": "x", "voided_event_id": "0" * 36, "voided_sequence": 1}, "not before"),
        ("ORDER_DEDUCTION", {"note": "x" * 20_000}, "limit"),
    ],
)
def test_what_breaks_a_rule_of_its_type_is_not_sealed(kind: str, fields: dict[str, Any], word: str) -> None:
    with pytest.raises(EventNotUnderstood, match=word):
        seal(an_event(kind, **fields), EMPTY, NOON)
