"""Array parameters of SQLAlchemy statements: many values bound as one PostgreSQL array."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import BigInteger, BindParameter, TableValuedAlias, Text, bindparam, column, func
from sqlalchemy.dialects.postgresql import ARRAY

TEXT = Text()
BIGINT = BigInteger()

Kind = Text | BigInteger


def array(values: Sequence[Any], kind: Kind = TEXT) -> BindParameter[Any]:
    """The values as one array parameter, for `= ANY(...)` and `unnest(...)`."""
    return bindparam(None, list(values), type_=ARRAY(kind))


def unnest(name: str, columns: Sequence[tuple[str, Kind]], rows: Sequence[Sequence[Any]]) -> TableValuedAlias:
    """Rows as a table `name` with these columns, to select from or join."""
    values = [array([row[place] for row in rows], kind) for place, (_, kind) in enumerate(columns)]
    named = [column(label, kind) for label, kind in columns]
    return func.unnest(*values).table_valued(*named, name=name).render_derived()
