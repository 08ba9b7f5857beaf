"""The course of an order: rules one by one, and random tells, answers, silences and restores against plain branches."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from head_office.orders.order_course import (
    AskAt,
    AskedLocation,
    ChooseLocation,
    FinalOutcome,
    NobodyHasOrder,
    OrderCourse,
    OrderElsewhere,
    RoutedEvent,
    RoutedOrderState,
    home_of,
    state_of,
    steps_after_answers,
    told_step,
)
from shared.orders.order_event_inputs import OrderEventKind
from shared.orders.order_outcomes import OrderOutcome, RecordedOutcome

PLACED, SHIPPED = OrderEventKind.PLACED, OrderEventKind.SHIPPED
CANCELLED, RETURNED = OrderEventKind.CANCELLED, OrderEventKind.RETURNED
LOCATIONS = ("A", "B", "C")


def event(number: int, kind: OrderEventKind, **fields: object) -> RoutedEvent:
    return RoutedEvent(number=number, kind=kind, **fields)  # type: ignore[arg-type]


def ask(number: int, place: str, outcome: str | None = None, *, reason: str | None = None, aside: bool = False):
    answer = None if outcome is None else RecordedOutcome(outcome=OrderOutcome(outcome), reason=reason)
    return AskedLocation(event=number, location_id=place, answer=answer, aside=aside)


def course(told: list[RoutedEvent], *asked: AskedLocation) -> OrderCourse:
    return OrderCourse(told=tuple(told), asked=asked)


ONE = [event(1, PLACED)]


@pytest.mark.parametrize(
    ("before", "told", "step"),
    [
        (course([]), event(1, PLACED), ChooseLocation(event=1)),
        (course([]), event(1, PLACED, location_id="C"), AskAt(location_id="C")),
        (course([]), event(1, CANCELLED), FinalOutcome(event=1, outcome=OrderOutcome.NOTED)),
        (course([]), event(1, SHIPPED, location_id="B"), AskAt(location_id="B")),
        (course([]), event(1, RETURNED, location_id="B"), AskAt(location_id="B", aside=True)),
        (course(ONE, ask(1, "A")), event(2, PLACED, revision=2), AskAt(location_id="A")),
        (course(ONE, ask(1, "A", "reserved")), event(2, PLACED, revision=2), AskAt(location_id="A")),
        (course(ONE, ask(1, "A", "unavailable")), event(2, PLACED, revision=2), ChooseLocation(event=2)),
        (
            course(ONE, ask(1, "A", "unavailable")),
            event(2, CANCELLED),
            FinalOutcome(event=2, outcome=OrderOutcome.NOTHING),
        ),
        (course(ONE, ask(1, "A")), event(2, CANCELLED), AskAt(location_id="A")),
        (course(ONE, ask(1, "A", "reserved")), event(2, SHIPPED, location_id="B"), AskAt(location_id="B", aside=True)),
        (course(ONE, ask(1, "A", "reserved")), event(2, SHIPPED), AskAt(location_id="A")),
        (
            course([event(1, PLACED, revision=3)], ask(1, "A")),
            event(2, PLACED, revision=2),
            FinalOutcome(event=2, outcome=OrderOutcome.SUPERSEDED),
        ),
        (
            course([event(1, CANCELLED)]),
            event(2, PLACED),
            FinalOutcome(event=2, outcome=OrderOutcome.CANCELLED),
        ),
    ],
)  # fmt: skip
def test_the_first_step(before: OrderCourse, told: RoutedEvent, step: object) -> None:
    assert told_step(before, told) == step


@pytest.mark.parametrize("kind", [PLACED, CANCELLED])
def test_another_location_than_the_one_that_has_it_is_refused(kind: OrderEventKind) -> None:
    for asked in (ask(1, "A"), ask(1, "A", "reserved")):
        with pytest.raises(OrderElsewhere) as refused:
            told_step(course(ONE, asked), event(2, kind, location_id="B"))
        assert refused.value.location_id == "A"


@pytest.mark.parametrize("kind", [SHIPPED, RETURNED])
def test_of_an_order_that_nobody_has_nothing_can_be_shipped_or_returned(kind: OrderEventKind) -> None:
    for before in (course([]), course(ONE, ask(1, "A", "unavailable"))):
        with pytest.raises(NobodyHasOrder):
            told_step(before, event(2, kind))


@pytest.mark.parametrize("kind", list(OrderEventKind))
def test_a_reservation_in_a_log_is_the_home_of_an_order_that_is_not_known(kind: OrderEventKind) -> None:
    step = told_step(course([]), event(1, kind), logged="B")
    assert isinstance(step, AskAt)
    assert step.location_id == "B"


def test_a_refused_order_goes_on_unless_it_must_not() -> None:
    refused = ask(1, "A", "unavailable")
    assert steps_after_answers(course(ONE, refused)) == ([], ChooseLocation(event=1, never=frozenset("A")))
    for told, asked in (
        ([event(1, PLACED, location_id="A")], [refused]),
        ([*ONE, event(2, CANCELLED)], [refused, ask(2, "A", "noted")]),
        ([*ONE, event(2, PLACED, revision=2)], [refused, ask(2, "A", "reserved")]),
        ([*ONE, event(2, SHIPPED)], [refused, ask(2, "A", "shipped")]),
        (ONE, [ask(1, "A", "refused", reason="order-superseded")]),
    ):
        final, seek = steps_after_answers(course(told, *asked))
        assert seek is None
        assert [each.event for each in final] == [each.number for each in told]
    # Somebody is still asked for it: it waits for that answer.
    assert steps_after_answers(course([*ONE, event(2, SHIPPED)], refused, ask(2, "A"))) == ([], None)
    # A log has it although it refused this revision.
    final, seek = steps_after_answers(course(ONE, refused), logged="A")
    assert ([each.outcome for each in final], seek) == ([OrderOutcome.UNAVAILABLE], None)


def test_a_higher_revision_that_is_refused_leaves_the_order_where_it_is() -> None:
    told = [event(1, PLACED, outcome=OrderOutcome.RESERVED), event(2, PLACED, revision=2)]
    after = course(told, ask(1, "A", "reserved"), ask(2, "A", "unavailable"))
    final, seek = steps_after_answers(after)
    assert ([each.event for each in final], seek) == ([2], None)
    told[1] = msgspec.structs.replace(told[1], outcome=OrderOutcome.UNAVAILABLE)
    assert state_of(course(told, *after.asked)) is RoutedOrderState.RESERVED


def test_a_parcel_from_elsewhere_leaves_the_order_where_it_is() -> None:
    after = course(
        [*ONE, event(2, SHIPPED, location_id="B")], ask(1, "A", "reserved"), ask(2, "B", "shipped", aside=True)
    )
    found = home_of(after)
    assert found is not None
    assert (found.location_id, found.settled) == ("A", True)


@dataclass
class PlainBranch:
    """One order at a branch: what its log says of it, by what it was asked, told once under each key."""

    revision: int = 0
    reserved: bool = False
    cancelled: bool = False
    answers: dict[int, RecordedOutcome] = field(default_factory=dict)  # by id of the told event
    held: bool = False  # whether its log has ever had a reservation of the order

    def take(self, told: RoutedEvent, identity: int, *, able: bool) -> None:
        if identity not in self.answers:
            self.answers[identity] = RecordedOutcome(outcome=OrderOutcome(self._outcome(told, able=able)))

    def _outcome(self, told: RoutedEvent, *, able: bool) -> str:
        match told.kind:
            case OrderEventKind.PLACED:
                if self.cancelled:
                    return "cancelled"
                if told.revision < self.revision:
                    return "superseded"
                self.revision = max(self.revision, told.revision)
                if not able:
                    return "unavailable"
                self.reserved = self.held = True
                return "reserved"
            case OrderEventKind.SHIPPED:
                self.reserved = False
                return "shipped"
            case OrderEventKind.CANCELLED:
                was, self.cancelled, self.reserved = self.reserved, True, False
                return "released" if was else "noted"
            case _:
                return "returned"


@dataclass
class Office:
    """What head office's database holds of the order; `ids` are those of the told events, by number from 1."""

    course: OrderCourse = field(default_factory=OrderCourse)
    ids: list[int] = field(default_factory=list)
    answered: dict[int, object] = field(default_factory=dict)


class OrderMachine(RuleBasedStateMachine):
    """A source, head office and three branches. A branch is silent until it is stepped."""

    def __init__(self) -> None:
        super().__init__()
        self.office = Office()
        self.backup = Office()
        self.branches = {place: PlainBranch() for place in LOCATIONS}
        self.sent: list[RoutedEvent] = []  # what the source made, by id
        self.first: dict[int, object] = {}  # the first answer to each since the last restore

    def logged(self) -> str | None:
        held = [place for place in LOCATIONS if self.branches[place].held]
        return next((place for place in held if self.branches[place].reserved), held[0] if held else None)

    def append(self, asked: AskedLocation) -> None:
        office = self.office
        office.course = msgspec.structs.replace(office.course, asked=(*office.course.asked, asked))

    def choose(self, choice: ChooseLocation, able: frozenset[str]) -> object:
        place = next((each for each in LOCATIONS if each in able and each not in choice.never), None)
        if place is None:
            self.settle(FinalOutcome(event=choice.event, outcome=OrderOutcome.UNAVAILABLE))
            return "unavailable"
        assert all(each.answer is not None for each in self.office.course.asked if not each.aside)
        assert place not in {each.location_id for each in self.office.course.asked if each.event == choice.event}
        self.append(AskedLocation(event=choice.event, location_id=place))
        return place

    def settle(self, final: FinalOutcome) -> None:
        told = list(self.office.course.told)
        assert told[final.event - 1].outcome is None
        told[final.event - 1] = msgspec.structs.replace(told[final.event - 1], outcome=final.outcome)
        self.office.course = msgspec.structs.replace(self.office.course, told=tuple(told))

    def route(self, able: frozenset[str]) -> None:
        """The router: the logs' answers are taken in, and what follows is done."""
        office = self.office
        asked = tuple(
            each
            if each.answer is not None
            else msgspec.structs.replace(
                each, answer=self.branches[each.location_id].answers.get(office.ids[each.event - 1])
            )
            for each in office.course.asked
        )
        if asked == office.course.asked:
            return
        office.course = msgspec.structs.replace(office.course, asked=asked)
        logged = self.logged() if steps_after_answers(office.course)[1] is not None else None
        final, seek = steps_after_answers(office.course, logged=logged)
        for each in final:
            self.settle(each)
        if seek is not None and logged is not None:
            self.append(AskedLocation(event=seek.event, location_id=logged))
        elif seek is not None:
            self.choose(seek, able)

    @rule(
        kind=st.sampled_from([PLACED, PLACED, *OrderEventKind]),
        revision=st.integers(1, 3),
        named=st.sampled_from([None, None, None, *LOCATIONS]),
        able=st.frozensets(st.sampled_from(LOCATIONS)),
    )
    def tell_anew(self, kind: OrderEventKind, revision: int, named: str | None, able: frozenset[str]) -> None:
        self.sent.append(RoutedEvent(number=0, kind=kind, revision=revision, location_id=named))
        self.tell(len(self.sent) - 1, able)

    @precondition(lambda self: self.sent)
    @rule(data=st.data(), able=st.frozensets(st.sampled_from(LOCATIONS)))
    def tell_again(self, data: st.DataObject, able: frozenset[str]) -> None:
        self.tell(data.draw(st.integers(0, len(self.sent) - 1)), able)

    def tell(self, identity: int, able: frozenset[str]) -> None:
        self.route(able)
        office = self.office
        if identity in office.answered:
            assert office.answered[identity] == self.first[identity]
            return
        told = msgspec.structs.replace(self.sent[identity], number=len(office.course.told) + 1)
        try:
            step = told_step(office.course, told, logged=self.logged())
        except (OrderElsewhere, NobodyHasOrder):
            return
        office.course = msgspec.structs.replace(office.course, told=(*office.course.told, told))
        office.ids.append(identity)
        before = [place for place in LOCATIONS if identity in self.branches[place].answers]
        answer: object
        if isinstance(step, FinalOutcome):
            self.settle(step)
            answer = step.outcome
        elif isinstance(step, AskAt):
            for place in before:
                if place != step.location_id:
                    self.append(AskedLocation(event=told.number, location_id=place, aside=True))
            self.append(AskedLocation(event=told.number, location_id=step.location_id, aside=step.aside))
            answer = step.location_id
        elif before:
            for place in before:
                self.append(AskedLocation(event=told.number, location_id=place))
            answer = before[-1]
        else:
            answer = self.choose(step, able)
        office.answered[identity] = self.first[identity] = answer
        self.route(able)

    @rule(place=st.sampled_from(LOCATIONS), can=st.booleans(), able=st.frozensets(st.sampled_from(LOCATIONS)))
    def a_branch_answers(self, place: str, can: bool, able: frozenset[str]) -> None:
        office = self.office
        for each in office.course.asked:
            if each.location_id == place and each.answer is None:
                self.branches[place].take(office.course.told[each.event - 1], office.ids[each.event - 1], able=can)
        self.route(able)

    @rule()
    def back_up(self) -> None:
        self.backup = deepcopy(self.office)

    @rule()
    def restore(self) -> None:
        """The database of an earlier day; the logs are shipped again before anything is told."""
        self.office = deepcopy(self.backup)
        self.first = dict(self.office.answered)
        self.route(frozenset(LOCATIONS))

    @invariant()
    def it_is_reserved_at_one_location(self) -> None:
        assert sum(branch.reserved for branch in self.branches.values()) <= 1

    @invariant()
    def one_location_is_asked_at_a_time(self) -> None:
        waiting = {each.location_id for each in self.office.course.asked if each.answer is None and not each.aside}
        assert len(waiting) <= 1

    @invariant()
    def every_event_is_final_or_somebody_is_waited_for(self) -> None:
        course = self.office.course
        if any(each.outcome is None for each in course.told):
            assert course.waits_for is not None
            assert state_of(course) is RoutedOrderState.ASKED

    @invariant()
    def a_cancelled_order_is_reserved_nowhere(self) -> None:
        if self.office.course.cancelled and self.office.course.waits_for is None:
            assert not any(branch.reserved for branch in self.branches.values())

    @invariant()
    def the_home_is_where_it_is_reserved(self) -> None:
        holding = [place for place in LOCATIONS if self.branches[place].reserved]
        home = home_of(self.office.course)
        if holding and home is not None and home.settled:
            assert home.location_id == holding[0]


TestOrderMachine = OrderMachine.TestCase
TestOrderMachine.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
