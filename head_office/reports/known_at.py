"""The cut of what head office knew at a moment: the last sequence of every location. It never changes afterwards.

An ingest takes its `received_at` under a shared lock that it holds until its transaction ends (`larder_received_at`).
A query known at K takes that lock exclusively for an instant (`larder_settle`): every ingest received by K has ended
then, and none can be received at or before K any more, even if the clock goes back.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NewType

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Engine,
    TableValuedAlias,
    and_,
    case,
    exists,
    func,
    literal,
    or_,
    select,
    true,
)

from head_office.database.arrays import BIGINT, TEXT, array, unnest
from head_office.database.schema import CONTACT, HEAD, INGEST_BATCH, ITEM_UNIT, QUARANTINE
from shared.runtime.database.engine import snapshot
from shared.stock_expressions import Unknown

SettledMoment = NewType("SettledMoment", int)
"""A moment (microseconds UTC) at or before which nothing can be received any more, see `settle`."""


AsOf = int | Mapping[str, int]
"""A moment (microseconds UTC) for all locations, or one for each: the end of a business date is not one moment."""


def moment_at(location_id: ColumnElement[str], as_of: AsOf) -> ColumnElement[int]:
    """Give the moment that holds at a row's location."""
    if isinstance(as_of, int):
        return literal(as_of, BigInteger)
    places: dict[int, list[str]] = {}
    for place, moment in as_of.items():
        places.setdefault(moment, []).append(place)
    if not places:
        return literal(-1, BigInteger)
    # Few moments for many locations: those of their time zones.
    return case(
        *(
            (location_id == func.any(array(sorted(same))), literal(moment, BigInteger))
            for moment, same in places.items()
        ),
        else_=literal(-1, BigInteger),
    )


def before(moment: AsOf) -> AsOf:
    """As of just before a moment: what a period that begins there opens with."""
    if isinstance(moment, int):
        return moment - 1
    return {location_id: each - 1 for location_id, each in moment.items()}


@dataclass(frozen=True, slots=True)
class Cut:
    """The last sequence known of each location, 0 where none is.

    `known_at` (microseconds UTC) is its moment, None for everything received so far. `hides_releases`: events released
    from quarantine after that moment are not known, though their sequences are within the cut. `holds_since`: for
    locations whose events were lost at or after that moment, as the database was restored from a backup, the moment
    since which the cut holds; before it more may have been known.
    """

    known_at: int | None
    sequences: Mapping[str, int]
    hides_releases: bool = False
    holds_since: Mapping[str, int] = field(default_factory=dict)

    def table(self) -> TableValuedAlias:
        """The cut as a table (location_id, sequence) to join."""
        return unnest("cut", (("location_id", TEXT), ("sequence", BIGINT)), list(self.sequences.items()))

    def unknown(self) -> Unknown | None:
        """Give the condition, for an `EventScope`, that an event within the cut was in quarantine at the moment."""
        if not self.hides_releases:
            return None

        moment = literal(self.known_at, BigInteger)
        return lambda location_id, sequence: in_quarantine(location_id, sequence, moment)

    def quarantined(self) -> ColumnElement[bool]:
        """Give the condition that a row of `quarantine` within the cut was in quarantine at the moment."""
        held = QUARANTINE.c.released_at.is_(None)
        if self.known_at is None:
            return held
        return or_(held, QUARANTINE.c.released_at > literal(self.known_at, BigInteger))


def unit_within(cut: Cut) -> list[ColumnElement[bool]]:
    """Give the condition that the event which fixed a unit (a row of `item_unit`) was known at the cut's moment."""
    if cut.known_at is None:
        return []
    known, unknown = cut.table(), cut.unknown()
    conditions: list[ColumnElement[bool]] = [
        exists().where(known.c.location_id == ITEM_UNIT.c.location_id, ITEM_UNIT.c.sequence <= known.c.sequence)
    ]
    if unknown is not None:
        conditions.append(~unknown(ITEM_UNIT.c.location_id, ITEM_UNIT.c.sequence))
    return conditions


def in_quarantine(
    location_id: ColumnElement[str], sequence: ColumnElement[int], known_at: ColumnElement[int]
) -> ColumnElement[bool]:
    """Give the condition that the event at a sequence was released from quarantine after a moment."""
    held = QUARANTINE.alias()
    return exists().where(held.c.location_id == location_id, held.c.sequence == sequence, held.c.released_at > known_at)


@contextmanager
def report_snapshot(engine: Engine, known_at: int | None = None) -> Iterator[tuple[Connection, SettledMoment | None]]:
    """One snapshot for a whole answer, and the moment it is known at (None: everything received so far).

    A moment in the future is taken as now. It is settled in a transaction of its own before the snapshot is taken, so
    the snapshot has every ingest that was in flight.
    """
    settled = None
    if known_at is not None:
        with engine.begin() as connection:
            settled = settle(connection, known_at)
    with snapshot(engine) as connection:
        yield connection, settled


def take_cut(
    connection: Connection, known_at: SettledMoment | None = None, location_ids: Collection[str] | None = None
) -> Cut:
    """Take the cut of now, or of a settled moment, for the given locations (None: all), see `report_snapshot`."""
    if known_at is None:
        query = select(HEAD.c.location_id, HEAD.c.sequence)
    else:
        batch = (
            select(INGEST_BATCH.c.last_sequence)
            .where(
                INGEST_BATCH.c.location_id == HEAD.c.location_id,
                INGEST_BATCH.c.received_at <= literal(known_at, BigInteger),
            )
            .order_by(INGEST_BATCH.c.received_at.desc(), INGEST_BATCH.c.last_sequence.desc())
            .limit(1)
            .lateral("batch")
        )
        query = select(HEAD.c.location_id, func.coalesce(batch.c.last_sequence, 0).label("sequence")).select_from(
            HEAD.outerjoin(batch, true())
        )
    if location_ids is not None:
        query = query.where(HEAD.c.location_id.in_(location_ids))
    rows = connection.execute(query.order_by(HEAD.c.location_id)).all()
    sequences = {row.location_id: row.sequence for row in rows}
    if known_at is None:
        return Cut(None, sequences)
    return Cut(known_at, sequences, _hides_releases(connection, known_at), _rewound(connection, known_at, sequences))


def _rewound(connection: Connection, known_at: int, location_ids: Collection[str]) -> dict[str, int]:
    query = select(CONTACT.c.location_id, CONTACT.c.rewound_at).where(
        CONTACT.c.rewound_at >= literal(known_at, BigInteger), CONTACT.c.location_id.in_(location_ids)
    )
    return {row.location_id: row.rewound_at for row in connection.execute(query)}


def settle(connection: Connection, known_at: int) -> SettledMoment:
    """Wait until nothing can be received at or before `known_at` any more; return it, or now if that is earlier.

    The moment is stored, so that no later ingest gets it. Snapshots taken before it returns may lack an ingest.
    """
    return SettledMoment(
        int(connection.execute(select(func.larder_settle(literal(known_at, BigInteger)))).scalar_one())
    )


def _hides_releases(connection: Connection, known_at: int) -> bool:
    later = exists().where(and_(QUARANTINE.c.released_at > literal(known_at, BigInteger)))
    return bool(connection.execute(select(later)).scalar_one())
