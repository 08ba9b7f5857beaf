"""Quantities and texts as they come in from outside: exact, and nothing that looks like something else."""

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.events import MAX_QUANTITY, BadQuantity, parse_quantity, quantity_json, quantity_text
from shared.runtime.text.text_faults import code_fault, name_fault, text_fault

thousandths = st.integers(-MAX_QUANTITY, MAX_QUANTITY)


@given(thousandths)
def test_a_quantity_comes_back_as_it_went_out(quantity: int) -> None:
    text = quantity_text(quantity)
    assert parse_quantity(text) == parse_quantity(f'"{text}"') == parse_quantity(text.encode()) == quantity
    assert Decimal(text) * 1000 == quantity
    assert json.loads(bytes(quantity_json(quantity)), parse_float=Decimal) * 1000 == quantity


@given(st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-(10**9), max_value=10**9))
def test_every_decimal_of_three_places_is_exact(number: Decimal) -> None:
    assert parse_quantity(format(number, "f")) == number * 1000


@given(st.text(max_size=12))
def test_a_text_is_read_as_python_would_or_refused(text: str) -> None:
    try:
        read = parse_quantity(text)
    except BadQuantity:
        return
    assert text.isascii()
    assert Decimal(text.strip('"')) * 1000 == read


@pytest.mark.parametrize(
    "text",
    [
        "", "-", "+1", " 1", "1 ", "1.", ".5", "1e3", "1E3", "1e400", "NaN", "Infinity", "-Infinity", "true", "null",
        "1.0000", "0.1234", "1,5", "1_0", "0x10", "١٢", "１２", '"1', '1"', '""', "[1]", "9" * 26, "1000000000.001",
        "-1000000000.001", "1\n", "\ud800",
    ],
)  # fmt: skip
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(BadQuantity):
        parse_quantity(text)


def test_the_bounds_can_be_narrowed() -> None:
    assert parse_quantity("0", lowest=0) == 0
    with pytest.raises(BadQuantity, match=r"from 0\.001 to"):
        parse_quantity("0", lowest=1)
    assert parse_quantity("-0") == 0


@pytest.mark.parametrize("code", ["milk", "MILK 1 L", "crème", "لبن", "牛乳", "a/b:c", "½ l", "0"])
def test_codes_that_can_be(code: str) -> None:
    assert code_fault(code) is None


@pytest.mark.parametrize(
    "code",
    [
        " milk", "milk ", "mi\u200blk", "mi\u200dlk", "\ufeffmilk", "milk\u2060", "cre\u0300me", "mi\x00lk", "mi\nlk",
        "mi\tlk", "mi\u00a0lk", "mi\u202elk", "\ud800", "milk\u3164", "milk\ufe0f", "mi\x7flk", "\ue000",
    ],
)  # fmt: skip
def test_codes_that_cannot_be(code: str) -> None:
    assert code_fault(code) is not None


def test_notes_may_have_lines_but_no_control_characters() -> None:
    assert text_fault("broken\n\tby a guest 👩\u200d🍳 ") is None
    assert text_fault("a\x00b") == "it holds the character U+0000, which is no text"
    assert text_fault("half \udc00") is not None
    assert text_fault(" \n ") == "it is blank"


@pytest.mark.parametrize("character", "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
def test_no_text_changes_the_order_in_which_it_is_read(character: str) -> None:
    for fault in (text_fault, name_fault, code_fault):
        assert fault(f"milk{character}5") is not None
    assert text_fault("حليب \u200f(1 l)\u200e") is None, "marks of direction are part of a text"


def test_a_name_is_one_line() -> None:
    assert name_fault("Whole milk") is None
    assert name_fault("Whole\nmilk") == name_fault("Whole\tmilk") == "it holds a line break or a tab"
