"""What was used by cause: the dish that an ingredient was deducted for, or the order that goods were for.

Only the lines of the log name the cause, so they are read: the events of the period in the order of the log, some at a
time, each frame of the log once. Works inside the transaction of the Connection it is given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import StrEnum
from itertools import islice
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import Select, func, select

from head_office.database.log_segments import read_lines_of
from head_office.database.schema import EVENT
from head_office.problems import REPORT_TOO_LARGE
from head_office.reports.known_at import AsOf, Cut
from head_office.reports.tables.table_report import TableScope
from head_office.reports.usage.spilled_sums import SpilledSums, SummedRow
from head_office.reports.usage.usage_figures import (
    FIGURES,
    USED_AS,
    UsageFigures,
    usage_codes,
    usage_conditions,
    used_quantity,
)
from shared.events import Reference
from shared.reservations import ORDER_REFERENCE
from shared.runtime.clock import DAY
from shared.runtime.problems import INVALID_REQUEST

EVENTS_AT_ONCE: Final = 5_000
"""Events whose lines are in memory at a time."""
MOST_EVENTS: Final = 1_000_000
"""Events that one answer reads at most."""
MOST_DAYS: Final = 366
"""Days of a period whose lines are read at most."""


class UsageBy(StrEnum):
    """What the rows of the report tell apart beside the item: nothing, the dish that caused it, or the order."""

    ITEM = "item"
    PRODUCT = "product"
    ORDER = "order"


class UsageCause(NamedTuple):
    """Why an event used something: `name` is a dish, or the id of an order that `source` told of; both empty: neither
    is recorded with the event."""

    name: str
    source: str = ""


class CausedUsageKey(NamedTuple):
    """What a row is of, in the order of the rows. Texts are empty where nothing is known."""

    location_id: str
    name: str
    source: str
    item_id: str
    unit: str


class CausedUsage(msgspec.Struct, frozen=True, kw_only=True):
    """What one cause used of an item at a location."""

    key: CausedUsageKey
    figures: UsageFigures


class _CausedLine(msgspec.Struct, gc=False):
    """What is read of a line."""

    source: str
    reference: Reference | None = None


_decode: Final = msgspec.json.Decoder(_CausedLine).decode


def _product(line: _CausedLine) -> UsageCause:
    return UsageCause("" if line.reference is None else line.reference.product or "")


def _order(line: _CausedLine) -> UsageCause:
    reference = line.reference
    if reference is None or reference.kind != ORDER_REFERENCE:
        return UsageCause("")
    return UsageCause(reference.id, line.source)


_CAUSE_OF: Final[dict[UsageBy, Callable[[_CausedLine], UsageCause]]] = {
    UsageBy.PRODUCT: _product,
    UsageBy.ORDER: _order,
}


def check_readable(begin: AsOf | None, end: AsOf | None) -> None:
    """Raise Problem 422 `invalid-request` unless the period has both ends, at most MOST_DAYS apart."""
    for field, moment in (("from", begin), ("to", end)):
        if moment is None:
            why = f"what caused it is read from the log: give a period of at most {MOST_DAYS} days, from and to"
            raise INVALID_REQUEST(f"{field}: {why}", errors=[{"field": field, "message": why}])
    # A business day may be an hour longer where the clocks change.
    if _latest(end) - _earliest(begin) > (MOST_DAYS + 1) * DAY:
        why = f"the period is longer than {MOST_DAYS} days"
        raise INVALID_REQUEST(f"to: {why}", errors=[{"field": "to", "message": why}])


def _earliest(moment: AsOf | None) -> int:
    return moment if isinstance(moment, int) else min((moment or {}).values(), default=0)


def _latest(moment: AsOf | None) -> int:
    return moment if isinstance(moment, int) else max((moment or {}).values(), default=0)


def caused_usage(
    scope: TableScope,
    cut: Cut,
    by: UsageBy,
    *,
    after: CausedUsageKey | None = None,
    limit: int | None = None,
    advance: Callable[[int], object] = lambda _: None,
) -> Iterator[CausedUsage]:
    """The rows after a key, up to `limit` (None: all), in the order of their keys; memory does not grow with them.

    `advance` is called with the number of events read since. Raises Problem 422 `invalid-request` without a period that
    can be read, `report-too-large` beyond MOST_EVENTS.
    """
    check_readable(scope.begin, scope.end)
    query = _events(scope, cut)
    if usage_events(scope, cut) > MOST_EVENTS:
        raise REPORT_TOO_LARGE(f"it would read more than {MOST_EVENTS} events of the log")
    cause_of = _CAUSE_OF[by]
    with SpilledSums(len(FIGURES)) as sums:
        found = scope.connection.execute(query.execution_options(stream_results=True, yield_per=EVENTS_AT_ONCE))
        for rows in found.partitions():
            lines = read_lines_of(scope.connection, [(row.location_id, row.sequence) for row in rows])
            # Taken apart by place: by name it takes as long as all the rest.
            for location_id, sequence, kind, quantity, at, item_id, unit in rows:
                cause = cause_of(_decode(lines[location_id, sequence]))
                key = CausedUsageKey(location_id, *cause, item_id, unit)
                if after is None or key > after:
                    sums.add(key, _PLACES[kind], quantity, at)
            advance(len(rows))
        for each in islice(sums.rows(), limit):
            yield _row(each)


_PLACES: Final = {kind: FIGURES.index(figure) for kind, figure in USED_AS.items()}


def usage_events(scope: TableScope, cut: Cut) -> int:
    """How many events of usage there are, one more than MOST_EVENTS at most."""
    some = _events(scope, cut).order_by(None).limit(MOST_EVENTS + 1).subquery("some")
    return int(scope.connection.execute(select(func.count()).select_from(some)).scalar_one())


def _events(scope: TableScope, cut: Cut) -> Select[Any]:
    """The events of usage in the order of the logs, each with its item and unit."""
    code = usage_codes(scope, cut)
    return (
        select(
            EVENT.c.location_id,
            EVENT.c.sequence,
            EVENT.c.type,
            used_quantity(),
            EVENT.c.occurred_at,
            code.c.item_id,
            code.c.unit,
        )
        .select_from(code.join(EVENT, EVENT.c.item_id == code.c.code))
        .where(*usage_conditions(scope, cut, code))
        .order_by(EVENT.c.location_id, EVENT.c.sequence)
    )


def _row(summed: SummedRow) -> CausedUsage:
    return CausedUsage(key=CausedUsageKey(*summed.key), figures=UsageFigures._make([*summed.sums, summed.first_at]))
