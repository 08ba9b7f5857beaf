"""A location serves an order only by figures that can be trusted; the best of those that do is the choice."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from head_office.reports.freshness import Freshness
from head_office.reservations.order_placement import (
    ItemShort,
    OrderedItem,
    StockedLocation,
    Unfit,
    choice_of,
    place_order,
    unfit,
)
from shared.messages import Verdict
from shared.runtime.clock import MINUTE
from tests.support.events import NOON

WITHIN = 2 * MINUTE
FRESH = Freshness(
    location_id="A",
    name="A",
    epoch=1,
    sequence=7,
    received_at=NOON - MINUTE,
    occurred_at=NOON - MINUTE,
    contacted_at=NOON,
    branch_sequence=7,
    verdict="OK",
    quarantined=0,
)


def fresh(**changes: Any) -> Freshness:
    return msgspec.structs.replace(FRESH, **changes)


def at(location_id: str, available: dict[str, int], *, other_units: tuple[str, ...] = (), **changes: Any) -> Any:
    found = fresh(location_id=location_id, **changes)
    return StockedLocation(fresh=found, available=available, other_units=frozenset(other_units))


def asked(**quantities: int) -> list[OrderedItem]:
    return [OrderedItem(item_id=item, unit="kg", quantity=quantity) for item, quantity in quantities.items()]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"contacted_at": NOON - WITHIN, "received_at": None}, []),
        ({"contacted_at": NOON - WITHIN - 1, "received_at": NOON}, []),  # a batch is heard too
        ({"contacted_at": NOON - WITHIN - 1, "received_at": NOON - WITHIN - 1}, [Unfit.SILENT]),
        ({"contacted_at": None}, [Unfit.SILENT]),  # without a hello nobody knows how far it is
        ({"contacted_at": None, "received_at": None, "verdict": None}, [Unfit.SILENT]),
        ({"branch_sequence": 8}, [Unfit.BEHIND]),
        ({"quarantined": 1}, [Unfit.QUARANTINED]),
        *(({"verdict": each.value}, [Unfit.VERDICT]) for each in Verdict if each is not Verdict.OK),
        (
            {"verdict": "FORKED", "branch_sequence": 9, "quarantined": 2, "contacted_at": 0, "received_at": 0},
            [Unfit.SILENT, Unfit.VERDICT, Unfit.BEHIND, Unfit.QUARANTINED],
        ),
    ],
)
def test_what_stands_against_figures(changes: dict[str, Any], expected: list[Unfit]) -> None:
    assert list(unfit(fresh(**changes), NOON, WITHIN)) == expected


def test_every_line_must_be_there() -> None:
    found = place_order(
        asked(tea=2, milk=3), [at("A", {"tea": 2, "milk": 2}), at("B", {"tea": 1})], [], now=NOON, heard_within=WITHIN
    )
    assert choice_of(found) is None
    assert [each.short for each in found] == [
        (ItemShort(item_id="milk", unit="kg", asked=3, available=2),),
        (
            ItemShort(item_id="tea", unit="kg", asked=2, available=1),
            ItemShort(item_id="milk", unit="kg", asked=3, available=0),
        ),
    ]


def test_an_item_kept_in_another_unit_too_is_not_promised() -> None:
    (found,) = place_order(asked(tea=2), [at("A", {"tea": 9}, other_units=("tea",))], [], now=NOON, heard_within=WITHIN)
    assert (found.short, found.unfit, found.serves) == ((), (Unfit.UNITS,), False)


def test_the_preferred_come_first_in_their_order_then_who_has_most_to_spare() -> None:
    stocked = [
        at("A", {"tea": 4, "milk": 100}),  # half of its tea
        at("B", {"tea": 100, "milk": 10}),  # a tenth of its milk
        at("C", {"tea": 1, "milk": 1}),
        at("D", {"tea": 2, "milk": 1}),
        at("E", {"tea": 0, "milk": 0}),
    ]

    def order(*prefer: str) -> list[str]:
        found = place_order(asked(tea=2, milk=1), stocked, prefer, now=NOON, heard_within=WITHIN)
        return [each.location_id for each in found]

    assert order() == ["B", "A", "D", "C", "E"]
    assert order("C", "D", "C") == ["C", "D", "B", "A", "E"]
    assert choice_of(place_order(asked(tea=2, milk=1), stocked, ["C", "D"], now=NOON, heard_within=WITHIN)) == "D"


LOCATIONS = st.builds(
    at,
    st.sampled_from("ABCDEF"),
    st.dictionaries(st.sampled_from(["tea", "milk"]), st.integers(-5, 9)),
    other_units=st.sampled_from([(), ("tea",)]),
    contacted_at=st.sampled_from([None, NOON, NOON - WITHIN - 1]),
    received_at=st.sampled_from([None, NOON - 10 * WITHIN]),
    branch_sequence=st.sampled_from([6, 7, 8]),
    verdict=st.sampled_from([None, *(each.value for each in Verdict)]),
    quarantined=st.integers(0, 1),
)


@given(
    st.lists(LOCATIONS, unique_by=lambda each: each.location_id),
    st.dictionaries(st.sampled_from(["tea", "milk"]), st.integers(1, 6), min_size=1),
    st.lists(st.sampled_from("ABCDEF")),
)
def test_the_choice_can_serve_and_nobody_preferred_before_it_can(
    stocked: list[StockedLocation], quantities: dict[str, int], prefer: list[str]
) -> None:
    found = place_order(asked(**quantities), stocked, prefer, now=NOON, heard_within=WITHIN)
    assert sorted(each.location_id for each in found) == sorted(each.location_id for each in stocked)
    can = {
        each.location_id
        for each in stocked
        if all(each.available.get(item, 0) >= quantity for item, quantity in quantities.items())
        and not list(unfit(each.fresh, NOON, WITHIN))
        and not each.other_units & quantities.keys()
    }
    assert {each.location_id for each in found if each.serves} == can
    choice = choice_of(found)
    assert (choice in can) if can else (choice is None)
    preferred = [location_id for location_id in prefer if location_id in can]
    if preferred:
        assert choice == preferred[0]
