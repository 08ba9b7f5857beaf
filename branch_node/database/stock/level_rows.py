"""The reorder levels in the branch's database: head office's and the branch's own, and which of them act.

An own level acts only where head office has none for the item, and is kept while it has. Quantities are thousandths.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from msgspec.structs import asdict
from sqlalchemy import ColumnElement, Connection, and_, delete, exists, insert, literal, select

from branch_node.database.schema import REORDER_LEVEL
from shared.levels.level_columns import LEVEL_COLUMNS, level_of
from shared.levels.reorder_levels import ReorderLevel
from shared.runtime.database.row_writes import upsert

LEVEL_FIELDS: Final = tuple(REORDER_LEVEL.c[name] for name in LEVEL_COLUMNS)
"""The columns of a level, for a query that joins REORDER_LEVEL `on` an item."""

_group = REORDER_LEVEL.alias("group_level")
ACTS: Final[ColumnElement[bool]] = ~REORDER_LEVEL.c.set_here | ~exists().where(
    _group.c.item_id == REORDER_LEVEL.c.item_id, ~_group.c.set_here
).correlate(REORDER_LEVEL)
"""The condition for a level to act: at most one of an item does."""


def acting_on(item_id: ColumnElement[Any]) -> ColumnElement[bool]:
    """The condition that joins an item to the level that acts for it."""
    return and_(REORDER_LEVEL.c.item_id == item_id, ACTS)


def acting_levels(connection: Connection) -> dict[str, ReorderLevel]:
    """Read every level that acts, by item."""
    return {row.item_id: level_of(row) for row in connection.execute(select(REORDER_LEVEL).where(ACTS))}


def acting_level(connection: Connection, item_id: str) -> tuple[ReorderLevel, bool] | None:
    """Read the level that acts for an item, and whether it was set here."""
    row = connection.execute(select(REORDER_LEVEL).where(acting_on(literal(item_id)))).one_or_none()
    return None if row is None else (level_of(row), bool(row.set_here))


def acting_page(connection: Connection, after: str, limit: int) -> list[tuple[str, ReorderLevel, bool]]:
    """Read the levels that act, in order of item: the item, the level, whether it was set here."""
    query = select(REORDER_LEVEL).where(REORDER_LEVEL.c.item_id > after, ACTS)
    rows = connection.execute(query.order_by(REORDER_LEVEL.c.item_id).limit(limit))
    return [(row.item_id, level_of(row), bool(row.set_here)) for row in rows]


def store_levels(connection: Connection, levels: Mapping[str, ReorderLevel], *, set_here: bool) -> None:
    """Store head office's levels of items, or the branch's own, by item."""
    rows = [{"item_id": item_id, "set_here": set_here, **asdict(level)} for item_id, level in levels.items()]
    upsert(connection, REORDER_LEVEL, rows)


def delete_levels(connection: Connection, item_ids: Sequence[str], *, set_here: bool) -> None:
    """Delete head office's levels of items, or the branch's own, where there are any; at most 1,000 items."""
    if item_ids:
        its = REORDER_LEVEL.c.item_id.in_(item_ids)
        connection.execute(delete(REORDER_LEVEL).where(its, REORDER_LEVEL.c.set_here == set_here))


def move_own_level(connection: Connection, code: str, item_id: str) -> None:
    """Make an own level of a code that of the item which the code stands for, unless the item has an own one."""
    own = REORDER_LEVEL.alias("own_level")
    there = exists().where(own.c.item_id == item_id, own.c.set_here)
    fields = select(literal(item_id), REORDER_LEVEL.c.set_here, *LEVEL_FIELDS).where(
        REORDER_LEVEL.c.item_id == code, REORDER_LEVEL.c.set_here, ~there
    )
    connection.execute(insert(REORDER_LEVEL).from_select(["item_id", "set_here", *LEVEL_COLUMNS], fields))
    delete_levels(connection, [code], set_here=True)
