"""The goods on their way to each location: what transfers to it have sent and it has not received.

Where they are going is in the instructions, which head office keeps until the transfer is over; afterwards the
destination's own log says it, where they arrived or were refused. It is the same either way, and never another one, so
what was on its way at a past moment stays the same. Quantities are thousandths. Works inside the transaction of the
Connection it is given.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    FromClause,
    Select,
    cast,
    func,
    select,
    text,
    union_all,
)

from head_office.catalogue.item_codes import ItemCodes
from head_office.database.arrays import array
from head_office.database.schema import EVENT, QUARANTINE, TRANSFER_LINE
from head_office.reports.past_events import standing_events
from head_office.reports.purchasing.cut_changes import MOST_LATER, CutChanges, after_the_cut, released_event
from head_office.reports.stock_flags import touched_transfers
from shared.events import Id
from shared.transfers import SUM_OF
from shared.transfers import in_transit as signed_sum


class _Destined(msgspec.Struct):
    destination: Id


_decode: Final = msgspec.json.Decoder(_Destined).decode

_INSTRUCTED: Final = text(
    "SELECT DISTINCT ON (transfer_id) transfer_id, body FROM instruction"
    " WHERE transfer_id = ANY (CAST(:transfer_ids AS text[])) ORDER BY transfer_id, number"
)

# Of a transfer that is over: where its goods arrived or were lost, else where they were refused and not sent from.
_ARRIVED: Final = text(
    """
    SELECT requested.transfer_id, coalesce(
        (SELECT min(line.location_id) FROM transfer_line AS line
         WHERE line.transfer_id = requested.transfer_id AND line.received + line.lost > 0),
        (SELECT min(refused.location_id) FROM event AS refused
         WHERE refused.transfer_id = requested.transfer_id AND refused.type = 'TRANSFER_REFUSED'
             AND NOT EXISTS (
                SELECT FROM transfer_line AS sender
                WHERE sender.transfer_id = requested.transfer_id AND sender.location_id = refused.location_id
                    AND sender.sent > 0
             ))
    ) AS destination
    FROM unnest(CAST(:transfer_ids AS text[])) AS requested (transfer_id)
    """
)


class OnTheWay(NamedTuple):
    """How much of an item is on its way to a location; `incomplete`: an event in quarantine may change it."""

    quantity: int
    incomplete: bool


def goods_on_their_way(
    connection: Connection, changes: CutChanges, codes: ItemCodes
) -> dict[tuple[str, str], OnTheWay]:
    """Sum what is on its way, by destination and item, at a cut and as of its moments."""
    lefts: dict[tuple[str, str], int] = {}
    for row in connection.execute(_open_lines(_lines(connection, changes))):
        key = (row.transfer_id, codes.item_of(row.location_id, row.item_id))
        lefts[key] = lefts.get(key, 0) + row.left
    on_the_way = {key: left for key, left in lefts.items() if left > 0}
    destinations = _destinations(connection, {transfer_id for transfer_id, _ in on_the_way})
    touched = touched_transfers(connection, changes.cut, changes.as_of) if on_the_way else set()
    found: dict[tuple[str, str], OnTheWay] = {}
    for (transfer_id, item_id), left in on_the_way.items():
        if (destination := destinations.get(transfer_id)) is not None:
            before = found.get((destination, item_id), OnTheWay(0, incomplete=False))
            incomplete = before.incomplete or bool(touched & {None, transfer_id})
            found[destination, item_id] = OnTheWay(before.quantity + left, incomplete)
    return found


def _destinations(connection: Connection, transfer_ids: Collection[str]) -> Mapping[str, str]:
    if not transfer_ids:
        return {}
    wanted = sorted(transfer_ids)
    rows = connection.execute(_INSTRUCTED, {"transfer_ids": wanted})
    found = {row.transfer_id: _decode(row.body).destination for row in rows}
    if rest := [each for each in wanted if each not in found]:
        rows = connection.execute(_ARRIVED, {"transfer_ids": rest})
        found |= {row.transfer_id: row.destination for row in rows if row.destination is not None}
    return found


def _open_lines(lines: Select[Any]) -> Select[Any]:
    """Of the transfers with anything in transit, by the codes as recorded: what each location's log adds to it."""
    line = lines.cte("line")
    still_open = (
        select(line.c.transfer_id).group_by(line.c.transfer_id, line.c.item_id).having(func.sum(line.c.left) != 0)
    )
    return select(line).where(line.c.transfer_id.in_(still_open))


def _lines(connection: Connection, changes: CutChanges) -> Select[Any]:
    """What each location's log adds to a transfer and item: kept as it stands now, folded where that has changed."""
    changed = _changed_transfers(connection, changes)
    if changed is None:
        return _folded(changes)
    kept = select(
        TRANSFER_LINE.c.transfer_id,
        TRANSFER_LINE.c.location_id,
        TRANSFER_LINE.c.item_id,
        signed_sum(lambda name: TRANSFER_LINE.c[name]).label("left"),
    )
    if not changed:
        return kept
    others = func.all(array(changed))
    again = _folded(changes, EVENT.c.transfer_id == func.any(array(changed)))
    both = union_all(kept.where(TRANSFER_LINE.c.transfer_id != others), again).subquery("both")
    return select(both)


def _folded(changes: CutChanges, *where: ColumnElement[bool]) -> Select[Any]:
    present = (EVENT.c.in_transit_change.is_not(None), EVENT.c.transfer_id.is_not(None))
    moved = standing_events(changes.cut, changes.as_of, *present, *where).subquery("moved")
    kinds = [kind.value for kind in SUM_OF]
    signed = func.sum(moved.c.in_transit_change).filter(moved.c.type.in_(kinds))
    key = (moved.c.transfer_id, moved.c.location_id, moved.c.item_id)
    return select(*key, func.coalesce(cast(signed, BigInteger), 0).label("left")).group_by(*key)


def _changed_transfers(connection: Connection, changes: CutChanges) -> list[str] | None:
    """The transfers with events that are not of the cut, or occur later; None for any."""
    if any(count > MOST_LATER for count in changes.later.values()):
        return None
    queries = []
    if changes.later:
        queries.append(_transfers_of(changes.places(changes.later), after_the_cut))
    if changes.ahead:
        queries.append(_transfers_of(changes.places(changes.ahead), _later))
    if changes.cut.hides_releases:
        released = select(EVENT.c.transfer_id).select_from(EVENT.join(QUARANTINE, released_event()))
        queries.append(released.where(QUARANTINE.c.released_at > changes.cut.known_at))
    if not queries:
        return []
    found = union_all(*queries).subquery("found")
    query = select(found.c.transfer_id).where(found.c.transfer_id.is_not(None)).distinct()
    ids = sorted(connection.execute(query).scalars())
    return ids if len(ids) <= MOST_LATER else None


def _later(places: FromClause) -> ColumnElement[bool]:
    return EVENT.c.occurred_at > places.c.moment


def _transfers_of(places: FromClause, condition: Any) -> Select[Any]:
    of_place = EVENT.join(places, places.c.location_id == EVENT.c.location_id)
    return select(EVENT.c.transfer_id).select_from(of_place).where(EVENT.c.transfer_id.is_not(None), condition(places))
