"""Making the report of each morning: once for a location and date, whatever number of processes try.

A morning is made as of its own moment and known at it, also when it is made later: so its figures are the same whoever
makes it, and when. What is kept is the morning; its figures are read again from its moments, the same for ever.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from itertools import groupby
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Engine, func, insert, literal_column, select
from sqlalchemy.dialects.postgresql import insert as insert_new

from head_office.database.morning_tables import MAILED_MORNING, PURCHASING_MORNING
from head_office.database.office_schema import CATALOGUE_ENTRY
from head_office.database.schema import LOCATION, now
from head_office.reports.known_at import report_snapshot
from head_office.reports.mornings.morning_moments import due_mornings, report_moment
from head_office.reports.mornings.report_mails import MAILED_WITHIN, gather
from head_office.reports.purchasing.purchasing_records import DEFAULT_WINDOW_DAYS, PurchasingReport
from head_office.reports.purchasing.purchasing_report import purchasing_report
from shared.runtime.database.engine import translate_driver_errors
from shared.runtime.problems import Problem
from shared.runtime.telemetry import get_logger

log = get_logger("larder.mornings")

MOST_AT_ONCE: Final = 10
"""How many locations are made in one transaction; that bounds its memory."""
STOP_SECONDS: Final = 5.0
MAKER_CONNECTIONS: Final = 2
"""The database connections of a maker: the transaction that keeps mornings, and the snapshot they are read from."""
# Beside the locks of `received_at`: held while a process makes mornings, so that others do not do the same work.
_TAKEN: Final = func.pg_try_advisory_xact_lock(literal_column("1279349328"), literal_column("3"))


class DueMorning(NamedTuple):
    """A morning whose report is to be made, and its moment (microseconds UTC)."""

    moment: int
    date: date
    location_id: str


def read_due(connection: Connection, moment: int) -> list[DueMorning]:
    """Read what is due at a moment, the oldest first; at most a week of mornings of each location."""
    made = (
        select(func.max(PURCHASING_MORNING.c.date))
        .where(PURCHASING_MORNING.c.location_id == LOCATION.c.location_id)
        .scalar_subquery()
    )
    # A report knows a location from the moment on at which the catalogue does.
    known_from = (
        select(func.min(CATALOGUE_ENTRY.c.known_from))
        .where(CATALOGUE_ENTRY.c.kind == "location", CATALOGUE_ENTRY.c.subject == LOCATION.c.location_id)
        .scalar_subquery()
    )
    columns = LOCATION.c.location_id, LOCATION.c.timezone, LOCATION.c.report_time, LOCATION.c.added_at
    due: list[DueMorning] = []
    for row in connection.execute(select(*columns, made.label("made"), known_from.label("known_from"))):
        if row.known_from is None:
            continue
        zone = ZoneInfo(row.timezone)
        last = None if row.made is None else date.fromisoformat(row.made)
        for day in due_mornings(moment, last, zone, row.report_time, max(row.added_at, row.known_from)):
            due_at = report_moment(day, zone, row.report_time)
            assert due_at is not None
            due.append(DueMorning(due_at, day, row.location_id))
    return sorted(due)


class MorningMaker:
    """Makes what is due, whenever `step` is called. `mailed`: whether mails are to be sent about it.

    `new_id` makes the ids of mails from a moment; `counted` gets how many mornings were made.
    """

    def __init__(
        self, engine: Engine, *, mailed: bool, new_id: Callable[[int], str], counted: Callable[[int], None]
    ) -> None:
        self._engine = engine
        self._mailed = mailed
        self._new_id = new_id
        self._counted = counted
        self._stopping = False
        self._working = threading.Lock()

    def stop(self) -> None:
        """Begin no further group, and wait a little for the one that is being made."""
        self._stopping = True
        if self._working.acquire(timeout=STOP_SECONDS):
            self._working.release()

    def step(self) -> int:
        """Make every morning that is due and that no other process is making; how many there were.

        A morning that cannot be made holds up no other one; then its error is raised at the end, and it stays due.
        """
        with self._working:
            return 0 if self._stopping else self._step()

    def _step(self) -> int:
        made, failed, failure = 0, set[DueMorning](), None
        with translate_driver_errors():
            for group in _groups(self._due()):
                found = None if self._stopping else self._try(group)
                if found is None:
                    return made
                made += found.made
                failed.update(found.failed)
                failure = failure or found.failure
            if self._mailed and failed.issuperset(self._due()):
                with self._engine.begin() as connection:
                    gather(connection, self._new_id)
        if failure is not None:
            raise failure
        return made

    def _due(self) -> list[DueMorning]:
        with self._engine.connect() as connection:
            return read_due(connection, now(connection))

    def _try(self, group: Sequence[DueMorning]) -> _Tried | None:
        """Make a group, where that fails each of it alone; None where another process is making."""
        try:
            made = self._make(group)
            return None if made is None else _Tried(made)
        except Exception as error:
            if isinstance(error, Problem) and error.status == 503:
                raise
            log.exception("mornings could not be made", locations=[each.location_id for each in group])
            if len(group) == 1:
                return _Tried(0, frozenset(group), error)
        tried = _Tried(0)
        for each in group:
            alone = self._try([each])
            if alone is None:
                return None
            tried = _Tried(tried.made + alone.made, tried.failed | alone.failed, tried.failure or alone.failure)
        return tried

    def _make(self, group: Sequence[DueMorning]) -> int | None:
        moment, day = group[0].moment, group[0].date.isoformat()
        with translate_driver_errors(), self._engine.begin() as connection:
            if not connection.execute(select(_TAKEN)).scalar_one():
                return None
            wanted = [each.location_id for each in group]
            there = select(PURCHASING_MORNING.c.location_id).where(
                PURCHASING_MORNING.c.date == day, PURCHASING_MORNING.c.location_id.in_(wanted)
            )
            wanted = sorted(set(wanted) - set(connection.execute(there).scalars()))
            if not wanted:
                return 0
            report = self._read(wanted, moment)
            if report is None:
                return 0
            made = _keep(connection, report, wanted, day, mailed=self._mailed)
        self._counted(made)
        return made

    def _read(self, location_ids: list[str], moment: int) -> PurchasingReport | None:
        with report_snapshot(self._engine, moment) as (connection, settled):
            if settled != moment:
                return None  # the clock was set back since: it is not due yet
            return purchasing_report(
                connection,
                location_ids=location_ids,
                as_of=moment,
                known_at=settled,
                given=True,
                window_days=DEFAULT_WINDOW_DAYS,
            )


class _Tried(NamedTuple):
    made: int
    failed: frozenset[DueMorning] = frozenset()
    failure: Exception | None = None


def _groups(due: Sequence[DueMorning]) -> Iterator[list[DueMorning]]:
    for _, same in groupby(due, lambda each: each[:2]):
        places = list(same)
        for begin in range(0, len(places), MOST_AT_ONCE):
            yield places[begin : begin + MOST_AT_ONCE]


def _keep(
    connection: Connection, report: PurchasingReport, location_ids: Sequence[str], day: str, *, mailed: bool
) -> int:
    """Keep the mornings that nobody kept yet; how many."""
    assert report.as_of is not None
    assert report.known_at is not None
    made_at = max(now(connection), report.known_at)
    states = {each.location_id: each.state for each in report.locations}
    listed = Counter(row.location_id for row in report.rows)
    rows = [
        {
            "location_id": location_id,
            "date": day,
            "as_of": report.as_of,
            "known_at": report.known_at,
            "made_at": made_at,
            "window_days": report.window_days,
            "sequence": report.cut.get(location_id, 0),
            "state": states[location_id].value,
            "listed": listed[location_id],
        }
        for location_id in location_ids
    ]
    new = (
        insert_new(PURCHASING_MORNING).values(rows).on_conflict_do_nothing().returning(PURCHASING_MORNING.c.location_id)
    )
    kept = list(connection.execute(new).scalars())
    # A mail about what was to be ordered days ago would be taken for today's.
    if kept and mailed and made_at - report.known_at < MAILED_WITHIN:
        connection.execute(insert(MAILED_MORNING), [{"location_id": each, "date": day} for each in kept])
    return len(kept)
