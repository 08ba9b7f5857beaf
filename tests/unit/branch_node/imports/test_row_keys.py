"""Parts of a row's key: short, ASCII, and different for different texts."""

from hypothesis import given, settings
from hypothesis import strategies as st

from branch_node.imports.register.row_keys import PART, key_part

texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=90)


@settings(deadline=None)
@given(texts)
def test_a_part_is_short_and_printable(text: str) -> None:
    part = key_part(text)
    assert 1 <= len(part) <= PART
    assert part.isascii()
    assert part.isprintable()


@settings(deadline=None)
@given(texts, texts)
def test_different_texts_have_different_parts(one: str, other: str) -> None:
    assert (key_part(one) == key_part(other)) == (one == other)


def test_by_example() -> None:
    assert key_part("sales 2026-01 #7.csv") == "sales 2026-01 #7.csv"
    assert key_part("50%") == "50%25"
    assert key_part("50%25") == "50%2525"
    assert key_part("~1") == "%7E1"
    assert key_part("café.csv") == "caf%C3%A9.csv"
    assert key_part("ش" * 30).startswith("~")
    assert key_part("x" * PART) == "x" * PART
    assert key_part("x" * PART + "y") != key_part("x" * PART + "z")
