"""Cells that a spreadsheet would run get an apostrophe before them, and every cell comes back as it was."""

from __future__ import annotations

import csv
import io
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shared.runtime.text.csv_writer import BYTE_ORDER_MARK, CSV_BLOCK, CsvWriter, csv_rows, neutralised, restored

RUN = [
    "=1+1", "@SUM(A1)", "+1+1", "-1+1", "-cmd|'/C calc'!A0", "+", "-", "--3", "-a", "-3-4", "+3 kg", "-$5",
    "\t=1", "\tmilk", "\rmilk", "\nmilk", "\0=1", " =1+1", "\u3000=1", "\xa0@a", "\ufeff=1", "\u200b=1", " \tx",
    "＝1+1", "＠a", "＋a", "－a", " －a", '=HYPERLINK("http://example.com";"x")',
]  # fmt: skip
NOT_RUN = [
    "", "milk", "a=b", "a@b", "'", "'milk", "' milk", "-3", "+2.5", "-1,5", "-.5", "-1.234,50", "-1'234.50",
    "-1 234,5", "-1\u202f234,5", "-1e5", "+1.5E-3", "-5%", " -3", "-3 ", "－3", "'-3", "3-4", "#N/A", "١", "-٣",
]  # fmt: skip
cells = st.text(st.sampled_from("'=+-@＝－ \t\r\n\0,.\"1a\ufeff\u3000\x85\u2028") | st.characters(), max_size=8)


@pytest.mark.parametrize("text", RUN)
def test_a_cell_that_would_run_gets_an_apostrophe(text: str) -> None:
    for cell in (text, "'" + text, "''" + text):
        assert neutralised(cell) == "'" + cell
        assert restored("'" + cell) == cell


@pytest.mark.parametrize("text", NOT_RUN)
def test_any_other_cell_stays(text: str) -> None:
    assert neutralised(text) == text
    assert restored(text) == text


@given(cells)
@example("'=1")
@example("''")
def test_every_text_comes_back(text: str) -> None:
    written = neutralised(text)
    assert written in {text, "'" + text}
    assert restored(written) == text
    assert written[:1] not in {"\t", "\r", "\n", "\0"}
    assert written.lstrip()[:1] not in {"=", "@", "＝", "＠"}


@settings(deadline=None)
@given(st.lists(st.lists(cells, min_size=1, max_size=4), max_size=4), st.sampled_from(",;\t|'"))
def test_a_file_comes_back(rows: list[list[str]], delimiter: str) -> None:
    file = io.StringIO(newline="")
    writer = CsvWriter(file, delimiter)
    for row in rows:
        writer.write_row(row)
    written = io.StringIO(file.getvalue(), newline="")
    found = list(csv.reader(written, delimiter=delimiter, strict=True))
    assert [[restored(cell) for cell in row] for row in found] == rows


def test_lines_end_with_a_line_feed_and_figures_stay() -> None:
    file = io.StringIO(newline="")
    CsvWriter(file).write_row(["=a", -3, None, "b\rc", "d;e"])
    assert file.getvalue() == '\'=a,-3,,"b\rc",d;e\n'


@pytest.mark.parametrize("end", ["", "x"])
@pytest.mark.parametrize("begin", ["-1" + " " * 99_000, "-" + "1," * 49_000, " " * 99_000, "'" * 99_000])
def test_a_long_cell_takes_no_time(begin: str, end: str) -> None:
    started = time.process_time()
    assert restored(neutralised(begin + end)) == begin + end
    assert time.process_time() - started < 0.5


@given(st.lists(st.lists(cells, min_size=2, max_size=2), max_size=5))
def test_a_file_for_a_spreadsheet_is_read_back(rows: list[list[str]]) -> None:
    text = b"".join(csv_rows(["a", "=b"], rows)).decode("utf-8")
    assert text.startswith(f"{BYTE_ORDER_MARK}a,'=b\r\n")
    assert text.endswith("\r\n")
    read = csv.reader(io.StringIO(text[1:], newline=""))
    assert [[restored(cell) for cell in row] for row in read] == [["a", "=b"], *rows]


def test_a_large_file_comes_in_parts_and_what_is_nothing_is_empty() -> None:
    row = [None, 5, "x" * 1_000]
    parts = list(csv_rows(["a", "b", "c"], (row for _ in range(1_000))))
    assert max(map(len, parts)) < 2 * CSV_BLOCK
    lines = b"".join(parts).decode("utf-8").split("\r\n")
    assert lines == [f"{BYTE_ORDER_MARK}a,b,c", *[f",5,{'x' * 1_000}"] * 1_000, ""]
