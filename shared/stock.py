"""The balance rule: place in history, fold, variance, explanation, and where a decrease goes below zero. Pure.

Works on *movements*, the lean part of an event, of one item at one location, by DESIGN section 3: an event's place is
(occurred_at, sequence); a count sets on hand, everything else adds; a voided event (or a reversed TRANSFER_OUT) is as
if it had never been, once the void is known; counts leave reserved alone. This module is the authority.
tests/unit/shared/test_stock_map.py keeps this list of restatements and the properties that hold them to `fold`.
For speed, one event at a time:
- `shared.stock.advance`, the newest event of an item:
  tests/unit/shared/test_stock.py::test_folding_one_by_one_agrees_with_folding_all
- `shared.stock.advance_event`, the same without a movement for plain events:
  tests/unit/shared/test_stock.py::test_a_placed_event_advances_as_its_movement_does
- `head_office.log.stock_fold.StockFold`, a batch at the ingest:
  tests/unit/head_office/log/test_stock_fold.py::test_the_same_as_one_by_one
  tests/integration/head_office/log/test_ingest.py::test_any_delivery_gives_the_same_log_and_figures
- `branch_node.writer.command_group.CommandGroup`, the projection that a branch keeps:
  tests/integration/branch_node/writer/test_projection_property.py::test_every_kind_of_event_folds_through_the_writer
- `branch_node.writer.low_stock.mark_low_stock`, what is available after a command that is not sealed yet:
  tests/integration/branch_node/writer/test_low_stock.py::test_every_kind_of_event_in_commands_of_any_size
- `branch_node.database.stock.past_standing.PastStandings`, the standing after a recent event:
  tests/integration/branch_node/database/stock/test_past_standing.py::test_a_past_standing_is_the_fold_up_to_its_event
- `shared.outbox.running_figures.RunningFigures`, the figures of published messages:
  tests/unit/shared/outbox/test_outbox_reader.py::test_any_paging_publishes_what_the_fold_says
- `branch_node.commands.counts.stocktake`, what is expected where a count is the newest event:
  tests/integration/branch_node/writer/test_projection_property.py::test_projection_is_the_fold_of_the_log
- `branch_node.commands.preconditions.StrictGuard`, `strict_breach` where a decrease is the newest event, and
  `branch_node.database.migrations.versions.0001_log_and_node.STRICT_BREACH`, the trigger behind it:
  tests/integration/branch_node/writer/test_projection_property.py::test_a_strict_item_is_refused_where_the_fold_says

Over sets, in SQL built from `shared.stock_expressions`:
- `shared.projection.balances` (refold, look-ups of the past, verification at a branch; refold, as of at head office):
  tests/integration/shared/test_projection.py::test_sql_agrees_with_the_fold
  tests/integration/head_office/reports/test_reports.py::test_stock_agrees_with_the_fold
- `head_office.log.rebuild.FROM_THE_LOG`, the projection computed again (rebuild, verification):
  tests/integration/head_office/reports/test_verification.py::test_what_was_shipped_verifies_and_is_rebuilt_the_same
- `head_office.reports.stock_queries.current`, what is reserved now:
  tests/integration/head_office/reports/test_reports.py::test_reserved_now_is_that_of_the_fold
- `head_office.reports.purchasing.code_figures.code_figures`,
  `head_office.reports.purchasing.item_consumption.item_consumption`:
  tests/integration/head_office/reports/purchasing/test_report_by_ledger.py::test_the_report_says_what_the_events_say
- `head_office.reports.past_events.standing_events`, `head_office.reports.variances.variances`,
  `head_office.reports.conservation.conservation`, `head_office.reports.variance.variance_sums.variance_sums`:
  tests/integration/head_office/reports/test_reports.py::test_variances_are_those_of_the_fold
  tests/integration/head_office/reports/test_reports.py::test_goods_are_conserved
  tests/integration/head_office/reports/variance/test_variance_sums.py::test_sums_are_those_of_the_fold
- `head_office.reports.usage.usage_figures.figure_sums`, `head_office.reports.unmet.available_before.available_before`:
  tests/integration/head_office/reports/usage/test_usage.py::test_usage_is_what_the_lines_say
  tests/integration/head_office/reports/unmet/test_unmet_demand.py::test_unmet_demand_is_what_the_lines_say
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from heapq import heappop, heappush
from typing import Literal, NamedTuple

import msgspec

from shared.events import Event, EventType, effect


class Place(NamedTuple):
    """Where an event stands in its location's history. Time alone is never an order."""

    occurred_at: int
    sequence: int


BEGINNING = Place(-1, -1)


class Movement(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The part of an event that the fold needs: quantities in thousandths, times in microseconds UTC."""

    sequence: int
    occurred_at: int
    type: str
    on_hand_change: int | None = None
    counted: int | None = None
    reserved_change: int | None = None
    reservation_id: str | None = None
    expires_at: int | None = None
    voided_sequence: int | None = None

    @property
    def place(self) -> Place:
        return Place(self.occurred_at, self.sequence)


def movement(event: Event) -> Movement:
    """Make the movement of a placed event."""
    does = effect(event)
    return Movement(
        sequence=event.sequence,
        occurred_at=event.occurred_at,
        type=event.type,
        on_hand_change=does.on_hand_change,
        counted=does.counted,
        reserved_change=does.reserved_change,
        reservation_id=event.reservation_id,
        expires_at=event.expires_at,
        voided_sequence=event.voided_sequence,
    )


class Balance(msgspec.Struct, frozen=True, kw_only=True):
    """One item at one location, in thousandths.

    `last_count` is the place of the count that on hand starts from. `recount`: count again, as goods came or came back
    before that count and were recorded after it. `variance` sums counted − expected over every count that stands.
    """

    on_hand: int = 0
    reserved: int = 0
    last_count: Place | None = None
    recount: bool = False
    variance: int = 0

    @property
    def available(self) -> int:
        return self.on_hand - self.reserved

    @property
    def negative(self) -> bool:
        return self.on_hand < 0

    @property
    def short(self) -> bool:
        """Whether more is reserved than is on hand."""
        return self.reserved > max(self.on_hand, 0)


ReasonNotCounted = Literal["voided", "before the count", "void", "later", "not known then", "no effect"]


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One event of an explanation and the running figures after it; `expected` is set on a count."""

    movement: Movement
    on_hand: int
    reserved: int
    expected: int | None = None


class NotCounted(msgspec.Struct, frozen=True, kw_only=True):
    """An event that does not count in the balance, and why; `by_sequence` is that of the void or of the count."""

    movement: Movement
    reason: ReasonNotCounted
    by_sequence: int | None = None


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """A balance with its parts: the count it starts from, each event after it, and each event that does not count."""

    balance: Balance
    start: Step | None
    steps: list[Step]
    not_counted: list[NotCounted]


class History(msgspec.Struct, frozen=True):
    """The movements that stand, in order of place; the voids, by what they void; the other movements and why."""

    standing: list[Movement]
    voids: dict[int, int]
    dropped: list[NotCounted]


def history(movements: Iterable[Movement], *, as_of: int | None, known_through: int | None) -> History:
    """Find the movements that stand as of a moment, known through a sequence (None: no bound)."""
    known: list[Movement] = []
    dropped: list[NotCounted] = []
    for each in movements:
        if known_through is not None and each.sequence > known_through:
            dropped.append(NotCounted(movement=each, reason="not known then"))
        else:
            known.append(each)
    voids = {each.voided_sequence: each.sequence for each in known if each.voided_sequence is not None}
    standing: list[Movement] = []
    for each in known:
        if each.sequence in voids:
            dropped.append(NotCounted(movement=each, reason="voided", by_sequence=voids[each.sequence]))
        elif as_of is not None and each.occurred_at > as_of:
            dropped.append(NotCounted(movement=each, reason="later"))
        elif each.voided_sequence is not None:
            dropped.append(NotCounted(movement=each, reason="void", by_sequence=each.voided_sequence))
        elif each.on_hand_change is None and each.counted is None and each.reserved_change is None:
            dropped.append(NotCounted(movement=each, reason="no effect"))
        else:
            standing.append(each)
    standing.sort(key=lambda each: (each.occurred_at, each.sequence))
    return History(standing, voids, dropped)


class _Reserved:
    """The sum of the reservations that have not expired, as time passes; an expiry needs no event.

    A reservation lasts until the `expires_at` of its newest event that has one, by sequence: stated anew, it may move.
    """

    def __init__(self) -> None:
        self.total = 0
        self._moment = BEGINNING.occurred_at
        self._outstanding: dict[str, int] = {}
        self._counted: dict[str, int] = {}
        self._expiry: dict[str, tuple[int, int]] = {}  # (sequence, expires_at)
        self._expiries: list[tuple[int, str]] = []

    def change(self, each: Movement) -> None:
        reservation = each.reservation_id or ""
        self._outstanding[reservation] = self._outstanding.get(reservation, 0) + (each.reserved_change or 0)
        known = self._expiry.get(reservation)
        if each.expires_at is not None and (known is None or each.sequence > known[0]):
            self._expiry[reservation] = (each.sequence, each.expires_at)
            heappush(self._expiries, (each.expires_at, reservation))
        self._count(reservation)

    def advance_to(self, moment: int) -> None:
        self._moment = max(self._moment, moment)
        while self._expiries and self._expiries[0][0] <= self._moment:
            self._count(heappop(self._expiries)[1])

    def _count(self, reservation: str) -> None:
        expiry = self._expiry.get(reservation)
        lasts = expiry is None or expiry[1] > self._moment
        counted = self._outstanding[reservation] if lasts else 0
        self.total += counted - self._counted.get(reservation, 0)
        self._counted[reservation] = counted


def walk(standing: Sequence[Movement], as_of: int | None) -> tuple[list[Step], int]:
    """The running figures after each standing movement, and what is reserved at `as_of` (None: after the last one)."""
    on_hand = 0
    steps: list[Step] = []
    reserved = _Reserved()
    for each in standing:
        expected = None
        if each.counted is not None:
            expected, on_hand = on_hand, each.counted
        on_hand += each.on_hand_change or 0
        reserved.advance_to(each.occurred_at)
        if each.reserved_change is not None:
            reserved.change(each)
        steps.append(Step(movement=each, on_hand=on_hand, reserved=reserved.total, expected=expected))
    if as_of is not None:
        reserved.advance_to(as_of)
    return steps, reserved.total


def _recount(known: Iterable[Movement], past: History, last_count: Place | None, as_of: int | None) -> bool:
    if last_count is None:
        return False
    by_sequence = {each.sequence: each for each in known}
    for each in by_sequence.values():
        if each.sequence < last_count.sequence or each.sequence in past.voids:
            continue
        if as_of is not None and each.occurred_at > as_of:
            continue
        if each.type == EventType.TRANSFER_REVERSED:
            arrival = by_sequence.get(each.voided_sequence or 0)
        else:
            arrival = each if each.type == EventType.TRANSFER_IN else None
        if arrival is not None and arrival.place < last_count:
            return True
    return False


def explain(
    movements: Iterable[Movement], *, as_of: int | None = None, known_through: int | None = None
) -> Explanation:
    """Fold the movements of one item at one location, in any order, and keep the steps.

    `as_of` uses events with occurred_at ≤ it (microseconds UTC) and never counts a reservation expired by then;
    `known_through` uses events with sequence ≤ it. Voids act by what is known, not by when they occurred.
    """
    everything = list(movements)
    past = history(everything, as_of=as_of, known_through=known_through)
    steps, reserved = walk(past.standing, as_of)
    first_after = 0
    for index, step in enumerate(steps):
        if step.movement.counted is not None:
            first_after = index
    start = steps[first_after] if steps and steps[first_after].movement.counted is not None else None
    last_count = start.movement.place if start else None
    known = [each for each in everything if known_through is None or each.sequence <= known_through]
    balance = Balance(
        on_hand=steps[-1].on_hand if steps else 0,
        reserved=reserved,
        last_count=last_count,
        recount=_recount(known, past, last_count, as_of),
        variance=sum(
            step.movement.counted - step.expected
            for step in steps
            if step.movement.counted is not None and step.expected is not None
        ),
    )
    if start is None:
        return Explanation(balance=balance, start=None, steps=steps, not_counted=past.dropped)
    earlier: list[NotCounted] = []
    reserving: list[Step] = []
    for step in steps[:first_after]:
        if step.movement.on_hand_change is None and step.movement.counted is None:
            reserving.append(step)  # a count does not change what is reserved, so these still count
        else:
            earlier.append(
                NotCounted(movement=step.movement, reason="before the count", by_sequence=start.movement.sequence)
            )
    return Explanation(
        balance=balance,
        start=start,
        steps=[*reserving, *steps[first_after + 1 :]],
        not_counted=[*earlier, *past.dropped],
    )


def fold(movements: Iterable[Movement], *, as_of: int | None = None, known_through: int | None = None) -> Balance:
    """Fold the movements of one item at one location: the balance of `explain` alone."""
    return explain(movements, as_of=as_of, known_through=known_through).balance


class Standing(msgspec.Struct, frozen=True, gc=False):
    """The figures that the projection keeps of one item at one location, enough to fold the next event by itself.

    `reserved` is the raw sum, before expiry; `latest` is a bound on the place of every event folded so far.
    """

    on_hand: int = 0
    reserved: int = 0
    last_count: Place | None = None
    latest: Place = BEGINNING
    recount: bool = False


NOTHING = Standing()


def advance(standing: Standing, each: Movement, voided: Movement | None = None) -> Standing | None:
    """Fold the newest event of an item into what stands; None where the item must be folded from all its events.

    `voided` is the movement that `each` voids or reverses. A refold is needed only where a count is voided or arrives
    late. Restates the fold for speed; the module's docstring names the test.
    """
    place = each.place
    latest = max(standing.latest, place)
    last_count = standing.last_count
    on_hand, reserved, recount = standing.on_hand, standing.reserved, standing.recount
    if each.voided_sequence is not None:
        if voided is None or voided.counted is not None or voided.type == EventType.TRANSFER_IN:
            return None
        if last_count is None or voided.place > last_count:
            on_hand -= voided.on_hand_change or 0
        elif each.type == EventType.TRANSFER_REVERSED:
            recount = True
        return Standing(on_hand, reserved - (voided.reserved_change or 0), last_count, latest, recount)
    if each.counted is not None:
        if last_count is not None and place < last_count:
            return Standing(on_hand, reserved, last_count, latest, recount)
        if place < standing.latest:
            return None
        return Standing(each.counted, reserved, place, latest, False)
    if last_count is None or place > last_count:
        on_hand += each.on_hand_change or 0
    elif each.type == EventType.TRANSFER_IN:
        recount = True
    return Standing(on_hand, reserved + (each.reserved_change or 0), last_count, latest, recount)


def advance_event(standing: Standing, event: Event, voided: Movement | None = None) -> Standing | None:
    """Do as `advance` for a placed event, without making a movement of the plain ones, which are nearly all.

    Restates the fold for speed; the module's docstring names the test.
    """
    kind = event.type
    if event.voided_sequence is not None or event.counted is not None or kind is EventType.TRANSFER_IN:
        return advance(standing, movement(event), voided)
    does, place = effect(event), Place(event.occurred_at, event.sequence)
    on_hand, last_count, latest = standing.on_hand, standing.last_count, standing.latest
    if last_count is None or place > last_count:
        on_hand += does.on_hand_change or 0
    reserved = standing.reserved + (does.reserved_change or 0)
    return Standing(on_hand, reserved, last_count, place if place > latest else latest, standing.recount)


def strict_breach(movements: Iterable[Movement], new: Movement) -> Place | None:
    """Find the first place where a decrease recorded by hand takes a strict item below zero; None where there is none.

    From the place of `new`, which has the sequence it would get, up to the next count. `movements` are all known ones
    of the item.
    """
    past = history([*movements, new], as_of=None, known_through=None)
    steps, _ = walk(past.standing, None)
    reached = False
    for step in steps:
        if step.movement.sequence == new.sequence:
            reached = True
        elif reached and step.movement.counted is not None:
            return None
        if reached and step.on_hand < 0:
            return step.movement.place
    return None
