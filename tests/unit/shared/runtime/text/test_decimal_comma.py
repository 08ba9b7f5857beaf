"""Figures with a decimal comma."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.runtime.text.decimal_comma import CommaFault, decimal_point


@pytest.mark.parametrize(
    ("typed", "read"),
    [("1,5", "1.5"), ("12", "12"), ("2.25", "2.25"), ("0,125", "0.125"), ("1234,5", "1234.5"), ("x", "x")],
)
def test_a_comma_is_a_point(typed: str, read: str) -> None:
    assert decimal_point(typed) == read


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        ("1,500", "Write 1500 or 1.500."),
        ("-1,500", "Write -1500 or -1.500."),
        ("+1,500", "Write +1500 or +1.500."),
        ("1,500.5", "like 12"),
        ("1,2,3", "like 12"),
    ],
)
def test_what_can_be_read_in_two_ways_is_refused(typed: str, hint: str) -> None:
    with pytest.raises(CommaFault) as caught:
        decimal_point(typed)
    assert hint in caught.value.hint


@given(st.text("0123456789,.", max_size=9))
def test_nothing_else_changes(typed: str) -> None:
    try:
        read = decimal_point(typed)
    except CommaFault:
        assert "," in typed
    else:
        assert read == typed.replace(",", ".")
