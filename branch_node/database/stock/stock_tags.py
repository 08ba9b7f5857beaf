"""The entity tag of an item's stock: another one whenever on hand, reserved or available may have changed.

It is made of the hash of the newest event of each code of the item, and of what is available, which changes without an
event when a reservation expires.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Final

from sqlalchemy import Connection, func, select

from branch_node.database.schema import LOG

NO_EVENT: Final = b""
"""Stands for the hash of the newest event of a code that has none."""
_BYTES: Final = 8


def stock_tag(newest: Sequence[bytes], available: int) -> str:
    """The tag of an item by the hashes of the newest events of its codes, in any order, and its available stock in
    thousandths. Pure."""
    known = sorted(each for each in newest if each)
    digest = known[0] if len(known) == 1 else sha256(b"".join(known)).digest()
    return f"{digest[:_BYTES].hex()}.{available}"


def newest_event(connection: Connection, item_id: str, through: int | None = None) -> bytes:
    """Read the hash of the newest event of a code, of those up to a sequence if one is given; NO_EVENT for none."""
    event = LOG.event
    # Of the expression the index by item is used; for the bare column SQLite may walk the log back to find it.
    newest = select(func.max(event.c.sequence + 0)).where(event.c.item_id == item_id)
    if through is not None:
        newest = newest.where(event.c.sequence <= through)
    found = connection.execute(select(event.c.hash).where(event.c.sequence == newest.scalar_subquery())).scalar()
    return NO_EVENT if found is None else bytes(found)
