"""What came to the logs and to the catalogue after a cut, or occurs after its moment.

Where nothing did, the projections and the tables of the catalogue say what stood at the cut; only the rest has to be
folded from the log. Works inside the transaction of the Connection it is given. Moments are microseconds UTC.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import ColumnElement, Connection, FromClause, and_, func, select, true

from head_office.database.arrays import BIGINT, TEXT, array, unnest
from head_office.database.office_schema import CATALOGUE_ENTRY
from head_office.database.schema import EVENT, HEAD, QUARANTINE, STOCK
from head_office.reports.known_at import AsOf, Cut, SettledMoment, take_cut

MOST_LATER: Final = 50_000
"""With more events than that after the cut everything of a location is folded: it costs less than to look at them."""


@dataclass(frozen=True, slots=True)
class CutChanges:
    """A cut of the whole group, and what has changed since. `as_of` is the moment that holds at each location.

    `catalogue_at` is None where the catalogue is what it was at the cut. `later`: the locations with events after the
    cut; `ahead`: those with events that occur after the location's moment.
    """

    cut: Cut
    as_of: Mapping[str, int]
    catalogue_at: SettledMoment | None
    later: Mapping[str, int]
    ahead: frozenset[str]

    def quiet(self, location_ids: Collection[str] | None = None) -> bool:
        """Whether nothing came to these logs (None: to any) and nothing of them occurs later."""
        places = self.as_of.keys() if location_ids is None else set(location_ids)
        return not self.cut.hides_releases and self.later.keys().isdisjoint(places) and self.ahead.isdisjoint(places)

    def places(self, location_ids: Collection[str] | None = None) -> FromClause:
        """A table of (location_id, known_through, moment): the events that count at each location."""
        wanted = self.as_of.keys() if location_ids is None else location_ids
        rows = [(place, self.cut.sequences[place], self.as_of[place]) for place in sorted(wanted)]
        return unnest("place", (("location_id", TEXT), ("known_through", BIGINT), ("moment", BIGINT)), rows)


def read_changes(connection: Connection, known_at: SettledMoment, as_of: AsOf | None) -> CutChanges:
    """Read the cut of a moment and what has changed since; `as_of` None: as of that moment, as for unnamed locations.

    Head office's events of one location count at another one, as goods are on their way: so it is of all locations.
    """
    cut = take_cut(connection, known_at)
    of_place = (lambda _place: as_of) if isinstance(as_of, int) else (as_of or {}).get
    moments = {place: _or(of_place(place), known_at) for place in cut.sequences}
    heads = connection.execute(select(HEAD.c.location_id, HEAD.c.sequence, HEAD.c.occurred_at)).all()
    newest = select(CATALOGUE_ENTRY.c.known_from).order_by(CATALOGUE_ENTRY.c.version.desc()).limit(1)
    # Versions are given in the order of their moments.
    changed = (connection.execute(newest).scalar_one_or_none() or 0) > known_at
    later = {each.location_id: each.sequence - cut.sequences[each.location_id] for each in heads}
    return CutChanges(
        cut=cut,
        as_of=moments,
        catalogue_at=known_at if changed else None,
        later={place: count for place, count in later.items() if count > 0},
        ahead=frozenset(each.location_id for each in heads if (each.occurred_at or 0) > moments[each.location_id]),
    )


def _or(moment: int | None, otherwise: int) -> int:
    return otherwise if moment is None else moment


def changed_codes(connection: Connection, changes: CutChanges, location_ids: Collection[str]) -> set[tuple[str, str]]:
    """Find (location, code there) whose row of the projection may not be what stood at the cut, as of its moment."""
    found: set[tuple[str, str]] = set()
    many = {place for place in location_ids if changes.later.get(place, 0) > MOST_LATER}
    few = [place for place in location_ids if place in changes.later and place not in many]
    if many:
        found |= _codes(connection, STOCK, STOCK.c.location_id == func.any(array(sorted(many))))
    if few:
        found |= _codes_of_events(connection, changes.places(few))
        # Of the projection itself: what expires, and when, is told by newer events.
        held = STOCK.c.location_id == func.any(array(sorted(few)))
        found |= _codes(connection, STOCK, held & (STOCK.c.reserved != 0))
    if changes.cut.hides_releases:
        found |= _released(connection, changes, location_ids)
    if ahead := [place for place in location_ids if place in changes.ahead]:
        places = changes.places(ahead)
        later = (places.c.location_id == STOCK.c.location_id) & (STOCK.c.latest_at > places.c.moment)
        found |= _codes(connection, STOCK.join(places, later), true())
    return found


def after_the_cut(places: FromClause) -> ColumnElement[bool]:
    """An event came after the cut."""
    return EVENT.c.sequence > places.c.known_through


def _codes(connection: Connection, table: FromClause, where: ColumnElement[bool]) -> set[tuple[str, str]]:
    query = select(STOCK.c.location_id, STOCK.c.item_id).select_from(table).where(where)
    return {(row.location_id, row.item_id) for row in connection.execute(query)}


def _codes_of_events(connection: Connection, places: FromClause) -> set[tuple[str, str]]:
    query = (
        select(EVENT.c.location_id, EVENT.c.item_id)
        .select_from(EVENT.join(places, places.c.location_id == EVENT.c.location_id))
        .where(after_the_cut(places), EVENT.c.item_id.is_not(None))
        .distinct()
    )
    return {(row.location_id, row.item_id) for row in connection.execute(query)}


def _released(connection: Connection, changes: CutChanges, location_ids: Collection[str]) -> set[tuple[str, str]]:
    """The codes of events released from quarantine after the cut; and, as above, those with anything reserved."""
    query = (
        select(EVENT.c.location_id, EVENT.c.item_id)
        .select_from(EVENT.join(QUARANTINE, released_event()))
        .where(
            QUARANTINE.c.released_at > changes.cut.known_at,
            EVENT.c.item_id.is_not(None),
            EVENT.c.location_id == func.any(array(sorted(location_ids))),
        )
    )
    found = {(row.location_id, row.item_id) for row in connection.execute(query.distinct())}
    if touched := {place for place, _ in found}:
        held = STOCK.c.location_id == func.any(array(sorted(touched)))
        found |= _codes(connection, STOCK, held & (STOCK.c.reserved != 0))
    return found


def released_event() -> ColumnElement[bool]:
    """The event in the log of a row of `quarantine`."""
    return and_(EVENT.c.location_id == QUARANTINE.c.location_id, EVENT.c.sequence == QUARANTINE.c.sequence)
