"""An item with several codes: where the sum over them falls below zero."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from shared.code_sums import merged_explanation, summed_breach
from shared.stock import Movement, Place, explain, fold, strict_breach
from tests.support.events import MINUTE, NOON

CODES = ("oil", "oel", "zeit")


@st.composite
def stories(draw: st.DrawFn) -> dict[str, list[Movement]]:
    """Movements of three codes, deliveries, sales and counts, in any order of time; the sequences are unique."""
    found: dict[str, list[Movement]] = {code: [] for code in CODES}
    for sequence in range(1, draw(st.integers(1, 9))):
        code = draw(st.sampled_from(CODES))
        moment = NOON + draw(st.integers(0, 9)) * MINUTE
        change = draw(st.none() | st.integers(-4, 6).filter(bool))
        counted = draw(st.integers(0, 6)) if change is None else None
        kind = "STOCKTAKE" if change is None else "x"
        found[code].append(
            Movement(sequence=sequence, occurred_at=moment, type=kind, on_hand_change=change, counted=counted)
        )
    return found


def sale(quantity: int, minute: int) -> Movement:
    return Movement(sequence=10, occurred_at=NOON + minute * MINUTE, type="x", on_hand_change=-quantity)


def _sum_at(by_code: dict[str, list[Movement]], place: Place) -> int:
    return sum(
        fold([each for each in movements if each.place <= place], as_of=None).on_hand for movements in by_code.values()
    )


@given(stories(), st.sampled_from(CODES), st.integers(1, 8), st.integers(0, 9))
def test_the_first_place_at_which_the_sum_is_below_zero(
    by_code: dict[str, list[Movement]], code: str, quantity: int, minute: int
) -> None:
    new = sale(quantity, minute)
    after = {each: [*movements, new] if each == code else movements for each, movements in by_code.items()}
    counts = [each.place for each in by_code[code] if each.counted is not None and each.place > new.place]
    end = min(counts, default=Place(2**62, 0))
    places = sorted(each.place for movements in after.values() for each in movements)
    below = [place for place in places if new.place <= place < end and _sum_at(after, place) < 0]
    assert summed_breach(by_code, code, new) == (below[0] if below else None)


@given(stories(), st.integers(1, 8), st.integers(0, 9))
def test_with_one_code_it_is_that_of_the_item(by_code: dict[str, list[Movement]], quantity: int, minute: int) -> None:
    new = sale(quantity, minute)
    assert summed_breach({"oil": by_code["oil"]}, "oil", new) == strict_breach(by_code["oil"], new)


@given(stories(), st.integers(0, 9), st.none() | st.integers(0, 9))
def test_what_comes_to_be_known_later_changes_no_explanation(
    by_code: dict[str, list[Movement]], known_through: int, minute: int | None
) -> None:
    """As known through a sequence: it is only listed. A code that has nothing else is as if it did not exist."""
    as_of = None if minute is None else NOON + minute * MINUTE
    before = {code: [each for each in found if each.sequence <= known_through] for code, found in by_code.items()}
    then, later = (
        merged_explanation(
            {code: explain(found, as_of=as_of, known_through=known_through) for code, found in each.items()}
        )
        for each in (before, by_code)
    )
    listed = [each for each in later.not_counted if each.reason == "not known then"]
    assert replace(later, not_counted=[each for each in later.not_counted if each not in listed]) == then
    assert len(listed) == sum(each.sequence > known_through for found in by_code.values() for each in found)


@given(stories(), st.integers(0, 9))
def test_what_happens_later_changes_no_explanation_of_the_past(by_code: dict[str, list[Movement]], minute: int) -> None:
    as_of = NOON + minute * MINUTE
    before = {code: [each for each in found if each.occurred_at <= as_of] for code, found in by_code.items()}
    then, later = (
        merged_explanation({code: explain(found, as_of=as_of) for code, found in each.items()})
        for each in (before, by_code)
    )
    assert replace(later, not_counted=[each for each in later.not_counted if each.reason != "later"]) == then
