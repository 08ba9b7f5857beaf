"""The explanation of a balance: the count it starts from, each event after it, each event that does not count and why.

The fold is that of `shared.stock.explain`; each event is shown whole, from its canonical line. Works inside the
transaction of the Connection it is given.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec
from sqlalchemy import BigInteger, Connection, literal, select

from head_office.catalogue.item_codes import read_codes
from head_office.database.log_segments import read_lines
from head_office.database.schema import ITEM_UNIT, LOG, QUARANTINE, now
from head_office.reports.known_at import Cut, SettledMoment, take_cut, unit_within
from head_office.reports.stock_flags import acts_on_the_past
from shared import stock
from shared.chain import understand
from shared.code_sums import merged_explanation
from shared.events import Event
from shared.periods import explain_period
from shared.projection import movements_of
from shared.stock import Balance, Movement, NotCounted, Step

MAX_EVENTS: Final = 1_000


class Explained(msgspec.Struct, frozen=True, kw_only=True):
    """One event that counts, and the figures after it; `expected` is the figure just before a count."""

    event: Event
    on_hand: int
    reserved: int
    expected: int | None


class Passed(msgspec.Struct, frozen=True, kw_only=True):
    """An event that does not count, and why; `by_sequence` is that of the void or of the count."""

    event: Event
    reason: str
    by_sequence: int | None


class QuarantinedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event in quarantine that may touch the figure; `item_id` is None where it could not be read."""

    sequence: int
    reason: str
    type: str | None
    item_id: str | None


class LocationExplanation(msgspec.Struct, frozen=True, kw_only=True):
    """The explanation of one figure, in thousandths. Each list holds its newest events, in order of place.

    Of a period [`begin`, `end`): the steps are its movements from `opening`, counts among them; the figures are those
    at its end. `item_id` is the group's; the figure is the sum over its `codes` in the location's log, and each event
    names the code that it was recorded as. `left_out` is the number of older events that are in no list.

    `variance` sums counted minus expected over the counts that stand.
    """

    location_id: str
    item_id: str
    codes: list[str]
    unit: str | None
    as_of: int | None
    cut: Cut
    on_hand: int
    reserved: int
    recount: bool
    variance: int
    start: Explained | None
    steps: list[Explained]
    not_counted: list[Passed]
    quarantined: list[QuarantinedEvent]
    left_out: int
    begin: int | None = None
    end: int | None = None
    opening: Balance | None = None

    @property
    def available(self) -> int:
        return self.on_hand - self.reserved

    @property
    def known_at(self) -> int | None:
        return self.cut.known_at

    @property
    def known_through(self) -> int:
        return self.cut.sequences.get(self.location_id, 0)


def explain(
    connection: Connection,
    location_id: str,
    item_id: str,
    *,
    recorded_as: str | None = None,
    as_of: int | None = None,
    begin: int | None = None,
    end: int | None = None,
    known_at: SettledMoment | None = None,
    limit: int = MAX_EVENTS,
) -> LocationExplanation | None:
    """Explain the figure of one item of the group at a location; None where no event of it is known.

    A code that is no item there but stands for one is explained as that item, which the explanation names.
    `begin` and `end`: of what happened in that period, in place of `as_of`; an end that is not given is open.
    `recorded_as`: of this one of its codes alone. Moments are microseconds UTC. The figures agree with
    `reports.group_stock`. Each list has at most `limit` events.
    """
    cut = take_cut(connection, known_at, [location_id])
    if end is not None:
        as_of = end - 1
    known_through = cut.sequences.get(location_id, 0)
    mapped = read_codes(connection, [item_id], known_at)
    meant = mapped.meant_at(location_id, item_id)
    if meant != item_id:
        item_id, mapped = meant, read_codes(connection, [meant], known_at)
    codes = mapped.codes_at(location_id, item_id)
    if recorded_as is not None:
        codes = [code for code in codes if code == recorded_as]
    unknown = _unknown(connection, location_id, cut)
    everything = {code: movements_of(connection, LOG, location_id, code) for code in codes}
    known = {code: [each for each in found if each.sequence not in unknown] for code, found in everything.items()}
    quarantined = _quarantined(connection, location_id, codes, cut, as_of)
    present = [
        code
        for code in codes
        if any(each.sequence <= known_through for each in known[code]) or code in {each.item_id for each in quarantined}
    ]
    # An event in quarantine that names no item may concern any, and makes no figure of an item that has none.
    if not present:
        return None
    # Reservations expire by the clock, so a figure without a moment is as of now, or of the latest event if later: of
    # those known, or what is known at a moment would change with an event that comes later.
    moment = as_of
    if moment is None:
        latest = (each.occurred_at for found in known.values() for each in found if each.sequence <= known_through)
        moment = max([cut.known_at or now(connection), *latest])
    opening = None
    if begin is None and end is None:
        explanation = merged_explanation(
            {code: stock.explain(found, as_of=moment, known_through=known_through) for code, found in known.items()}
        )
    else:
        over = explain_period(known, begin=begin or 0, end=moment + 1, known_through=known_through)
        opening = over.opening
        explanation = stock.Explanation(
            balance=over.closing, start=None, steps=over.steps, not_counted=over.not_counted
        )
    excluded = explanation.not_counted + [
        NotCounted(movement=each, reason="not known then")
        for found in everything.values()
        for each in found
        if each.sequence in unknown
    ]
    excluded.sort(key=lambda each: each.movement.place)
    steps, shown_excluded = explanation.steps[-limit:], excluded[-limit:]
    events = _events(connection, location_id, [explanation.start, *steps], shown_excluded)
    return LocationExplanation(
        location_id=location_id,
        item_id=item_id,
        codes=present,
        unit=_unit(connection, location_id, codes, cut),
        as_of=as_of,
        cut=cut,
        on_hand=explanation.balance.on_hand,
        reserved=explanation.balance.reserved,
        recount=explanation.balance.recount,
        variance=explanation.balance.variance,
        start=None if explanation.start is None else _explained(explanation.start, events),
        steps=[_explained(each, events) for each in steps],
        not_counted=[
            Passed(event=events[each.movement.sequence], reason=each.reason, by_sequence=each.by_sequence)
            for each in shown_excluded
        ],
        quarantined=quarantined,
        left_out=len(explanation.steps) - len(steps) + len(excluded) - len(shown_excluded),
        begin=begin,
        end=end,
        opening=opening,
    )


def _explained(step: Step, events: Mapping[int, Event]) -> Explained:
    event = events[step.movement.sequence]
    return Explained(event=event, on_hand=step.on_hand, reserved=step.reserved, expected=step.expected)


def _events(
    connection: Connection, location_id: str, steps: list[Step | None], excluded: list[NotCounted]
) -> dict[int, Event]:
    shown: list[Movement] = [each.movement for each in [*steps, *excluded] if each is not None]
    lines = read_lines(connection, location_id, [each.sequence for each in shown])
    return {sequence: understand(line) for sequence, line in lines.items()}


def _unknown(connection: Connection, location_id: str, cut: Cut) -> set[int]:
    """The events within the cut that came out of quarantine after its moment."""
    if not cut.hides_releases:
        return set()
    query = select(QUARANTINE.c.sequence).where(
        QUARANTINE.c.location_id == location_id, QUARANTINE.c.released_at > literal(cut.known_at, BigInteger)
    )
    return set(connection.execute(query).scalars())


def _quarantined(
    connection: Connection, location_id: str, codes: list[str], cut: Cut, as_of: int | None
) -> list[QuarantinedEvent]:
    query = (
        select(QUARANTINE.c.sequence, QUARANTINE.c.reason, QUARANTINE.c.type, QUARANTINE.c.item_id)
        .where(
            QUARANTINE.c.location_id == location_id,
            QUARANTINE.c.item_id.is_(None) | QUARANTINE.c.item_id.in_(codes),
            QUARANTINE.c.sequence <= cut.sequences.get(location_id, 0),
            cut.quarantined(),
        )
        .order_by(QUARANTINE.c.sequence)
        .limit(MAX_EVENTS)
    )
    if as_of is not None:
        query = query.where(acts_on_the_past() | (QUARANTINE.c.occurred_at <= as_of))
    return [QuarantinedEvent(**row._mapping) for row in connection.execute(query)]


def _unit(connection: Connection, location_id: str, codes: list[str], cut: Cut) -> str | None:
    units = select(ITEM_UNIT.c.unit).where(
        ITEM_UNIT.c.location_id == location_id, ITEM_UNIT.c.item_id.in_(codes), *unit_within(cut)
    )
    return connection.execute(units.order_by(ITEM_UNIT.c.sequence).limit(1)).scalar_one_or_none()
