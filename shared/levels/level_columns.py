"""The columns of a table of reorder levels, alike at head office and at a branch, with the rules that they keep."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import BigInteger, CheckConstraint, Column, Integer, Text

from shared.events import MAX_QUANTITY
from shared.levels.reorder_levels import MAX_LEAD_DAYS, MAX_SUPPLIER_ID, ReorderLevel

LEVEL_COLUMNS: Final = tuple(field for field in ReorderLevel.__struct_fields__)
"""The names of the columns of a reorder level itself, in the order of the table."""

LEVEL_RULES: Final = {
    "reorder_level_point": f"reorder_point BETWEEN 0 AND {MAX_QUANTITY}",
    "reorder_level_one_way": "(order_up_to IS NULL) <> (order_quantity IS NULL)",
    "reorder_level_up_to": f"order_up_to > reorder_point AND order_up_to <= {MAX_QUANTITY}",
    "reorder_level_quantity": f"order_quantity BETWEEN 1 AND {MAX_QUANTITY}",
    "reorder_level_pack": f"pack_size BETWEEN 1 AND {MAX_QUANTITY}",
    "reorder_level_lead": f"lead_days BETWEEN 0 AND {MAX_LEAD_DAYS}",
    "reorder_level_supplier": f"length(supplier_id) BETWEEN 1 AND {MAX_SUPPLIER_ID}",
}
"""Each constraint's name and rule; what is NULL keeps a rule."""


def level_columns() -> list[Column[Any] | CheckConstraint]:
    """Make the columns and constraints of a reorder level; quantities in thousandths."""
    return [
        Column("reorder_point", BigInteger, nullable=False),
        Column("order_up_to", BigInteger),
        Column("order_quantity", BigInteger),
        Column("supplier_id", Text),
        Column("pack_size", BigInteger),
        Column("lead_days", Integer),
        *(CheckConstraint(rule, name=name) for name, rule in LEVEL_RULES.items()),
    ]


def level_of(row: Any) -> ReorderLevel:
    """Make the reorder level of a row that has these columns."""
    return ReorderLevel(**{name: getattr(row, name) for name in LEVEL_COLUMNS})
