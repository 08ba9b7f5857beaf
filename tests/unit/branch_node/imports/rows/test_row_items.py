"""Items that rows name by code, barcode or alias."""

import unicodedata

import pytest

from branch_node.commands.event_inputs import EventContent
from branch_node.imports.cells.cell_readers import RowRejected
from branch_node.imports.mapping.map_parser import MapError, parse_map
from branch_node.imports.rows.import_catalogue import ItemsCatalogue
from branch_node.imports.rows.row_reader import SKIPPED, RowReader
from branch_node.model import Item

MAP = """\
source = "till-7"
time_zone = "Asia/Beirut"
type = "ORDER_DEDUCTION"
skip_items = ["TIP"]
{top}
[columns]
item = "code"
quantity = "qty"
occurred_at = "at"
"""
CATALOGUE = ItemsCatalogue(
    Item(item_id=code, name=code, unit="piece", barcode=barcode, stands_for=meant)
    for code, barcode, meant in (
        ("cola", "5449000000996", None), ("Rum", "111", None), ("rum", "111", None), ("Café", None, None),
        ("old-cola", None, "cola"), ("7", "8", None), ("9", "7", None),
    )
)  # fmt: skip


def reader(top: str) -> RowReader:
    return RowReader(parse_map(MAP.format(top=top).encode(), "map"), ["code", "qty", "at"], catalogue=CATALOGUE)


def item(found: RowReader, code: str) -> str:
    entry = found.read([code, "1", "2026-01-31 12:00:00"])
    return entry.item_id if isinstance(entry, EventContent) else entry


@pytest.mark.parametrize(
    ("top", "code", "meant"),
    [
        ("", "cola", "cola"), ("", "COLA", "COLA"), ("", " cola\u00a0", "cola"),
        ("", unicodedata.normalize("NFD", "Café"), "Café"),
        ('item_by = "barcode"', "5449000000996", "cola"),
        ('item_by = "alias"', "old-cola", "cola"),
        ('item_by = ["alias", "code"]', "old-cola", "cola"),
        ('item_by = ["code", "alias"]', "old-cola", "old-cola"),
        ('item_by = ["code", "barcode"]', "7", "7"), ('item_by = ["barcode", "code"]', "7", "9"),
        ('item_by = ["code", "barcode"]', "5449000000996", "cola"),
        ('item_by = ["code", "barcode"]', "nobody", "nobody"),
        ('item_case = "fold"', "COLA", "cola"), ('item_case = "fold"', "CAFÉ", "Café"),
        ('item_case = "fold"', "Rum", "Rum"), ('item_case = "fold"', "rum", "rum"),
        ('item_case = "fold"', "tip", SKIPPED), ("", "TIP", SKIPPED), ("", "tip", "tip"),
    ],
)  # fmt: skip
def test_which_item_is_meant(top: str, code: str, meant: str) -> None:
    assert item(reader(top), code) == meant


@pytest.mark.parametrize(
    ("top", "code", "why"),
    [
        ('item_by = "barcode"', "111", "the barcode '111' is of several items: Rum, rum"),
        ('item_by = "barcode"', "cola", "there is no item with the barcode 'cola'"),
        ('item_by = ["barcode", "alias"]', "cola", "the barcode or alias 'cola'"),
        ('item_case = "fold"', "RUM", "of several items: Rum, rum"),
    ],
)
def test_what_names_no_item_or_several(top: str, code: str, why: str) -> None:
    with pytest.raises(RowRejected) as refused:
        item(reader(top), code)
    assert why in str(refused.value)


def test_new_codes_that_differ_in_case_are_one_item() -> None:
    text = MAP.format(top='item_case = "fold"\nunknown_items = "create"') + '[new_items]\nunit = "piece"\n'
    found = RowReader(parse_map(text.encode(), "map"), ["code", "qty", "at"], catalogue=CATALOGUE)
    assert [item(found, code) for code in ("Tea", "tea", "TEA", "cola", "COLA")] == ["Tea"] * 3 + ["cola"] * 2


def test_items_of_barcodes_alone_cannot_be_defined() -> None:
    text = MAP.format(top='item_by = "barcode"\nunknown_items = "create"') + '[new_items]\nunit = "piece"\n'
    with pytest.raises(MapError, match='line 6, unknown_items: of "create" defines items by their code'):
        parse_map(text.encode(), "map")
