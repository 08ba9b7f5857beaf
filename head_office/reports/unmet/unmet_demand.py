"""What was asked for and was not there: every refused line of an order, with what was available at that moment.

A branch that cannot reserve an order records the lines that were short. A refusal for another reason answers whoever
asked and is no unmet demand. Quantities are thousandths, moments microseconds UTC. Works inside the transaction of the
Connection it is given.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import Row, Select, literal, select, tuple_

from head_office.catalogue.item_codes import ItemCodes, items_meant, read_codes
from head_office.database.arrays import TEXT, unnest
from head_office.database.log_segments import read_lines_of
from head_office.database.schema import BY_TYPE, EVENT
from head_office.reports.known_at import Cut, moment_at
from head_office.reports.past_events import standing_events
from head_office.reports.tables.table_report import TableScope
from head_office.reports.unmet.available_before import BeforeCommand, available_before
from shared.chain import understand
from shared.events import Event, EventType
from shared.reservations import UNAVAILABLE
from shared.runtime.http.cursor import Whole

REFUSALS_AT_ONCE: Final = 500
"""Refusals that one statement looks at, at most."""


class UnmetDemandCursor(NamedTuple):
    """The last refusal of a page, after which the next page begins."""

    occurred_at: Whole
    location_id: str
    sequence: Whole


class UnmetDemand(msgspec.Struct, frozen=True, kw_only=True):
    """One line of an order that could not be reserved, of a code that is the group's `item_id`.

    `asked`: beyond what was reserved for the order already. `available`: of the item over its codes, as the branch had
    it just before; below zero where more was promised than was there. `short`: how much of `asked` was not there, what
    the order's lines of that item before this one would have taken left out.
    """

    location_id: str
    sequence: int
    occurred_at: int
    utc_offset: int
    order_id: str
    source: str
    item_id: str
    unit: str
    asked: int
    available: int
    short: int

    @property
    def cursor(self) -> UnmetDemandCursor:
        return UnmetDemandCursor(self.occurred_at, self.location_id, self.sequence)


def unmet_demand(
    scope: TableScope,
    cut: Cut,
    *,
    source: str | None = None,
    after: UnmetDemandCursor | None = None,
    limit: int = 100,
) -> list[UnmetDemand]:
    """Up to `limit` refused lines in the order they occurred, after a place; of orders of one source if it is named."""
    meant = None
    if scope.item_id is not None:
        meant = items_meant(scope.connection, scope.item_id, scope.location_ids, scope.known_at)
    codes = read_codes(scope.connection, None, scope.known_at)
    refusals = _refusals(scope, cut, codes, meant)
    found: list[UnmetDemand] = []
    while len(found) < limit:
        at_once = min(REFUSALS_AT_ONCE, limit)
        rows = scope.connection.execute(_page(refusals, after, at_once)).all()
        events = [each for each in _events(scope, rows) if source is None or each.source == source]
        found += _demands(scope, cut, codes, events)
        if len(rows) < at_once:
            break
        after = UnmetDemandCursor(rows[-1].occurred_at, rows[-1].location_id, rows[-1].sequence)
    return found[:limit]


def _refusals(scope: TableScope, cut: Cut, codes: ItemCodes, meant: Sequence[str] | None) -> Select[Any]:
    query = standing_events(cut, None, EVENT.c.type == EventType.RESERVATION_REFUSED.value, BY_TYPE)
    if scope.begin is not None:
        query = query.where(EVENT.c.occurred_at >= moment_at(EVENT.c.location_id, scope.begin))
    if scope.end is not None:
        query = query.where(EVENT.c.occurred_at < moment_at(EVENT.c.location_id, scope.end))
    if meant is not None:
        pairs = [(place, code) for place in cut.sequences for each in meant for code in codes.codes_at(place, each)]
        wanted = unnest("wanted", (("location_id", TEXT), ("item_id", TEXT)), pairs)
        of_item = (wanted.c.location_id == EVENT.c.location_id) & (wanted.c.item_id == EVENT.c.item_id)
        query = query.where(select(literal(1)).where(of_item).correlate(EVENT).exists())
    return query


def _page(refusals: Select[Any], after: UnmetDemandCursor | None, limit: int) -> Select[Any]:
    place = (EVENT.c.occurred_at, EVENT.c.location_id, EVENT.c.sequence)
    page = refusals.with_only_columns(*place, maintain_column_froms=True).order_by(*place).limit(limit)
    return page if after is None else page.where(tuple_(*place) > tuple_(*(literal(each) for each in after)))


def _events(scope: TableScope, rows: Sequence[Row[Any]]) -> list[Event]:
    """The refusals of the rows that are unmet demand, from the log."""
    places = [(row.location_id, row.sequence) for row in rows]
    lines = read_lines_of(scope.connection, places)
    return [event for place in places if (event := understand(lines[place])).reason == UNAVAILABLE]


def _demands(scope: TableScope, cut: Cut, codes: ItemCodes, events: Sequence[Event]) -> list[UnmetDemand]:
    if not events:
        return []
    items = [codes.item_of(each.location_id, each.item_id or "") for each in events]
    pairs = {(each.location_id, item_id) for each, item_id in zip(events, items, strict=True)}
    codes_of = {pair: codes.codes_at(*pair) for pair in pairs}
    before = _asked_before(scope, codes, codes_of, events, items)
    available = available_before(
        scope.connection,
        cut,
        [
            BeforeCommand(
                each.location_id,
                codes_of[each.location_id, item_id],
                each.sequence - each.line,
                each.occurred_at,
            )
            for each, item_id in zip(events, items, strict=True)
        ],
    )
    return [
        UnmetDemand(
            location_id=each.location_id,
            sequence=each.sequence,
            occurred_at=each.occurred_at,
            utc_offset=each.utc_offset,
            order_id="" if each.reference is None else each.reference.id,
            source=each.source,
            item_id=item_id,
            unit=each.unit or "",
            asked=each.quantity or 0,
            available=there,
            short=_short(each.quantity or 0, taken, there),
        )
        for each, item_id, taken, there in zip(events, items, before, available, strict=True)
    ]


def _short(asked: int, taken: int, available: int) -> int:
    left = max(available, 0) - taken
    return asked - min(max(left, 0), asked)


def _asked_before(
    scope: TableScope,
    codes: ItemCodes,
    codes_of: Mapping[tuple[str, str], Sequence[str]],
    events: Sequence[Event],
    items: Sequence[str],
) -> list[int]:
    """What the same command asked for of each event's item in its lines before it: under other codes of the item."""
    several = [
        (each, item_id)
        for each, item_id in zip(events, items, strict=True)
        if each.line > 1 and len(codes_of[each.location_id, item_id]) > 1
    ]
    asked = _asked(scope, codes, (each for each, _ in several))
    return [
        sum(
            asked.get((each.location_id, sequence, item_id), 0)
            for sequence in range(each.sequence - each.line + 1, each.sequence)
        )
        for each, item_id in zip(events, items, strict=True)
    ]


def _asked(scope: TableScope, codes: ItemCodes, events: Iterable[Event]) -> Mapping[tuple[str, int, str], int]:
    """What was asked for by the lines before some events in their commands, by location, sequence and item."""
    places = {
        (each.location_id, sequence)
        for each in events
        for sequence in range(each.sequence - each.line + 1, each.sequence)
    }
    found: dict[tuple[str, int, str], int] = {}
    for (location_id, sequence), line in read_lines_of(scope.connection, places).items():
        event = understand(line)
        if event.type is EventType.RESERVATION_REFUSED:
            found[location_id, sequence, codes.item_of(location_id, event.item_id or "")] = event.quantity or 0
    return found
