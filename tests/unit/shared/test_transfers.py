"""The rules of transfers: what events add up to, at which site they count, when nothing is on its way."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.events import RULES, EventType
from shared.messages import Fact, InstructionStep
from shared.transfers import (
    ANSWERS,
    AT_DESTINATION,
    AT_SOURCE,
    SIGNS,
    SUM_OF,
    answered,
    in_transit,
    in_transit_sql,
    site_of,
    totals,
)

OUT, IN, LOST, REVERSED, REFUSED = (
    EventType.TRANSFER_OUT,
    EventType.TRANSFER_IN,
    EventType.TRANSFER_LOST,
    EventType.TRANSFER_REVERSED,
    EventType.TRANSFER_REFUSED,
)


def fact(site: str, kind: EventType, quantity: int | None = None, item_id: str | None = "milk") -> Fact:
    refused = kind is REFUSED
    return Fact(
        location_id=site,
        sequence=1,
        type=kind,
        item_id=None if refused else item_id,
        quantity=quantity,
        reason="no-room" if refused else None,
        occurred_at=0,
        received_at=0,
    )


def test_signs_are_those_of_the_events() -> None:
    """A reversal has no figure: it takes its TRANSFER_OUT out of the fold, which is the sign of `reversed`."""
    moved = {kind for kind, rule in RULES.items() if rule.in_transit}
    assert moved | {REVERSED} == set(SUM_OF)
    assert {kind: SIGNS[SUM_OF[kind]] for kind in moved} == {kind: RULES[kind].in_transit for kind in moved}
    assert SIGNS[SUM_OF[REVERSED]] == -RULES[OUT].in_transit
    assert set(SUM_OF) == AT_SOURCE | AT_DESTINATION


def test_the_sums_of_a_transfer() -> None:
    events = [
        fact("A", OUT, 10),
        fact("A", OUT, 4, "rice"),
        fact("B", LOST, 1),
        fact("B", IN, 3),
        fact("B", IN, 2),
        fact("B", EventType.ADJUSTMENT, 7),
    ]
    found = totals(events, "A", "B")
    assert (found.sent, found.reversed) == ({"milk": 10, "rice": 4}, {})
    assert (found.received, found.lost, found.settled) == ({"milk": 5}, {"milk": 1}, {"milk": 6})
    assert found.in_transit == {"milk": 4, "rice": 4}
    assert (found.over, found.more_than_sent, found.elsewhere, found.refused) == (False, False, False, {})


@pytest.mark.parametrize(
    ("events", "over"),
    [
        ([], True),
        ([fact("A", REFUSED)], True),
        ([fact("A", OUT, 5)], False),
        ([fact("A", OUT, 5), fact("B", IN, 3), fact("B", LOST, 2)], True),
        ([fact("A", OUT, 5), fact("B", REFUSED), fact("A", REVERSED, 5)], True),
        ([fact("B", IN, 5)], False),
        ([fact("A", OUT, 5), fact("A", REVERSED, 5), fact("B", IN, 5)], False),
    ],
)
def test_it_is_over_when_nothing_is_on_its_way(events: list[Fact], over: bool) -> None:
    assert totals(events).over is over
    assert totals(events, "A", "B").over is over


@pytest.mark.parametrize("kind", sorted(SUM_OF))
def test_at_another_site_it_is_in_no_sum(kind: EventType) -> None:
    own = "A" if kind in AT_SOURCE else "B"
    for site in "ABC":
        found = totals([fact(site, kind, 5)], "A", "B")
        assert (found.elsewhere, found.in_transit == {}) == (site != own, site != own)
        assert getattr(totals([fact(site, kind, 5)]), SUM_OF[kind]) == {"milk": 5}


def test_a_refusal_counts_at_either_site_and_the_first_reason_stands() -> None:
    again = Fact(location_id="A", sequence=2, type=REFUSED, reason="later", occurred_at=0, received_at=0)
    found = totals([fact("A", REFUSED), again, fact("B", REFUSED)], "A", "B")
    assert (found.refused, found.elsewhere) == ({"A": "no-room", "B": "no-room"}, False)
    assert totals([fact("C", REFUSED)], "A", "B").elsewhere


@given(st.permutations([fact("A", OUT, 10), fact("A", REVERSED, 10), fact("B", IN, 4), fact("B", LOST, 6)]))
def test_the_order_of_the_events_does_not_matter(events: list[Fact]) -> None:
    found = totals(events, "A", "B")
    assert (found.in_transit, found.settled, found.over) == ({"milk": -10}, {"milk": 10}, False)


def test_the_signed_sum_as_a_number_and_as_sql() -> None:
    amounts = {"sent": 50, "reversed": 20, "received": 7, "lost": 3}
    assert in_transit(lambda name: amounts[name]) == 20
    assert in_transit_sql("t") == "t.sent - t.reversed - t.received - t.lost"


@pytest.mark.parametrize("step", list(InstructionStep))
def test_what_answers_a_step_can_stand_at_its_site(step: InstructionStep) -> None:
    site = site_of(step, "A", "B")
    for kind in ANSWERS[step]:
        assert answered(step, {kind})
        assert not totals([fact(site, kind, 1)], "A", "B").elsewhere
    assert not answered(step, set(EventType) - set(ANSWERS[step]))
