"""The areas of counts: as stored until the count is posted, as its event holds them, and those that are missing."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Final

import msgspec
from sqlalchemy import ColumnElement, Connection, func, select

from branch_node.database.schema import COUNT_AREA, LOG
from branch_node.problems import TOO_MANY_AREAS
from shared.chain import understand
from shared.event_record import Moment, Number, SparseRecord, moment_text
from shared.events import MAX_AREAS_BYTES, CountedArea, Event, quantity_json
from shared.messages import OpenArea, OpenCount
from shared.runtime.database.row_writes import upsert_rows

_COLUMNS: Final = tuple(column.name for column in COUNT_AREA.columns)
MOST_COUNTS: Final = 20
MOST_AREAS: Final = 50
"""How many open counts are told of, the oldest first, and how many areas of each."""


class AreaCounted(msgspec.Struct, frozen=True, kw_only=True):
    """One area of an item as counted; `area` is empty where none was named. Its moments are microseconds UTC.

    `actor`, `source` and `stored_at` are None where an older version stored it.
    """

    item_id: str
    area: str
    counted: int
    occurred_at: int
    actor: str | None
    source: str | None
    note: str | None
    stored_at: int | None
    posted_sequence: int | None = None


class AreaRecord(msgspec.Struct, kw_only=True):
    """An area that is stored until its count is posted."""

    item_id: str
    area: str | None
    counted: Number


class MissingArea(msgspec.Struct, kw_only=True):
    """An area of an item that its last count had and this one has not; `counted_at`: when it was counted there."""

    item_id: str
    area: str
    counted_at: Moment


class OpenAreaRecord(SparseRecord, kw_only=True):
    """An area of an open count."""

    item_id: str
    area: str | None = None
    counted: Number
    actor: str | None = None


class OpenCountRecord(msgspec.Struct, kw_only=True):
    """A count that waits for the rest of its areas, and is not in the log yet."""

    count_id: str
    opened_at: Moment
    areas: list[OpenAreaRecord]


def stored_areas(connection: Connection, count_id: str) -> dict[tuple[str, str], AreaCounted]:
    """The areas of a count, posted or waiting, by item and area."""
    rows = connection.execute(
        select(*(COUNT_AREA.c[name] for name in AreaCounted.__struct_fields__))
        .where(COUNT_AREA.c.count_id == count_id)
        .order_by(COUNT_AREA.c.item_id, COUNT_AREA.c.area)
    )
    return {(row.item_id, row.area): AreaCounted(**row._mapping) for row in rows}


def store_areas(connection: Connection, count_id: str, areas: Sequence[AreaCounted]) -> None:
    """Store areas of a count, in place of those of the same names."""
    if areas:
        rows = [tuple(count_id if name == "count_id" else getattr(each, name) for name in _COLUMNS) for each in areas]
        upsert_rows(connection, COUNT_AREA, _COLUMNS, rows)


def area_records(areas: Iterable[AreaCounted]) -> list[AreaRecord]:
    """Areas as they are answered."""
    return [
        AreaRecord(item_id=each.item_id, area=each.area or None, counted=quantity_json(each.counted)) for each in areas
    ]


def areas_of_event(areas: Iterable[AreaCounted], *, actor: str, source: str) -> tuple[CountedArea, ...]:
    """The areas as the count's event holds them; `actor` and `source` stand in where none were stored."""
    return tuple(
        CountedArea(
            actor=each.actor or actor,
            area=each.area or None,
            counted=each.counted,
            note=each.note,
            occurred_at=each.occurred_at,
            source=each.source or source,
        )
        for each in areas
    )


def check_room(areas: Collection[AreaCounted], item_id: str) -> None:
    """Refuse areas of an item that one event cannot hold. Raises 422 `too-many-areas`."""
    if len(areas) < 2:
        return  # one note of any length has room
    size = len(msgspec.json.encode(areas_of_event(areas, actor="a" * 64, source="a" * 40)))
    if size > MAX_AREAS_BYTES:
        raise TOO_MANY_AREAS(
            f"the areas and notes of {item_id} take {size} bytes, of {MAX_AREAS_BYTES} that one event has room for",
            item_id=item_id,
        )


def missing_areas(connection: Connection, areas: dict[str, set[str]], before: int) -> list[MissingArea]:
    """The areas that each item's last count had, by the events before the sequence `before`, and that are not given.

    `areas` has the areas of each item as counted now. An item that was counted as a whole misses nothing.
    """
    missing: list[MissingArea] = []
    for item_id, given in sorted(areas.items()):
        if "" in given:
            continue
        last = _last_count(connection, item_id, LOG.event.c.sequence < before, voided_before=before)
        for area in () if last is None else areas_in(last):
            if area.area is not None and area.area not in given:
                counted_at = moment_text(area.occurred_at, last.utc_offset if last else 0)
                missing.append(MissingArea(item_id=item_id, area=area.area, counted_at=counted_at))
    return missing


def counted_before(connection: Connection, item_id: str, at: int, source: str) -> list[AreaCounted]:
    """The areas of an item that a source has counted at a moment (microseconds UTC), as its last count there says."""
    last = _last_count(connection, item_id, LOG.event.c.occurred_at == at)
    return [
        AreaCounted(
            item_id=item_id,
            area=each.area or "",
            counted=each.counted,
            occurred_at=each.occurred_at,
            actor=each.actor,
            source=each.source,
            note=each.note,
            stored_at=None,
        )
        for each in (() if last is None or last.source != source else areas_in(last))
    ]


def _last_count(
    connection: Connection, item_id: str, where: ColumnElement[bool], *, voided_before: int | None = None
) -> Event | None:
    """The last count of an item in its history for which `where` holds, without those that were voided.

    `voided_before`: only voids of a lower sequence are known.
    """
    event, voided = LOG.event.c, LOG.voided.c
    gone = select(voided.sequence)
    if voided_before is not None:
        gone = gone.where(voided.by_sequence < voided_before)
    query = (
        select(event.line)
        .where(event.item_id == item_id, event.counted.is_not(None), where)
        .where(event.sequence.not_in(gone))
        .order_by(event.occurred_at.desc(), event.sequence.desc())
        .limit(1)
    )
    line = connection.execute(query).scalar_one_or_none()
    return None if line is None else understand(bytes(line))


def areas_in(event: Event) -> tuple[CountedArea, ...]:
    """The areas of a count as its event holds them; none of an item that an older version counted as a whole."""
    if event.areas is not None or event.area is None:
        return event.areas or ()
    alone = CountedArea(
        actor=event.actor,
        area=event.area,
        counted=event.counted or 0,
        occurred_at=event.occurred_at,
        source=event.source,
    )
    return (alone,)


def open_counts(connection: Connection) -> list[OpenCount]:
    """The counts that wait for the rest of their areas, the oldest first: at most MOST_COUNTS, MOST_AREAS of each."""
    area = COUNT_AREA.c
    moment = func.coalesce(area.stored_at, area.occurred_at)
    opened_at = func.min(moment).label("opened_at")
    waiting = area.posted_sequence.is_(None)
    counts = connection.execute(
        select(area.count_id, opened_at)
        .where(waiting)
        .group_by(area.count_id)
        .order_by(opened_at, area.count_id)
        .limit(MOST_COUNTS)
    ).all()
    return [
        OpenCount(count_id=row.count_id, opened_at=row.opened_at, areas=_open_areas(connection, row.count_id))
        for row in counts
    ]


def _open_areas(connection: Connection, count_id: str) -> list[OpenArea]:
    area = COUNT_AREA.c
    rows = connection.execute(
        select(area.item_id, area.area, area.counted, area.actor)
        .where(area.count_id == count_id, area.posted_sequence.is_(None))
        .order_by(area.item_id, area.area)
        .limit(MOST_AREAS)
    )
    return [OpenArea(item_id=row.item_id, area=row.area or None, counted=row.counted, actor=row.actor) for row in rows]


def missing_in_open_count(connection: Connection, count_id: str, head: int) -> list[MissingArea]:
    """The areas that are missing in an open count so far; `head` is the newest event."""
    names: dict[str, set[str]] = {}
    for each in stored_areas(connection, count_id).values():
        if each.posted_sequence is None:
            names.setdefault(each.item_id, set()).add(each.area)
    return missing_areas(connection, names, head + 1)


def open_count_record(count: OpenCount) -> OpenCountRecord:
    """An open count as it is answered."""
    return OpenCountRecord(
        count_id=count.count_id,
        opened_at=moment_text(count.opened_at),
        areas=[
            OpenAreaRecord(item_id=each.item_id, area=each.area, counted=quantity_json(each.counted), actor=each.actor)
            for each in count.areas
        ],
    )
