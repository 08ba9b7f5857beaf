"""One list of rules for rows and request bodies: what a row reader accepts, the node's own decoder accepts alike."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st

from branch_node.commands.event_inputs import BatchInput, EventContent, entry_of
from branch_node.commands.item_inputs import ItemInput, item_of
from branch_node.imports.cells.cell_readers import RowRejected
from branch_node.imports.mapping.map_parser import parse_map
from branch_node.imports.rows.import_catalogue import ItemsCatalogue
from branch_node.imports.rows.row_reader import RowReader
from branch_node.model import Item
from shared.events import quantity_json
from shared.runtime.clock import format_rfc3339
from shared.runtime.http.strict_json import StrictDecoder

MAP = """\
source = "till-7"
time_zone = "Europe/Paris"
fold = "earlier"
type = "WASTE_RECORDED"
otherwise = "type"
unknown_items = "create"
thousands = " "
item_by = ["code", "barcode"]
item_case = "fold"
null = ["NULL"]
[columns]
item = "item"
quantity = "quantity"
unit = "unit"
occurred_at = "at"
reference = "reference"
reference_line = "line"
product = "product"
reason = "reason"
note = "note"
unit_cost = "cost"
currency = "currency"
lot = "lot"
expires_on = "expires"
area = "area"
actor = "actor"
[formats]
occurred_at = ["%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M:%S.%f", "excel"]
[currencies]
"€" = "EUR"
[units.kg]
g = 0.001
sack = 25
[[rules]]
when = { reason = "back" }
type = "CUSTOMER_RETURN"
sign = "absolute"
[[rules]]
when = { reason = "more" }
type = "ADJUSTMENT"
[[rules]]
when = { reason = "count" }
type = "STOCKTAKE"
[new_items]
name_column = "name"
category_column = "product"
unit_column = "unit"
"""
GOOD = {
    "item": "rice", "quantity": "2", "unit": "kg", "at": "2025-12-31 12:00:00", "reference": "r", "line": "3",
    "product": "pilaf", "reason": "spoiled", "note": "n", "cost": "1.5", "currency": "EUR", "lot": "l",
    "expires": "2026-02-01", "area": "bar", "actor": "c9", "name": "Rice",
}  # fmt: skip
HOSTILE = [
    "", " ", ".", "..", "-0", "-0.00", "0", "-1", "(3)", "4-", "x" * 31, "x" * 32, "x" * 64, "x" * 65, "x" * 200,
    "x" * 201, "x" * 1_000, "x" * 1_001, "1999-12-31", "2000-01-01", "20260131", "2026-02-30", "9999-12-31", "1e3",
    "1.0000001", "0.0005", "999999999999999.999999", "9" * 16, "9" * 50, "1000000000", "1000000000.001", "1 000",
    "a\nb", "a\tb", "a\x00b", "a\x1bb", "a\u202eb", "a\u2066b", "a\u200bb", "e\u0301", "\udce9", "\ufdd0", "\ue000",
    "\u3164", "1999-12-31 23:59:59", "2000-01-01 00:59:59", "2000-01-01 01:00:00", "2199-12-31 23:59:59",
    "2200-01-01 00:59:59", "2200-01-01 01:00:00", "2025-03-30 02:30:00", "2025-10-26 02:30:00", "46053.5", "36525",
    "109574.9", "2025-12-31 12:00:00.123456", "\x1d2026-01-31T12:00:00", "\x1d1999-12-31", "\x1d12:00:00", "\x1dx",
    "NULL", "count", "back", "more", "g", "sack", "KG", "usd", "EUR", "€3", "EUR 3", "USD 3", "1001", "1000", "١",
    "\u00a0", "RICE", "4006381333931", "\"", "\\", "'=1", "=1+1", "/", "%2e",
]  # fmt: skip
changes = st.dictionaries(st.sampled_from(list(GOOD)), st.sampled_from(HOSTILE) | st.text(max_size=40), max_size=5)
CATALOGUE = ItemsCatalogue([Item(item_id="rice", name="Rice", unit="kg", barcode="4006381333931")])
DECODE = StrictDecoder(BatchInput, max_bytes=1_000_000)
DECODE_ITEM = StrictDecoder(ItemInput, max_bytes=1_000_000)


def as_body(entry: EventContent) -> bytes:
    """The entry as one event of a batch."""
    fields: dict[str, Any] = msgspec.structs.asdict(entry)
    fields["actor"] = fields.pop("person")
    fields["occurred_at"] = format_rfc3339(fields["occurred_at"])
    del fields["used"]
    for name in ("quantity", "counted"):
        fields[name] = None if fields[name] is None else quantity_json(fields[name])
    if entry.entered is not None:
        fields["entered"] = {
            "quantity": quantity_json(entry.entered.quantity),
            "factor": quantity_json(entry.entered.factor),
            "unit": entry.entered.unit,
        }
    return msgspec.json.encode({"events": [{name: each for name, each in fields.items() if each is not None}]})


def all_hostile() -> list[dict[str, str]]:
    return [{column: text} for column in GOOD for text in HOSTILE]


def check(cells: dict[str, str]) -> bool:
    """Whether the row is accepted; if so, by the node too, as the same."""
    row = list((GOOD | cells).values())
    reader = RowReader(parse_map(MAP.encode(), "map"), list(GOOD), catalogue=CATALOGUE)
    try:
        entry = reader.read(reader.add_lookups(row))
    except RowRejected:
        return False
    assert isinstance(entry, EventContent)
    [event] = DECODE(as_body(entry)).events
    assert entry_of(event) == entry
    if CATALOGUE.unit_of(entry.item_id) is None:
        try:
            item = reader.new_item(entry.item_id, row)
        except RowRejected:
            return True
        assert item_of(item.item_id, DECODE_ITEM(msgspec.json.encode(item.definition))) == item
    return True


@settings(deadline=None)
@given(changes)
@example({"actor": "x" * 31, "item": "..", "expires": "1999-12-31", "cost": "-0"})
def test_what_is_accepted_the_node_decodes_alike(cells: dict[str, str]) -> None:
    check(cells)


def test_every_hostile_text_in_every_column() -> None:
    accepted = [(column, text) for cells in all_hostile() for column, text in cells.items() if check(cells)]
    refused = {(column, text) for cells in all_hostile() for column, text in cells.items()} - set(accepted)
    assert {
        ("actor", "x" * 32), ("item", "."), ("item", ".."), ("expires", "1999-12-31"), ("note", "a\u202eb"),
        ("lot", "a\x1bb"), ("quantity", "1000000000.001"), ("at", "1999-12-31 23:59:59"), ("at", "2200-01-01 01:00:00"),
        ("reference", "x" * 201), ("note", "x" * 1_001), ("line", "1001"), ("cost", "9" * 16), ("currency", "usd"),
        ("at", "2025-03-30 02:30:00"), ("quantity", "0.0005"), ("unit", "KG"), ("cost", "USD 3"),
    } <= refused  # fmt: skip
    assert {
        ("actor", "x" * 31), ("expires", "2000-01-01"), ("reference", "x" * 200), ("note", "a\tb"), ("line", "1000"),
        ("at", "2000-01-01 01:00:00"), ("at", "2200-01-01 00:59:59"), ("quantity", "1000000000"), ("unit", "g"),
        ("item", "RICE"), ("item", "e\u0301"), ("cost", "-0.00"), ("at", "\x1d2026-01-31T12:00:00"),
    } <= set(accepted)  # fmt: skip
