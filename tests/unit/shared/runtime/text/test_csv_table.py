"""Tables from CSV files: whole or refused, and cells that mean what they say or are refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.runtime.text.csv_table import FALSE, TRUE, BadTable, TableRow, boolean, read_table

REQUIRED, OPTIONAL = ("item_id", "name"), ("strict",)


def read(path: Path, text: str | bytes) -> list[TableRow]:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return list(read_table(path, required=REQUIRED, optional=OPTIONAL))


def test_rows_have_their_lines_and_their_cells(tmp_path: Path) -> None:
    text = '\ufeffname,item_id,strict\r\n" Whole\nmilk ",milk,\r\nGin,gin, yes\r\n'
    assert read(tmp_path / "t.csv", text) == [
        TableRow(3, {"name": "Whole\nmilk", "item_id": "milk"}),
        TableRow(4, {"name": "Gin", "item_id": "gin", "strict": "yes"}),
    ]


def test_a_row_of_another_width_is_a_fault_of_its_own(tmp_path: Path) -> None:
    rows = read(tmp_path / "t.csv", "item_id,name\nmilk\ngin,Gin,more\nbeans,Beans\n")
    assert [bool(row.fault) for row in rows] == [True, True, False]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "item_id is missing"),
        ("item_id\n", "name is missing"),
        ("item_id,name,price\n", "'price' is not known"),
        ("item_id,name,name\n", "twice"),
        (b"item_id,name\n\xff,x\n", "not UTF-8"),
        ('item_id,name\n"milk,x\n', "line 2"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(tmp_path: Path, text: str | bytes, why: str) -> None:
    with pytest.raises(BadTable, match=why):
        read(tmp_path / "t.csv", text)


@pytest.mark.parametrize("text", [*TRUE, *FALSE, "T", "On", " YES ", "False"])
def test_words_for_yes_and_no(text: str) -> None:
    assert boolean(text) is (text.strip().lower() in TRUE)


@given(st.text(max_size=12).filter(lambda text: text.strip().lower() not in (*TRUE, *FALSE)))
def test_any_other_word_is_refused_with_those_that_are_read(text: str) -> None:
    with pytest.raises(ValueError, match=r"yes .* nor no"):
        boolean(text)
