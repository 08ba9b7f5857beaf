"""Texts as a page shows them: what the font has, in lines that fit, in the order in which people read."""

from __future__ import annotations

import pytest
from fpdf.bidi import BidiParagraph
from fpdf.enums import TextDirection
from hypothesis import example, given
from hypothesis import strategies as st

from head_office.reports.purchasing.files.pdf_texts import (
    ShownLine,
    broken_lines,
    displayable,
    runs_rightward,
    shown_line,
)

ALL = range(0x11_0000)
ASCII = range(0x20, 0x7F)
letters = st.text(st.sampled_from("ab -/1٣,لبنةאב\u0301\u064b%"), max_size=14)


def in_order(line: ShownLine) -> str:
    """The characters of a line as they stand from left to right."""
    return "".join(run.text if run.rightward else run.text[::-1] for run in line.runs)


def reads(line: ShownLine) -> str:
    return "".join(run.text for run in (line.runs if line.rightward else reversed(line.runs)))


def fits(width: int):
    return lambda line: sum(len(run.text) for run in line.runs) <= width


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Tomatoes", "Tomatoes"),
        ("番茄 🍅", "�� �"),
        ("a\nb\tc  d ", "a b c d"),
        ("a\x07b\x1bc", "a�b�c"),
        ("a\ud800b", "a�b"),
        ("a\u202eb\u2066c", "a�b�c"),
        ("so\u00adft\ufe0f\u2060", "soft"),
        ("\ufdd0\ue000", "��"),
        ("", ""),
    ],
)
def test_what_cannot_be_shown_is_replaced(text: str, shown: str) -> None:
    has = {*ASCII, 0x07, 0x1B, 0x202E, 0x2066, 0xD800, 0xFDD0, 0xE000}
    assert displayable(text, has) == shown


@given(st.text(st.characters()))
def test_what_is_shown_the_font_has(text: str) -> None:
    shown = displayable(text, ASCII)
    assert all(ord(each) in ASCII or each in "�…" for each in shown)
    assert len(displayable(text * 50, ALL)) <= 400


@pytest.mark.parametrize(
    ("text", "rightward"), [("a ب", True), ("ب a", False), ("1 ב", False), ("12", True), ("", True), ("(-) é", True)]
)
def test_the_first_letter_says_where_a_text_begins(text: str, rightward: bool) -> None:
    assert runs_rightward(text) is rightward


@pytest.mark.parametrize(
    ("text", "order"),
    [
        ("Labneh لبن 1kg", "Labneh 1 نبلkg"),
        ("لبن 1kg", "1kg نبل"),
        ("BEY-02 بيت 12", "BEY-02 12 تيب"),
        ("زيت Olive Oil 5L من", "نم Olive Oil 5L تيز"),
        ("plain", "plain"),
    ],
)
def test_a_line_stands_in_the_order_of_its_runs(text: str, order: str) -> None:
    assert in_order(shown_line(text, runs_rightward(text))) == order


@given(letters)
@example("ab لبن 12 א")
def test_the_order_is_that_of_the_algorithm(text: str) -> None:
    """The run-wise order is that of the single characters, which fpdf2 is checked against Unicode's own tests for."""
    rightward = runs_rightward(text)
    paragraph = BidiParagraph(text=text, base_direction=TextDirection.LTR if rightward else TextDirection.RTL)
    assert in_order(shown_line(text, rightward)) == paragraph.get_reordered_string()


@given(letters, st.integers(1, 9), st.integers(1, 4))
def test_lines_fit_and_lose_nothing_but_blanks_unless_cut(text: str, width: int, most: int) -> None:
    text = displayable(text, ALL)
    lines = broken_lines(text, most, fits(width))
    assert 1 <= len(lines) <= most
    if width >= 3:  # what is parted from its marks would be no letter
        assert all(fits(width + 2)(line) for line in lines)
    parts = [sorted("".join(run.text for run in line.runs)) for line in lines]
    joined = sorted("".join("".join(each) for each in parts).replace(" ", ""))
    if "…" not in joined:
        assert joined == sorted(text.replace(" ", ""))
    else:
        assert "…" in parts[-1]


def test_lines_break_at_blanks_and_hyphens() -> None:
    assert [reads(line) for line in broken_lines("TOMATO-PEELED can", 3, fits(9))] == ["TOMATO-", "PEELED", "can"]
    assert [reads(line) for line in broken_lines("abcdefghij", 3, fits(4))] == ["abcd", "efgh", "ij"]
    assert [reads(line) for line in broken_lines("abcdefghij", 2, fits(4))] == ["abcd", "efg…"]
    assert [reads(line) for line in broken_lines("one two three", 1, fits(8))] == ["one two…"]
