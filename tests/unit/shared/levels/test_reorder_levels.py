"""How much to order, against the words of the rule in whole numbers; what a level cannot be; old entries of levels."""

from __future__ import annotations

from itertools import count
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.catalogue_messages import CatalogueLevel, level_change
from shared.events import MAX_QUANTITY
from shared.levels.level_record import ReorderLevelBody, level_record
from shared.levels.reorder_levels import (
    ReorderLevel,
    is_low,
    level_faults,
    level_from_target,
    to_order,
)
from shared.runtime.http.body_faults import body_faults
from shared.runtime.http.strict_json import CheckedDecoder

small = st.integers(0, 40)
above_zero = st.integers(1, 12)
ways = st.tuples(st.sampled_from(["order_up_to", "order_quantity"]), above_zero)
large = st.integers(1, MAX_QUANTITY)


@st.composite
def levels(draw: st.DrawFn) -> ReorderLevel:
    point = draw(small)
    way, size = draw(ways)
    return ReorderLevel(
        reorder_point=point,
        pack_size=draw(st.none() | above_zero),
        supplier_id=draw(st.none() | st.just("farm")),
        lead_days=draw(st.none() | st.integers(0, 366)),
        **{way: point + size if way == "order_up_to" else size},
    )


def by_the_words(level: ReorderLevel, projected: int) -> int:
    """A5 read literally, by trying one number after the other."""
    if projected > level.reorder_point:
        return 0
    if level.order_up_to is not None:
        want = level.order_up_to - projected
    else:
        size = level.order_quantity or 0
        want = next(n * size for n in count(1) if projected + n * size > level.reorder_point)
    if level.pack_size is None:
        return want
    return next(packs * level.pack_size for packs in count() if packs * level.pack_size >= want)


@given(levels(), st.integers(-60, 60))
def test_what_to_order_is_what_the_words_say(level: ReorderLevel, projected: int) -> None:
    ordered = to_order(level, projected)
    assert ordered == by_the_words(level, projected)
    assert is_low(level, projected) == (ordered > 0)
    if ordered:
        assert not is_low(level, projected + ordered), "one order is enough"


@given(
    st.integers(0, MAX_QUANTITY), st.integers(1, MAX_QUANTITY), st.integers(1, MAX_QUANTITY), st.integers(-(10**15), 0)
)
def test_large_figures_are_exact(point: int, size: int, pack: int, projected: int) -> None:
    level = ReorderLevel(reorder_point=point, order_quantity=size, pack_size=pack)
    ordered = to_order(level, projected)
    assert ordered % pack == 0
    assert projected + ordered > point
    want = -(-(point - projected + 1) // size) * size
    assert want <= ordered < want + pack


@pytest.mark.parametrize(
    ("fields", "faulty"),
    [
        ({"reorder_point": 0, "order_up_to": 1}, []),
        ({"reorder_point": 5, "order_quantity": 1, "supplier_id": "farm", "pack_size": 1, "lead_days": 0}, []),
        ({"reorder_point": 5}, ["order_up_to"]),
        ({"reorder_point": 5, "order_up_to": 6, "order_quantity": 1}, ["order_up_to"]),
        ({"reorder_point": 5, "order_up_to": 5}, ["order_up_to"]),
        ({"reorder_point": -1, "order_up_to": 5}, ["reorder_point"]),
        ({"reorder_point": 5, "order_quantity": 0}, ["order_quantity"]),
        ({"reorder_point": 5, "order_up_to": MAX_QUANTITY + 1}, ["order_up_to"]),
        ({"reorder_point": 5, "order_up_to": 6, "pack_size": 0}, ["pack_size"]),
        ({"reorder_point": 5, "order_up_to": 6, "lead_days": 367}, ["lead_days"]),
        ({"reorder_point": 5, "order_up_to": 6, "supplier_id": "a\u200bb"}, ["supplier_id"]),
        ({"reorder_point": 5, "order_up_to": 6, "supplier_id": "x" * 65}, ["supplier_id"]),
    ],
)
def test_what_a_level_cannot_be(fields: dict[str, Any], faulty: list[str]) -> None:
    assert [field for field, _ in level_faults(ReorderLevel(**fields))] == faulty


def test_a_fault_says_what_is_wrong_and_not_the_rule() -> None:
    ((field, why),) = level_faults(ReorderLevel(reorder_point=5, order_up_to=5))
    assert (field, why) == ("order_up_to", "it is not above the reorder point")


read = CheckedDecoder(ReorderLevelBody, max_bytes=1_000)


@given(levels())
def test_a_level_comes_through_json_as_it_is(level: ReorderLevel) -> None:
    answered = msgspec.json.decode(msgspec.json.encode(level_record("milk", level)), type=dict[str, msgspec.Raw])
    assert bytes(answered.pop("item_id")) == b'"milk"'
    body = msgspec.json.encode(answered)
    assert body_faults(body, ReorderLevelBody) == []
    assert read(body).level() == level


@given(levels() | st.none())
def test_a_level_comes_through_the_catalogue_as_it_is(level: ReorderLevel | None) -> None:
    sent = msgspec.json.encode(level_change("BEY-01", "milk", level))
    received = msgspec.json.decode(sent, type=CatalogueLevel)
    assert received.reorder_level() == level
    assert msgspec.json.encode(received) == sent, "the hash of the chain is over these bytes"
    # What a branch of an older version needs, and keeps as a rule of its database: 0 <= level <= target.
    assert 0 <= received.level <= received.target
    assert (received.target == 0) == (level is None)


@given(st.integers(0, 20), st.integers(0, 20))
def test_an_entry_of_an_older_version_is_read_and_stays_as_it_is(level: int, more: int) -> None:
    old = {"location_id": "BEY-01", "item_id": "milk", "level": level, "target": level + more}
    received = msgspec.convert(old, CatalogueLevel)
    assert msgspec.to_builtins(received) == old
    read_back = received.reorder_level()
    assert read_back == level_from_target(level, level + more)
    if read_back is None:
        assert level + more == 0
        return
    assert list(level_faults(read_back)) == []
    for available in range(-5, 30):
        was_ordered = level + more - available if available <= level else 0
        assert to_order(read_back, available) == was_ordered, "the same is ordered as before"
