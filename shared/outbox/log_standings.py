"""What stood of many items of a log at a place in it, folded by SQL in one statement."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import msgspec
from sqlalchemy import JSON, BigInteger, Connection, Select, Text, bindparam, cast, column, func, select

from shared.event_log import LogTables
from shared.projection import balances, standing_of
from shared.stock import Standing
from shared.stock_expressions import EventScope


def standings_at(
    connection: Connection, tables: LogTables, location_id: str, item_ids: Sequence[str], known_through: int
) -> dict[str, Standing]:
    """What stood of each item once the event `known_through` was recorded; all reservations count, also expired ones.

    An item without events by then has figures of zero.
    """
    given = {
        "location_id": location_id,
        "item_ids": msgspec.json.encode(list(item_ids)).decode(),
        "known_through": known_through,
    }
    rows = connection.execute(_query(tables, connection.dialect.name), given)
    return {row.item_id: standing_of(row) for row in rows}


@lru_cache(maxsize=8)
def _query(tables: LogTables, dialect: str) -> Select[Any]:
    # The items as one parameter, so that a page of any size runs the same statement.
    wanted: Any = bindparam("item_ids", type_=Text)
    if dialect == "sqlite":
        items = func.json_each(wanted).table_valued(column("value", Text), name="wanted")
    else:
        elements = func.json_array_elements_text(cast(wanted, JSON))
        items = elements.table_valued(column("value", Text), name="wanted").render_derived()
    pairs = select(bindparam("location_id", type_=Text).label("location_id"), items.c.value.label("item_id")).subquery(
        "pairs"
    )
    return balances(tables, pairs, EventScope(known_through=bindparam("known_through", type_=BigInteger)))
