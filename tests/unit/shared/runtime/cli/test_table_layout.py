"""Tables within the width of a terminal: what may be broken, what never is, and where the rest goes."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from shared.runtime.cli.table_layout import ColumnKind, column_of, lay_out

CONSOLE = Console(width=80)
WORD = st.text("abcdefghij-0123456789é上", min_size=1, max_size=24)
CELLS = {
    ColumnKind.CODE: st.one_of(st.just(""), st.text("abc-0123456789", max_size=64)),
    ColumnKind.TEXT: st.lists(WORD, max_size=12).map(" ".join),
    ColumnKind.NUMBER: st.one_of(
        st.just(""), st.decimals(0, 10**9, places=3).map(lambda each: f"{each.normalize():f}")
    ),
    ColumnKind.CHANGE: st.one_of(
        st.just(""), st.decimals(-99, 99, places=2).map(lambda each: f"{each.normalize():+f}")
    ),
    ColumnKind.TIME: st.sampled_from(["", "2026-01-31 23:59", "2026-02-01 00:00", "2025-12-31 12:00"]),
}


def plain(columns: list[str], rows: list[list[str]], width: int) -> list[str]:
    found = lay_out(
        CONSOLE, [column_of(each) for each in columns], [[Text(cell) for cell in row] for row in rows], width
    )
    return [line.plain for line in found]


@given(st.data(), st.lists(st.sampled_from(list(ColumnKind)), min_size=1, max_size=9), st.sampled_from([80, 120, 160]))
def test_no_line_is_too_wide_and_no_code_is_broken(data: st.DataObject, kinds: list[ColumnKind], width: int) -> None:
    columns = [f"h{number}{kind}" for number, kind in enumerate(kinds)]
    row = st.tuples(*(CELLS[kind] for kind in kinds)).map(list)
    rows = data.draw(st.lists(row, min_size=1, max_size=5))
    lines = plain(columns, rows, width)
    assert [line for line in lines if cell_len(line) > width] == []
    words = set(re.split(r"\s+", " ".join(lines)))
    for cells in rows:
        for kind, cell in zip(kinds, cells, strict=True):
            parts = set(cell.split())
            assert parts <= words or (kind is ColumnKind.TIME and set(cell[5:].split()) <= words)


def test_columns_that_are_empty_are_left_out() -> None:
    assert plain(["item", "lot", "on hand#"], [["milk", "", "2"], ["gin", "", ""]], 80) == [
        "item  on hand",
        "────  ───────",
        "milk        2",
        "gin",
    ]


def test_decimals_stand_below_each_other() -> None:
    assert plain(["change+"], [["+2.5"], ["-12"], ["= 8.125"], [""]], 80)[2:] == [
        " +2.5",
        "-12",
        "= 8.125",
        "",
    ]


def test_times_of_one_year_have_it_in_their_heading() -> None:
    assert plain(["at@"], [["2026-01-31 23:59"], [""]], 80) == ["at 2026", "───────────", "01-31 23:59", ""]
    assert plain(["at@"], [["2026-01-31 23:59"], ["2025-01-31 23:59"]], 80)[0] == "at"


def test_texts_and_then_codes_stand_apart_where_there_is_no_room() -> None:
    row = [["a-code-of-24-characters-x", "1", "a note of some words", "7"]]
    columns = ["item", "on hand#", "note~", "event#"]
    assert plain(columns, row, 80)[2:] == ["a-code-of-24-characters-x        1  a note of some words      7"]
    assert plain(columns, row, 45)[2:] == [
        "a-code-of-24-characters-x        1      7",
        "       note: a note of some words",
    ]
    assert plain(columns, row, 34) == [
        "item",
        "on hand  event",
        "───────  ─────",
        "a-code-of-24-characters-x",
        "      1      7",
        "       note: a note of some words",
    ]
    assert plain(["one#", "two#", "three#"], [["1" * 12, "2" * 12, "3" * 12]], 30) == [
        "one    111111111111",
        "two    222222222222",
        "three  333333333333",
    ]


@given(
    st.lists(st.text("abcdefghij/?=&-é上", min_size=1, max_size=300), min_size=1, max_size=3),
    st.sampled_from([80, 120]),
)
def test_a_word_longer_than_a_line_is_broken_and_nothing_of_it_is_lost(words: list[str], width: int) -> None:
    code = "01a2204d-beff-725a-8e8b-cba5acd2fa4f"
    lines = plain(["subscription", "behind#", "url~"], [[code, "3", " ".join(words)]], width)
    assert [line for line in lines if cell_len(line) > width] == []
    shown = "".join(line.strip() for line in lines[2:]).replace(" ", "")
    assert "".join(words) in shown or shown == f"{code}3" + "".join(words)


def test_a_long_url_stands_below_its_row() -> None:
    lines = plain(["id", "url~"], [["a" * 36, "https://shop.example/" + "x" * 80]], 80)
    assert lines[2:] == ["a" * 36, "       url: https://shop.example/" + "x" * 47, "       " + "x" * 33]
