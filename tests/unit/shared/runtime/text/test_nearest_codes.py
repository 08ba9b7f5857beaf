"""Suggestions for an unknown code: what comes first, and how many."""

import pytest

from shared.runtime.text.nearest_codes import MOST_COMPARED, MOST_SUGGESTIONS, Candidate, nearest_codes

ITEMS = [
    Candidate("milk", "Whole milk", "4006381333931"),
    Candidate("milk-2", "Half-fat milk"),
    Candidate("beans", "Coffee beans"),
    Candidate("HALLOUMI"),
]


@pytest.mark.parametrize(
    ("unknown", "first"),
    [
        ("MILK", "milk"),
        ("4006381333931", "milk"),
        ("coffee BEANS", "beans"),
        ("halumi", "HALLOUMI"),
        ("cofee beens", "beans"),
    ],
)
def test_the_likeliest_comes_first(unknown: str, first: str) -> None:
    assert nearest_codes(unknown, ITEMS)[0] == first


def test_nothing_similar_gives_nothing() -> None:
    assert nearest_codes("zzzz", ITEMS) == nearest_codes("milk", []) == []


def test_each_code_is_suggested_once_and_five_at_most() -> None:
    found = nearest_codes("item-1", [Candidate(f"item-{n}", f"item-{n}") for n in range(50)])
    assert len(found) == len(set(found)) == MOST_SUGGESTIONS
    assert found[0] == "item-1"


def test_beyond_the_bound_only_equal_texts_are_found() -> None:
    many = [Candidate(f"{n:06}") for n in range(MOST_COMPARED)]
    assert nearest_codes("LAST", [*many, Candidate("last")]) == ["last"]
    assert nearest_codes("lasst", [*many, Candidate("last")]) == []
