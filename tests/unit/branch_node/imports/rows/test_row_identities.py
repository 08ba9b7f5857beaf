"""The short way to a row's identity gives what the long way gives, for every text that a cell may hold."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from branch_node.commands.event_inputs import EventContent
from branch_node.imports.cells.cell_readers import RowRejected
from branch_node.imports.mapping.map_parser import parse_map
from branch_node.imports.register.row_keys import PART, RowKeys
from branch_node.imports.rows.row_identities import row_identity
from branch_node.imports.rows.row_reader import RowReader
from branch_node.model import Location
from shared.events import EventType

MAP = """\
source = "till-7"
time_zone = "Asia/Beirut"
type = "ORDER_DEDUCTION"
null = ["NULL", "-", "n/a", "%", "a b"]
id_scope = "{scope}"
[columns]
id = "id"
item = "code"
quantity = "qty"
occurred_at = "at"
"""
LINEAGE = "file:12-abababababababab"
ENTRY = EventContent(type=EventType.ORDER_DEDUCTION, item_id="milk", quantity=1, occurred_at=0, source="till-7")
LOCATION = Location(location_id="cafe", name="Cafe", timezone="Asia/Beirut", day_start=0)

# Around the border of what the short way takes: blanks, the ends of ASCII, what is quoted in keys, marks of cells.
characters = st.sampled_from(
    "a7 !#$%&'+,-./:;<=>?@[\\]^_`{|}~\"\t\n\r\x00\x1b\x1c\x1d\x1e\x1f\x7f\x85\xa0é\u0301\u200b\u2028\ufeff\u0663\uff21"
)
lengths = st.sampled_from([PART - 1, PART, PART + 1, 200, 201])
texts = (
    st.text(characters, max_size=6)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=PART + 2)
    | st.sampled_from(["NULL", " NULL ", "-", "%", "a b", "#2", "1.0", "007", "count:0", "\x1d2026-01-31"])
    | st.builds(
        lambda middle, length, last: middle * (length - 1) + last,
        st.sampled_from(["x", "%", "é", " "]),
        lengths,
        characters,
    )
)


def outcome(read):
    try:
        return read()
    except RowRejected as error:
        return f"rejected: {error}"


@pytest.mark.parametrize("scope", ["source", "file"])
@settings(deadline=None, max_examples=400)
@given(text=texts)
@example(text="x")
def test_by_id(scope: str, text: str) -> None:
    reader = RowReader(parse_map(MAP.format(scope=scope).encode(), "map.toml"), ["code", "qty", "at", "id"])
    keys = RowKeys(source="till-7", generation=0, scope=scope, lineage=LINEAGE)
    cells = ["milk", "1", "2025-12-31 12:00:00", text]
    short = outcome(lambda: row_identity(reader, keys, LOCATION)(2, cells, ENTRY))
    assert short == outcome(lambda: keys.identity(2, reader.own_id(cells), ""))
