"""Cursors of messages: their text, and that it sorts as they do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.outbox.message_cursor import (
    BEFORE_ALL,
    MAX_EPOCH,
    MAX_PART,
    MAX_SEQUENCE,
    MessageCursor,
    read_cursor,
)

CURSORS = st.builds(MessageCursor, st.integers(0, MAX_EPOCH), st.integers(0, MAX_SEQUENCE), st.integers(0, MAX_PART))


@given(CURSORS)
def test_a_cursor_is_read_back(cursor: MessageCursor) -> None:
    assert read_cursor(str(cursor)) == cursor


@given(CURSORS, CURSORS)
def test_texts_sort_as_cursors_do(one: MessageCursor, other: MessageCursor) -> None:
    assert (str(one) < str(other)) == (one < other)
    assert one >= BEFORE_ALL


def test_the_form() -> None:
    assert str(MessageCursor(1, 42, 0)) == "00000001-0000000000000042-000"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "start",
        "1-42-0",
        "00000001-0000000000000042-000\n",
        "00000001-0000000000000042-0000",
        "0000000١-0000000000000042-000",
        "+0000001-0000000000000042-000",
    ],
)
def test_what_is_no_cursor(text: str) -> None:
    with pytest.raises(ValueError, match="not a cursor"):
        read_cursor(text)


@pytest.mark.parametrize("numbers", [(-1, 0, 0), (MAX_EPOCH + 1, 0, 0), (0, MAX_SEQUENCE + 1, 0), (0, 0, MAX_PART + 1)])
def test_numbers_without_a_text(numbers: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="no cursor"):
        str(MessageCursor(*numbers))
