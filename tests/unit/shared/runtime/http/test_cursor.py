"""A list's cursor comes back as it went, and no other text passes for one."""

from __future__ import annotations

import contextlib
from typing import NamedTuple

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.runtime.http.cursor import BadCursor, Cursor, Whole, page_of
from shared.runtime.problems import Problem


class Place(NamedTuple):
    location_id: str
    sequence: Whole


PLACES: Cursor[Place] = Cursor(Place)
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=64)


@given(TEXTS, st.integers(0, 2**62))
def test_a_place_comes_back_as_it_went(location_id: str, sequence: int) -> None:
    place = PLACES.read(PLACES.write(Place(location_id, sequence)))
    assert place == Place(location_id, sequence)
    assert isinstance(place, Place)


@pytest.mark.parametrize("after", [None, ""])
def test_a_list_begins_without_a_cursor(after: str | None) -> None:
    assert PLACES.read(after) is None


@pytest.mark.parametrize(
    "place", [["A"], ["A", -1], ["A", 2**70], ["A", "1"], ["A", 1.5], ["A\0", 1], {"A": 1}, None, 7, "A"]
)
def test_a_cursor_of_another_list_is_refused(place: object) -> None:
    text = Cursor[object](object).write(place)
    with pytest.raises(BadCursor):
        PLACES.decode(text)
    with pytest.raises(Problem) as refused:
        PLACES.read(text)
    assert (refused.value.status, refused.value.code) == (400, "bad-cursor")


@given(st.text(max_size=40))
def test_any_text_is_a_place_or_refused(text: str) -> None:
    with contextlib.suppress(BadCursor):
        assert isinstance(PLACES.decode(text), Place)


def test_a_cursor_has_a_bound_in_length_and_depth() -> None:
    deep = Cursor[object](msgspec.Raw).write(msgspec.Raw(b"[" * 600))
    with pytest.raises(BadCursor):
        Cursor[object](object).decode(deep)
    with pytest.raises(BadCursor, match="too long"):
        PLACES.decode("A" * 2_001)
    assert Cursor[str](str, longest=4_000).decode(PLACES_TEXT) == "a" * 2_000


PLACES_TEXT = Cursor[str](str).write("a" * 2_000)


def test_a_page_goes_on_where_there_is_more() -> None:
    assert page_of([1, 2, 3], 2, str) == ([1, 2], "2")
    assert page_of([1, 2], 2, str) == ([1, 2], None)
    assert page_of([], 2, str) == ([], None)
