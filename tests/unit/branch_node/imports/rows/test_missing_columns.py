"""Every key of a map that names a column: where the file has no such column, the error says what there is."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from branch_node.imports.mapping.import_map import Columns, NewItems
from branch_node.imports.mapping.map_parser import parse_map
from branch_node.imports.rows.row_reader import HeaderError, LookupTable, RowReader
from branch_node.imports.source_file import read_lookup

MAP = """\
source = "till-7"
time_zone = "Asia/Beirut"
type = "ORDER_DEDUCTION"
unknown_items = "create"
id_scope = { column = "scope column" }

[columns]
id = "id column"
item = "item column"
quantity = "quantity column"
unit = "unit column"
date = "date column"
time = "time column"
reference = "reference column"
reference_line = "reference_line column"
product = "product column"
reason = "reason column"
note = "note column"
cost = "cost column"
currency = "currency column"
lot = "lot column"
expires_on = "expires_on column"
area = "area column"
actor = "actor column"

[where]
"where column" = "1"
"orders.where column" = "1"

[[rules]]
when = { "first column" = { starts = "x" } }
skip = true

[[rules]]
when = { "other column" = { starts = "x" }, "orders.when column" = "y" }
skip = true

[new_items]
unit_column = "unit column"
name_column = "name column"
category_column = "category column"

[lookup.orders]
file = "orders.csv"
key = "key column"
on = "on column"
"""
OTHERS = (
    MAP.replace('date = "date column"\ntime = "time column"', 'occurred_at = "occurred_at column"')
    .replace("cost =", "unit_cost =")
    .replace('"cost column"', '"unit_cost column"')
    .replace('unit = "unit column"\n', "", 1)
)
LOOKUP = ["key column", "where column", "when column"]


def named(text: str) -> Iterator[tuple[str, str]]:
    """Key and column of everything in a map that names a column of the file or of its lookup."""
    said: dict[str, Any] = tomllib.loads(text)
    yield "id_scope.column", said["id_scope"]["column"]
    for field, column in said["columns"].items():
        yield f"columns.{field}", column
    for column in said["where"]:
        yield f"where.{column}", column
    for number, rule in enumerate(said["rules"], 1):
        for column in rule["when"]:
            yield f"rules[{number}].when.{column}", column
    for key in ("unit_column", "name_column", "category_column"):
        if (key, "unit" in said["columns"]) != ("unit_column", True):  # it is columns.unit
            yield f"new_items.{key}", said["new_items"][key]
    yield "lookup.orders.on", said["lookup"]["orders"]["on"]


KEYS = dict(named(MAP)) | dict(named(OTHERS))


def reader(text: str, missing: str) -> RowReader:
    """A reader of a file that has all columns, but of one the last letter is missing."""
    header = [each for each in dict.fromkeys(dict(named(text)).values()) if not each.startswith("orders.")]
    columns = [each[:-1] if each == missing else each for each in header]
    looked_up = [each[:-1] if f"orders.{each}" == missing else each for each in LOOKUP]
    lookup = LookupTable(looked_up, {}, "orders.csv")
    return RowReader(parse_map(text.encode(), "till.toml"), columns, {"orders": lookup}, now=0)


def test_every_key_that_names_a_column_is_here() -> None:
    fields = {f"columns.{field}" for field in Columns.__struct_fields__}
    fields |= {f"new_items.{field}" for field in NewItems.__struct_fields__ if field.endswith("column")}
    assert fields <= KEYS.keys()
    for text in (MAP, OTHERS):
        reader(text, "")


@pytest.mark.parametrize(("key", "column"), KEYS.items(), ids=KEYS.keys())
def test_a_column_that_is_not_there(key: str, column: str) -> None:
    text = MAP if key in dict(named(MAP)) else OTHERS
    with pytest.raises(HeaderError) as refused:
        reader(text, column)
    said = str(refused.value)
    assert said.startswith(f"{key}: the file has no column {column!r}; it has "), said
    assert f"; the nearest is {column[:-1]}" in said
    assert "item column" in said.partition("it has ")[2] or column == "item column"


def test_the_key_of_a_lookup(tmp_path: Path) -> None:
    path = tmp_path / "orders.csv"
    path.write_text("order_i,date\n1,2\n")
    with pytest.raises(HeaderError) as refused:
        read_lookup(path, "order_id", ",", name="orders")
    assert str(refused.value) == (
        f"lookup.orders.key: {path} has no column 'order_id'; it has order_i, date; the nearest is order_i"
    )


@pytest.mark.parametrize(("delimiter", "shown"), [(";", '";"'), ("\t", r'"\t"'), ("|", '"|"')])
def test_a_file_of_another_delimiter_is_told(delimiter: str, shown: str) -> None:
    text = '[columns]\nitem = "a"\nquantity = "b"\noccurred_at = "c"\n'
    found = parse_map(f'source = "x"\ntime_zone = "UTC"\ntype = "ORDER_DEDUCTION"\n{text}'.encode(), "m")
    with pytest.raises(HeaderError) as refused:
        RowReader(found, [delimiter.join("abc")])
    assert f"; perhaps delimiter = {shown}" in str(refused.value)


def test_names_that_would_act_on_a_terminal_or_take_more_lines() -> None:
    found = parse_map(MAP.encode(), "m")
    with pytest.raises(HeaderError) as refused:
        RowReader(found, ["a\nb", "", "\x1b[2J"])
    assert str(refused.value).isprintable()
    assert r"it has a\nb, \x1b[2J" in str(refused.value)
