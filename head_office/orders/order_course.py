"""What becomes of an order that another system tells head office of: which location is asked, and what is final. Pure.

The home of an order is the location that is asked for it, reserves it or has shipped of it. From what was told, asked
and answered follows everything else; nothing follows from silence. Moments are microseconds UTC. Rules: INTERFACES A3.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Final

import msgspec

from shared.orders.order_event_inputs import OrderEventKind
from shared.orders.order_outcomes import OrderOutcome, RecordedOutcome

RESERVED_OTHERWISE: Final = "order-superseded"
"""The reason of a branch's refusal that holds the order already, in that revision with other lines."""

_REFUSALS: Final = frozenset({OrderOutcome.UNAVAILABLE, OrderOutcome.REFUSED})
_TELLING_NOTHING: Final = frozenset({OrderOutcome.NOTED, OrderOutcome.NOTHING, OrderOutcome.RETURNED})
"""Answers that do not make a location the home: of a cancellation that found nothing, of what came back."""


class RoutedOrderState(StrEnum):
    """Where an order stands. ASKED: a branch has not answered yet; else by the newest event that says so."""

    ASKED = "ASKED"
    RESERVED = "RESERVED"
    UNAVAILABLE = "UNAVAILABLE"
    SHIPPED = "SHIPPED"
    CANCELLED = "CANCELLED"
    RETURNED = "RETURNED"
    REFUSED = "REFUSED"


class RoutedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A told event of an order; `number` counts the order's from 1. `outcome` is None until it is final.

    `location_id`: the location that it names, and no other may be asked for it.
    """

    number: int
    kind: OrderEventKind
    revision: int = 1
    location_id: str | None = None
    expires_at: int | None = None
    outcome: OrderOutcome | None = None


class AskedLocation(msgspec.Struct, frozen=True, kw_only=True):
    """A location that was asked to take the told event `event`. `answer` is what its log says; None: nothing yet.

    `aside`: it is asked for something that does not make it the home, as a parcel that another location sent.
    """

    event: int
    location_id: str
    aside: bool = False
    answer: RecordedOutcome | None = None


class OrderCourse(msgspec.Struct, frozen=True, kw_only=True):
    """An order: what was told of it and who was asked, each in its order."""

    told: tuple[RoutedEvent, ...] = ()
    asked: tuple[AskedLocation, ...] = ()

    @property
    def revision(self) -> int:
        """The newest that was placed; 0: none."""
        return max((each.revision for each in self.told if each.kind is OrderEventKind.PLACED), default=0)

    @property
    def cancelled(self) -> bool:
        """Whether it was told that the order is cancelled: from then on it is placed nowhere."""
        return any(each.kind is OrderEventKind.CANCELLED for each in self.told)

    @property
    def waits_for(self) -> str | None:
        """The location that has not answered yet; the first of several."""
        return next((each.location_id for each in self.asked if each.answer is None), None)


class Home(msgspec.Struct, frozen=True):
    """The home of an order; `settled` once its log holds something of the order."""

    location_id: str
    settled: bool


class AskAt(msgspec.Struct, frozen=True, kw_only=True):
    """The next step of a told event: that location is asked."""

    location_id: str
    aside: bool = False


class ChooseLocation(msgspec.Struct, frozen=True, kw_only=True):
    """The next step of the told event `event`: the location is chosen that serves it best; none of `never`."""

    event: int
    never: frozenset[str] = frozenset()


class FinalOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """A told event has its outcome. `answer` is that of the branch, where one said it."""

    event: int
    outcome: OrderOutcome
    reason: str | None = None
    answer: RecordedOutcome | None = None


class OrderElsewhere(ValueError):
    """Another location is named than the one that has the order."""

    def __init__(self, location_id: str) -> None:
        super().__init__(f"{location_id} has the order")
        self.location_id = location_id


class NobodyHasOrder(ValueError):
    """No location was asked for the order, so nobody can ship or take back anything of it."""


def home_of(course: OrderCourse) -> Home | None:
    """The home by what was asked and answered: whose log holds something of the order, else who is asked for it."""
    found: Home | None = None
    for each in course.asked:
        if each.aside:
            continue
        if each.answer is not None and _holds(each.answer):
            found = Home(each.location_id, settled=True)
        elif each.answer is None and found is None:
            found = Home(each.location_id, settled=False)
    return found


def _holds(answer: RecordedOutcome) -> bool:
    if answer.outcome in _REFUSALS:
        return answer.reason == RESERVED_OTHERWISE
    return answer.outcome not in _TELLING_NOTHING


def told_step(
    course: OrderCourse, event: RoutedEvent, *, logged: str | None = None
) -> AskAt | ChooseLocation | FinalOutcome:
    """The first step of an event that is told of an order, which is not in the course yet.

    `logged`: the location whose log has a reservation of the order, if one has, though this database may not know that
    it was asked. Raises OrderElsewhere, NobodyHasOrder.
    """
    known = home_of(course)
    home = logged if known is None else known.location_id
    named, number = event.location_id, event.number
    match event.kind:
        case OrderEventKind.PLACED:
            if course.cancelled:
                return FinalOutcome(event=number, outcome=OrderOutcome.CANCELLED)
            if event.revision < course.revision:
                return FinalOutcome(event=number, outcome=OrderOutcome.SUPERSEDED)
            place = _one_place(home, named)
            return ChooseLocation(event=number) if place is None else AskAt(location_id=place)
        case OrderEventKind.CANCELLED:
            place = _one_place(home, named)
            if place is not None:
                return AskAt(location_id=place)
            return FinalOutcome(event=number, outcome=OrderOutcome.NOTHING if course.told else OrderOutcome.NOTED)
        case _:
            returned = event.kind is OrderEventKind.RETURNED
            if named is not None and (named != home or returned):
                return AskAt(location_id=named, aside=returned or home is not None)
            if home is None:
                raise NobodyHasOrder
            return AskAt(location_id=home, aside=returned)


def _one_place(home: str | None, named: str | None) -> str | None:
    if home is not None and named is not None and home != named:
        raise OrderElsewhere(home)
    return named if home is None else home


def steps_after_answers(
    course: OrderCourse, *, logged: str | None = None
) -> tuple[list[FinalOutcome], ChooseLocation | None]:
    """What follows from the answers that are there: which events are final, and for which another location is sought.

    An order that was refused is placed elsewhere once nobody is asked for it any more and nobody has it (`logged`: as
    for `told_step`): so it is never asked for at two locations at once.
    """
    final: list[FinalOutcome] = []
    seek: ChooseLocation | None = None
    waits = any(each.answer is None and not each.aside for each in course.asked)
    for event in course.told:
        asked = [each for each in course.asked if each.event == event.number]
        if event.outcome is not None or not asked:
            continue
        answer = asked[-1].answer
        if answer is None:
            continue
        never = frozenset(each.location_id for each in asked)
        if not _may_go_elsewhere(course, event, answer) or logged in never:
            outcome, reason = answer.outcome, answer.reason
            final.append(FinalOutcome(event=event.number, outcome=outcome, reason=reason, answer=answer))
        elif not waits:
            seek = ChooseLocation(event=event.number, never=never)
    return final, seek


def _may_go_elsewhere(course: OrderCourse, event: RoutedEvent, answer: RecordedOutcome) -> bool:
    if event.kind is not OrderEventKind.PLACED or answer.outcome not in _REFUSALS or event.location_id is not None:
        return False
    newest = max(each.number for each in course.told if _places(each, course.revision))
    home = home_of(course)
    return event.number == newest and not course.cancelled and not (home is not None and home.settled)


def _places(event: RoutedEvent, revision: int) -> bool:
    return event.kind is OrderEventKind.PLACED and event.revision == revision


def state_of(course: OrderCourse) -> RoutedOrderState:
    """Where the order stands."""
    if course.waits_for is not None:
        return RoutedOrderState.ASKED
    if course.cancelled:
        return RoutedOrderState.CANCELLED
    home = home_of(course)
    settled = home is not None and home.settled
    for outcome in _outcomes(course.told):
        # A revision that was refused leaves what was reserved before.
        if outcome in _STATES and not (settled and outcome in _REFUSALS):
            return _STATES[outcome]
    return RoutedOrderState.REFUSED


_STATES: Final = {
    OrderOutcome.RESERVED: RoutedOrderState.RESERVED,
    OrderOutcome.SHIPPED: RoutedOrderState.SHIPPED,
    OrderOutcome.UNAVAILABLE: RoutedOrderState.UNAVAILABLE,
    OrderOutcome.CANCELLED: RoutedOrderState.CANCELLED,
    OrderOutcome.RETURNED: RoutedOrderState.RETURNED,
    OrderOutcome.REFUSED: RoutedOrderState.REFUSED,
}


def _outcomes(told: Sequence[RoutedEvent]) -> Iterator[OrderOutcome]:
    """The final outcomes of events, the newest event first."""
    return (each.outcome for each in reversed(told) if each.outcome is not None)
