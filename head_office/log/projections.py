"""The tables kept beside the log at head office as events arrive: stock, transfer lines, units of items, voids.

Works inside the transaction that holds the location's head. The rules of stock are `shared.projection`'s.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from functools import cache
from typing import Any, Final

from psycopg import Cursor
from sqlalchemy import Connection, Select, Text, bindparam, cast, column, func, select
from sqlalchemy.dialects.postgresql import ARRAY

from head_office.database.packed_arrays import bigints, booleans, texts
from head_office.database.schema import LOG
from shared.events import Event
from shared.projection import balances, standing_of
from shared.stock import Standing
from shared.stock_expressions import EVERYTHING
from shared.transfers import SIGNS, SUM_OF

_UPSERT_STOCK: Final = """
INSERT INTO stock (location_id, item_id, on_hand, reserved, counted_at, counted_sequence, latest_at, latest_sequence,
    recount)
SELECT %s, * FROM unnest(%s::text[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[],
    %s::bigint[], %s::boolean[])
ON CONFLICT (location_id, item_id) DO UPDATE SET on_hand = excluded.on_hand, reserved = excluded.reserved,
    counted_at = excluded.counted_at, counted_sequence = excluded.counted_sequence, latest_at = excluded.latest_at,
    latest_sequence = excluded.latest_sequence, recount = excluded.recount
"""
_INSERT_UNITS: Final = """
INSERT INTO item_unit (location_id, item_id, unit, sequence)
SELECT %s, * FROM unnest(%s::text[], %s::text[], %s::bigint[])
"""
_INSERT_VOIDED: Final = """
INSERT INTO voided (location_id, sequence, by_sequence) SELECT %s, * FROM unnest(%s::bigint[], %s::bigint[])
"""
# The sums of `shared.transfers`, kept as events arrive; that module names the test which holds them to the rules.
_ADD_TRANSFER_LINES: Final = f"""
INSERT INTO transfer_line AS t (location_id, transfer_id, item_id, {", ".join(SIGNS)}, first_at)
SELECT %s, * FROM unnest(%s::text[], %s::text[]{", %s::bigint[]" * len(SIGNS)}, %s::bigint[])
ON CONFLICT (location_id, transfer_id, item_id) DO UPDATE SET
    {", ".join(f"{name} = t.{name} + excluded.{name}" for name in SIGNS)},
    first_at = least(t.first_at, excluded.first_at)
"""

_SUM_PLACES: Final = {kind: list(SIGNS).index(name) for kind, name in SUM_OF.items()}


def store_stock(cursor: Cursor[Any], location_id: str, standings: Mapping[str, Standing]) -> None:
    """Upsert what stands of the given items, in one statement."""
    if not standings:
        return
    each = standings.values()
    cursor.execute(
        _UPSERT_STOCK,
        (
            location_id,
            texts(standings),
            bigints([standing.on_hand for standing in each]),
            bigints([standing.reserved for standing in each]),
            bigints([standing.last_count[0] if standing.last_count else None for standing in each]),
            bigints([standing.last_count[1] if standing.last_count else None for standing in each]),
            bigints([standing.latest[0] for standing in each]),
            bigints([standing.latest[1] for standing in each]),
            booleans([standing.recount for standing in each]),
        ),
    )


def refold_items(connection: Connection, location_id: str, items: Collection[str]) -> dict[str, Standing]:
    """Fold what stands of items that have events from the log."""
    if not items:
        return {}
    rows = connection.execute(_refold(), {"location_id": location_id, "items": sorted(items)})
    return {row.item_id: standing_of(row) for row in rows}


@cache
def _refold() -> Select[Any]:
    # The items are given, not selected from the events: an item may have tens of thousands of them.
    item = func.unnest(bindparam("items", type_=ARRAY(Text))).table_valued(column("item_id", Text), name="item")
    pairs = select(cast(bindparam("location_id"), Text).label("location_id"), item.render_derived().c.item_id).subquery(
        "pairs"
    )
    return balances(LOG, pairs, EVERYTHING)


def store_units(cursor: Cursor[Any], location_id: str, units: Mapping[str, tuple[str, int]]) -> None:
    """Insert the unit of items that are new, with the sequence of the event that fixed it."""
    if units:
        fixed = units.values()
        cursor.execute(
            _INSERT_UNITS, (location_id, texts(units), texts(unit for unit, _ in fixed), bigints(at for _, at in fixed))
        )


def store_voids(cursor: Cursor[Any], location_id: str, voids: Mapping[int, int]) -> None:
    """Insert which event (key) is voided or reversed by which (value)."""
    if voids:
        cursor.execute(_INSERT_VOIDED, (location_id, bigints(voids), bigints(voids.values())))


def add_transfers(cursor: Cursor[Any], location_id: str, events: Iterable[Event]) -> None:
    """Add newly folded events of transfers to the lines of their transfers."""
    lines: dict[tuple[str, str], list[int]] = {}
    for event in events:
        place = _SUM_PLACES.get(event.type)
        if place is None or event.transfer_id is None or event.item_id is None:
            continue
        line = lines.setdefault((event.transfer_id, event.item_id), [*(0 for _ in SIGNS), event.occurred_at])
        line[place] += event.quantity or 0
        line[-1] = min(line[-1], event.occurred_at)
    if lines:
        transfers, items = zip(*lines, strict=True)
        columns = [bigints(column) for column in zip(*lines.values(), strict=True)]
        cursor.execute(_ADD_TRANSFER_LINES, (location_id, texts(transfers), texts(items), *columns))
