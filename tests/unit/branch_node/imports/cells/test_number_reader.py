"""Numbers and amounts as files write them."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from branch_node.imports.cells.cell_readers import RowRejected
from branch_node.imports.cells.number_reader import THOUSANDS, Money, NumberReader

EURO = {"€": "EUR", "Fr.": "CHF", "$": "USD", "US$": "USD", "kr": "SEK"}


@pytest.mark.parametrize(
    ("decimal", "thousands", "text", "number"),
    [
        (".", ",", "1,234,567.5", "1234567.5"), (",", ".", "1.234,5", "1234.5"), (",", " ", "1\u202f234,50", "1234.5"),
        (",", " ", "1 234", "1234"), (".", "'", "1'234.05", "1234.05"), (".", "'", "1’234", "1234"),
        (".", ",", "1234.5", "1234.5"), (".", ",", "12", "12"), (".", None, "12-", "-12"), (".", None, "(12)", "-12"),
        (".", None, "( 12.50 )", "-12.5"), (".", None, "\u221212", "-12"), (",", ".", "(1.234,5)", "-1234.5"),
        (".", None, "007", "7"), (".", None, "-.5", "-0.5"), (",", None, ",5", "0.5"), (".", None, "+.5", "0.5"),
    ],
)  # fmt: skip
def test_ways_to_write_numbers(decimal: str, thousands: str | None, text: str, number: str) -> None:
    numbers = NumberReader(decimal, thousands)
    assert numbers.number(f" {text} ") == Decimal(number)
    assert numbers.quantity(text) == Decimal(number) * 1000


@pytest.mark.parametrize(
    ("decimal", "thousands", "text", "why"),
    [
        (".", ",", "1,5", "is no number"), (".", ",", "1,23,456", "is no number"), (".", ",", "1234,567", "no number"),
        (".", None, "1,000", 'thousands = ","'), (",", None, "1.000", "decimals come after a comma"),
        (".", None, "--1", "no number"), (".", None, "(-1)", "no number"), (".", None, "-1-", "no number"),
        (".", None, "+-1", "no number"), (".", None, "()", "no number"), (".", None, "-", "no number"),
        (".", None, "", "no number"), (".", None, "1 2", "no number"), (".", None, "1e3", "no number"),
        (".", None, "٣", "no number"), (".", None, "12 €", "[currencies]"), (".", None, ".", "no number"),
        (".", None, "5.", "no number"), (".", None, "²", "no number"),
    ],
)  # fmt: skip
def test_what_is_no_number(decimal: str, thousands: str | None, text: str, why: str) -> None:
    with pytest.raises(RowRejected) as refused:
        NumberReader(decimal, thousands).number(text)
    assert why in str(refused.value)


@pytest.mark.parametrize(
    ("text", "amount", "currency"),
    [
        ("€12.50", "12.5", "EUR"), ("12.50 €", "12.5", "EUR"), ("-€5", "-5", "EUR"), ("€ -5", "-5", "EUR"),
        ("€5-", "-5", "EUR"), ("(€5)", "-5", "EUR"), ("Fr. 7.05", "7.05", "CHF"), ("USD 3", "3", "USD"),
        ("3USD", "3", "USD"), ("US$4", "4", "USD"), ("$4", "4", "USD"), ("12", "12", None),
        ("-1,200.5", "-1200.5", None),
        ("100 kr", "100", "SEK"), ("0.000", "0", None),
    ],
)  # fmt: skip
def test_currencies_beside_amounts(text: str, amount: str, currency: str | None) -> None:
    assert NumberReader(".", ",", EURO).money(text) == Money(Decimal(amount), currency)


@pytest.mark.parametrize("text", ["£5", "€5€", "EUR", "€", "XEUR 5", "5 EURO", "5 EUR EUR", "", "eur 5"])
def test_what_is_no_amount(text: str) -> None:
    with pytest.raises(RowRejected):
        NumberReader(".", ",", EURO).money(text)


@settings(deadline=None)
@given(st.decimals(-(10**9), 10**9, places=3), st.sampled_from([None, *THOUSANDS]), st.sampled_from([".", ","]))
def test_what_is_written_by_the_rules_is_read_back(number: Decimal, thousands: str | None, decimal: str) -> None:
    if thousands == decimal:
        return
    text = f"{number:,.3f}".replace(",", "|").replace(".", decimal).replace("|", thousands or "")
    assert NumberReader(decimal, thousands).number(text) == number


@settings(deadline=None)
@given(
    st.text(max_size=12) | st.text(alphabet="0123456789.,-+()€ EUR'", max_size=12), st.sampled_from([None, ",", " "])
)
def test_any_text_is_an_amount_or_rejected(text: str, thousands: str | None) -> None:
    for read in (NumberReader(".", thousands, EURO).money, NumberReader(".", thousands).quantity):
        try:
            read(text)
        except RowRejected:
            continue
