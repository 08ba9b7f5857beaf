"""Orders taken as far as the logs allow: answers are read from them, and what follows is settled or asked elsewhere.

Works inside the transaction of the Connection it is given, on orders that are held in it. The number of statements
does not grow with that of the orders. Moments are microseconds UTC.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Final, NamedTuple

from sqlalchemy import Connection, text

from head_office.database.log_segments import read_lines_of
from head_office.orders.order_course import ChooseLocation, FinalOutcome, steps_after_answers
from head_office.orders.routed_orders import OrderName, RoutedOrder, ShortOfItem
from head_office.reservations.availability import PreferredOrder, placements_of
from head_office.reservations.order_placement import OrderedItem, Placement
from shared.chain import understand
from shared.events import EventNotUnderstood
from shared.orders.order_outcomes import OrderOutcome, RecordedOutcome, recorded_outcome
from shared.problem_kinds import INVALID_TIME

_PAIRS: Final = "unnest(CAST(:location_ids AS text[]), CAST(:keys AS text[])) AS wanted (location_id, command_key)"
# A batch may have cut the command, and what lies in quarantine says nothing yet.
WHOLE_ANSWER: Final = """
    head.sequence >= order_answer.sequence + order_answer.lines - 1 AND NOT EXISTS (
        SELECT FROM quarantine WHERE quarantine.location_id = order_answer.location_id AND released_at IS NULL
            AND quarantine.sequence BETWEEN order_answer.sequence AND order_answer.sequence + order_answer.lines - 1
    )
"""
_ANSWERS: Final = text(
    f"""
    SELECT location_id, command_key, order_answer.sequence, order_answer.lines
    FROM {_PAIRS} JOIN order_answer USING (location_id, command_key) JOIN head USING (location_id)
    WHERE {WHOLE_ANSWER}
    """
)
# Of several logs, which have it only if somebody told a branch directly too, the one that still holds it, else the
# newest reservation's.
_LOGGED: Final = text(
    """
    SELECT DISTINCT ON (source, order_id) source, order_id, location_id
    FROM unnest(CAST(:sources AS text[]), CAST(:order_ids AS text[])) AS named (source, order_id)
        JOIN reservation USING (source, order_id)
    ORDER BY source, order_id, (state = 'ACTIVE') DESC, created_at DESC, location_id
    """
)


class SoughtLocation(NamedTuple):
    """An order for one of whose events a location is to be chosen."""

    order: RoutedOrder
    choice: ChooseLocation


def advance(connection: Connection, orders: Sequence[RoutedOrder], *, now: int, heard_within: int) -> list[RoutedOrder]:
    """Take in the answers that have come, and what follows from them; the orders that changed.

    `heard_within`: how long ago a branch that is chosen was heard of at most.
    """
    changed = _take_answers(connection, orders, now)
    sought = [each for each in changed if steps_after_answers(each.course)[1] is not None]
    logged = logged_homes(connection, [each.name for each in sought])
    seeking: list[SoughtLocation] = []
    for order in changed:
        final, choice = steps_after_answers(order.course, logged=logged.get(order.name))
        for each in final:
            order.settle(each, now, _short_of(each.answer))
        if choice is None:
            continue
        place = logged.get(order.name)
        if place is None:
            seeking.append(SoughtLocation(order, choice))
        else:
            order.ask(choice.event, place, now)
    choose_locations(connection, seeking, now=now, heard_within=heard_within)
    return changed


def logged_homes(connection: Connection, names: Collection[OrderName]) -> dict[OrderName, str]:
    """The location whose log has a reservation of an order, for those orders of which one has."""
    if not names:
        return {}
    given = {"sources": [each.source for each in names], "order_ids": [each.order_id for each in names]}
    return {OrderName(row.source, row.order_id): row.location_id for row in connection.execute(_LOGGED, given)}


def choose_locations(connection: Connection, sought: Sequence[SoughtLocation], *, now: int, heard_within: int) -> None:
    """Ask for each the location that serves it best, as the figures are at this moment; none: it is unavailable."""
    in_time: list[SoughtLocation] = []
    for order, choice in sought:
        expires_at = order.event(choice.event).content.expires_at
        if expires_at is not None and expires_at <= now:
            final = FinalOutcome(event=choice.event, outcome=OrderOutcome.REFUSED, reason=INVALID_TIME.code)
            order.settle(final, now)
        else:
            in_time.append(SoughtLocation(order, choice))
    if not in_time:
        return
    asked = [_preferred(each) for each in in_time]
    found = placements_of(connection, asked, location_ids=None, heard_within=heard_within)
    for (order, choice), placements in zip(in_time, found, strict=True):
        left = [each for each in placements if each.location_id not in choice.never]
        place = next((each.location_id for each in left if each.serves), None)
        if place is not None:
            order.ask(choice.event, place, now)
            continue
        short = _nearest(left)
        if not left:
            answers = [each.asked.answer for each in order.asks if each.asked.event == choice.event]
            short = _short_of(answers[-1] if answers else None)
        order.settle(FinalOutcome(event=choice.event, outcome=OrderOutcome.UNAVAILABLE), now, short)


def _preferred(sought: SoughtLocation) -> PreferredOrder:
    content = sought.order.event(sought.choice.event).content
    lines = [OrderedItem(item_id=line.item_id, unit=line.unit, quantity=line.quantity) for line in content.lines or ()]
    return PreferredOrder(lines, content.prefer)


def _nearest(placements: Iterable[Placement]) -> tuple[ShortOfItem, ...]:
    """What the location lacks that lacks least; nothing where enough is somewhere, by figures not to be trusted."""
    nearest = min(placements, key=lambda each: len(each.short), default=None)
    return (
        ()
        if nearest is None
        else tuple(
            ShortOfItem(item_id=each.item_id, unit=each.unit, asked=each.asked, available=each.available)
            for each in nearest.short
        )
    )


def _short_of(answer: RecordedOutcome | None) -> tuple[ShortOfItem, ...]:
    if answer is None or answer.outcome is not OrderOutcome.UNAVAILABLE:
        return ()
    return tuple(ShortOfItem(item_id=each.item_id, unit=each.unit, asked=each.asked) for each in answer.refused)


def _take_answers(connection: Connection, orders: Sequence[RoutedOrder], now: int) -> list[RoutedOrder]:
    waiting: dict[tuple[str, str], tuple[RoutedOrder, int]] = {}
    for order in orders:
        for place, ask in enumerate(order.asks):
            if ask.asked.answer is None:
                waiting[ask.asked.location_id, order.event(ask.asked.event).command_key] = (order, place)
    answers = read_answers(connection, waiting)
    changed: dict[OrderName, RoutedOrder] = {}
    for pair, answer in answers.items():
        order, place = waiting[pair]
        order.take_answer(place, answer, now)
        changed[order.name] = order
    return list(changed.values())


def read_answers(connection: Connection, wanted: Collection[tuple[str, str]]) -> dict[tuple[str, str], RecordedOutcome]:
    """What logs answered under keys, by (location, key); without those that have not arrived whole."""
    if not wanted:
        return {}
    given = {"location_ids": [each[0] for each in wanted], "keys": [each[1] for each in wanted]}
    rows = connection.execute(_ANSWERS, given).all()
    places = {
        (row.location_id, row.command_key): [
            (row.location_id, sequence) for sequence in range(row.sequence, row.sequence + row.lines)
        ]
        for row in rows
    }
    lines = read_lines_of(connection, (place for each in places.values() for place in each))
    found: dict[tuple[str, str], RecordedOutcome] = {}
    for pair, command in places.items():
        try:
            found[pair] = recorded_outcome([understand(lines[place]) for place in command])
        except EventNotUnderstood:
            continue  # folded by a newer version than this one: it is read once that is back
    return found
