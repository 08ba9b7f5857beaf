"""Text of others that is shown: nothing in it acts on a terminal."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.runtime.text.printable import printable, printable_json, printable_line


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("caf\xe9 \u4e2d\u6587 \U0001f600", "caf\xe9 \u4e2d\u6587 \U0001f600"),
        ("\x1b[31mred\x07", r"\x1b[31mred\x07"),
        ("a\r\nb\tc", "a\\x0d\nb\tc"),
        ("\x9b2J\u202eabc\x00", r"\x9b2J\u202eabc\x00"),
        ("caf\udce9 \ud800", r"caf\xe9 \ud800"),
    ],
)
def test_what_acts_on_a_terminal_is_shown_as_its_escape(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert printable_line(text) == shown.replace("\n", r"\n").replace("\t", r"\t")


@given(st.text(st.characters(codec=None)))
def test_it_can_be_printed_and_stays_the_same_the_second_time(text: str) -> None:
    shown = printable_line(text)
    assert printable_line(shown) == shown
    assert not any(ord(each) < 0x20 or 0x7F <= ord(each) < 0xA0 for each in shown)
    shown.encode()


@given(st.text(st.characters(codec="utf-8")))
def test_json_stays_the_same_json(text: str) -> None:
    shown = printable_json(json.dumps({text: text}, ensure_ascii=False))
    assert json.loads(shown) == {text: text}
    assert printable_line(shown) == shown
