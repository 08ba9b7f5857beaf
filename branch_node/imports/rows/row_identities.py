"""What makes a row of a file this row, read from its cells: its own id within its scope, else its line."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

from branch_node.commands.event_inputs import EventContent
from branch_node.imports.register.row_keys import PART, RowKeys
from branch_node.imports.rows.row_reader import RowReader
from branch_node.model import Location

# An id that is good as it is, and stands in a key as it is; `RowReader.own_id` and `key_part` decide about all others.
_PLAIN_ID: Final = re.compile(rf"[!-$&-}}](?:[ -$&-}}]{{0,{PART - 2}}}[!-$&-}}])?")

Identity = Callable[[int, Sequence[str], EventContent], str]
"""The identity of a row by its line, its cells with those of its lookups, and what it says. Raises RowRejected."""


def row_identity(reader: RowReader, keys: RowKeys, location: Location) -> Identity:
    """The identities of an import's rows, as one function, which runs a million times."""
    own_id, scope = reader.own_id, keys.scope
    if scope is None:
        return lambda line, _cells, _entry: keys.identity(line, None, "")
    if scope in ("source", "file"):
        begin, plain, column = keys.identity(0, "x", "")[:-1], _PLAIN_ID.fullmatch, reader.id_place

        def by_id(line: int, cells: Sequence[str], _entry: EventContent) -> str:
            text = cells[column]
            if plain(text) and text not in reader.nothing:
                return begin + text
            return keys.identity(line, own_id(cells), "")

        return by_id

    def within_scope(line: int, cells: Sequence[str], entry: EventContent) -> str:
        row_id = own_id(cells)
        if scope == "day":
            value = "" if entry.occurred_at is None else location.day(entry.occurred_at)[0]
        else:
            value = reader.scope_value(cells)
        return keys.identity(line, row_id, value)

    return within_scope
